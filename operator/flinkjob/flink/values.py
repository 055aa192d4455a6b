"""Values of Flink's answers, bounded as they come in: whatever a server writes fits into a status.

Used by: `wire`, `jarwire` and `view`. Invariants: a number or time that cannot be one is left out, a text is cut; an
identifier that is too long makes the answer none of Flink's; of a list the first wrong entry ends the reading.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, FailFast, Field

from flinkjob.core.errors import TRACE_LIMIT, clip, clip_middle, visible

_NOT_ADDRESSABLE = "<checkpoint-not-externally-addressable>"
_MOST_MILLISECONDS = 253_402_300_799_000
"""The end of the year 9999."""
_MOST_NUMBER = 2**63 - 1
"""The largest number that a status can hold."""
_MOST_PLACE = 1024
_NAME_CHARACTERS = 256


class Shape(BaseModel):
    """What an answer, or a part of one, looks like; fields that it does not name are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)


def _time(value: Any) -> Any:
    """Milliseconds since 1970 to a time; Flink writes 0 or -1 for "not yet"."""
    if isinstance(value, int | float) and 0 < value <= _MOST_MILLISECONDS:
        return datetime.fromtimestamp(value / 1000, UTC)
    return None


def _number(value: Any) -> Any:
    """None for what Flink writes as the text "NaN", and for what cannot be a number of something."""
    return value if isinstance(value, int) and 0 <= value <= _MOST_NUMBER else None


def _count(value: Any) -> Any:
    """A number within the bounds; anything else stays what it is, and is then refused."""
    return min(max(value, 0), _MOST_NUMBER) if isinstance(value, int) else value


def _place(value: Any) -> Any:
    """None for a snapshot that no path leads to, and for a path that no status can hold."""
    return value if isinstance(value, str) and 0 < len(value) <= _MOST_PLACE and value != _NOT_ADDRESSABLE else None


def _name(value: Any) -> Any:
    return visible(clip(value, _NAME_CHARACTERS))[:_NAME_CHARACTERS] if isinstance(value, str) else value


def _trace(value: Any) -> Any:
    return clip_middle(value, TRACE_LIMIT) if isinstance(value, str) else value


def _texts(value: Any) -> Any:
    """The entries of a mapping that are short texts: no more of a program's own parameters is of use."""
    if not isinstance(value, dict):
        return value
    short = (item for item in value.items() if isinstance(item[1], str) and len(item[0]) + len(item[1]) <= _MOST_ENTRY)
    return dict(islice(short, _MOST_ENTRIES))


def _first(value: Any) -> Any:
    return value[:_FIRST] if isinstance(value, list) else value


_MOST_WITHIN = 1000
_FIRST = 100
_MOST_ENTRY = 4096
_MOST_ENTRIES = 10_000
Time = Annotated[datetime | None, BeforeValidator(_time)]
Number = Annotated[int | None, BeforeValidator(_number)]
Count = Annotated[int, BeforeValidator(_count)]
Place = Annotated[str | None, BeforeValidator(_place)]
Word = Annotated[str, Field(max_length=128)]
"""An identifier; an answer with a longer one is none of Flink's."""
Name = Annotated[str, BeforeValidator(_name)]
"""A text that people chose, cut."""
Trace = Annotated[str, BeforeValidator(_trace)]
"""A stack trace or a message of a program, without its middle where it is very long."""
Texts = Annotated[Mapping[str, str], BeforeValidator(_texts)]

T = TypeVar("T")
Many = Annotated[tuple[T, ...], FailFast()]
"""A list of which the first wrong entry ends the reading: as many errors could not be kept."""
Few = Annotated[tuple[T, ...], FailFast(), Field(max_length=_MOST_WITHIN)]
"""A list within an entry of a list; an answer with a longer one is none of Flink's."""
First = Annotated[tuple[T, ...], FailFast(), BeforeValidator(_first)]
"""The same where the first ones say enough."""
