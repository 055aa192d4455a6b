"""A newcomer with nothing but README.md and the page that it leads to: from the demo to a job on another cluster.

The commands are those of the pages, in their order; only the second Flink is the one of the tests. What the newcomer sees is
written to `.local/newcomer.txt`, and is what the test looks at.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from deploy.local import plainhttp
from deploy.local.cache import cache_root
from deploy.local.environment import REPOSITORY
from deploy.local.processes import wait_until
from tests.support import pages
from tests.support.children import child
from tests.support.integration import FlinkCluster

pytestmark = [pytest.mark.kube, pytest.mark.flink, pytest.mark.slow]

FIRST = "make demo"
STAYS = "All of it stays up until Ctrl-C"
TRANSCRIPT = REPOSITORY / ".local" / "newcomer.txt"
NOT_NEEDED = shutil.ignore_patterns(".*", "tests", "dist", "__pycache__")
KEPT = ("PATH", "JAVA_HOME", "LANG", "KUBEBUILDER_ASSETS")
DEADLINE = 400.0
DEMO = [r"^✓ upgrade +upgraded in ", r"^✓ proof .* 0 lost, 0 doubled", STAYS, "^stopping"]
SHOWN = {
    "Begin with the demo": [r"^demo +clicks +"],
    "Run a job of your own": [
        r"^flinkjob.flinkjob.dev/clicks created",
        r"^flinkjob.flinkjob.dev/clicks condition met",
        r"^clicks +True +Running +RUNNING ",
        r"^default/clicks +Running",
        r"^Run: +1 \(Initial\)",
        r" 1 RUNNING ",
        r"^  run 1 +live since",
    ],
    "Upgrade it": [
        r"^flinkjob.flinkjob.dev/clicks patched",
        r"^flinkjob.flinkjob.dev/clicks condition met",
        r"^file:/.+/savepoint-\w+-\w+$",
    ],
    "Break it, and find out why": [
        r"clicks condition met",
        r'^clicks +False +Running +RUNNING .*the job runs on as it is: .*"many"',
        r'PreflightFailed .*"many"',
        r"^PreflightFailed ",
        r"^-- '200'",
        r"^\+- many",
        r"clicks condition met",
        r"clicks condition met",
        r"clicks condition met",
        r"clicks condition met",
        r"^clicks +False +Restarting .*IllegalStateException: fails on purpose after 500 records",
        r"IllegalStateException: fails on purpose after 500 records .*in count",
        r"^ +at dev\.flinkjob\.demo\.Count\.processElement",
        r"^clicks: run 5: Running",
        r"^ +5 +live .*(savepoint|chk)-[\w-]+$",
        r"^ +3 +Stopped ",
    ],
    "Take a savepoint": [
        r"flinksavepoint.flinkjob.dev/clicks-before-the-party created",
        r"flinksavepoint.flinkjob.dev/clicks-before-the-party condition met",
        r"^clicks-before-the-party +clicks +Trigger +Completed +file:",
    ],
    "Start it on another cluster": [
        r"clicks-elsewhere created",
        r"clicks-elsewhere condition met",
        r"^file:.+/savepoint-\w+-\w+$",
        r"^default/clicks-elsewhere +Running",
        r"^Run: +1 \(Initial\)",
        r"^ +← savepoint file:",
        r"state: FlinkSavepoint clicks-before-the-party",
        r'"clicks" deleted',
        r'"clicks-elsewhere" deleted',
        r"^clicks-\d+-deletion-\w+ ",
        r"^clicks-before-the-party +",
        r"^clicks-elsewhere-\d+-deletion-\w+ ",
    ],
}
"""What each section of the page shows, in this order: patterns of lines."""


def test_from_the_demo_to_another_cluster(flink: FlinkCluster, tmp_path: Path) -> None:
    readme = REPOSITORY / "README.md"
    assert pages.Found(readme.name, FIRST) in pages.commands(), f"{readme.name} does not begin with {FIRST}"
    (link,) = set(re.findall(r"\]\((docs/walk\.md)\)", readme.read_text()))
    sections = {title: steps for title, steps in pages.steps(REPOSITORY / link).items() if title in SHOWN}
    assert list(sections) == list(SHOWN)
    assert sections["Begin with the demo"].pop(0) == FIRST
    checkout, environment = fresh(tmp_path)
    with demo(checkout, environment, tmp_path / "demo.log"):
        assert "demo/clicks" in page_beside(checkout, environment)
        seen = walked(sections, checkout, environment, flink.url)
    first = (tmp_path / "demo.log").read_text()
    TRANSCRIPT.write_text(f"$ {FIRST}\n{first}\n{seen}")
    in_order(FIRST, DEMO, first)
    left = [*Path(environment["TMPDIR"]).glob("flinkjob-demo-*"), *(checkout / ".local").iterdir()]
    assert left == [], "Ctrl-C removes all of it"
    shown = seen.split("\n## ")[1:]
    assert [each.partition("\n")[0] for each in shown] == list(sections)
    for (title, patterns), text in zip(SHOWN.items(), shown, strict=True):
        in_order(title, patterns, text)
    assert_kept(seen)


def in_order(title: str, patterns: list[str], text: str) -> None:
    """The output of the section's commands has a line for each pattern, one after another."""
    printed = "\n".join(line for line in text.splitlines() if not line.startswith("$ "))
    at = 0
    for pattern in patterns:
        found = re.compile(pattern, re.MULTILINE).search(printed, at)
        assert found, f"{title}: no {pattern!r} in\n{printed[at:]}"
        at = found.end()


def assert_kept(seen: str) -> None:
    """The other cluster began with the very savepoint that was taken."""
    taken, elsewhere = seen.split("\n## ")[-2:]
    (location,) = re.findall(r"^clicks-before-the-party .*(file:\S+)", taken, re.MULTILINE)
    assert re.findall(r"^file:\S+$", elsewhere, re.MULTILINE) == [location]
    assert f"← savepoint {location}" in elsewhere


def fresh(directory: Path) -> tuple[Path, dict[str, str]]:
    """A checkout, and the variables of a shell in a home where nothing is; what was built and downloaded before is kept."""
    checkout = shutil.copytree(REPOSITORY, directory / "checkout", ignore=NOT_NEEDED)
    (checkout / ".venv").symlink_to(sys.prefix)
    for name in ("pyproject.toml", *(path.name for path in checkout.glob("requirements*.lock"))):
        os.utime(checkout / name, (0, 0))  # older than the packages: make installs none
    environment = {name: os.environ[name] for name in KEPT if name in os.environ}
    for name in ("HOME", "TMPDIR"):
        (directory / name.lower()).mkdir()
        environment[name] = str(directory / name.lower())
    return checkout, environment | {"XDG_CACHE_HOME": str(cache_root().parent), "COLUMNS": "200"}


@contextmanager
def demo(checkout: Path, environment: Mapping[str, str], log: Path) -> Iterator[None]:
    """The first terminal: the demo, until Ctrl-C."""
    with (
        log.open("w") as output,
        child(
            shlex.split(FIRST), cwd=checkout, env=environment, stdout=output, stderr=output, process_group=0
        ) as process,
    ):
        try:
            wait_until(lambda: STAYS in log.read_text() or process.poll() is not None, timeout=DEADLINE, what=STAYS)
            assert process.poll() is None, log.read_text()
            yield
            os.killpg(process.pid, signal.SIGINT)
            assert process.wait(60) != 0
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def page_beside(checkout: Path, environment: Mapping[str, str]) -> str:
    """What a browser gets of `make ui`, which finds the demo that is up; ended by Ctrl-C."""
    pipe = subprocess.PIPE
    with child(["make", "ui"], cwd=checkout, env=environment, stdout=pipe, text=True, process_group=0) as process:
        assert process.stdout is not None
        try:
            address = next(line.strip() for line in process.stdout if line.startswith("http://127.0.0.1:"))
            with plainhttp.client(follow_redirects=True, timeout=30) as browser:
                found = wait_until(lambda: served(browser, address), timeout=30, what="the page")
            os.killpg(process.pid, signal.SIGINT)
            process.wait(60)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    return str(found)


def served(browser: httpx.Client, address: str) -> str:
    """A page; "" before it is served."""
    try:
        return browser.get(address).raise_for_status().text
    except httpx.TransportError:
        return ""


def walked(sections: Mapping[str, list[str]], checkout: Path, environment: Mapping[str, str], other: str) -> str:
    """What the second terminal shows of all commands, each of which has to end well; the second Flink is the tests'."""
    script = [
        "set -euo pipefail",
        'make() { case "$1" in local-up) echo "FLINK_URL=$OTHER" > .local/env ;; local-down) rm .local/env ;; esac; }',
    ]
    for title, steps in sections.items():
        script.append(f"echo; echo {shlex.quote(f'## {title}')}")
        for step in steps:
            script += [f"echo; echo {shlex.quote(f'$ {step}')}", step]
    TRANSCRIPT.parent.mkdir(exist_ok=True)
    with TRANSCRIPT.open("w") as output:
        done = subprocess.run(
            ["bash", "-c", "\n".join(script)],
            cwd=checkout,
            env={**environment, "OTHER": other},
            stdout=output,
            stderr=subprocess.STDOUT,
            timeout=DEADLINE,
            check=False,
        )
    seen = TRANSCRIPT.read_text()
    assert done.returncode == 0, seen
    return seen
