"""Numbers as people read them in columns: sizes and durations as short strings."""

from __future__ import annotations

from datetime import timedelta


def readable_size(count: int) -> str:
    """A number of bytes for a column, such as `1.2Gi`."""
    value = float(count)
    for unit in ("", "Ki", "Mi", "Gi", "Ti"):
        if value < 1024 or unit == "Ti":
            return f"{value:.0f}{unit}" if unit == "" or value >= 100 else f"{value:.1f}{unit}"
        value /= 1024
    raise AssertionError


def readable_duration(span: timedelta) -> str:
    """A span for a column, such as `1m1s`."""
    seconds = max(int(span.total_seconds()), 0)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    parts = [(hours, "h"), (minutes, "m"), (seconds, "s")]
    return "".join(f"{count}{unit}" for count, unit in parts if count) or "0s"
