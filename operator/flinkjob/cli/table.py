"""Rows under heads, in columns as wide as what they hold, as kubectl prints them."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from flinkjob.cli.texts import HEAD, text

GAP = 3
Cell = Text | str | int | None


def table(heads: Sequence[str], rows: Sequence[Sequence[Cell]], indent: int = 0) -> list[Text]:
    """The lines of a table; none where there are no rows.

    Args:
        indent: spaces before each line.
    """
    if not rows:
        return []
    cells = [[each if isinstance(each, Text) else text(each) for each in row] for row in rows]
    lines = [[Text(head, HEAD) for head in heads], *cells]
    widths = [max(line[column].cell_len for line in lines) for column in range(len(heads))]
    return [_line(line, widths, indent) for line in lines]


def _line(cells: Sequence[Text], widths: Sequence[int], indent: int) -> Text:
    made = Text(" " * indent)
    for number, (cell, width) in enumerate(zip(cells, widths, strict=True)):
        made.append_text(cell)
        if number + 1 < len(cells):
            made.append(" " * (width - cell.cell_len + GAP))
    return made
