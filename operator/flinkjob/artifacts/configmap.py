"""Jars in ConfigMaps.

Used by `fetch.ArtifactStore` alone; who reads the ConfigMap is given. What is there is for its namespace.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable

from flinkjob.api.references import NamedKey
from flinkjob.artifacts.cache import ArtifactCache, Fetched, Partial
from flinkjob.artifacts.errors import ArtifactUnavailable, shown
from flinkjob.artifacts.jarfile import Sort

ReadKey = Callable[[str, NamedKey], Awaitable[bytes]]
"""What a ConfigMap of a namespace has in `binaryData`. Raises `Transient` where it has nothing, or cannot be read."""


class ConfigMapSource:
    """Copies into the cache."""

    def __init__(self, read: ReadKey, cache: ArtifactCache, *, sort: Sort) -> None:
        self._read = read
        self._cache = cache
        self._sort = sort

    async def fetch(self, uri: str, namespace: str, key: NamedKey) -> Fetched:
        """Copies; it is small enough to be read each time.

        Raises:
            ArtifactInvalid: not a zip archive.
            ArtifactUnavailable: no room.
            Transient: as `ReadKey`.
        """
        content = await self._read(namespace, key)
        try:
            with self._cache.partial(namespace) as target:
                await asyncio.to_thread(self._write, target, content, shown(uri))
                digest = hashlib.sha256(content).hexdigest()
                path = self._cache.commit(target, digest, private=True)
        except OSError as error:
            raise ArtifactUnavailable("disk", f"jar: {shown(uri)} cannot be stored: {error.strerror}") from error
        return Fetched(digest=digest, path=path, version=None)

    def _write(self, target: Partial, content: bytes, name: str) -> None:
        target.need(len(content))
        target.path.write_bytes(content)
        self._sort.check(target.path, name)
