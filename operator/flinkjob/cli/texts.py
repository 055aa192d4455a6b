"""Words and numbers for a terminal: foreign texts made harmless, times as people read them, the colour of a phase."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from rich.text import Text

from flinkjob.api.enums import Phase, SavepointPhase
from flinkjob.core.errors import visible

NOTHING: Final = "-"
"""What stands where there is no value."""

GOOD: Final = "green"
BUSY: Final = "yellow"
BAD: Final = "bold red"
CALM: Final = "cyan"
FAINT: Final = "dim"
HEAD: Final = "bold"

_PHASES: Final = {
    Phase.RUNNING: GOOD,
    Phase.FINISHED: CALM,
    Phase.SUSPENDED: CALM,
    Phase.CANCELLED: CALM,
    Phase.DRAINED: CALM,
    Phase.FAILED: BAD,
    Phase.HELD: BAD,
    Phase.UNKNOWN: BAD,
    SavepointPhase.COMPLETED: GOOD,
    SavepointPhase.FAILED: BAD,
}

_MINUTE, _HOUR, _DAY, _YEAR = 60, 3600, 86400, 365 * 86400


def text(foreign: object, style: str = "") -> Text:
    """A text from anywhere, on one line; its control characters are shown, not sent. None is shown as a dash."""
    if foreign is None or foreign == "":
        return Text(NOTHING, FAINT)
    return Text(visible(" ".join(str(foreign).split())), style)


def phase(word: Phase | SavepointPhase | None) -> Text:
    """A phase in its colour."""
    return text(word, _PHASES.get(word, BUSY) if word is not None else FAINT)


def span(seconds: float) -> str:
    """A span of time as kubectl shows it: 45s, 5m30s, 3h12m, 31h, 4d6h."""
    whole = max(int(seconds), 0)
    match whole:
        case _ if whole < 2 * _MINUTE:
            return f"{whole}s"
        case _ if whole < 10 * _MINUTE:
            return _two(whole, _MINUTE, "m", 1, "s")
        case _ if whole < 3 * _HOUR:
            return f"{whole // _MINUTE}m"
        case _ if whole < 8 * _HOUR:
            return _two(whole, _HOUR, "h", _MINUTE, "m")
        case _ if whole < 2 * _DAY:
            return f"{whole // _HOUR}h"
        case _ if whole < 8 * _DAY:
            return _two(whole, _DAY, "d", _HOUR, "h")
        case _ if whole < 2 * _YEAR:
            return f"{whole // _DAY}d"
        case _:
            return f"{whole // _YEAR}y"


def since(then: datetime | None, now: datetime) -> str:
    """How long ago; a dash where that is not known."""
    return span((now - then).total_seconds()) if then is not None else NOTHING


def milliseconds(count: int | None) -> str:
    """A duration of a checkpoint: 350ms, 4.2s, 3m10s."""
    if count is None:
        return NOTHING
    if count < 1000:
        return f"{count}ms"
    return f"{count / 1000:.1f}s" if count < 60_000 else span(count / 1000)


def _two(whole: int, large: int, name: str, small: int, rest: str) -> str:
    more = whole % large // small
    return f"{whole // large}{name}" + (f"{more}{rest}" if more else "")
