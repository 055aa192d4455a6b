"""A job's place in a store: who owns it, which sequence numbers are taken, which copies are complete.

Below the store's address: `<namespace>/<job>/` with `owner.json`, `reserved/<number>.json`, `latest.json`, and a directory
`<number>-<checkpoint id>/` for each copy. Invariants: a number is taken by a conditional create and never again;
`latest.json` is a hint that only goes upwards, a reader takes the highest valid manifest; no file of another owner is
changed.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Collection, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import obstore
import obstore.exceptions as refused
from obstore.store import ObjectStore

from flinkjob.core.errors import Invalid, Rejected, Transient
from flinkjob.snapshots.manifest import LARGEST_NUMBER, Manifest, manifest_size
from flinkjob.snapshots.stores import store_errors

if TYPE_CHECKING:
    from obstore import UpdateVersion

T = TypeVar("T")
MANIFEST = "manifest.json"
DIGITS = 19
"""Of the largest int64, so that names sort as numbers do."""
MOST_TRIES = 50
LARGEST = 16 * 1024 * 1024
"""Of a manifest, in bytes: enough for nearly a hundred thousand files."""
LARGE = 256 * 1024
"""Bytes from which on JSON is read and written beside the event loop."""
_COPY = re.compile(r"^([0-9]{19})-([0-9]+)$")
_RESERVED = re.compile(r"^([0-9]{19})\.json$")


class StoreStep(StrEnum):
    """The writes to a store, in the order of a copy."""

    OWNER = "owner"
    RESERVE = "reserve"
    DATA = "data"
    JOURNAL = "journal"
    METADATA = "metadata"
    MANIFEST = "manifest"
    LATEST = "latest"
    PRUNE = "prune"


class Gate(Protocol):
    """What every write passes."""

    def before(self, step: StoreStep) -> None:
        """Right before a write; raises where this process may not write now."""

    def after(self, step: StoreStep) -> None:
        """Right after it."""


class _Open:
    """A gate without a keeper: for readers, and for programs that are alone."""

    def before(self, step: StoreStep) -> None:
        return

    def after(self, step: StoreStep) -> None:
        return


class NoCopy(Invalid):
    """A place has no copy of a job that could be used."""


class OwnedByOther(Invalid):
    """Another operator owns this job's place in the store."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """The place of one job, for one operator; every write passes the gate."""

    store: ObjectStore
    identity: str
    namespace: str
    job: str
    gate: Gate = field(default_factory=_Open)

    @asynccontextmanager
    async def writing(self, step: StoreStep) -> AsyncIterator[None]:
        """Around one write."""
        self.gate.before(step)
        yield
        self.gate.after(step)

    @property
    def root(self) -> str:
        return f"{self.namespace}/{self.job}"

    def directory(self, number: int, checkpoint_id: int) -> str:
        """The directory of a copy."""
        return f"{self.root}/{number:0{DIGITS}}-{checkpoint_id}"

    def numbers_in(self, locations: Iterable[str]) -> frozenset[int]:
        """The numbers of the copies among these locations, however their store is spelled."""
        found = (location.rstrip("/").rpartition(f"/{self.root}/")[2] for location in locations)
        return frozenset(int(match[1]) for match in map(_COPY.match, found) if match)

    async def own(self, take_over: str | None = None) -> None:
        """Make sure that the place is this operator's.

        Args:
            take_over: the identity of an operator whose place this becomes.

        Raises:
            OwnedByOther: it is somebody else's, or nobody can tell whose.
            Invalid: the store ignores conditions, so that it cannot be anybody's.
            Transient: its owner changes at this moment.
        """
        path, mine = self._owner(), self._mine()
        found, version = await self._read_versioned(path)
        if version is None or found == mine:
            if await self._create(StoreStep.OWNER, path, mine):
                if await self._create(StoreStep.OWNER, path, mine):
                    raise Invalid(
                        f"the store of {self.root} ignores conditions of writes (If-None-Match), so operators could "
                        "replace each other's copies there; use one that honours them"
                    )
                return
            if version is None:
                found, version = await self._read_versioned(path)
                if version is None:
                    raise Transient("store", f"{self.root} in the store changes its owner at this moment")
        if found == mine:
            return
        other = _identity(found)
        if other is None or other != take_over:
            raise self._foreign(other)
        if not await self._replace(StoreStep.OWNER, path, mine, version):
            raise Transient("store", f"{self.root} in the store changes its owner at this moment")

    async def still_own(self) -> None:
        """Make sure that the place is this operator's still, without writing: before what others would see of a long copy.

        Raises:
            OwnedByOther: another operator has taken it over.
            Transient: nobody owns it (any more); `own` settles that.
        """
        found, version = await self._read_versioned(self._owner())
        if version is None:
            raise Transient("store", f"{self._owner()} in the store is gone")
        if found != self._mine():
            raise self._foreign(_identity(found))

    def _owner(self) -> str:
        return f"{self.root}/owner.json"

    def _mine(self) -> dict[str, str]:
        return {"identity": self.identity, "namespace": self.namespace, "name": self.job}

    def _foreign(self, other: str | None) -> OwnedByOther:
        if other is None:
            return OwnedByOther(
                f"{self._owner()} in the store cannot be read, so nobody knows whose copies these are; where they are "
                "this operator's, delete that object by hand, else choose another uri"
            )
        return OwnedByOther(
            f"{self.root} in the store belongs to operator {other}; takeOver with its name makes it this one's"
        )

    async def reserve(self, token: str, checkpoint_id: int) -> int:
        """The sequence number for a copy: the one reserved before with this token, else the next, which is then taken.

        Raises:
            Transient: others took numbers all the time.
            Invalid: there is none left.
        """
        taken = await self._reserved()
        for number in sorted(taken, reverse=True)[:MOST_TRIES]:
            content = await self.read_json(f"{self.root}/reserved/{number:0{DIGITS}}.json")
            if content is not None and content.get("token") == token:
                return number
        highest = max([0, *taken, *(number for number, _ in await self.directories())])
        if highest + MOST_TRIES > LARGEST_NUMBER:
            raise Invalid(f"the sequence numbers of {self.root} are used up: somebody has written others there")
        for number in range(highest + 1, highest + 1 + MOST_TRIES):
            content = {"token": token, "checkpointId": checkpoint_id, "identity": self.identity}
            if await self._create(StoreStep.RESERVE, f"{self.root}/reserved/{number:0{DIGITS}}.json", content):
                return number
        raise Transient("store", f"no sequence number could be reserved in {self.root}")

    async def manifest(self, number: int, checkpoint_id: int) -> Manifest | None:
        """The manifest of a copy; None where there is no valid one."""
        content = await self._read(f"{self.directory(number, checkpoint_id)}/{MANIFEST}")
        if content is None:
            return None
        try:
            found = await beside(len(content), Manifest.load, content)
        except Invalid:
            return None
        same = (found.namespace, found.job, found.sequence_number, found.checkpoint_id)
        return found if same == (self.namespace, self.job, number, checkpoint_id) else None

    async def copies(self) -> list[Manifest]:
        """All complete copies, newest first, without their files, which could be many."""
        found = []
        for key in sorted(await self.directories(), reverse=True):
            if (manifest := await self.manifest(*key)) is not None:
                found.append(replace(manifest, files=()))
        return found

    async def left_behind(self, number: int, checkpoint_id: int) -> datetime | None:
        """When something was last written for a copy that was not finished or is half deleted, by the store's clock.

        None where there is nothing, or a manifest, even a damaged one.
        """
        directory, found = self.directory(number, checkpoint_id), dict[str, datetime]()
        with store_errors(directory):
            async for batch in obstore.list(self.store, prefix=directory):
                found.update((str(entry["path"]), entry["last_modified"]) for entry in batch)
        return None if f"{directory}/{MANIFEST}" in found else max(found.values(), default=None)

    async def find(self, number: int | None = None, *, below: int = LARGEST_NUMBER + 1) -> Manifest | None:
        """The copy with this number, or the newest below one; None where there is no complete one."""
        for key in sorted(await self.directories(), reverse=True):
            if number in (None, key[0]) and key[0] < below and (found := await self.manifest(*key)) is not None:
                return found
        return None

    async def newest(self, number: int | None = None) -> Manifest:
        """The copy with this number, or the newest.

        Raises:
            NoCopy: there is no complete one.
        """
        found = await self.find(number)
        if found is None:
            which = f"copy {number}" if number is not None else "a complete copy"
            raise NoCopy(f"there is not {which} of {self.root}")
        return found

    async def publish(self, manifest: Manifest) -> None:
        """Make a copy whose files are all there visible.

        Raises:
            Invalid: its manifest would be too large for readers.
        """
        directory = self.directory(manifest.sequence_number, manifest.checkpoint_id)
        body = await beside(manifest_size(file.name for file in manifest.files), manifest.dump)
        if len(body) > LARGEST:
            raise Invalid(f"the manifest of {len(manifest.files)} files is too large")
        async with self.writing(StoreStep.MANIFEST):
            with store_errors(MANIFEST):
                await obstore.put_async(self.store, f"{directory}/{MANIFEST}", body, use_multipart=False)
        content = {"sequenceNumber": manifest.sequence_number, "directory": directory.rpartition("/")[2]}
        path = f"{self.root}/latest.json"
        for _ in range(MOST_TRIES):
            latest, version = await self._read_versioned(path)
            if latest is not None and _number(latest) >= manifest.sequence_number:
                return
            if version is None:
                written = await self._create(StoreStep.LATEST, path, content)
            else:
                written = await self._replace(StoreStep.LATEST, path, content, version)
            if written:
                return
        raise Transient("store", f"{path} is changed by others all the time")

    async def remove(self, manifest: Manifest) -> None:
        """Delete a copy, its manifest first, so that no reader sees half of it."""
        await self.remove_directory(manifest.sequence_number, manifest.checkpoint_id)

    async def remove_directory(self, number: int, checkpoint_id: int) -> None:
        """Delete a copy or what there is of it, its manifest first."""
        directory = self.directory(number, checkpoint_id)
        with store_errors(directory):
            for path in (f"{directory}/{MANIFEST}", f"{directory}/_metadata"):
                await self.delete_object(path)
            async for batch in obstore.list(self.store, prefix=directory):
                for entry in batch:
                    await self.delete_object(entry["path"])

    async def prune_reserved(self, keep: int) -> None:
        """Forget the reservations of numbers whose copies are gone, but for the newest `keep`: the highest must stay."""
        directories = {number for number, _ in await self.directories()}
        for number in sorted(await self._reserved(), reverse=True)[max(keep, 1) :]:
            if number not in directories:
                await self.delete_object(f"{self.root}/reserved/{number:0{DIGITS}}.json")

    async def delete_object(self, path: str) -> None:
        """Delete an object; one that is not there is deleted already."""
        async with self.writing(StoreStep.PRUNE):
            try:
                with store_errors(path):
                    await obstore.delete_async(self.store, path)
            except Rejected as error:
                if error.code != 404:
                    raise

    async def directories(self) -> set[tuple[int, int]]:
        """The number and the checkpoint id of all copies, complete or not."""
        with store_errors(self.root):
            listed = await obstore.list_with_delimiter_async(self.store, prefix=self.root)
        names = (str(prefix).rstrip("/").rpartition("/")[2] for prefix in listed["common_prefixes"])
        return {(int(match[1]), int(match[2])) for match in map(_COPY.match, names) if match}

    async def _reserved(self) -> set[int]:
        found: set[int] = set()
        with store_errors(self.root):
            async for batch in obstore.list(self.store, prefix=f"{self.root}/reserved"):
                names = (str(entry["path"]).rpartition("/")[2] for entry in batch)
                found.update(int(match[1]) for match in map(_RESERVED.match, names) if match)
        return found

    async def _create(self, step: StoreStep, path: str, content: dict[str, Any]) -> bool:
        """Write it unless something is there; whether it was written."""
        try:
            async with self.writing(step):
                with store_errors(path):
                    await obstore.put_async(
                        self.store, path, json.dumps(content).encode(), mode="create", use_multipart=False
                    )
        except (refused.AlreadyExistsError, refused.PreconditionError):
            return False
        except Rejected as error:
            if error.code == 404:  # of a write: there is no bucket, or no such account
                raise Rejected(404, "the store denies access: it knows no such bucket or access key") from error
            raise
        return True

    async def _replace(
        self, step: StoreStep, path: str, content: dict[str, Any], version: UpdateVersion | None
    ) -> bool:
        """Write it where it is still what was read, in a store that can tell; whether it was written."""
        body = json.dumps(content).encode()
        async with self.writing(step):
            try:
                with store_errors(path):
                    await obstore.put_async(self.store, path, body, mode=version or "overwrite", use_multipart=False)
            except (refused.AlreadyExistsError, refused.PreconditionError):
                return False
            except (refused.NotSupportedError, NotImplementedError):
                with store_errors(path):
                    await obstore.put_async(self.store, path, body, use_multipart=False)
        return True

    async def read_json(self, path: str) -> dict[str, Any] | None:
        """The content; None where there is none, or none that can be read."""
        content = await self._read(path)
        try:
            found = await beside(len(content), json.loads, content) if content is not None else None
        except (ValueError, RecursionError):
            return None
        return found if isinstance(found, dict) else None

    async def _read_versioned(self, path: str) -> tuple[dict[str, Any] | None, UpdateVersion | None]:
        """The content, and its version for a conditional write; the version is None where nothing is there."""
        try:
            with store_errors(path):
                got = await obstore.get_async(self.store, path)
                content = await _content(got)
        except Rejected as error:
            if error.code == 404:
                return None, None
            raise
        version: UpdateVersion = {}
        if (tag := got.meta["e_tag"]) is not None:
            version["e_tag"] = tag
        if (number := got.meta["version"]) is not None:
            version["version"] = number
        try:
            found = json.loads(content)
        except (ValueError, RecursionError):
            found = None
        return found if isinstance(found, dict) else None, version

    async def _read(self, path: str) -> bytes | None:
        try:
            with store_errors(path):
                got = await obstore.get_async(self.store, path)
                return await _content(got)
        except Rejected as error:
            if error.code == 404:
                return None
            raise


async def beside(size: int, work: Callable[..., T], *arguments: object) -> T:
    """Do it in a thread where it is about that many bytes of JSON, so that the event loop goes on."""
    return await asyncio.to_thread(work, *arguments) if size >= LARGE else work(*arguments)


def require_listable(names: Collection[str]) -> None:
    """Make sure that a manifest of files with these names can be published.

    Raises:
        Invalid: there are too many of them.
    """
    if manifest_size(names) > LARGEST:
        raise Invalid(f"its {len(names)} files are too many for a manifest, which has at most {LARGEST >> 20} MiB")


async def _content(got: obstore.GetResult) -> bytes:
    """All of it; one that no operator has written is not brought into memory, and counts as damaged."""
    if got.meta["size"] > LARGEST:
        return b""
    return bytes(await got.bytes_async())


def _identity(owner: dict[str, Any] | None) -> str | None:
    """Of the operator that an `owner.json` names; None where it names none."""
    identity = owner.get("identity") if owner is not None else None
    return identity if isinstance(identity, str) and identity else None


def _number(latest: dict[str, Any]) -> int:
    number = latest.get("sequenceNumber")
    return number if isinstance(number, int) else 0
