"""What the operator takes for Flink's words are constants of the classes that are said to say them, in each version."""

import zipfile
from functools import cache

import pytest

from deploy.local.flinkdist import DEFAULT_VERSION, DIGESTS, distribution
from flinkjob.flink import phrases
from flinkjob.flink.phrases import ANYTHING, Frame, Phrase

LISTED = [
    one
    for value in vars(phrases).values()
    for one in (value if isinstance(value, tuple) else (value,))
    if isinstance(one, Phrase | Frame)
]
OLDEST = min(DIGESTS)
VERSIONS = [
    version
    if version in (DEFAULT_VERSION, OLDEST)
    else pytest.param(version, marks=pytest.mark.everything("the words of Flink in other versions"))
    for version in DIGESTS
]


@cache
def _classes(version: str) -> dict[str, bytes]:
    """The classes that are named in the list, of a version; only these are read."""
    wanted = {f"org/apache/flink/{one.said_by}.class" for one in LISTED}
    found = {}
    root = distribution(version)
    for jar in sorted([*root.glob("lib/flink-dist-*.jar"), *root.glob("opt/flink-python-*.jar")]):
        with zipfile.ZipFile(jar) as opened:
            found.update({name: opened.read(name) for name in wanted.intersection(opened.namelist())})
    return found


def _is_said(one: Phrase | Frame, version: str) -> bool:
    pieces = [one.method] if isinstance(one, Frame) else one.words.split(ANYTHING)
    content = _classes(version).get(f"org/apache/flink/{one.said_by}.class", b"")
    return all(piece.encode() in content for piece in pieces)


def _expected(one: Phrase | Frame, version: str) -> bool:
    if isinstance(one, Frame):
        return True
    minor = _minor(version)
    return (not one.since or _minor(one.since) <= minor) and (not one.until or minor <= _minor(one.until))


def _minor(version: str) -> tuple[int, int]:
    major, minor, *_ = version.split(".")
    return int(major), int(minor)


@pytest.mark.parametrize("version", VERSIONS)
def test_flink_says_what_the_operator_reads(version: str) -> None:
    wrong = [one for one in LISTED if _is_said(one, version) is not _expected(one, version)]
    assert not wrong, f"Flink {version} says them no more, or says them already: {wrong}"
    assert len(LISTED) > 40
