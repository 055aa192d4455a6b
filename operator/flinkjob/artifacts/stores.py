"""Jars and scripts of object stores (`s3://jars/clicks.jar`).

Used by `fetch.ArtifactStore` alone; who asks the store is given. Nothing but a complete, checked file gets into the cache,
and what is there is for the namespace whose access was used.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from flinkjob.api.sync import StoreAccess
from flinkjob.artifacts.cache import ArtifactCache, Fetched
from flinkjob.artifacts.errors import ArtifactInvalid, ArtifactUnavailable, shown
from flinkjob.artifacts.jarfile import Sort, check_size, digest_of_file
from flinkjob.core.errors import Invalid, Rejected, Transient

_NOT_FOUND = 404


@dataclass(frozen=True, kw_only=True)
class ObjectWanted:
    """An object that is to be written to a file.

    Attributes:
        access: how its store is reached.
        version: of what is known already; None: nothing is.
        most: bytes that it may have.
        room: called with its length before anything is written; raises where there is none.
    """

    namespace: str
    uri: str
    access: StoreAccess
    version: str | None
    file: Path
    most: int
    room: Callable[[int], Awaitable[None]]


GetObject = Callable[[ObjectWanted], Awaitable[tuple[str | None, bool]]]
"""Writes an object; its version, and whether it is what is known already, so that nothing was written. Raises `Invalid`,
`Rejected` and `Transient` as stores do."""


class StoreSource:
    """Fetches into the cache."""

    def __init__(self, get: GetObject, cache: ArtifactCache, *, sort: Sort, timeout_seconds: float) -> None:
        self._get = get
        self._cache = cache
        self._sort = sort
        self._timeout_seconds = timeout_seconds

    async def fetch(self, uri: str, version: object, namespace: str, access: StoreAccess) -> Fetched | None:
        """Downloads; None when the store says that it is still `version`.

        Raises:
            ArtifactUnavailable: time-out, no access, no answer, no room on the disk.
            ArtifactInvalid: not there, a refused host or place, too large, not a zip archive.
        """
        name = shown(uri)
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await self._fetch(uri, name, version, namespace, access)
        except TimeoutError as error:
            text = f"jar: {name}: not complete within {self._timeout_seconds:g} s"
            raise ArtifactUnavailable("timeout", text) from error
        except (ArtifactInvalid, ArtifactUnavailable):
            raise
        except Invalid as error:
            raise ArtifactInvalid("store", f"jar: {name}: {error.message}") from error
        except Rejected as error:
            if error.code == _NOT_FOUND:
                raise ArtifactInvalid("not-found", f"jar: {name}: {error.message}") from error
            raise ArtifactUnavailable("forbidden", f"jar: {name}: {error.message}") from error
        except Transient as error:
            raise ArtifactUnavailable(error.reason, f"jar: {name}: {error.message}") from error
        except OSError as error:
            raise ArtifactUnavailable("disk", f"jar: {name} cannot be stored: {error.strerror}") from error

    async def _fetch(self, uri: str, name: str, version: object, namespace: str, access: StoreAccess) -> Fetched | None:
        with self._cache.partial(namespace) as target:

            async def room(size: int) -> None:
                check_size(size, max_bytes=self._sort.max_bytes, name=name)
                await asyncio.to_thread(target.expect, size)

            wanted = ObjectWanted(
                namespace=namespace,
                uri=uri,
                access=access,
                version=version if isinstance(version, str) else None,
                file=target.path,
                most=self._sort.max_bytes,
                room=room,
            )
            now, unchanged = await self._get(wanted)
            if unchanged:
                return None
            digest = await asyncio.to_thread(digest_of_file, target.path)
            await asyncio.to_thread(self._sort.check, target.path, name)
            path = self._cache.commit(target, digest, private=True)
        return Fetched(digest=digest, path=path, version=now)
