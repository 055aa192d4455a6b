"""Addresses of object stores and mounted directories: what a URI says, and which host it leads to.

Used by whoever asks for a copy, and by `stores`, which opens them. Invariant: the host is the one that every reader of URLs
would find.
"""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

from flinkjob.core.errors import Invalid

HOST = re.compile(r"[a-zA-Z0-9._-]+|[0-9a-fA-F:.]+")
_ACCOUNT = re.compile(r"[a-z0-9-]{1,63}")
S3, GCS, AZURE = ("s3", "s3a", "s3n", "s3p"), ("gs",), ("az", "abfs", "abfss", "wasb", "wasbs")
"""The schemes by which the stores are named, also as Hadoop writes them."""
GOOGLE = "storage.googleapis.com"


@dataclass(frozen=True, kw_only=True)
class StoreAddress:
    """A place in a store.

    Attributes:
        uri: `s3://bucket/prefix`, `gs://…`, `az://container/…` (also as Hadoop writes them) or `file:///directory`.
        endpoint: of an S3-compatible store, of Azure's or of Google's; None for the public one.
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
    for name, spellings in (("s3", S3), ("gs", GCS), ("az", AZURE)):
        if scheme in spellings:
            return name
    raise Invalid(f"{scheme}: is no store that is known; use s3, gs, az or file")


def store_host(address: StoreAddress) -> str:
    """The host that is connected to.

    Raises:
        Invalid: the URI is of no known sort, or the host is none that every reader of URLs would find there.
    """
    host = _host(address)
    if not HOST.fullmatch(host):
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
        return GOOGLE
    _, _, host = parts.netloc.rpartition("@")
    account = address.secret.get("accountName") or (host.partition(".")[0] if "@" in parts.netloc else "azure")
    if not _ACCOUNT.fullmatch(account):
        raise Invalid("accountName is not the name of an account")
    return f"{account}.blob.core.windows.net"


def behind_proxy() -> bool:
    """Whether the environment names a proxy, which then resolves names and has to refuse what shall not be reached."""
    return bool({"http", "https", "all"} & set(urllib.request.getproxies()))
