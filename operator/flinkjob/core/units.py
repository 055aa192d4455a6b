"""Numbers as people read them in columns: sizes and durations as short strings."""

from __future__ import annotations

import re
from datetime import timedelta

_NUMBER = re.compile(r"[0-9]{1,20}(?:\.[0-9]{1,9})?")
_UNITS = {"": 0, "Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4}


def readable_size(count: int) -> str:
    """A number of bytes for a column, such as `1.2Gi`."""
    value = float(count)
    for unit in _UNITS:
        if value < 1024 or unit == "Ti":
            return f"{value:.0f}{unit}" if unit == "" or value >= 100 else f"{value:.1f}{unit}"
        value /= 1024
    raise AssertionError


def bytes_of(size: str) -> float | None:
    """About how many bytes a text of `readable_size` stands for; None for any other text."""
    number = size.rstrip("KMGTi")
    power = _UNITS.get(size[len(number) :])
    return float(number) * 1024**power if power is not None and _NUMBER.fullmatch(number) else None


def readable_duration(span: timedelta) -> str:
    """A span for a column, such as `1m1s`."""
    seconds = max(int(span.total_seconds()), 0)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    parts = [(hours, "h"), (minutes, "m"), (seconds, "s")]
    return "".join(f"{count}{unit}" for count, unit in parts if count) or "0s"
