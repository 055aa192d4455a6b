"""Every word that a status or an Event has is explained."""

from __future__ import annotations

import pytest

from flinkjob.api.reasons import Reason
from flinkjob.cli.errors import CommandFailed
from flinkjob.cli.explain import WORDS, all_words, explain


def test_every_reason_is_explained() -> None:
    assert len(all_words()) == len(Reason) + 1
    for reason in Reason:
        lines = [each.plain for each in explain(reason)]
        assert lines[0].startswith(str(reason))
        assert lines[1].strip() == reason.explanation
        assert lines[2].startswith("  Look: kubectl ")
        assert lines[3].startswith("  Do:   ")


def test_every_word_of_a_closed_list_is_explained() -> None:
    for words in WORDS.values():
        for word in words:
            assert len(explain(word)) >= 2, word


def test_case_does_not_matter_and_a_word_has_all_its_meanings() -> None:
    found = [each.plain for each in explain("savepointunknown")]
    assert [line for line in found if not line.startswith(" ")] == [
        "SavepointUnknown  reason in conditions and Events",
        "SavepointUnknown  how a run ended",
        "SavepointUnknown  why a job is held down",
    ]


def test_an_unknown_word_gets_a_suggestion() -> None:
    with pytest.raises(CommandFailed, match=r"no reason is called CrashLoopin; did you mean .*CrashLooping"):
        explain("CrashLoopin")
    with pytest.raises(CommandFailed, match="kubectl flinkjob explain lists all"):
        explain("qqqqqq")
