"""No pattern that looks at foreign text takes longer than in proportion to the text."""

from __future__ import annotations

import ast
import functools
import importlib
import pkgutil
import re
import signal
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import flinkjob
from flinkjob.core.errors import FlinkJobError, clip_middle, one_line, redact_urls
from flinkjob.flink.error_texts import root_cause
from flinkjob.flink.phrases import Phrase

SMALL, SIZE = 128 * 1024, 1024 * 1024
SOURCES = Path(flinkjob.__file__).parent
MOST_SECONDS = 2.0
"""Of CPU, for one look at `SIZE` characters; a quadratic one takes minutes, and of `SMALL` half a minute."""
LATER = pytest.mark.everything("patterns that look at a mebibyte")
MATCHED_ONLY = {"flinkjob.core.parameters._PAIR", "flinkjob.core.parameters._TOKENS"}
"""They are tried at one place of a text, not searched for in it."""
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_LITERAL = re.compile(r"[A-Za-z0-9_ :'/\"<>.$-]{3,}")


@functools.cache
def _patterns() -> dict[str, re.Pattern[str]]:
    """Every compiled pattern of every module, also those in tables."""
    found: dict[str, re.Pattern[str]] = {}
    for module in pkgutil.walk_packages(flinkjob.__path__, "flinkjob."):
        if module.name.endswith("__main__"):
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            for pattern in _inside(value):
                found[f"{module.name}.{name}: {pattern.pattern[:60]}"] = pattern
    return found


def _inside(value: Any) -> Iterator[re.Pattern[str]]:
    if isinstance(value, re.Pattern) and isinstance(value.pattern, str):
        yield value
    elif isinstance(value, tuple | list | frozenset):
        for each in value:
            yield from _inside(each)
    elif isinstance(value, Phrase):
        yield value.pattern
    elif isinstance(value, dict):
        for each in value.values():
            yield from _inside(each)


def _texts(pattern: str, size: int = SIZE) -> Iterator[str]:
    """What begins as the pattern wants it, again and again, and never ends as it wants it."""
    parts = {"\n", " ", "a", "A", "0", "a.", "a/", ":", "'x", "a$", "_a", "/0", "A.a$", "[x", "@:"}
    literal = pattern.replace("\\.", ".").replace("\\(", "(").replace('\\"', '"')
    for found in _LITERAL.findall(literal):
        parts |= {found, found + "x", found.strip() + " "}
    for part in sorted(parts):
        yield part * (size // len(part))
    yield "http://" + "a:" * (size // 2)


class Late(BaseException):
    """A look takes too long; no `Exception`, so that nothing catches it."""


def _interrupted(number: int, frame: FrameType | None) -> None:
    raise Late


def _timed(look: Callable[[], object]) -> float:
    before = signal.signal(signal.SIGVTALRM, _interrupted)
    signal.setitimer(signal.ITIMER_VIRTUAL, 4 * MOST_SECONDS)
    begun = time.process_time()
    try:
        look()
    except Late:
        return 4 * MOST_SECONDS
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
    return time.process_time() - begun


@pytest.mark.threat("too-large")
@pytest.mark.parametrize("size", [SMALL, pytest.param(SIZE, marks=LATER)])
@pytest.mark.parametrize("name", sorted(_patterns()))
def test_no_pattern_is_worse_than_linear(name: str, size: int) -> None:
    pattern = _patterns()[name]
    for text in _texts(pattern.pattern, size):
        if name.partition(":")[0] in MATCHED_ONLY:
            assert _timed(partial(pattern.match, text)) < MOST_SECONDS, (name, text[:80])
            continue
        assert _timed(partial(pattern.search, text)) < MOST_SECONDS, (name, text[:80])
        assert _timed(partial(pattern.findall, text[: size // 8])) < MOST_SECONDS, (name, text[:80])


@pytest.mark.parametrize("file", sorted(SOURCES.rglob("*.py")), ids=lambda path: path.name)
def test_every_pattern_is_one_of_those(file: Path) -> None:
    """None is made within a function, where the test above does not find it; those of phrases are in each `Phrase`."""
    tree = ast.parse(file.read_text())
    within = [node for body in ast.walk(tree) if isinstance(body, _FUNCTIONS) for node in ast.walk(body)]
    if file.name == "phrases.py":
        within = [
            node for node in within if not (isinstance(node, ast.Call) and ast.unparse(node).startswith("re.compile"))
        ]
    calls = [node.func for node in within if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]
    assert not [
        call.lineno
        for call in calls
        if isinstance(call.value, ast.Name) and call.value.id == "re" and call.attr != "escape"
    ]


@pytest.mark.invariant(11)
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("see https://u:secret@h/p?token=secret#x now", "see https://h/p now"),
        ("(http://a,http://u:secret@b/c)", "(http://a,http://b/c)"),
        ("what? s3://u:se@cret@b/k", "what? s3://b/k"),
        ("why?http://h/p", "why?http://h/p"),
        ("http://jars/, https:/u:secret@b/c", "http://jars/, https://b/c"),
        ("HTTP:///u:secret@b/c", "HTTP://b/c"),
        ("file:/a@b/c", "file:/a@b/c"),
        ("a://" * 3 + "u:secret@h?q", "a://a://a://h"),
        ("x " * 9000 + "http://u:secret@h", ""),
        ("x" * 16_000 + " " + "http://" + "u:secret" * 200 + "@h", ""),
    ],
)
def test_secrets_of_addresses_are_in_no_message(text: str, shown: str) -> None:
    """Also where a long text is cut in the middle of one."""
    assert "secret" not in FlinkJobError(text).message
    assert redact_urls(text) == shown or not shown


@pytest.mark.threat("too-large")
@pytest.mark.parametrize("read", [root_cause, redact_urls, one_line, lambda text: clip_middle(text, 1000)])
def test_what_looks_at_texts_is_as_fast(read: Callable[[str], object]) -> None:
    for text in (
        *_texts("at java.lang.Exception: "),
        "Caused by: x\n" * 80_000,
        "a.b.CException: " * 65_000,
        "://@?" * 200_000,
    ):
        assert _timed(partial(read, text)) < MOST_SECONDS, text[:80]
