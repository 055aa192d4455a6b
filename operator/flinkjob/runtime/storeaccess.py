"""How a namespace reaches a store: by a Secret of its own, or by the operator's own access where that was granted.

Used by `copy_tasks`. Invariants: a Secret or ConfigMap is read only in the namespace that names it; without a Secret, and for
mounted directories, a grant is needed; every host, and each address that it has when a store is opened, passes the operator's
allow list; no credential is logged.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, unquote

from flinkjob.api.sync import StoreAccess
from flinkjob.core.access.grants import StoreGrants
from flinkjob.core.access.hosts import HostRules
from flinkjob.core.errors import Invalid, Rejected
from flinkjob.net.denied import DENIED, ask_again_if_denied
from flinkjob.runtime.access import SecretReader, Use, Vault, check_scheme
from flinkjob.snapshots.addresses import StoreAddress, behind_proxy, parts_of, scheme_of, store_host
from flinkjob.snapshots.links import refuse_links_below
from flinkjob.snapshots.listing import METADATA

Order = TypeVar("Order")
Made = TypeVar("Made")

KEYS = {
    "s3": ("accessKeyId", "secretAccessKey"),
    "gs": ("serviceAccountKey.json",),
    "az": ("accountKey",),
}
"""What a Secret must have, and not empty: with less, the store's client would fall back to the operator's own identity."""
OPTIONAL_KEYS = ("sessionToken", "accountName")


class StoreAccesses:
    """What namespaces may use of stores."""

    def __init__(self, *, reader: SecretReader, grants: StoreGrants, hosts: HostRules, plain: bool = False) -> None:
        """
        Args:
            plain: whether the tokens that Google's keys make may be sent over http, where everybody on the way can read and
                use them; what signs a request to other stores is good for that request alone.
        """
        self._plain = plain
        self._reader = reader
        self._grants = grants
        self._hosts = hosts
        self._vaults: dict[str, Vault] = {}

    async def address(
        self, namespace: str, uri: str, access: StoreAccess | None, *, create: bool, fresh: bool = False
    ) -> StoreAddress:
        """The store below a URI, which may be used by what is asked for.

        Args:
            create: something is written there.
            fresh: a store has denied access, so Secrets are read again unless that was a moment ago.

        Raises:
            Invalid: it is not granted, its host is not allowed, or the URI is of no known sort.
            Transient: the Secret or ConfigMap cannot be read.
        """
        access = access or StoreAccess()
        parts = parts_of(uri)
        if parts.scheme in ("", "file"):
            self._grants.check(namespace, uri)
            resolved = await asyncio.to_thread(_resolved, parts.path)
            self._grants.check(namespace, f"file://{resolved}")  # a link must not lead out of what was granted
            # nor one below it: what is written or changed there is in the namespace's part, what is read in a snapshot
            below = resolved / namespace if create else resolved / METADATA
            await asyncio.to_thread(refuse_links_below, below)
            return StoreAddress(uri=f"file://{quote(str(resolved))}")
        secret: dict[str, str] = {}
        vault = self._vaults.setdefault(namespace, Vault(self._reader, namespace))
        if access.credentials_secret_ref is None:
            self._grants.check(namespace, uri)
            if access.endpoint is not None:
                raise Invalid(
                    "an endpoint needs credentialsSecretRef: the operator's own identity is not sent elsewhere"
                )
        else:
            scheme = scheme_of(uri)
            if scheme == "gs" and access.endpoint is not None:
                check_scheme(parts_of(access.endpoint).scheme, access.credentials_secret_ref.name, plain=self._plain)
            data = await vault.secret(access.credentials_secret_ref.name, Use.STORE, fresh=fresh)
            needed = KEYS[scheme]
            secret = {name: text for name in (*needed, *OPTIONAL_KEYS) if (text := _text(data.get(name, b"")))}
            if missing := [name for name in needed if name not in secret]:
                raise Invalid(f"Secret {access.credentials_secret_ref.name} has no key {missing[0]}, or an empty one")
        ca = _text(await vault.value(access.ca, fresh=fresh)) if access.ca is not None else None
        address = StoreAddress(uri=uri, endpoint=access.endpoint, region=access.region, secret=secret, ca=ca)
        host = store_host(address)
        self._hosts.check_host(host)
        if not behind_proxy():
            await self._check_addresses(host)
        return address

    async def _check_addresses(self, host: str) -> None:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except OSError:
            return  # the store's client will say so
        for address in {str(entry[4][0]) for entry in found}:
            try:
                self._hosts.check_address(address)
            except Invalid as error:
                raise Invalid(f"host {host}: {error.message}") from None


async def ask_store(order_of: Callable[[bool], Awaitable[Order]], ask: Callable[[Order], Awaitable[Made]]) -> Made:
    """Ask stores by what Secrets say; once more where a store denies access, and they say something else by now.

    Args:
        order_of: makes what to ask for; given `fresh` of `StoreAccesses.address`.
    """
    return await ask_again_if_denied(order_of, ask, lambda error: isinstance(error, Rejected) and error.code in DENIED)


def _resolved(path: str) -> Path:
    try:
        return Path(unquote(path)).resolve()
    except (OSError, ValueError, RuntimeError) as error:
        raise Invalid("a store's URI names no path") from error


def _text(value: bytes) -> str:
    return value.decode(errors="replace").strip()
