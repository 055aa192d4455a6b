"""The rows of a query: read from what the runner wrote, and what changes come to."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flinkjob.cli.rows import Row, Rows, result_of, rows_of
from flinkjob.core.errors import Invalid

VALUES = st.one_of(st.none(), st.text(max_size=5))
ROWS = st.lists(st.tuples(VALUES, VALUES), max_size=8)


@given(ROWS)
def test_what_was_written_is_read(rows: list[Row]) -> None:
    written = json.dumps([["", "a", "b"], *(["+I", *row] for row in rows)])
    assert rows_of(written, 9) == Rows(columns=("a", "b"), changes=tuple(("+I", row) for row in rows), seen=9)


@pytest.mark.parametrize("written", ["", "{}", "[]", "[1]", '[["", "a"], 3]', "[[[[", "[" * 100_000, '{"a": 1}'])
def test_what_the_runner_did_not_write_is_refused(written: str) -> None:
    with pytest.raises(Invalid, match="cannot be read"):
        rows_of(written, 0)


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abc")), max_size=20))
def test_changes_come_to_what_was_added_and_not_taken_away(changes: list[tuple[bool, str]]) -> None:
    there, made = Counter[str](), list[tuple[str, Row]]()
    for adds, value in changes:
        if adds:
            there[value] += 1
            made.append(("+I", (value,)))
        elif there[value]:
            there[value] -= 1
            made.append(("-D", (value,)))
    assert Counter(row[0] for row in result_of(made)) == +there


def test_a_change_of_which_half_is_there_has_not_happened() -> None:
    changes: list[tuple[str, Row]] = [("+I", ("1",)), ("-U", ("1",)), ("+U", ("2",)), ("-U", ("2",))]
    assert result_of(changes) == [("2",)]
    assert result_of(changes[:1]) == result_of(changes[:2]) == [("1",)]
