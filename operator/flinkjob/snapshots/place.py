"""A job's place in a store: which copies are complete, and which is the newest.

Below the store's address: `<namespace>/<job>/` with `owner.json`, `reserved/<number>.json`, `latest.json`, and a directory
`<number>-<checkpoint id>/` for each copy. Invariants: a number is taken by a conditional create and never again;
`latest.json` is a hint that only goes upwards, a reader takes the highest valid manifest; no file of another owner is
changed.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import obstore

from flinkjob.core.errors import Invalid, Transient
from flinkjob.snapshots.manifest import LARGEST_NUMBER, Manifest, manifest_size
from flinkjob.snapshots.numbers import Numbered
from flinkjob.snapshots.objects import LARGEST, MOST_TRIES, beside
from flinkjob.snapshots.outcomes import NoCopy, StoreStep
from flinkjob.snapshots.owner import Owned
from flinkjob.snapshots.stores import store_errors

MANIFEST = "manifest.json"


@dataclass(frozen=True, kw_only=True)
class Place(Owned, Numbered):
    """The place of one job, for one operator."""

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


def require_listable(names: Collection[str]) -> None:
    """Make sure that a manifest of files with these names can be published.

    Raises:
        Invalid: there are too many of them.
    """
    if manifest_size(names) > LARGEST:
        raise Invalid(f"its {len(names)} files are too many for a manifest, which has at most {LARGEST >> 20} MiB")


def _number(latest: dict[str, Any]) -> int:
    number = latest.get("sequenceNumber")
    return number if isinstance(number, int) else 0
