"""Jars of the local environment: fetched only as they are pinned, and made the same each time."""

from __future__ import annotations

import hashlib
import os
import zipfile
from pathlib import Path

import pytest

from deploy.local.javajar import write_jar
from deploy.local.maven import pinned_jars, pinned_jars_step, read_pins
from deploy.local.progress import StepFailed

CONTENT = b"the jar"
MAVEN = """#!/bin/sh
directory=$(sed -n 's:.*<outputDirectory>\\(.*\\)</outputDirectory>.*:\\1:p' pom.xml)
mkdir -p "$directory"
printf 'the jar' > "$directory/clicks-1.0.jar"
"""
"""Stands for Maven: whatever is asked for, it brings this."""


@pytest.fixture
def pins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of pins, with a cache and a Maven of its own."""
    maven = tmp_path / "bin" / "mvn"
    maven.parent.mkdir()
    maven.write_text(MAVEN)
    maven.chmod(0o755)
    monkeypatch.setenv("PATH", f"{maven.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    file = tmp_path / "pins.txt"
    file.write_text(f"dev.shop:clicks:1.0 {hashlib.sha256(CONTENT).hexdigest()}\n")
    return file


def test_a_jar_is_fetched_once(pins: Path, tmp_path: Path) -> None:
    wanted = read_pins(pins)
    assert pinned_jars_step("fetching", wanted).missing()
    (jar,) = pinned_jars("fetching", wanted)
    assert (jar.name, jar.read_bytes()) == ("clicks-1.0.jar", CONTENT)
    assert not pinned_jars_step("fetching", wanted).missing()
    (tmp_path / "bin" / "mvn").unlink()
    assert pinned_jars("fetching", wanted) == [jar]


def test_a_jar_that_is_not_the_pinned_one_is_not_kept(pins: Path) -> None:
    wanted = dict.fromkeys(read_pins(pins), "0" * 64)
    with pytest.raises(StepFailed, match=r"clicks-1\.0\.jar is not the pinned one"):
        pinned_jars("fetching", wanted)
    assert pinned_jars_step("fetching", wanted).missing()


def test_a_jar_depends_on_its_files_alone_and_the_first_of_a_name_counts(tmp_path: Path) -> None:
    entries = [("a/B.class", b"ours"), ("c.txt", b"c"), ("a/B.class", b"theirs"), ("META-INF/MANIFEST.MF", b"theirs")]
    for name in ("one.jar", "two.jar"):
        write_jar(tmp_path / name, "a.B", entries)
    assert (tmp_path / "one.jar").read_bytes() == (tmp_path / "two.jar").read_bytes()
    with zipfile.ZipFile(tmp_path / "one.jar") as jar:
        assert jar.namelist() == ["META-INF/MANIFEST.MF", "a/B.class", "c.txt"]
        assert jar.read("a/B.class") == b"ours"
        assert b"Main-Class: a.B\n" in jar.read("META-INF/MANIFEST.MF")
