"""Object stores and mounted directories by their URI, and what their errors mean.

Used by the copying engine. Invariants: neither a credential nor what a server answered is in a message; whether an error may
pass on its own is decided here; with a tenant's credentials only the host of the address is connected to, wherever a server
or a key file points, and nothing of the Pod's own identity reaches it.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import obstore.exceptions as refused
from obstore.store import AzureStore, GCSStore, LocalStore, ObjectStore, S3Store

from flinkjob.core.errors import FlinkJobError, Invalid, Rejected, Transient, one_line
from flinkjob.snapshots.addresses import AZURE, GCS, GOOGLE, HOST, S3, StoreAddress, behind_proxy, parts_of, store_host

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
_GOOGLE = (GOOGLE, "oauth2.googleapis.com", "www.googleapis.com")
_BUCKET = re.compile(r"[a-zA-Z0-9$][a-zA-Z0-9._-]{0,254}")

_STATUS = re.compile(r"(status code: \d+(?: [A-Z][A-Za-z' ]*)?).*")
_CODE = re.compile(r"<Code>(\w{1,60})</Code>")
_IDENTITY = ("AWS_", "AZURE_", "GOOGLE_", "IDENTITY_", "MSI_", "SERVICE_ACCOUNT")
"""How the variables begin from which the library takes credentials and settings of its own accord."""
NO_CONDITIONS = (refused.NotSupportedError, NotImplementedError)
"""What the library raises where a store knows no conditional writes."""
_ABOUT_CONDITIONS = (refused.AlreadyExistsError, refused.PreconditionError, *NO_CONDITIONS)
_ENVIRONMENT = threading.Lock()


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
    if not _BUCKET.fullmatch(bucket) or (account and (scheme not in AZURE or not HOST.fullmatch(account))):
        raise Invalid(f"{address.uri} names no bucket")
    common: dict[str, Any] = {
        "prefix": path or None,
        "client_options": _client_options(address, scheme, uploads=uploads),
        "retry_config": {"max_retries": RETRIES, "retry_timeout": LONGEST_TRANSFER},
    }
    try:
        with _environment(own=not address.secret):
            if scheme in S3:
                return S3Store(bucket, config=_s3(address), **common)
            if scheme in GCS:
                return GCSStore(bucket, config=_gcs(address), **common)
            if scheme in AZURE:
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
        hosts = {store_host(address), *(_GOOGLE if scheme in GCS and address.endpoint is None else ())}
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


def _gcs(address: StoreAddress) -> Any:
    config: dict[str, Any] = {}
    if (key := address.secret.get("serviceAccountKey.json")) is not None:
        # named even where it is the public one: else the key's file would say where its token is sent
        config |= {"service_account_key": key, "base_url": f"https://{GOOGLE}"}
    if address.endpoint:
        config["base_url"] = address.endpoint.rstrip("/")
    return config


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
