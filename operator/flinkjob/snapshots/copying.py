"""Copying a snapshot to a job's place in a store, so that a copy cut off anywhere is invisible and goes on where it stopped.

Called by the background tasks of the operator. Invariants: data, then `_metadata`, then `manifest.json`, then `latest.json`;
only a self-contained snapshot is copied; what others see changes only while the place is this operator's; what is in the
copy's journal with the same length is not transferred again.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import obstore
from obstore.store import ObjectStore

from flinkjob.core.copies.retention import is_left_behind, may_be_left_behind, outdated_copies
from flinkjob.core.errors import FlinkJobError, Rejected
from flinkjob.snapshots.bandwidth import Bandwidth
from flinkjob.snapshots.manifest import LARGEST_NUMBER, Manifest, ManifestFile, manifest_size
from flinkjob.snapshots.metadata import SnapshotMetadata, read_metadata
from flinkjob.snapshots.objects import MOST_TRIES, beside
from flinkjob.snapshots.outcomes import (
    CopyProgress,
    NoCopy,
    NoSnapshot,
    SnapshotNotSelfContained,
    StoreStep,
    VerifyFailed,
)
from flinkjob.snapshots.place import MANIFEST, Place, require_listable
from flinkjob.snapshots.reading import open_object
from flinkjob.snapshots.stores import store_errors
from flinkjob.snapshots.transfer import MEMORY, MIB, Memory, copy_object, digest_of, memory_for

METADATA = "_metadata"
JOURNAL = "journal.json"
LARGEST_METADATA = 64 * MIB
PARALLEL = 4
JOURNAL_SECONDS = 2.0
JOURNAL_BYTES = 16 * MIB
"""At the latest after so much more has arrived the journal is written: what a cut can cost beside what was under way."""

MOST_LOOKED_AT = 5
"""Of the copies in a place, the newest first: where so many lack a file, the next place is tried."""


@dataclass(frozen=True, kw_only=True)
class CopyRequest:
    """A snapshot that is to be copied.

    Attributes:
        source: the store at the snapshot's own directory.
        location: that directory, as Flink names it.
        uploads: the place's store for large objects, see `open_store`; None: the same.
        token: of the snapshot: the same token goes on with the same copy, unless another snapshot is there by now.
        verify: read every copied file back and compare.
    """

    source: ObjectStore
    location: str
    place: Place
    uploads: ObjectStore | None = None
    token: str
    job_id: str | None = None
    format_type: str | None = None
    flink_version: str | None = None
    take_over: str | None = None
    verify: bool = False


@dataclass
class _Copy:
    request: CopyRequest
    progress: CopyProgress
    bandwidth: Bandwidth
    directory: str = ""
    done: dict[str, ManifestFile] = field(default_factory=dict)
    written: float = 0.0
    unnoted: int = 0
    memory: Memory = field(default_factory=lambda: Memory(MEMORY))

    async def run(self) -> Manifest:
        request, place = self.request, self.request.place
        metadata = await self._metadata()
        await place.own(request.take_over)
        number = await place.reserve(f"{request.token}-{metadata.checkpoint_id}", metadata.checkpoint_id)
        self.progress.sequence_number = number
        self.directory = place.directory(number, metadata.checkpoint_id)
        before = await place.manifest(number, metadata.checkpoint_id)
        if before is not None and await self._whole(before):
            await place.still_own()
            await place.publish(before)
            return before
        sizes = await self._sizes(metadata)
        require_listable(sizes)
        self.progress.objects_total, self.progress.bytes_total = len(sizes), sum(sizes.values())
        await self._resume(sizes)
        try:
            await self._data({name: sizes[name] for name in sizes if name != METADATA and name not in self.done})
        finally:
            if len(self.done) < len(sizes):
                await self._note(final=True)
        await self._one(METADATA)
        if request.verify:
            await self._verify()
        manifest = Manifest(
            identity=place.identity,
            namespace=place.namespace,
            job=place.job,
            sequence_number=number,
            checkpoint_id=metadata.checkpoint_id,
            source=request.location,
            time=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            token=request.token,
            job_id=request.job_id,
            format_type=request.format_type,
            flink_version=request.flink_version,
            files=tuple(self.done[name] for name in sorted(self.done)),
        )
        await check_copy(place, manifest)
        await place.still_own()
        await place.publish(manifest)
        await place.delete_object(f"{self.directory}/{JOURNAL}")
        return manifest

    async def _whole(self, before: Manifest) -> bool:
        """Whether a copy that is there already is good; one that is not gets invisible, and what is whole of it noted."""
        place = self.request.place
        self.done = {file.name: file for file in before.files}
        try:
            await check_copy(place, before)
            if self.request.verify:
                await self._verify()
        except VerifyFailed:
            await place.still_own()
            await self._note(final=True)
            await place.delete_object(f"{self.directory}/{MANIFEST}")
            self.done = {}
            return False
        return True

    async def _metadata(self) -> SnapshotMetadata:
        try:
            with store_errors(f"{self.request.location}/{METADATA}"):
                read = await open_object(self.request.source, METADATA)
        except Rejected as error:
            if error.code == 404:
                raise NoSnapshot(f"there is no snapshot at {self.request.location}") from error
            raise
        with store_errors(f"{self.request.location}/{METADATA}"):
            if read.size > LARGEST_METADATA:
                raise SnapshotNotSelfContained(f"its {METADATA} is larger than {LARGEST_METADATA // MIB} MiB")
            content, size = bytearray(read.size), 0  # in its length at once: one that grows takes more
            async for chunk in read.chunks():
                content[size : size + len(chunk)] = memoryview(chunk)
                size += len(chunk)
        metadata = await asyncio.to_thread(read_metadata, memoryview(content)[:size])
        metadata.require_self_contained()
        return metadata

    async def _sizes(self, metadata: SnapshotMetadata) -> dict[str, int]:
        """The files that the snapshot refers to, and itself, as the source has them."""
        found: dict[str, int] = {}
        with store_errors(self.request.location):
            async for batch in obstore.list(self.request.source):
                found.update((str(entry["path"]), entry["size"]) for entry in batch)
        missing = sorted(name for name in metadata.files if name not in found)
        if missing:
            raise SnapshotNotSelfContained(f"its file {missing[0]} is missing")
        return {name: found[name] for name in sorted({*metadata.files, METADATA})}

    async def _resume(self, sizes: dict[str, int]) -> None:
        """Take over what the journal of an earlier attempt lists and the store has in that length."""
        journal = await self.request.place.read_json(f"{self.directory}/{JOURNAL}") or {}
        present = await _present(self.request.place, self.directory)
        for name, digest in (journal.get("files") or {}).items():
            if name != METADATA and name in sizes and present.get(name) == sizes[name]:
                self.done[name] = ManifestFile(name=name, size=sizes[name], sha256=str(digest))
                self.progress.objects += 1
                self.progress.bytes += sizes[name]
                self.progress.skipped += sizes[name]

    async def _data(self, sizes: dict[str, int]) -> None:
        waiting = iter(sizes.items())

        async def worker() -> None:
            for name, size in waiting:
                async with self.memory.hold(memory_for(size)):
                    await self._one(name)
                await self._note()

        workers = [asyncio.create_task(worker()) for _ in range(min(PARALLEL, len(sizes)))]
        try:
            await asyncio.gather(*workers)
        finally:
            for task in workers:
                task.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def _one(self, name: str) -> None:
        def passed(size: int) -> None:
            self.progress.bytes += size

        place = self.request.place
        async with place.writing(StoreStep.METADATA if name == METADATA else StoreStep.DATA):
            copied = await copy_object(
                self.request.source,
                name,
                self.request.uploads or place.store,
                f"{self.directory}/{name}",
                bandwidth=self.bandwidth,
                progress=passed,
            )
        self.done[name] = ManifestFile(name=name, size=copied.size, sha256=copied.sha256)
        self.progress.objects += 1
        self.unnoted += copied.size

    async def _note(self, *, final: bool = False) -> None:
        """Write the journal now and then; without it more is transferred again, nothing else."""
        recent = time.monotonic() - self.written < JOURNAL_SECONDS
        if not final and recent and self.unnoted < JOURNAL_BYTES:
            return
        self.written, self.unnoted = time.monotonic(), 0
        digests = {name: file.sha256 for name, file in self.done.items()}
        body = await beside(manifest_size(digests), json.dumps, {"files": digests})
        try:
            async with self.request.place.writing(StoreStep.JOURNAL):
                with store_errors(JOURNAL):
                    await obstore.put_async(
                        self.request.place.store,
                        f"{self.directory}/{JOURNAL}",
                        body.encode(),
                        use_multipart=False,
                    )
        except FlinkJobError:
            return

    async def _verify(self) -> None:
        def passed(size: int) -> None:
            self.progress.verified += size

        for name, file in list(self.done.items()):
            found = await digest_of(self.request.place.store, f"{self.directory}/{name}", progress=passed)
            if (found.size, found.sha256) != (file.size, file.sha256):
                del self.done[name]  # so that the next attempt brings it again
                await self._note(final=True)
                raise VerifyFailed(f"{self.directory}/{name} differs from the snapshot")


async def copy_snapshot(
    request: CopyRequest, *, bandwidth: Bandwidth | None = None, progress: CopyProgress | None = None
) -> Manifest:
    """Copy a snapshot and publish the copy; what is already there of it is not transferred again.

    Raises:
        SnapshotNotSelfContained, MetadataUnreadable: it cannot be copied.
        NoSnapshot: there is none at the location.
        OwnedByOther: the place is another operator's.
        Invalid: it has too many files.
        VerifyFailed: a file read back differs.
        Rejected, Transient: a store refused or failed; calling again goes on.
    """
    return await _Copy(request, progress or CopyProgress(), bandwidth or Bandwidth(None)).run()


async def check_copy(place: Place, manifest: Manifest) -> None:
    """Make sure that all files of a copy are there in their length.

    Raises:
        VerifyFailed: one is missing or of another length.
        Transient: the store failed.
    """
    directory = place.directory(manifest.sequence_number, manifest.checkpoint_id)
    present = await _present(place, directory)
    for file in manifest.files:
        if present.get(file.name) != file.size:
            raise VerifyFailed(f"{directory}/{file.name} is missing or has another length")


async def _present(place: Place, directory: str) -> dict[str, int]:
    """The lengths of the files in the directory of a copy, by their names."""
    present: dict[str, int] = {}
    with store_errors(directory):
        async for batch in obstore.list(place.store, prefix=directory):
            present.update((str(entry["path"]).removeprefix(f"{directory}/"), entry["size"]) for entry in batch)
    return present


async def find_copy(place: Place, number: int | None) -> tuple[Manifest, list[str]]:
    """The copy with this number, or the newest that lacks nothing; and what newer ones lack.

    Raises:
        NoCopy, VerifyFailed: there is none among the newest few.
        Rejected, Transient: the store refused or failed.
    """
    lacking: list[str] = []
    below = LARGEST_NUMBER + 1
    while len(lacking) < MOST_LOOKED_AT:
        manifest = await place.find(number, below=below)
        if manifest is None:
            break
        try:
            await check_copy(place, manifest)
        except VerifyFailed as error:
            if number is not None:
                raise
            lacking.append(error.message)
            below = manifest.sequence_number
        else:
            return manifest, lacking
    if lacking:
        raise NoCopy("; ".join(lacking))
    return await place.newest(number), lacking


async def apply_retention(place: Place, *, min_count: int, min_age: timedelta, keep: frozenset[int]) -> list[int]:
    """Delete the copies that exceed both limits, and what was left of others before the newest one: given up, or cut off.

    Never the newest, nor one whose number is in `keep`; those of an operator whose place this was before like others.
    Of what is left only a directory without any manifest goes: one that cannot be read may be of a later version.

    Returns: the numbers of those deleted.

    Raises:
        OwnedByOther: the place was taken over.
        Rejected, Transient: the store refused or failed.
    """
    copies, now = await place.copies(), datetime.now(UTC)
    known = [(copy.sequence_number, datetime.fromisoformat(copy.time)) for copy in copies]
    outdated = outdated_copies(known, now=now, min_count=min_count, min_age=min_age, keep=keep)
    deleted = []
    for manifest in (copy for copy in copies if copy.sequence_number in outdated):
        await place.still_own()
        await place.remove(manifest)
        deleted.append(manifest.sequence_number)
    complete = {(copy.sequence_number, copy.checkpoint_id) for copy in copies}
    for number, checkpoint_id in sorted(await place.directories() - complete):
        if may_be_left_behind(number, known, keep):
            written = await place.left_behind(number, checkpoint_id)
            if is_left_behind(written, now):
                await place.still_own()
                await place.remove_directory(number, checkpoint_id)
                deleted.append(number)
    if deleted:
        await place.prune_reserved(MOST_TRIES)
    return deleted
