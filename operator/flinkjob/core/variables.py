"""Putting values for `$(NAME)`, and taking secret ones out of what others say.

Pure. Called where a run is started or compiled, and wherever something comes from a cluster. Invariants: what was put in is
not looked at again; a name that is not known is an error and never stays; what is taken out was read from a Secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from typing import Any, Final, TypeVar

T = TypeVar("T")

_REFERENCE: Final = re.compile(r"\$(\$?)\(([A-Za-z_][A-Za-z0-9_.-]{0,252})\)")
NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,252}")
"""Of a variable."""
HIDDEN: Final = "******"
LEAST_HIDDEN: Final = 4
"""Characters: what is shorter is found in nearly every text."""


def unknown_names(texts: Iterable[str], known: Iterable[str]) -> list[str]:
    """The names in these texts that have no value."""
    values = frozenset(known)
    named = (match for text in texts for match in _REFERENCE.finditer(text) if not match[1])
    return sorted({match[2] for match in named if match[2] not in values})


def expanded(text: str, values: Mapping[str, str]) -> str:
    """The text with its values; it has no names but known ones."""
    return _REFERENCE.sub(lambda match: match[0][1:] if match[1] else values[match[2]], text)


def to_hide(values: Iterable[str]) -> frozenset[str]:
    """What is taken out of texts for these values: each line of them, since texts are shown as one line."""
    lines = (line.strip() for value in values for line in value.splitlines())
    return frozenset(line for line in lines if len(line) >= LEAST_HIDDEN)


def hidden(value: T, secrets: frozenset[str]) -> T:
    """A value without secrets in any of its texts; the same object where it has none."""
    return _hidden(value, sorted(secrets, key=len, reverse=True)) if secrets else value


def _hidden(value: Any, secrets: list[str]) -> Any:
    match value:
        case Enum():
            return value
        case str():
            return _without(value, secrets)
        case tuple() | list():
            found = [_hidden(item, secrets) for item in value]
            same = all(new is old for new, old in zip(found, value, strict=True))
            return value if same else type(value)(found)
        case Mapping():
            changed = {key: _hidden(item, secrets) for key, item in value.items()}
            return value if all(changed[key] is value[key] for key in changed) else changed
        case _ if is_dataclass(value) and not isinstance(value, type):
            return _of_fields(value, secrets)
        case _:
            return value


def _of_fields(value: Any, secrets: list[str]) -> Any:
    old = {field.name: getattr(value, field.name) for field in fields(value) if field.init}
    changes = {name: new for name, each in old.items() if (new := _hidden(each, secrets)) is not each}
    return replace(value, **changes) if changes else value


def _without(text: str, secrets: list[str]) -> str:
    for secret in secrets:
        if secret in text:
            text = text.replace(secret, HIDDEN)
    return text
