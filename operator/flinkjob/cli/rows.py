"""The rows of a query, as Flink gives them out: changes in their order, and what they come to.

The runner keeps them as JSON in an accumulator: the names of the columns first, then the kind of change and the values of
each row, all of them texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, TypeAdapter

from flinkjob.core.errors import Invalid

Row = tuple[str | None, ...]
_ADDS = ("+I", "+U")
_ROWS = TypeAdapter(list[Annotated[Row, Field(min_length=1)]])


@dataclass(frozen=True, kw_only=True, slots=True)
class Rows:
    """What is known of a query's result.

    Attributes:
        columns: their names; empty while the job has not begun.
        changes: kind (`+I`, `-U`, `+U` or `-D`) and values of each kept row.
        seen: how many rows there were in all.
    """

    columns: Row = ()
    changes: tuple[tuple[str, Row], ...] = ()
    seen: int = 0


def rows_of(kept: str, seen: int) -> Rows:
    """The rows in the text of an accumulator.

    Raises:
        Invalid: it was not written by the runner.
    """
    try:
        columns, *rows = _ROWS.validate_json(kept)
    except (ValueError, RecursionError) as error:  # a ValidationError of pydantic is a ValueError
        raise Invalid("the rows of the query cannot be read") from error
    changes = tuple((row[0] or "", row[1:]) for row in rows)
    return Rows(columns=columns[1:], changes=changes, seen=seen)


def result_of(changes: Sequence[tuple[str, Row]]) -> list[Row]:
    """The rows that are there after these changes, the oldest first; a last `-U` without its `+U` does not count."""
    if changes and changes[-1][0] == "-U":
        changes = changes[:-1]
    there: dict[Row, int] = {}
    for kind, row in changes:
        count = there.pop(row, 0) + (1 if kind in _ADDS else -1)
        if count > 0:
            there[row] = count
    return [row for row, count in there.items() for _ in range(count)]
