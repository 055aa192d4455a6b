"""Strategies: JSON values and bytes as a server that means harm would write them, beginning from real ones."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from hypothesis import strategies as st

Draw = Callable[[st.SearchStrategy[Any]], Any]


@dataclass(frozen=True)
class Raw:
    """A part of a JSON text as it is written."""

    text: bytes


@dataclass(frozen=True)
class Twice:
    """A name that has two values."""

    first: Any
    second: Any


@dataclass(frozen=True)
class Again:
    """An entry of a list so often that the whole list has about so many bytes."""

    entry: Any
    size: int


@dataclass(frozen=True)
class Names:
    """An entry of an object under so many names that the whole object has about so many bytes."""

    entry: Any
    size: int


DEEP = (900, 1200, 30_000)
ODD: tuple[Any, ...] = (
    None,
    True,
    "",
    "NaN",
    "\x00",
    "\u202e\x1b[2K",
    "x" * 300,
    "9" * 400,
    "-1",
    "1e9",
    "//",
    "a b\nCaused by: c: " * 4000,
    "\n" * 100_000,
    "https://u:p@h/" * 20_000,
    -1,
    2**31,
    2**63 - 1,
    2**63,
    2**64 - 1,
    -(2**63) - 1,
    1e300,
    0.5,
    [],
    {},
    [[]] * 50,
    {"": None},
    Raw(b"9" * 400),
    Raw(b"-" + b"9" * 5000),
    Raw(b"1e400"),
    Raw(b"1E-400"),
    Raw(b"NaN"),
    Raw(b"-0"),
    Raw(b'"\\ud800"'),
    Raw(b'"\\u0000\\udfff\\ud83d"'),
    Raw(b'"\xff\xfe"'),
    Raw(b'"\xed\xa0\x80"'),
    *(Raw(b"[" * depth + b"]" * depth) for depth in DEEP),
    *(Raw(b'{"a":' * depth + b"1" + b"}" * depth) for depth in DEEP),
)
SIZES = (10_000, 300_000, 1_000_000, 4_000_000)
"""Bytes."""


def dump(value: Any) -> bytes:
    """The JSON text."""
    match value:
        case Raw(text):
            return text
        case Names(entry, size):
            one = dump(entry)
            return b"{" + b",".join(b'"%08x":%b' % (at, one) for at in range(max(size // (len(one) + 12), 1))) + b"}"
        case Twice(_, second):
            return dump(second)
        case dict():
            return b"{" + b",".join(_items(value)) + b"}"
        case list():
            return b"[" + b",".join(map(dump, value)) + b"]"
        case Again(entry, size):
            one = dump(entry)
            return b"[" + b",".join([one] * max(size // (len(one) + 1), 1)) + b"]"
        case _:
            return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass")


def _items(value: dict[str, Any]) -> Iterator[bytes]:
    for name, each in value.items():
        for one in (each.first, each.second) if isinstance(each, Twice) else (each,):
            yield dump(name) + b":" + dump(one)


class Seeds(tuple[Any, ...]):
    """Values that are not shown in whole whenever the strategy that has them is shown."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"{len(self)} seeds"


def one_of_these(values: Sequence[Any]) -> st.SearchStrategy[Any]:
    """As `sampled_from`, which would show all values, however large, when it is shown itself."""
    return st.integers(0, len(values) - 1).map(lambda at: values[at])


Path = tuple[str | int, ...]


def _paths(value: Any, path: Path = ()) -> Iterator[Path]:
    yield path
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for part, each in parts:
        yield from _paths(each, (*path, part))


def _at(value: Any, path: Path) -> Any:
    for part in path:
        value = value[part]
    return value


def _with(value: Any, path: Path, change: Callable[[Any], Any]) -> Any:
    """The value in which what is at the path is changed; a change to `_GONE` takes it away."""
    if not path:
        return change(value)
    part, *rest = path
    changed = _with(value[part], tuple(rest), change)
    if isinstance(value, dict):
        kept = {**value, part: changed}
        return {name: each for name, each in kept.items() if each is not _GONE}
    kept_list = [changed if at == part else each for at, each in enumerate(value)]
    return [each for each in kept_list if each is not _GONE]


_GONE = object()
_SIMPLE = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
ANYTHING = st.recursive(
    _SIMPLE, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner)
)


def mutated(seeds: Sequence[Any]) -> st.SearchStrategy[Any]:
    """A real value with some changes in it; `dump` writes it."""
    return _mutated(Seeds(seeds))


def spoiled(seeds: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Real bytes, some of which are changed, cut, repeated or taken out."""
    return _spoiled(Seeds(seeds))


@st.composite
def _mutated(draw: Draw, seeds: Seeds) -> Any:
    value = draw(one_of_these(seeds))
    for _ in range(draw(st.integers(0, 4))):
        paths = [path for path in _paths(value) if not isinstance(_at(value, path), Raw | Twice | Again | Names)]
        if not paths:
            return value
        path = paths[draw(st.integers(0, len(paths) - 1))]
        value = _with(value, path, _change(draw, value))
        if value is _GONE:
            return None
    return value


def _change(draw: Draw, whole: Any) -> Callable[[Any], Any]:
    match draw(st.sampled_from(("odd", "odd", "any", "gone", "twice", "again", "swapped"))):
        case "odd":
            odd = draw(one_of_these(ODD))
            return lambda _: odd
        case "any":
            other = draw(ANYTHING)
            return lambda _: other
        case "twice":
            other = draw(one_of_these(ODD))
            return lambda old: Twice(old, other)
        case "again":
            size = draw(st.sampled_from(SIZES))
            return partial(_often, size=size)
        case "swapped":
            paths = list(_paths(whole))
            other = _at(whole, paths[draw(st.integers(0, len(paths) - 1))])
            return lambda _: other
        case _:
            return lambda _: _GONE


def _often(old: Any, size: int) -> Again | Names:
    match old:
        case [first, *_]:
            return Again(first, size)
        case dict() if old:
            return Names(next(iter(old.values())), size)
        case _:
            return Again(old, size)


def texts(seeds: Sequence[Any]) -> st.SearchStrategy[bytes]:
    """JSON texts: changed values, some of them with changed bytes."""
    return mutated(seeds).map(dump).flatmap(lambda text: st.just(text) | spoiled([text[:20_000]]))


@st.composite
def _spoiled(draw: Draw, seeds: Seeds) -> bytes:
    content = bytearray(draw(one_of_these(seeds)))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(content)))
        match draw(st.sampled_from(("change", "number", "cut", "repeat", "insert"))):
            case "change":
                content[at : at + 1] = bytes([draw(st.integers(0, 255))])
            case "number":
                width = draw(st.sampled_from((2, 4, 8)))
                content[at : at + width] = draw(one_of_these(_NUMBERS))[-width:]
            case "cut":
                del content[at : at + draw(st.sampled_from((1, 4, 100_000)))]
            case "repeat":
                piece = bytes(content[at : at + draw(st.sampled_from((1, 20, 200)))])
                content[at:at] = piece * draw(st.sampled_from((1, 100, 10_000)))
            case _:
                content[at:at] = draw(st.binary(max_size=40))
    return bytes(content)


_NUMBERS = tuple(
    number.to_bytes(8, "big") for number in (0, 1, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1)
)
