"""A source manifest that knows which of its fields were read, and what is said about the others."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from flinkjob.cli.manifests import Manifest
from flinkjob.core.errors import one_line

_ABSENT = object()


class Weight(StrEnum):
    """How much a note matters."""

    MUST = "must"
    """The result cannot be used before a person has done it."""
    CHECK = "check"
    """It is translated, but does not mean quite the same."""
    LOST = "lost"
    """It has no equal and is left out."""


@dataclass(frozen=True, kw_only=True)
class Note:
    """A line of the report about one field.

    Attributes:
        path: of the field in the source; "" where it is about the whole.
    """

    weight: Weight
    path: str
    words: str


@dataclass(kw_only=True)
class Migration:
    """What was made of one manifest.

    Attributes:
        made: the new manifests, in the order in which they are applied.
        steps: how a running job is moved with its state.
    """

    source: Manifest
    made: list[dict[str, Any]] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)

    def note(self, weight: Weight, path: str, words: str) -> None:
        """Say something about a field."""
        self.notes.append(Note(weight=weight, path=path, words=one_line(words)))


class Fields:
    """A part of a source from which values are taken out; what is left at the end has no equal."""

    def __init__(self, value: Any, path: str, migration: Migration) -> None:
        self.path = path
        self._migration = migration
        self._rest: dict[str, Any] = copy.deepcopy(dict(value)) if isinstance(value, Mapping) else {}
        if value is not None and not isinstance(value, Mapping):
            migration.note(Weight.MUST, path, "is no mapping, and was not read")

    def take(self, name: str, default: Any = None) -> Any:
        """The value of a field, which is counted as read; the default where it is absent."""
        found = self._rest.pop(name, _ABSENT)
        return default if found is _ABSENT or found is None else found

    def part(self, name: str) -> Fields:
        """A field that holds others."""
        return Fields(self.take(name), self.at(name), self._migration)

    def at(self, name: str) -> str:
        """The path of a field."""
        return f"{self.path}.{name}"

    def note(self, weight: Weight, name: str, words: str) -> None:
        """Say something about a field."""
        self._migration.note(weight, self.at(name), words)

    def drop(self, name: str, words: str) -> None:
        """A known field without an equal; said only where it is there."""
        if self.take(name) is not None:
            self.note(Weight.LOST, name, words)

    def rest(self) -> dict[str, Any]:
        """What was not taken, which counts as read from now on."""
        found, self._rest = self._rest, {}
        return found

    def leave(self) -> None:
        """Report all that was not taken, each leaf by its path."""
        for path, value in _leaves(self._rest, self.path):
            if value not in (None, {}, []):
                self._migration.note(Weight.LOST, path, "has no equal")
        self._rest = {}


def nested(value: Any, *names: str) -> Any:
    """What is at a path of a foreign value; None where the path leads nowhere."""
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def texts(value: Any) -> list[str]:
    """A list of a foreign value as texts; one text is a list of one."""
    if isinstance(value, list):
        return [str(each) for each in value]
    return [str(value)] if value not in (None, "") else []


def number(value: Any) -> int | None:
    """A number of a foreign value, from 0 on; None where it is none."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    return int(value) if str(value).isdecimal() and len(str(value)) < 16 else None


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from _leaves(inner, f"{path}.{name}")
    else:
        yield path, value


def without_empty(spec: Mapping[str, Any]) -> dict[str, Any]:
    """A spec without its empty parts, nested ones too."""
    made: dict[str, Any] = {}
    for name, value in spec.items():
        inner = without_empty(value) if isinstance(value, Mapping) else value
        if inner is not None and inner not in ({}, [], ()):
            made[name] = inner
    return made
