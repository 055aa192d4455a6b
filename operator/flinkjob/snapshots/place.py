"""A job's place in a store: who owns it, which sequence numbers are taken, which copies are complete.

Below the store's address: `<namespace>/<job>/` with `owner.json`, `reserved/<number>.json`, `latest.json`, and a directory
`<number>-<checkpoint id>/` for each copy. Invariants: a number is taken by a conditional create and never again;
`latest.json` is a hint that only goes upwards, a reader takes the highest valid manifest; no file of another owner is
changed.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

import obstore
import obstore.exceptions as refused
from obstore.store import ObjectStore

from flinkjob.core.errors import Invalid, Rejected, Transient
from flinkjob.snapshots.manifest import Manifest
from flinkjob.snapshots.stores import store_errors

DIGITS = 19
"""Of the largest int64, so that names sort as numbers do."""
MOST_TRIES = 50
_COPY = re.compile(r"^([0-9]{19})-([0-9]+)$")
_RESERVED = re.compile(r"^([0-9]{19})\.json$")


class OwnedByOther(Invalid):
    """Another operator owns this job's place in the store."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """The place of one job, for one operator."""

    store: ObjectStore
    identity: str
    namespace: str
    job: str

    @property
    def root(self) -> str:
        return f"{self.namespace}/{self.job}"

    def directory(self, number: int, checkpoint_id: int) -> str:
        """The directory of a copy."""
        return f"{self.root}/{number:0{DIGITS}}-{checkpoint_id}"

    async def own(self, take_over: str | None = None) -> None:
        """Make sure that the place is this operator's.

        Args:
            take_over: the identity of an operator whose place this becomes.

        Raises:
            OwnedByOther: it is somebody else's.
        """
        path = f"{self.root}/owner.json"
        mine = {"identity": self.identity, "namespace": self.namespace, "name": self.job}
        if await self._create(path, mine):
            return
        found = await self.read_json(path)
        if found == mine:
            return
        other = str(found.get("identity")) if found is not None else ""
        if found is None or other != take_over or not other:
            raise OwnedByOther(
                f"{self.root} in the store belongs to operator {other or '(unreadable owner.json)'}; "
                "takeOver with its name makes it this one's"
            )
        await self._overwrite(path, mine)

    async def reserve(self, token: str, checkpoint_id: int) -> int:
        """The sequence number for a copy: the one reserved before with this token, else the next, which is then taken.

        Raises:
            Transient: others took numbers all the time.
        """
        taken = await self._reserved()
        for number in sorted(taken, reverse=True)[:MOST_TRIES]:
            content = await self.read_json(f"{self.root}/reserved/{number:0{DIGITS}}.json")
            if content is not None and content.get("token") == token:
                return number
        highest = max([0, *taken, *(number for number, _ in await self._directories())])
        for number in range(highest + 1, highest + 1 + MOST_TRIES):
            content = {"token": token, "checkpointId": checkpoint_id, "identity": self.identity}
            if await self._create(f"{self.root}/reserved/{number:0{DIGITS}}.json", content):
                return number
        raise Transient("store", f"no sequence number could be reserved in {self.root}")

    async def manifest(self, number: int, checkpoint_id: int) -> Manifest | None:
        """The manifest of a copy; None where there is no valid one."""
        content = await self._read(f"{self.directory(number, checkpoint_id)}/manifest.json")
        if content is None:
            return None
        try:
            found = Manifest.load(content)
        except Invalid:
            return None
        same = (found.namespace, found.job, found.sequence_number, found.checkpoint_id)
        return found if same == (self.namespace, self.job, number, checkpoint_id) else None

    async def copies(self) -> list[Manifest]:
        """All complete copies, newest first."""
        found = [await self.manifest(*key) for key in sorted(await self._directories(), reverse=True)]
        return [manifest for manifest in found if manifest is not None]

    async def find(self, number: int | None = None) -> Manifest | None:
        """The copy with this number, or the newest; None where there is no complete one."""
        for key in sorted(await self._directories(), reverse=True):
            if number in (None, key[0]) and (found := await self.manifest(*key)) is not None:
                return found
        return None

    async def publish(self, manifest: Manifest) -> None:
        """Make a copy whose files are all there visible."""
        directory = self.directory(manifest.sequence_number, manifest.checkpoint_id)
        with store_errors("manifest.json"):
            await obstore.put_async(self.store, f"{directory}/manifest.json", manifest.dump(), use_multipart=False)
        latest = await self.read_json(f"{self.root}/latest.json")
        if latest is None or int(latest.get("sequenceNumber") or 0) <= manifest.sequence_number:
            content = {"sequenceNumber": manifest.sequence_number, "directory": directory.rpartition("/")[2]}
            await self._overwrite(f"{self.root}/latest.json", content)

    async def remove(self, manifest: Manifest) -> None:
        """Delete a copy, its manifest first, so that no reader sees half of it."""
        directory = self.directory(manifest.sequence_number, manifest.checkpoint_id)
        with store_errors(directory):
            for path in (f"{directory}/manifest.json", f"{directory}/_metadata"):
                await self.delete_object(path)
            async for batch in obstore.list(self.store, prefix=directory):
                for entry in batch:
                    await self.delete_object(entry["path"])

    async def delete_object(self, path: str) -> None:
        try:
            await obstore.delete_async(self.store, path)
        except (refused.NotFoundError, FileNotFoundError):
            return

    async def _directories(self) -> set[tuple[int, int]]:
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

    async def _create(self, path: str, content: dict[str, Any]) -> bool:
        """Write it unless something is there; whether it was written."""
        try:
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

    async def _overwrite(self, path: str, content: dict[str, Any]) -> None:
        with store_errors(path):
            await obstore.put_async(self.store, path, json.dumps(content).encode(), use_multipart=False)

    async def read_json(self, path: str) -> dict[str, Any] | None:
        """The content; None where there is none, or none that can be read."""
        content = await self._read(path)
        try:
            found = json.loads(content) if content is not None else None
        except ValueError:
            return None
        return found if isinstance(found, dict) else None

    async def _read(self, path: str) -> bytes | None:
        try:
            with store_errors(path):
                got = await obstore.get_async(self.store, path)
                return bytes(await got.bytes_async())
        except Rejected as error:
            if error.code == 404:
                return None
            raise
