"""Values for names."""

from __future__ import annotations

import time
import tracemalloc

import pytest

from flinkjob.core.variables import are_longer, expanded, unknown_names

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


def test_how_long_texts_become_is_known_before_they_are_made() -> None:
    for text in ("--topic=$(topic)", "$$(topic)$(a.b-c_1)$(empty)", "", "plain $("):
        length = len(expanded(text, VALUES))
        assert not are_longer([text], VALUES, length)
        assert length == 0 or are_longer([text], VALUES, length - 1)
    assert are_longer(["$(topic)", "$(topic)"], VALUES, 11)
    assert not are_longer(["$(unknown)"], VALUES, 0)


def test_a_text_that_becomes_too_long_is_never_made() -> None:
    large = "x" * 2**18
    begun = time.thread_time()
    tracemalloc.start()
    assert are_longer(["$(A)" * 2**14] * 16, {"A": large}, 2**18)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**18
    assert time.thread_time() - begun < 1
