"""Values for names, and texts without secrets."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from flinkjob.core.flinkmodel import FlinkJobState
from flinkjob.core.variables import HIDDEN, expanded, hidden, to_hide, unknown_names

VALUES = {"topic": "clicks", "a.b-c_1": "x", "twice": "$(topic)", "empty": ""}


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("--topic=$(topic)", "--topic=clicks"),
        ("$(topic)$(topic)", "clicksclicks"),
        ("$(a.b-c_1)", "x"),
        ("$(twice)", "$(topic)"),
        ("<$(empty)>", "<>"),
        ("$$(topic)", "$(topic)"),
        ("$$(unknown)", "$(unknown)"),
        ("$$$(topic)", "$$(topic)"),
        ("$(date +%s) ${topic} $topic $() $(1) $(", "$(date +%s) ${topic} $topic $() $(1) $("),
    ],
)
def test_names_are_replaced_once(text: str, result: str) -> None:
    assert unknown_names([text], VALUES) == []
    assert expanded(text, VALUES) == result


def test_unknown_names_are_found_in_order_and_once() -> None:
    assert unknown_names(["$(z) $(topic)", "$(b) $(z) $$(c)"], VALUES) == ["b", "z"]


@dataclass(frozen=True)
class Said:
    text: str
    state: FlinkJobState = FlinkJobState.RUNNING
    more: tuple[str, ...] = ()
    by: dict[str, list[str]] = field(default_factory=dict)
    number: int = 7


def test_secrets_are_taken_out_of_all_texts_and_of_nothing_else() -> None:
    secrets = to_hide(["hunter2", "hunter2-longer", "RUNNING", "first line\n  second line\n", "abc", ""])
    said = Said("no hunter2-longer, hunter2", more=("a second line b", "abc"), by={"hunter2": ["first line"]})
    assert hidden(said, secrets) == Said(
        f"no {HIDDEN}, {HIDDEN}", more=(f"a {HIDDEN} b", "abc"), by={"hunter2": [HIDDEN]}
    )
    clean = Said("nothing", more=("a", "b"))
    assert hidden(clean, secrets) is clean
    assert hidden(said, frozenset()) is said
