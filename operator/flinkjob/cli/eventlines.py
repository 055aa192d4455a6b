"""Events of a FlinkJob, the newest last, as lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.text import Text

from flinkjob.cli.table import table
from flinkjob.cli.texts import BUSY, since, text

HEADS = ("AGE", "TYPE", "REASON", "OBJECT", "MESSAGE")


def event_time(event: Mapping[str, Any]) -> datetime:
    """When an Event last happened; long ago where it does not say."""
    series = event.get("series") or {}
    said = series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime")
    said = said or (event.get("metadata") or {}).get("creationTimestamp")
    try:
        return datetime.fromisoformat(str(said)).astimezone(UTC)
    except ValueError:
        return datetime.fromtimestamp(0, UTC)


def event_lines(events: Sequence[Mapping[str, Any]], now: datetime, *, most: int, indent: int = 0) -> list[Text]:
    """The newest ones as a table, the newest last."""
    newest = sorted(events, key=event_time)[-most:]
    rows = []
    for each in newest:
        about, times = each.get("involvedObject") or {}, int(each.get("count") or 1)
        kind = text(each.get("type"), BUSY if each.get("type") == "Warning" else "")
        said = f"{each.get('message') or ''}" + (f" (x{times})" if times > 1 else "")
        what = f"{str(about.get('kind') or '').lower()}/{about.get('name') or ''}"
        rows.append((since(event_time(each), now), kind, text(each.get("reason")), text(what), text(said)))
    return table(HEADS, rows, indent)
