"""tests/PROOFS.md: complete, up to date, and strict about the marks that it is made from."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support import proofs

ROWS = """
[behaviour]
title = "Behaviours"
[behaviour.rows]
1 = "It starts"
2 = { text = "It stops", note = "by SIGTERM" }
3 = { text = "It flies", unproven = "does not apply: no wings" }
[threat]
title = "Threats"
"""
SECURITY = """# Security
## Threats
| | threat | defence | a test of it |
| --- | --- | --- | --- |
| `rain` | Water comes in | A roof | `test_dry.py::test_dry` |
## Limits
"""
DEFENDED = '@pytest.mark.threat("rain")\ndef test_dry(): ...\n'
STARTED = "@pytest.mark.slow\n@pytest.mark.behaviour(1, 2)\nasync def test_it(): ...\n"


@pytest.fixture
def tests(tmp_path: Path) -> Path:
    """A small directory of tests that prove every row."""
    made = tmp_path / "tests"
    for directory in (made, made / "unit", tmp_path / "deploy"):
        directory.mkdir()
    (made / "proofs.toml").write_text(ROWS)
    (tmp_path / "deploy" / "SECURITY.md").write_text(SECURITY)
    (made / "test_dry.py").write_text(DEFENDED)
    (made / "unit" / "test_it.py").write_text(STARTED)
    return made


def test_every_row_has_a_test_or_a_reason_and_every_mark_a_row() -> None:
    assert proofs.collect()[1] == []


def test_the_page_is_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert (proofs.main(["--check"]), capsys.readouterr().err) == (0, "")


@pytest.mark.parametrize(("name", "count"), [("behaviour", 83), ("invariant", 13)])
def test_every_number_has_its_row(name: str, count: int) -> None:
    assert [int(key) for key in proofs.tables()[name].rows] == list(range(1, count + 1))


def test_a_reason_says_what_keeps_a_test_away() -> None:
    words = ("does not apply: ", "not covered yet", "by `make chaos` alone")
    reasons = [row.unproven for table in proofs.tables().values() for row in table.rows.values() if row.unproven]
    assert [reason for reason in reasons if not reason.startswith(words)] == []


def test_no_page_names_a_test() -> None:
    """A rename must break nothing but the generated page."""
    pages = [proofs.TESTS.parent / "README.md", proofs.TESTS.parent / "CONTRIBUTING.md", proofs.TESTS / "README.md"]
    pages += [*(proofs.TESTS.parent / "deploy").rglob("*.md"), *(proofs.TESTS.parent / "docs").rglob("*.md")]
    named = [page.name for page in pages for line in page.read_text().splitlines() if re.search(r"\.py::", line)]
    assert set(named) <= {"SECURITY.md"}
    assert len(named) == len(proofs.threats()), "in the table of threats alone, where each is looked up"


def test_a_row_shows_its_tests_its_note_and_its_reason(tests: Path) -> None:
    made, wrong = proofs.collect(tests)
    assert wrong == []
    lines = proofs.markdown(made).splitlines()
    assert "| 1 | It starts | `unit/test_it.py::test_it` |" in lines
    assert "| 2 | It stops | `unit/test_it.py::test_it`; by SIGTERM |" in lines
    assert "| 3 | It flies | does not apply: no wings |" in lines
    assert "| `rain` | Water comes in | `test_dry.py::test_dry` |" in lines


def test_a_test_of_a_row_that_is_not_proven_is_near_to_it(tests: Path) -> None:
    (tests / "unit" / "test_it.py").write_text(STARTED.replace("1, 2", "1, 2, 3"))
    lines = proofs.markdown(proofs.collect(tests)[0]).splitlines()
    assert "| 3 | It flies | does not apply: no wings; near: `unit/test_it.py::test_it` |" in lines


@pytest.mark.parametrize(
    ("source", "wrong"),
    [
        (STARTED.replace("1, 2", "1, 2, 9"), "unit/test_it.py:2: there is no row 9 in the table `behaviour`"),
        (STARTED.replace("1, 2", "1"), "behaviour 2: no test has its mark, and no reason is given"),
        (STARTED.replace("1, 2", "1, 2, 2"), "unit/test_it.py:2: 2 is named twice"),
        (STARTED + "@pytest.mark.behaviour()\ndef test_b(): ...\n", "unit/test_it.py:4: the mark `behaviour` names"),
        (STARTED + "@pytest.mark.behaviour\ndef test_b(): ...\n", "unit/test_it.py:4: the mark `behaviour` names"),
        (STARTED + "pytestmark = pytest.mark.behaviour(1)\n", "unit/test_it.py:4: the mark `behaviour` names"),
        (STARTED + "@pytest.mark.behaviour(1)\ndef helper(): ...\n", "unit/test_it.py:4: the mark `behaviour` names"),
    ],
    ids=[
        "a row that does not exist",
        "a row without a test",
        "a row twice on one test",
        "a mark with empty brackets",
        "a mark without brackets",
        "a mark of a whole module",
        "a mark on something that is no test",
    ],
)
def test_what_is_wrong_is_said_with_its_place(tests: Path, source: str, wrong: str) -> None:
    (tests / "unit" / "test_it.py").write_text(source)
    (said,) = proofs.collect(tests)[1]
    assert said.startswith(wrong)


RAIN = "| `rain` | Water comes in | A roof | `test_dry.py::test_dry` |"


@pytest.mark.parametrize(
    "row",
    [
        "| `rain` | Water comes in | | `test_dry.py::test_dry` |",
        "| Water comes in | A roof | `test_dry.py::test_dry` |",
        "| `rain` | A roof | `test_dry.py::test_dry` |",
        "| `rain` | Water comes in | A roof |",
        "| `rain` | Water comes in | A roof | somehow |",
    ],
)
def test_a_threat_without_a_key_a_defence_or_a_test_is_refused(tests: Path, row: str) -> None:
    page = tests.parent / "deploy" / "SECURITY.md"
    assert RAIN in SECURITY
    page.write_text(SECURITY.replace(RAIN, row))
    with pytest.raises(ValueError, match="SECURITY"):
        proofs.collect(tests)


def test_the_test_that_a_threat_names_has_its_mark(tests: Path) -> None:
    page = tests.parent / "deploy" / "SECURITY.md"
    page.write_text(SECURITY.replace("::test_dry`", "::test_wet`"))
    assert proofs.collect(tests)[1] == ["threat rain: test_dry.py::test_wet is no test that has its mark"]
