"""What the process that calls stores is asked to do, and how both sides say it: one JSON object a line.

Used by `child` (that process) and `apart` (which starts it). Invariant: an error is the same one on both sides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flinkjob.core.errors import FlinkJobError, Invalid, Rejected, Transient
from flinkjob.snapshots.addresses import StoreAddress
from flinkjob.snapshots.outcomes import (
    MetadataUnreadable,
    NoCopy,
    NoSnapshot,
    OwnedByOther,
    SnapshotNotSelfContained,
    VerifyFailed,
)


class TooLarge(Invalid):
    """An object has more bytes than are allowed."""


_INVALID = {
    kind.__name__: kind
    for kind in (
        NoCopy,
        NoSnapshot,
        VerifyFailed,
        OwnedByOther,
        TooLarge,
        MetadataUnreadable,
        SnapshotNotSelfContained,
        Invalid,
    )
}
OUT_OF_MEMORY = "out-of-memory"
"""Why a process ended that took too much."""


@dataclass(frozen=True, kw_only=True)
class CopyOrder:
    """A snapshot is to be copied.

    Attributes:
        source: the store at the snapshot's own directory.
        target: of the copies; `namespace` and `job` name the place in it.
        retention: how many copies are kept, and for how many seconds; None: all of them.
        others: see `CopyRequest`.
    """

    source: StoreAddress
    target: StoreAddress
    identity: str
    namespace: str
    job: str
    location: str
    token: str
    job_id: str | None = None
    format_type: str | None = None
    flink_version: str | None = None
    take_over: str | None = None
    verify: bool = False
    retention: tuple[int, float] | None = None


@dataclass(frozen=True, kw_only=True)
class FindOrder:
    """A copy is to be found: the one with this number, or the newest that lacks nothing."""

    target: StoreAddress
    identity: str
    namespace: str
    job: str
    number: int | None = None


@dataclass(frozen=True, kw_only=True)
class FetchOrder:
    """An object is to be written to a file of this machine.

    Attributes:
        source: the store at the directory of the object.
        name: of the object in that directory.
        file: the path of the file, which is there and empty.
        most: how many bytes it may have.
        version: of what is known already; None: nothing is.
    """

    source: StoreAddress
    name: str
    file: str
    most: int
    version: str | None = None


@dataclass(frozen=True, kw_only=True)
class ObjectFetched:
    """An object that was written to a file.

    Attributes:
        version: to give to the next order; None where the store says none.
        unchanged: it is what is known already, and nothing was written.
    """

    version: str | None
    unchanged: bool = False


@dataclass(frozen=True, kw_only=True)
class CopyMade:
    """A copy that is complete. `kept`: why outdated copies stay, "" where they do not."""

    sequence_number: int
    directory: str
    objects: int
    bytes: int
    kept: str = ""


@dataclass(frozen=True, kw_only=True)
class CopyThere:
    """A copy that was found, and what newer ones lack."""

    sequence_number: int
    directory: str
    identity: str
    namespace: str
    job: str
    time: str
    lacking: tuple[str, ...] = ()


def error_to_json(error: BaseException) -> dict[str, Any]:
    """An error as the other side can raise it; of one that is none of the operator's only its kind is said."""
    match error:
        case Transient():
            return {"kind": "Transient", "reason": error.reason, "message": error.message}
        case Rejected():
            return {"kind": "Rejected", "message": error.message, "code": error.code, "permanent": error.permanent}
        case Invalid():
            kind = next(each.__name__ for each in type(error).__mro__ if each.__name__ in _INVALID)
            return {"kind": kind, "message": error.message}
        case MemoryError():
            return {"kind": "Transient", "reason": OUT_OF_MEMORY, "message": OUT_OF_MEMORY}
        case _:
            return {"kind": "Transient", "reason": "internal", "message": f"internal error: {type(error).__name__}"}


def error_from_json(said: Mapping[str, Any]) -> FlinkJobError:
    """The error that the other side had."""
    message = str(said["message"])
    if said["kind"] == "Transient":
        return Transient(str(said["reason"]), message)
    if said["kind"] == "Rejected":
        return Rejected(int(said["code"]), message, permanent=bool(said["permanent"]))
    return _INVALID[str(said["kind"])](message)
