"""The tables of tests/README.md and deploy/SECURITY.md: complete, and every test that they name exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
README = (TESTS / "README.md").read_text()
SECURITY = (TESTS.parent / "deploy" / "SECURITY.md").read_text()
NAMED = sorted(set(re.findall(r"`([\w/]+\.py)::(\w+)`", README + SECURITY)))


def rows(title: str) -> list[list[str]]:
    """The cells of the table below a heading, without its head."""
    section = README.split(f"\n## {title}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def functions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize("file", sorted({file for file, _ in NAMED}))
def test_every_named_test_exists(file: str) -> None:
    there = functions(TESTS / file)
    assert [name for named, name in NAMED if named == file and name not in there] == []


@pytest.mark.parametrize(
    ("title", "count"), [("Behaviours that users of Flink operators rely on", 83), ("Invariants", 13)]
)
def test_every_number_has_its_row(title: str, count: int) -> None:
    assert [int(row[0]) for row in rows(title)] == list(range(1, count + 1))


@pytest.mark.parametrize("title", ["Behaviours that users of Flink operators rely on", "Invariants", "Faults"])
def test_every_row_names_a_test_or_says_why_not(title: str) -> None:
    reasons = ("does not apply", "not covered yet", "not there yet", "by `make chaos`")
    bare = [row for row in rows(title) if "::" not in row[-1] and not any(word in row[-1] for word in reasons)]
    assert bare == []


def test_every_threat_names_a_defence_and_a_test() -> None:
    table = SECURITY.split("\n## Threats\n")[1].split("\n## ")[0]
    lines = [line.strip("|").split("|") for line in table.splitlines() if line.startswith("|")][2:]
    assert len(lines) > 10
    assert [cells[0] for cells in lines if not cells[1].strip() or "::" not in cells[2]] == []
