"""Jars of a Maven repository (`maven:org.apache.flink:flink-connector-kafka:4.0.1-2.0`): one file, without what it needs.

Used by `fetch.ArtifactStore` alone. Invariants: the repository is the one that the operator is given; what is returned has
the checksum that the repository says, unless the spec says one itself.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from flinkjob.artifacts.cache import ArtifactCache, Fetched
from flinkjob.artifacts.errors import ArtifactInvalid, ArtifactUnavailable
from flinkjob.artifacts.http import FORBIDDEN, HttpSource
from flinkjob.artifacts.jarfile import Sort
from flinkjob.core.errors import FlinkJobError

CHECKSUM_BYTES = 4096
CHECKSUMS = Sort(CHECKSUM_BYTES, lambda path, name: None)
"""The files beside a jar that say its digest, perhaps with its name behind it."""
_DIGEST = re.compile(r"([0-9a-fA-F]{64}|[0-9a-fA-F]{40})(?![0-9a-fA-F])")
_CHUNK = 1024 * 1024


class MavenSource:
    """Fetches into the cache."""

    def __init__(self, repository: str | None, jars: HttpSource, checksums: HttpSource, cache: ArtifactCache) -> None:
        """
        Args:
            repository: its address; None: there is none.
            checksums: for small files that are no jars.
        """
        self._repository = repository
        self._jars = jars
        self._checksums = checksums
        self._cache = cache

    async def fetch(
        self,
        uri: str,
        version: object,
        namespace: str,
        credentials: Mapping[str, str] | None,
        *,
        pinned: bool,
    ) -> Fetched | None:
        """Downloads; None when the server says that it is still `version`.

        Args:
            credentials: see `HttpSource.fetch`.
            pinned: whoever asks compares the content with a digest of his own.

        Raises:
            ArtifactInvalid: no repository, a snapshot, no or another checksum; and as `HttpSource.fetch`.
            ArtifactUnavailable: as `HttpSource.fetch`.
        """
        if self._repository is None:
            raise ArtifactInvalid("maven", f"jar: {uri}: the operator has no Maven repository (--maven-repository)")
        url = f"{self._repository.rstrip('/')}/{_path(uri)}"
        fetched = await self._jars.fetch(url, version, namespace, credentials)
        if fetched is None or pinned:
            return fetched
        try:
            await self._check(url, fetched.path, namespace, credentials, uri)
        except BaseException:
            self._cache.release(fetched.path.stem, namespace)
            raise
        return fetched

    async def _check(
        self, url: str, path: Path, namespace: str, credentials: Mapping[str, str] | None, uri: str
    ) -> None:
        refused: FlinkJobError | None = None
        for name in ("sha256", "sha1"):
            try:
                said = await self._said(f"{url}.{name}", namespace, credentials)
            except (ArtifactInvalid, ArtifactUnavailable) as error:
                if error.reason != FORBIDDEN:
                    raise
                said, refused = None, refused or error
            if said is None:
                continue
            found = await asyncio.to_thread(_digest, path, name)
            if found != said:
                message = f"jar: {uri} has {name} {found}, but the repository says {said}"
                raise ArtifactInvalid("digest-mismatch", message)
            return
        if refused is not None:
            raise refused
        message = f"jar: {uri}: the repository has neither its .sha256 nor its .sha1; give its sha256 yourself"
        raise ArtifactInvalid("no-checksum", message)

    async def _said(self, url: str, namespace: str, credentials: Mapping[str, str] | None) -> str | None:
        """The digest in a file; None where there is no such file, or none in it."""
        try:
            file = await self._checksums.fetch(url, None, namespace, credentials)
        except ArtifactInvalid as error:
            if error.reason == "not-found":
                return None
            raise
        assert file is not None, "nothing to compare with was given"
        try:
            text = await asyncio.to_thread(file.path.read_text, "ascii", "replace")
        finally:
            self._cache.release(file.path.stem, namespace)
        found = _DIGEST.match(text.strip())
        return found[1].lower() if found is not None else None


def _path(uri: str) -> str:
    """Where a file is in a repository.

    Raises:
        ArtifactInvalid: `snapshot`.
    """
    group, artifact, version, *classifier = uri.removeprefix("maven:").split(":")
    if version.upper().endswith("-SNAPSHOT"):
        raise ArtifactInvalid("snapshot", f"jar: {uri}: a snapshot is another file each time; name a release")
    name = "-".join((artifact, version, *classifier))
    return f"{group.replace('.', '/')}/{artifact}/{version}/{name}.jar"


def _digest(path: Path, name: str) -> str:
    found = hashlib.new(name)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            found.update(chunk)
    return found.hexdigest()
