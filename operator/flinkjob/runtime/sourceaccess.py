"""What servers and stores of jars and scripts ask for, from the Secrets that specs name.

Given to the artifact store. Invariants: a Secret is read only in the namespace of the FlinkJob that names it, and only if it
says that it is meant for this; it is sent over http only where the administrator allows that; nothing of it is logged; a
store is asked by a process of its own.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, unquote, urlsplit

from flinkjob.api.references import NamedKey
from flinkjob.artifacts.stores import ObjectWanted
from flinkjob.core.errors import Invalid, Transient
from flinkjob.kube.errors import Forbidden
from flinkjob.net.permits import Permits
from flinkjob.runtime.access import (
    NotBound,
    SecretReader,
    Use,
    Vault,
    authorization,
    check_scheme,
    header_value,
    required,
)
from flinkjob.runtime.storeaccess import StoreAccesses, ask_store
from flinkjob.snapshots.apart import fetch_apart
from flinkjob.snapshots.orders import FetchOrder, ObjectFetched

PARALLEL: Final = 2
"""Stores that are asked at the same time; as many again for namespaces and places without any, see `WaitingList`."""
MEMORY_MB: Final = 64
"""Of the process that asks one: some pieces of 4 MiB are on their way through it."""
_HEADER: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
_NOT_ONES_OWN: Final = re.compile(
    r"(accept|accept-encoding|connection|content-.*|cookie2?|expect|host|if-.*|keep-alive|proxy-.*|range|te|trailer|"
    r"transfer-encoding|upgrade|via)"
)
"""Headers by which a request would become another one."""


class SourceAccesses:
    """What namespaces may use of artifact servers and stores."""

    def __init__(self, *, reader: SecretReader, stores: StoreAccesses, plain: bool) -> None:
        """
        Args:
            stores: what they may use of stores.
            plain: whether credentials may be sent over http, where everybody on the way can read them.
        """
        self._reader = reader
        self._stores = stores
        self._asking = Permits(PARALLEL)
        self._plain = plain
        self._vaults: dict[str, Vault] = {}

    async def headers(self, namespace: str, secret: str, url: str, *, fresh: bool = False) -> Mapping[str, str]:
        """The headers of a request to an http server; `fresh` as for `Vault.secret`.

        Raises:
            Transient: the Secret cannot be read, is not meant for this, or must not be sent over http.
        """
        check_scheme(urlsplit(url).scheme, secret, plain=self._plain)
        vault = self._vaults.setdefault(namespace, Vault(self._reader, namespace, keeps_gone=False))
        data = await vault.secret(secret, Use.ARTIFACT, fresh=fresh)
        if "header" not in data:
            return {"Authorization": authorization(data, secret)}
        name = data["header"].decode(errors="replace").strip()
        if not _HEADER.fullmatch(name) or _NOT_ONES_OWN.fullmatch(name.lower()):
            raise Transient("credentials", f"Secret {secret}: header is not the name of one that can be sent")
        value = required(data, "value", f"Secret {secret}").strip()
        return {name: header_value(value, f"Secret {secret}: value")}

    async def get_object(self, wanted: ObjectWanted) -> tuple[str | None, bool]:
        """Writes an object of a store to a file; see `artifacts.stores.GetObject`.

        Raises:
            Invalid: its place is not granted, its host not allowed, or it is too large.
            Rejected: the store says no.
            Transient: the Secret cannot be read, or the store does not answer as it should.
        """
        directory, name = _parts(wanted.uri)

        async def order(fresh: bool) -> FetchOrder:
            source = await self._stores.address(wanted.namespace, directory, wanted.access, create=False, fresh=fresh)
            return FetchOrder(source=source, name=name, file=str(wanted.file), most=wanted.most, version=wanted.version)

        async def fetch(order: FetchOrder) -> ObjectFetched:
            async with self._asking.hold(wanted.namespace, directory):
                return await fetch_apart(order, memory=MEMORY_MB, room=wanted.room)

        made = await ask_store(order, fetch)
        return made.version, made.unchanged

    async def read_key(self, namespace: str, key: NamedKey) -> bytes:
        """What a ConfigMap has in `binaryData`.

        Raises:
            Transient: it has nothing there, or cannot be read.
        """
        where = f"ConfigMap {namespace}/{key.name}"
        try:
            found = await self._reader.read_configmap(namespace, key.name)
        except Forbidden as error:
            raise NotBound(namespace, where, error) from error
        data = (found or {}).get("binaryData") or {}
        if key.key not in data:
            raise Transient("configmap", f"{where} has no binaryData under the key {key.key}")
        return base64.b64decode(str(data[key.key]))


def _parts(uri: str) -> tuple[str, str]:
    """The directory of an object as a URI, and its name in it.

    Raises:
        Invalid: it is not the same for every reader.
    """
    parts = urlsplit(uri)
    *directories, name = unquote(parts.path).removeprefix("/").split("/")
    if any(each in ("", ".", "..") for each in (*directories, name)):
        raise Invalid("its path must not contain //, . or ..")
    return "/".join((f"{parts.scheme}://{parts.netloc}", *(quote(each) for each in directories))), name
