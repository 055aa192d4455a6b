"""Taking secret values out of texts that are shown to people.

Pure. Called where words of Flink come in. Invariants: only words for people are changed, never what decisions are made by
(addresses, ids, directories); a value is found as it is, by its lines, folded into one line, without what is taken out of
addresses, and where the end of a text was cut off in the middle of it; the cost of a text is bounded by `MOST_FORMS`.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable
from typing import Final

from flinkjob.core.errors import redact_urls, visible

HIDDEN: Final = "******"
UNREAD: Final = f"{HIDDEN} (not shown while a Secret of its variables cannot be read)"
"""Instead of a text of several words."""
LEAST_HIDDEN: Final = 4
"""Characters: what is shorter is found in nearly every text."""
MOST_FORMS: Final = 512
"""That are looked for, of the values that a FlinkJob uses; so many again of older ones."""
_LEAST_ADDRESS: Final = 12
"""Characters that must be left of an address so that it is looked for: the beginning of all of them is no secret."""
MOST_OF_FORM: Final = 1024
"""Characters; no text that is shown is longer."""
_IN_ADDRESSES: Final = re.compile(r"[?#@]")
"""Where an address is cut before it is shown."""
_CUT: Final = "…"
_MOST_CUTS: Final = 8
"""In one text; `one_line` and `with_steps` make two at most."""


def forms(value: str) -> frozenset[str]:
    """How a value may stand in a text."""
    pieces = [piece for line in value.splitlines() for piece in _IN_ADDRESSES.split(line[:MOST_OF_FORM])]
    folded = {" ".join(text[:MOST_OF_FORM].split()) for text in (value, *value.splitlines(), *pieces)}
    redacted = {short for text in folded if len(short := redact_urls(text)) >= _LEAST_ADDRESS or short == text}
    found = {value[:MOST_OF_FORM], *folded, *redacted}
    found |= {visible(text)[:MOST_OF_FORM] for text in (*folded, *redacted)}
    return frozenset(text for text in found if len(text) >= LEAST_HIDDEN)


class Hiding:
    """Takes these forms out of texts."""

    def __init__(self, found: Iterable[str] = ()) -> None:
        self._by_name = sorted(frozenset(found))
        self._longest_first = sorted(self._by_name, key=len, reverse=True)
        self._longest = len(self._longest_first[0]) if self._longest_first else 0

    def __bool__(self) -> bool:
        return bool(self._by_name)

    def __call__(self, text: str) -> str:
        """The text without them."""
        return self.each([text])[0]

    def each(self, texts: list[str]) -> list[str]:
        """The texts without them, looked for in all of them at once."""
        joined = "\n\n".join(texts)
        present = [form for form in self._longest_first if form in joined]
        return [self._without_cut(_without(text, present)) for text in texts]

    def _without_cut(self, text: str) -> str:
        """The text without the beginning of a form that stands where it was cut off."""
        at = text.find(_CUT)
        for _ in range(_MOST_CUTS):
            if at < 0 or not self._by_name:
                break
            begin = self._begin_of_cut(text, at)
            if begin < at:
                text, at = f"{text[:begin]}{HIDDEN}{text[at:]}", begin + len(HIDDEN)
            at = text.find(_CUT, at + 1)
        return text

    def _begin_of_cut(self, text: str, end: int) -> int:
        """Where the beginning of a form begins that ends there; `end` where there is none."""
        for begin in range(max(0, end - self._longest), end - LEAST_HIDDEN + 1):
            part = text[begin:end]
            place = bisect_left(self._by_name, part)
            if place < len(self._by_name) and self._by_name[place].startswith(part):
                return begin
        return end


class _Everything(Hiding):
    """What no text passes."""

    def __bool__(self) -> bool:
        return True

    def each(self, texts: list[str]) -> list[str]:
        return [UNREAD if " " in text else HIDDEN if text else "" for text in texts]


NOTHING: Final = Hiding()
EVERYTHING: Final = _Everything()
"""Where it is not known which values are secret."""


def _without(text: str, present: list[str]) -> str:
    for form in present:
        text = text.replace(form, HIDDEN)
    return text
