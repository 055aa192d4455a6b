"""Object stores and mounted directories by their URI, and what their errors mean.

Used by the copying engine. Invariants: a credential is in no message; whether an error may pass by itself is decided here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import obstore.exceptions as refused
from obstore.store import AzureStore, GCSStore, LocalStore, ObjectStore, S3Store

from flinkjob.core.errors import FlinkJobError, Invalid, Rejected, Transient, one_line

RETRIES = 4
RETRY_SECONDS = 60
_S3, _GCS, _AZURE = ("s3", "s3a", "s3n", "s3p"), ("gs",), ("az", "abfs", "abfss", "wasb", "wasbs")


@dataclass(frozen=True, kw_only=True)
class StoreAddress:
    """A place in a store.

    Attributes:
        uri: `s3://bucket/prefix`, `gs://…`, `az://container/…` (also as Hadoop writes them) or `file:///directory`.
        endpoint: of an S3-compatible store, or of Azure's; None for the public one.
        secret: `accessKeyId`, `secretAccessKey`, `sessionToken` | `serviceAccountKey.json` | `accountName`, `accountKey`;
            empty: the identity of the Pod.
        ca: certificates (PEM) that are trusted besides the system's.
    """

    uri: str
    endpoint: str | None = None
    region: str | None = None
    secret: Mapping[str, str] = field(default_factory=dict, repr=False)
    ca: str | None = field(default=None, repr=False)


def scheme_of(uri: str) -> str:
    """`s3`, `gs` or `az`, however Hadoop spells it.

    Raises:
        Invalid: the URI is of no known sort.
    """
    scheme = urlsplit(uri).scheme.lower()
    for name, spellings in (("s3", _S3), ("gs", _GCS), ("az", _AZURE)):
        if scheme in spellings:
            return name
    raise Invalid(f"{scheme}: is no store that is known; use s3, gs, az or file")


def store_host(address: StoreAddress) -> str:
    """The host that is spoken to.

    Raises:
        Invalid: the URI is of no known sort.
    """
    parts = urlsplit(address.uri)
    if address.endpoint is not None:
        return urlsplit(address.endpoint).hostname or ""
    scheme = scheme_of(address.uri)
    if scheme == "s3":
        return f"s3.{address.region or 'us-east-1'}.amazonaws.com"
    if scheme == "gs":
        return "storage.googleapis.com"
    _, _, host = parts.netloc.rpartition("@")
    account = address.secret.get("accountName") or (host.partition(".")[0] if "@" in parts.netloc else "azure")
    return f"{account}.blob.core.windows.net"


def open_store(address: StoreAddress, *, create: bool = True) -> ObjectStore:
    """The store below an address; all paths are relative to it.

    Args:
        create: make a mounted directory that is missing; otherwise that is an error.

    Raises:
        Invalid: the URI is of no known sort.
        Rejected: the directory is missing.
    """
    parts = urlsplit(address.uri)
    scheme, path = parts.scheme.lower(), unquote(parts.path).strip("/")
    if scheme in ("file", "") and parts.netloc in ("", "localhost"):
        directory = Path("/") / path
        if not create and not directory.is_dir():
            raise Rejected(404, f"there is no directory {directory}", permanent=True)
        return LocalStore(directory, mkdir=create)
    if not parts.netloc:
        raise Invalid(f"{address.uri} names no bucket")
    client: dict[str, Any] = {"allow_http": (address.endpoint or "").startswith("http:"), "read_timeout": "30s"}
    client["timeout"] = timedelta(minutes=30)
    if address.ca:
        client["root_certificate"] = address.ca
    common: dict[str, Any] = {
        "prefix": path or None,
        "client_options": client,
        "retry_config": {"max_retries": RETRIES, "retry_timeout": timedelta(seconds=RETRY_SECONDS)},
    }
    with store_errors("store"):
        if scheme in _S3:
            return S3Store(parts.netloc, config=_s3(address), **common)
        if scheme in _GCS:
            key = address.secret.get("serviceAccountKey.json")
            return GCSStore(parts.netloc, config={"service_account_key": key} if key else None, **common)
        if scheme in _AZURE:
            container, _, host = parts.netloc.rpartition("@")
            return AzureStore(container or host, config=_azure(address, host if container else ""), **common)
    raise Invalid(f"{scheme}: is no store that is known; use s3, gs, az or file")


def _s3(address: StoreAddress) -> Any:
    config: dict[str, Any] = {"virtual_hosted_style_request": address.endpoint is None}
    if address.endpoint:
        config["endpoint"] = address.endpoint
    config["region"] = address.region or "us-east-1"
    names = {
        "access_key_id": "accessKeyId",
        "secret_access_key": "secretAccessKey",
        "session_token": "sessionToken",
    }
    return config | {name: address.secret[key] for name, key in names.items() if key in address.secret}


def _azure(address: StoreAddress, host: str) -> Any:
    config: dict[str, Any] = {}
    account = address.secret.get("accountName") or host.partition(".")[0]
    if account:
        config["account_name"] = account
    if "accountKey" in address.secret:
        config["account_key"] = address.secret["accountKey"]
    if address.endpoint:
        config["endpoint"] = address.endpoint
    return config


@contextmanager
def store_errors(what: str) -> Iterator[None]:
    """Turns the library's errors into the operator's; `what` is the path or the thing that was asked for.

    Raises:
        Rejected: the store said no (permission, credentials, not found).
        Transient: it failed in a way that may pass.
    """
    try:
        yield
    except FlinkJobError:
        raise
    except (refused.PermissionDeniedError, refused.UnauthenticatedError) as error:
        raise Rejected(403, f"the store denies access to {what}", permanent=False) from error
    except (refused.NotFoundError, FileNotFoundError) as error:
        raise Rejected(404, f"the store has no {what}", permanent=True) from error
    except (refused.AlreadyExistsError, refused.PreconditionError, refused.NotSupportedError):
        raise
    except (refused.UnknownConfigurationKeyError, refused.InvalidPathError) as error:
        raise Invalid(f"{what}: the store's address or credentials cannot be used") from error
    except (refused.BaseError, OSError) as error:
        raise Transient("store", one_line(f"{what}: {_cause(error)}")) from error


def _cause(error: BaseException) -> str:
    """The first line; what follows is the library's debug output."""
    return str(error).partition("\n")[0]
