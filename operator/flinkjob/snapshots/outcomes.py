"""How far a copy is, and how it can fail, in words that whoever asks for it shares with the process that makes it.

Used by both; none of it needs a store.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from flinkjob.api.enums import SavepointErrorCode
from flinkjob.core.errors import Invalid


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


@dataclass
class CopyProgress:
    """How far a copy is; read by others while it runs.

    Attributes:
        skipped: bytes that an earlier attempt had brought.
        verified: bytes that were read back.
    """

    sequence_number: int | None = None
    objects: int = 0
    objects_total: int = 0
    bytes: int = 0
    bytes_total: int = 0
    skipped: int = 0
    verified: int = 0


class NoCopy(Invalid):
    """A place has no copy of a job that could be used."""


class CopyRefused(Invalid):
    """A snapshot cannot be copied.

    Attributes:
        code: what a status says of it.
        permanent: whether another attempt would end in the same way.
    """

    code: ClassVar = SavepointErrorCode.STORE_ERROR
    permanent: ClassVar = True


class NoSnapshot(CopyRefused):
    """There is no snapshot (any more) at its location."""

    code = SavepointErrorCode.NO_SNAPSHOT


class VerifyFailed(CopyRefused):
    """The copy differs from the snapshot."""

    code = SavepointErrorCode.VERIFY_FAILED
    permanent = False


class OwnedByOther(CopyRefused):
    """Another operator owns this job's place in the store."""

    code = SavepointErrorCode.OWNED_BY_OTHER


class SnapshotNotSelfContained(CopyRefused):
    """The snapshot refers to something outside of its directory."""

    code = SavepointErrorCode.SNAPSHOT_NOT_SELF_CONTAINED


class MetadataUnreadable(CopyRefused):
    """No `_metadata` of a known version, or a damaged one."""

    code = SavepointErrorCode.SNAPSHOT_NOT_SELF_CONTAINED
