"""Putting values for `$(NAME)` into texts.

Pure. Called where a run is started or compiled. Invariants: what was put in is not looked at again; a name that is not known
is an error and never stays; how long a text becomes is known before it is made.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

_REFERENCE: Final = re.compile(r"\$(\$?)\(([A-Za-z_][A-Za-z0-9_.-]{0,252})\)")
NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,252}")
"""Of a variable."""


def names_in(texts: Iterable[str]) -> frozenset[str]:
    """The names that these texts use."""
    return frozenset(match[2] for text in texts for match in _REFERENCE.finditer(text) if not match[1])


def unknown_names(texts: Iterable[str], known: Iterable[str]) -> list[str]:
    """The names in these texts that have no value."""
    return sorted(names_in(texts) - frozenset(known))


def are_longer(texts: Iterable[str], values: Mapping[str, str], most: int) -> bool:
    """Whether the texts with their values have more than so many characters together; a name without a value has none."""
    length = 0
    for text in texts:
        end = 0
        for match in _REFERENCE.finditer(text):
            length += match.start() - end + (len(match[0]) - 1 if match[1] else len(values.get(match[2], "")))
            end = match.end()
            if length > most:
                return True
        length += len(text) - end
    return length > most


def expanded(text: str, values: Mapping[str, str]) -> str:
    """The text with its values; it has no names but known ones."""
    return _REFERENCE.sub(lambda match: match[0][1:] if match[1] else values[match[2]], text)
