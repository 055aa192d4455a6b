"""Texts without secrets, as they are shown: folded, shortened, cut off."""

from __future__ import annotations

import time

import pytest

from flinkjob.core.errors import Transient, one_line, redact_urls, with_steps
from flinkjob.core.hiding import (
    EVERYTHING,
    HIDDEN,
    LEAST_HIDDEN,
    MOST_FORMS,
    NOTHING,
    UNREAD,
    Hiding,
    forms,
)

LINES = "first line\n  second   line\r\nabc\n"
TABBED = "open\tsesame  now"


def hiding(*values: str) -> Hiding:
    return Hiding(form for value in values for form in forms(value))


@pytest.mark.threat("leaked-secrets")
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no hunter2-longer, hunter2", f"no {HIDDEN}, {HIDDEN}"),
        ("a second line b, first line", f"a {HIDDEN} b, {HIDDEN}"),
        (f"<{LINES}>", f"<{HIDDEN}>"),
        (one_line(f"all of it: {LINES} ."), f"all of it: {HIDDEN} ."),
        (one_line(f"said {TABBED}!"), f"said {HIDDEN}!"),
        ("abc", "abc"),
        (Transient("x", "at https://u:p@hooks.example.com/a-path?key=1 there").message, f"at {HIDDEN} there"),
        ("https://other.example.com", "https://other.example.com"),
        (one_line("a bell\x07rings"), f"a {HIDDEN}"),
    ],
)
def test_a_secret_is_found_however_it_is_shown(text: str, shown: str) -> None:
    values = ("hunter2", "hunter2-longer", LINES, TABBED, "abc", "", "https://u:p@hooks.example.com/a-path?key=1")
    assert hiding(*values, "bell\x07rings")(text) == shown


@pytest.mark.threat("leaked-secrets")
@pytest.mark.parametrize("cut", range(LEAST_HIDDEN, 24))
def test_what_was_cut_off_in_the_middle_of_a_secret_is_taken_out_too(cut: int) -> None:
    secret = "correct horse battery st"
    before = "x" * 100
    text = one_line(f"{before} {secret} and more", len(before) + 2 + cut)
    assert text.endswith("…")
    shown = hiding("another", secret, "zebra")(f"{text}; correct spec.args, or not")
    assert shown == f"{before} {HIDDEN}…; correct spec.args, or not"


@pytest.mark.threat("leaked-secrets")
def test_of_a_long_secret_the_beginning_is_looked_for() -> None:
    secret = "0123456 789" * 500
    assert max(map(len, forms(secret + "\u202e" * 500))) <= 1024
    assert hiding(secret)(one_line(f"no {secret}", 512)) == f"no {HIDDEN}…"


def test_other_texts_stay_as_they_are() -> None:
    for text in ("", "nothing…", "… …", with_steps("y" * 600, "do it"), "cut off…" * 100):
        assert hiding("hunter2")(text) == text
        assert NOTHING(text) == text
    assert not NOTHING
    assert hiding("hunter2").each(["a", "hunter2", ""]) == ["a", HIDDEN, ""]


@pytest.mark.threat("too-slow")
def test_the_cost_of_a_text_is_bounded() -> None:
    lines = [f"{'a' * 250}{number:06d}" for number in range(MOST_FORMS // 2)]
    looked = Hiding(lines)
    text = f"{'a' * 511}…" + "b" * 88
    begun = time.thread_time()
    for _ in range(100):
        looked(text)
    assert (time.thread_time() - begun) / 100 < 0.003


def test_what_is_left_of_a_secret_in_an_address_that_was_cut_is_taken_out() -> None:
    shown = redact_urls("could not connect amqp://user:Passw0rd#xyz@host:5672/v")
    assert "Passw0rd" not in Hiding(forms("Passw0rd#xyz"))(shown)


def test_where_it_is_not_known_what_is_secret_nothing_passes() -> None:
    assert EVERYTHING
    assert EVERYTHING.each(["hunter2", "no hunter2", ""]) == [HIDDEN, UNREAD, ""]
    assert EVERYTHING("hunter2") == HIDDEN
