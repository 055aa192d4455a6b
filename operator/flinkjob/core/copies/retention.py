"""Which copies of snapshots in an object store are deleted.

Asked by `snapshots.copying`, which deletes them. Invariants: never the newest, never one that must stay whatever its age, and
only what exceeds both limits.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Final

ABANDONED: Final = timedelta(days=1)
"""After so long a directory without a manifest is no copy that is still being made."""


def outdated_copies(
    copies: Sequence[tuple[int, datetime]],
    *,
    now: datetime,
    min_count: int,
    min_age: timedelta,
    keep: Collection[int],
) -> frozenset[int]:
    """The numbers of the copies that exceed both limits.

    Args:
        copies: numbers and times of all complete ones, newest first.
        keep: numbers that stay whatever their age.
    """
    older = copies[max(min_count, 1) :]
    return frozenset(number for number, time in older if now - time > min_age and number not in keep)


def may_be_left_behind(number: int, copies: Sequence[tuple[int, datetime]], keep: Collection[int]) -> bool:
    """Whether a directory without a manifest is none of a copy that may still become the newest."""
    return bool(copies) and number < copies[0][0] and number not in keep


def is_left_behind(written: datetime | None, now: datetime) -> bool:
    """Whether nobody writes into a directory without a manifest any more.

    Args:
        written: when its newest file was written; None: it has a manifest after all, or cannot be looked at.
    """
    return written is not None and now - written > ABANDONED
