"""Object stores and mounted directories by their URI, and what their errors mean.

Used by the copying engine. Invariants: neither a credential nor what a server answered is in a message; whether an error may
pass on its own is decided here; with a tenant's credentials only the host of the address is connected to, wherever a server
or a key file points, and nothing of the Pod's own identity reaches it.
"""

from __future__ import annotations

import os
import re
import threading
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

import obstore.exceptions as refused
from obstore.store import AzureStore, GCSStore, LocalStore, ObjectStore, S3Store

from flinkjob.core.errors import FlinkJobError, Invalid, Rejected, Transient, one_line

RETRIES = 4
LONGEST_TRANSFER = timedelta(days=1)
"""For one object, whose transfer goes on where it was cut; how long a store may be silent has a limit of its own."""
SILENCE = timedelta(seconds=30)
"""So long a store may say nothing."""
SILENCE_WHILE_UPLOADING = timedelta(minutes=5)
"""The same where data go to: a store says nothing while it receives, and all that a copy has under way shares one line
(64 MiB: so it may be as slow as 2 Mbit/s)."""
NOWHERE = "http://127.0.0.1:0"
"""The proxy for all hosts but the store's own: nothing can ever listen there. The library follows redirects, and takes the
address of the store from a service account's key file; both would lead past the list of allowed hosts."""
_GOOGLE = ("storage.googleapis.com", "oauth2.googleapis.com", "www.googleapis.com")
_BUCKET = re.compile(r"[a-zA-Z0-9$][a-zA-Z0-9._-]{0,254}")
_HOST = re.compile(r"[a-zA-Z0-9._-]+|[0-9a-fA-F:.]+")
_ACCOUNT = re.compile(r"[a-z0-9-]{1,63}")
_STATUS = re.compile(r"(status code: \d+(?: [A-Z][A-Za-z' ]*)?).*")
_CODE = re.compile(r"<Code>(\w{1,60})</Code>")
_IDENTITY = ("AWS_", "AZURE_", "GOOGLE_", "IDENTITY_", "MSI_", "SERVICE_ACCOUNT")
"""How the variables begin from which the library takes credentials and settings of its own accord."""
NO_CONDITIONS = (refused.NotSupportedError, NotImplementedError)
"""What the library raises where a store knows no conditional writes."""
_ABOUT_CONDITIONS = (refused.AlreadyExistsError, refused.PreconditionError, *NO_CONDITIONS)
_ENVIRONMENT = threading.Lock()
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


def parts_of(uri: str) -> SplitResult:
    """The parts of the address of a store.

    Raises:
        Invalid: it has none.
    """
    try:
        return urlsplit(uri)
    except ValueError:
        raise Invalid("a store's URI cannot be read") from None


def scheme_of(uri: str) -> str:
    """`s3`, `gs` or `az`, however Hadoop spells it.

    Raises:
        Invalid: the URI is of no known sort.
    """
    scheme = parts_of(uri).scheme.lower()
    for name, spellings in (("s3", _S3), ("gs", _GCS), ("az", _AZURE)):
        if scheme in spellings:
            return name
    raise Invalid(f"{scheme}: is no store that is known; use s3, gs, az or file")


def store_host(address: StoreAddress) -> str:
    """The host that is connected to.

    Raises:
        Invalid: the URI is of no known sort, or the host is none that every reader of URLs would find there.
    """
    host = _host(address)
    if not _HOST.fullmatch(host):
        raise Invalid("the store's host cannot be read from its endpoint or account")
    return host


def _host(address: StoreAddress) -> str:
    parts = parts_of(address.uri)
    if address.endpoint is not None:
        return parts_of(address.endpoint).hostname or ""
    scheme = scheme_of(address.uri)
    if scheme == "s3":
        return f"s3.{address.region or 'us-east-1'}.amazonaws.com"
    if scheme == "gs":
        return "storage.googleapis.com"
    _, _, host = parts.netloc.rpartition("@")
    account = address.secret.get("accountName") or (host.partition(".")[0] if "@" in parts.netloc else "azure")
    if not _ACCOUNT.fullmatch(account):
        raise Invalid("accountName is not the name of an account")
    return f"{account}.blob.core.windows.net"


def open_store(address: StoreAddress, *, create: bool = True, uploads: bool = False) -> ObjectStore:
    """The store below an address; all paths are relative to it.

    Args:
        create: make a mounted directory that is missing; otherwise that is an error.
        uploads: large objects are written, which may take long before the store says anything.

    Raises:
        Invalid: the URI is of no known sort, or names a path that is not the same for every reader.
        Rejected: the directory is missing.
    """
    parts = parts_of(address.uri)
    scheme, path = parts.scheme.lower(), unquote(parts.path).strip("/")
    if path and any(segment in ("", ".", "..") for segment in path.split("/")):
        raise Invalid(f"{address.uri} must not contain //, . or ..")
    if scheme in ("file", "") and parts.netloc in ("", "localhost"):
        directory = Path("/") / path
        if not create and not directory.is_dir():
            raise Rejected(404, f"there is no directory {directory}", permanent=True)
        return LocalStore(directory, automatic_cleanup=True, mkdir=create)
    bucket, _, account = parts.netloc.partition("@")
    if not _BUCKET.fullmatch(bucket) or (account and (scheme not in _AZURE or not _HOST.fullmatch(account))):
        raise Invalid(f"{address.uri} names no bucket")
    common: dict[str, Any] = {
        "prefix": path or None,
        "client_options": _client_options(address, scheme, uploads=uploads),
        "retry_config": {"max_retries": RETRIES, "retry_timeout": LONGEST_TRANSFER},
    }
    try:
        with _environment(own=not address.secret):
            if scheme in _S3:
                return S3Store(bucket, config=_s3(address), **common)
            if scheme in _GCS:
                key = address.secret.get("serviceAccountKey.json")
                return GCSStore(bucket, config={"service_account_key": key} if key else None, **common)
            if scheme in _AZURE:
                return AzureStore(bucket, config=_azure(address, account), **common)
    except (refused.BaseError, ValueError, OSError):
        # without the cause, which may quote the key that cannot be read
        raise Invalid(f"{address.uri}: the store's address, certificates or credentials cannot be used") from None
    raise Invalid(f"{scheme}: is no store that is known; use s3, gs, az or file")


def _client_options(address: StoreAddress, scheme: str, *, uploads: bool) -> dict[str, Any]:
    """The client of a store: time-outs, trust, and no other host where a Secret's credentials are sent."""
    options: dict[str, Any] = {
        "allow_http": (address.endpoint or "").startswith("http:"),
        "read_timeout": SILENCE_WHILE_UPLOADING if uploads else SILENCE,
        "timeout": LONGEST_TRANSFER,
    }
    if address.ca:
        options["root_certificate"] = address.ca
    if address.secret and not behind_proxy():
        hosts = {store_host(address), *(_GOOGLE if scheme in _GCS and address.endpoint is None else ())}
        options |= {"proxy_url": NOWHERE, "proxy_excludes": ",".join(sorted(hosts))}
    return options


def local_path(store: LocalStore, path: str) -> Path:
    """Where an object of a mounted directory is."""
    return Path(str(getattr(store, "prefix", None) or "/")) / path


@contextmanager
def _environment(*, own: bool) -> Iterator[None]:
    """While a store is made, which is when the library reads the environment: without the Pod's identity unless `own`."""
    with _ENVIRONMENT:
        hidden = {} if own else {name: os.environ[name] for name in os.environ if name.upper().startswith(_IDENTITY)}
        for name in hidden:
            del os.environ[name]
        try:
            yield
        finally:
            os.environ.update(hidden)


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
def store_errors(what: str, *, conditional: bool = False) -> Iterator[None]:
    """Turns the library's errors into the operator's.

    Args:
        what: the path or the thing that was asked for.
        conditional: a write under a condition, whose caller catches what the library says of conditions. A store may say
            the same of a read, which means nothing.

    Raises:
        Rejected: the store said no (permission, credentials, not found).
        Transient: it failed in a way that may pass.
    """
    try:
        yield
    except FlinkJobError:
        raise
    except (refused.PermissionDeniedError, refused.UnauthenticatedError, PermissionError) as error:
        raise Rejected(403, f"the store denies access to {what}", permanent=False) from error
    except (refused.NotFoundError, FileNotFoundError) as error:
        raise Rejected(404, f"the store has no {what}", permanent=True) from error
    except _ABOUT_CONDITIONS as error:
        if conditional:
            raise
        raise Transient("store", one_line(f"{what}: {_cause(error)}")) from error
    except (refused.UnknownConfigurationKeyError, refused.InvalidPathError, ValueError) as error:
        raise Invalid(f"{what}: the store's address or credentials cannot be used") from error
    except (refused.BaseError, OSError) as error:
        raise Transient("store", one_line(f"{what}: {_cause(error)}")) from error


def _cause(error: BaseException) -> str:
    """The first line without the body of the answer, which may be that of any server; S3's own word for it stays."""
    text = str(error)
    line = _STATUS.sub(r"\1", text.partition("\n")[0])
    code = _CODE.search(text)
    return f"{line} ({code[1]})" if code is not None else line


def behind_proxy() -> bool:
    """Whether the environment names a proxy, which then resolves names and has to refuse what shall not be reached."""
    return bool({"http", "https", "all"} & set(urllib.request.getproxies()))
