"""Objects in a job's place in a store: read and written one at a time, by compare-and-set where the store can.

The base of `owner`, `numbers` and `place`. Invariants: every write passes the gate; an object that no operator has written is
not brought into memory, and counts as damaged.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import obstore
import obstore.exceptions as refused
from obstore.store import ObjectStore

from flinkjob.core.errors import Invalid, Rejected
from flinkjob.snapshots.outcomes import StoreStep
from flinkjob.snapshots.reading import whole_of
from flinkjob.snapshots.stores import NO_CONDITIONS, store_errors

if TYPE_CHECKING:
    from obstore import UpdateVersion

T = TypeVar("T")
MOST_TRIES = 50
"""So often something is tried while others are faster."""
LARGEST = 16 * 1024 * 1024
"""Of a manifest, in bytes: enough for nearly a hundred thousand files."""
LARGE = 256 * 1024
"""Bytes from which on JSON is read and written beside the event loop."""


class Gate(Protocol):
    """What every write passes."""

    async def before(self, step: StoreStep) -> None:
        """Right before a write; raises where this process may not write now."""

    async def after(self, step: StoreStep) -> None:
        """Right after it."""


class _Open:
    """A gate without a keeper: for readers, and for programs that are alone."""

    async def before(self, step: StoreStep) -> None:
        return

    async def after(self, step: StoreStep) -> None:
        return


@dataclass(frozen=True, kw_only=True)
class PlaceObjects:
    """The place of one job, for one operator; every write passes the gate."""

    store: ObjectStore
    identity: str
    namespace: str
    job: str
    gate: Gate = field(default_factory=_Open)

    @asynccontextmanager
    async def writing(self, step: StoreStep) -> AsyncIterator[None]:
        """Around one write."""
        await self.gate.before(step)
        yield
        await self.gate.after(step)

    @property
    def root(self) -> str:
        return f"{self.namespace}/{self.job}"

    async def delete_object(self, path: str) -> None:
        """Delete an object; one that is not there is deleted already."""
        async with self.writing(StoreStep.PRUNE):
            try:
                with store_errors(path):
                    await obstore.delete_async(self.store, path)
            except Rejected as error:
                if error.code != 404:
                    raise

    async def read_json(self, path: str) -> dict[str, Any] | None:
        """The content; None where there is none, or none that can be read."""
        content = await self._read(path)
        try:
            found = await beside(len(content), json.loads, content) if content is not None else None
        except (ValueError, RecursionError):
            return None
        return found if isinstance(found, dict) else None

    async def _create(self, step: StoreStep, path: str, content: dict[str, Any]) -> bool:
        """Write it unless something is there; whether it was written."""
        try:
            async with self.writing(step):
                with store_errors(path, conditional=True):
                    await obstore.put_async(
                        self.store, path, json.dumps(content).encode(), mode="create", use_multipart=False
                    )
        except (refused.AlreadyExistsError, refused.PreconditionError):
            return False
        except NO_CONDITIONS as error:
            raise Invalid(f"the store of {self.root} knows no conditional writes; use one that does") from error
        except Rejected as error:
            if error.code == 404:  # of a write: there is no bucket, or no such account
                raise Rejected(404, "the store denies access: it knows no such bucket or access key") from error
            raise
        return True

    async def _replace(
        self, step: StoreStep, path: str, content: dict[str, Any], version: UpdateVersion | None
    ) -> bool:
        """Write it where it is still what was read, in a store that can compare; whether it was written."""
        body = json.dumps(content).encode()
        async with self.writing(step):
            try:
                with store_errors(path, conditional=True):
                    await obstore.put_async(self.store, path, body, mode=version or "overwrite", use_multipart=False)
            except (refused.AlreadyExistsError, refused.PreconditionError):
                return False
            except NO_CONDITIONS:
                with store_errors(path):
                    await obstore.put_async(self.store, path, body, use_multipart=False)
        return True

    async def _read_versioned(self, path: str) -> tuple[dict[str, Any] | None, UpdateVersion | None]:
        """The content, and its version for a conditional write; the version is None where nothing is there."""
        try:
            with store_errors(path):
                got = await obstore.get_async(self.store, path)
                content = await _content(got, path)
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
                return await _content(got, path)
        except Rejected as error:
            if error.code == 404:
                return None
            raise


async def beside(size: int, work: Callable[..., T], *arguments: object) -> T:
    """Do it in a thread where it is about that many bytes of JSON, so that the event loop goes on."""
    return await asyncio.to_thread(work, *arguments) if size >= LARGE else work(*arguments)


async def _content(got: obstore.GetResult, path: str) -> bytes:
    """All of it; one that no operator has written is not brought into memory, and counts as damaged."""
    if got.meta["size"] > LARGEST:
        return b""
    return await whole_of(got, path)
