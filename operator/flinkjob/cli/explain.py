"""What a word means that a status, an Event or a condition has, from the operator's own reference."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Final

from rich.text import Text

from flinkjob.api import enums
from flinkjob.api.reasons import Reason
from flinkjob.api.reference import explained
from flinkjob.cli.advice import advice
from flinkjob.cli.errors import CommandFailed
from flinkjob.cli.table import table
from flinkjob.cli.texts import HEAD, text

WORDS: Final[Mapping[str, type[StrEnum]]] = {
    "why a run was started": enums.SubmissionReason,
    "how a run ended": enums.RunResult,
    "what made a run fail": enums.EndCause,
    "what a run left": enums.SnapshotKind,
    "why a job is held down": enums.HoldReason,
    "why a FlinkSavepoint failed": enums.SavepointErrorCode,
}
"""The closed lists that are explained besides the reasons, and what they say."""

REASON: Final = "reason in conditions and Events"


def all_words() -> list[Text]:
    """Every reason with its meaning."""
    return table(("REASON", "MEANING"), [(text(each, HEAD), text(each.explanation)) for each in Reason])


def explain(word: str) -> list[Text]:
    """What a word means, in each list that has it.

    Raises:
        CommandFailed: no list has it; words that are alike are suggested.
    """
    found = [
        line
        for kind, name, meaning in _meanings()
        if name.lower() == word.lower()
        for line in (*_one(kind, name, meaning), *(_advice(Reason.of(name, Reason.Pending)) if kind == REASON else ()))
    ]
    if found:
        return found
    names = sorted({name for _, name, _ in _meanings()})
    alike = difflib.get_close_matches(word.lower(), [each.lower() for each in names], 3, 0.5)
    meant = [each for each in names if each.lower() in alike]
    hint = f"did you mean {' or '.join(meant)}?" if meant else "kubectl flinkjob explain lists all"
    raise CommandFailed(f"no reason is called {word}; {hint}")


def _advice(reason: Reason) -> Iterator[Text]:
    given = advice(reason)
    yield Text.assemble("  ", text("Look:", "dim"), " ", text(given.look))
    yield Text.assemble("  ", text("Do:", "dim"), "   ", text(given.act))


def _one(kind: str, name: str, meaning: str) -> Iterator[Text]:
    yield Text.assemble(text(name, HEAD), "  ", text(kind, "dim"))
    yield Text("  ").append_text(text(meaning))


@functools.cache
def _meanings() -> tuple[tuple[str, str, str], ...]:
    return tuple(_read())


def _read() -> Iterator[tuple[str, str, str]]:
    for reason in Reason:
        yield REASON, str(reason), reason.explanation
    for kind, words in WORDS.items():
        for word, meaning in explained(words):
            yield kind, word, meaning
