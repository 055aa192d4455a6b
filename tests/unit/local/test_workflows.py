"""GitHub's workflows: each action pinned by the digest of a commit, nothing granted to all, packages as the pages list them.

actionlint, which knows all of their rules, is a program in Go that takes half a minute to build: `make test-all` runs it.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.local.binaries import tool_binary
from deploy.local.environment import REPOSITORY

WORKFLOWS = sorted((REPOSITORY / ".github" / "workflows").glob("*.yml"))
PINNED = re.compile(r"uses: [\w-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")


def jobs(path: Path) -> dict[str, Any]:
    return dict(yaml.safe_load(path.read_text())["jobs"])


def test_there_is_one_for_tests_and_one_for_releases() -> None:
    assert [path.name for path in WORKFLOWS] == ["release.yml", "test.yml"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_every_action_is_pinned(path: Path) -> None:
    used = [line.strip().removeprefix("- ") for line in path.read_text().splitlines() if "uses:" in line]
    assert used
    assert [line for line in used if not PINNED.fullmatch(line)] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_only_the_job_that_publishes_may_write(path: Path) -> None:
    assert yaml.safe_load(path.read_text())["permissions"] == {"contents": "read"}
    assert [name for name, job in jobs(path).items() if "permissions" in job] in ([], ["publish"])
    assert all("timeout-minutes" in job for job in jobs(path).values())


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_what_strangers_choose_stays_out_of_the_programs(path: Path) -> None:
    """A tag or a branch may be called like a command: programs get them as variables, never as a part of their text."""
    programs = [step["run"] for job in jobs(path).values() for step in job["steps"] if "run" in step]
    assert programs
    assert [program for program in programs if "${{" in program] == []


def packages(page: str) -> set[str]:
    """The Debian packages that a page names in its commands."""
    commands = re.findall(r"apt-get install -y ([^`]+)`", (REPOSITORY / page).read_text())
    return {word for command in commands for word in command.split() if not word.startswith("-")}


def test_what_is_installed_is_what_the_pages_list() -> None:
    listed = packages("CONTRIBUTING.md")
    script = (REPOSITORY / ".ci" / "packages").read_text().partition("--no-install-recommends")[2]
    assert listed >= packages("README.md") > set()
    assert listed - set(script.replace("\\", " ").split()) == set()


@pytest.mark.everything("the linter of GitHub's workflows")
def test_actionlint_finds_nothing() -> None:
    command = [tool_binary("actionlint"), "-no-color", *WORKFLOWS]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
