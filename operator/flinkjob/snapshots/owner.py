"""Whose a job's place in a store is: `owner.json`.

Part of `place`. Invariants: it is created by a conditional write, and the store must honour the condition; another operator's
place becomes this one's only when a person names that operator.
"""

from __future__ import annotations

from typing import Any

from flinkjob.core.errors import Invalid, Transient
from flinkjob.snapshots.objects import PlaceObjects
from flinkjob.snapshots.outcomes import OwnedByOther, StoreStep


class Owned(PlaceObjects):
    """Who owns the place."""

    async def own(self, take_over: str | None = None) -> None:
        """Make sure that the place is this operator's.

        Args:
            take_over: the identity of an operator whose place this becomes.

        Raises:
            OwnedByOther: it is somebody else's, or it is unknown whose.
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


def _identity(owner: dict[str, Any] | None) -> str | None:
    """Of the operator that an `owner.json` names; None where it names none."""
    identity = owner.get("identity") if owner is not None else None
    return identity if isinstance(identity, str) and identity else None
