"""The sequence numbers of a job's place in a store: `reserved/<number>.json`, and the names of the copies' directories.

Part of `place`. Invariants: a number is taken by a conditional create and never again; the same snapshot keeps the number
that was reserved for it; the highest reservation stays, so that numbers only grow.
"""

from __future__ import annotations

import re

import obstore

from flinkjob.core.errors import Invalid, Transient
from flinkjob.snapshots.manifest import COPY_DIRECTORY, LARGEST_NUMBER
from flinkjob.snapshots.objects import MOST_TRIES, PlaceObjects
from flinkjob.snapshots.outcomes import StoreStep
from flinkjob.snapshots.stores import store_errors

DIGITS = 19
"""Of the largest int64, so that names sort as numbers do."""
_RESERVED = re.compile(r"^([0-9]{19})\.json$")


class Numbered(PlaceObjects):
    """Which numbers are taken."""

    def directory(self, number: int, checkpoint_id: int) -> str:
        """The directory of a copy."""
        return f"{self.root}/{number:0{DIGITS}}-{checkpoint_id}"

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

    async def prune_reserved(self, keep: int) -> None:
        """Forget the reservations of numbers whose copies are gone, but for the newest `keep`: the highest must stay."""
        directories = {number for number, _ in await self.directories()}
        for number in sorted(await self._reserved(), reverse=True)[max(keep, 1) :]:
            if number not in directories:
                await self.delete_object(f"{self.root}/reserved/{number:0{DIGITS}}.json")

    async def directories(self) -> set[tuple[int, int]]:
        """The number and the checkpoint id of all copies, complete or not."""
        with store_errors(self.root):
            listed = await obstore.list_with_delimiter_async(self.store, prefix=self.root)
        names = (str(prefix).rstrip("/").rpartition("/")[2] for prefix in listed["common_prefixes"])
        return {(int(match[1]), int(match[2])) for match in map(COPY_DIRECTORY.match, names) if match}

    async def _reserved(self) -> set[int]:
        found: set[int] = set()
        with store_errors(self.root):
            async for batch in obstore.list(self.store, prefix=f"{self.root}/reserved"):
                names = (str(entry["path"]).rpartition("/")[2] for entry in batch)
                found.update(int(match[1]) for match in map(_RESERVED.match, names) if match)
        return found
