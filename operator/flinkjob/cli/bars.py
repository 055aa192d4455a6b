"""Checkpoints as bars: how long each took, how large it is, which failed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rich.text import Text

from flinkjob.cli.texts import BAD, BUSY, FAINT, GOOD, milliseconds, since, text
from flinkjob.core.flinkmodel import Checkpoint, CheckpointStatus
from flinkjob.core.units import readable_size

MOST = 20
WIDTH = 24
_EIGHTHS = " ▏▎▍▌▋▊▉█"


def bars(checkpoints: Sequence[Checkpoint], now: datetime) -> list[Text]:
    """A line for each of the newest ones, the newest first; the longest bar is that of the slowest."""
    shown = sorted(checkpoints, key=lambda each: each.checkpoint_id, reverse=True)[:MOST]
    slowest = max((each.duration_ms or 0 for each in shown), default=0)
    return [_line(each, slowest, now) for each in shown]


def bar(part: int, whole: int, width: int = WIDTH) -> str:
    """A bar of eighths of characters; whatever took any time has at least the thinnest one."""
    if whole <= 0 or part <= 0:
        return ""
    eighths = max(round(part * width * 8 / whole), 1)
    return "█" * (eighths // 8) + (_EIGHTHS[eighths % 8] if eighths % 8 else "")


def _line(each: Checkpoint, slowest: int, now: datetime) -> Text:
    failed = each.status is CheckpointStatus.FAILED
    style = BAD if failed else GOOD if each.status is CheckpointStatus.COMPLETED else BUSY
    line = Text(f"  {'#' + str(each.checkpoint_id):>7}  ")
    drawn = bar(each.duration_ms or 0, slowest)
    line.append(drawn, style).append(" " * (WIDTH - len(drawn) + 1))
    line.append(f"{milliseconds(each.duration_ms):>7}")
    line.append(f"{readable_size(each.state_bytes) if each.state_bytes is not None else '-':>8}")
    line.append(f"{since(each.trigger_time, now):>7} ago", FAINT)
    if each.is_savepoint:
        line.append("  savepoint")
    if failed:
        line.append("  failed: ", BAD).append_text(text(each.failure or "no reason given", BAD))
    elif each.status is CheckpointStatus.IN_PROGRESS:
        line.append("  in progress", BUSY)
    return line
