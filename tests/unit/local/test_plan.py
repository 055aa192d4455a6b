"""What progress lines say: which step of how many, how far, and what is left to do."""

import contextlib
import os
import pty
import sys
from pathlib import Path

import pytest

from deploy.local import progress
from deploy.local.plan import Plan, Step
from deploy.local.progress import StepFailed, run_step


def planned(*missing: str, made: tuple[str, ...] = ()) -> tuple[Plan, set[str]]:
    """A plan of steps that are missing, and the set of labels that are made, which tests add to."""
    done = set(made)
    plan = Plan()
    plan.expect([Step(label, lambda label=label: label not in done) for label in (*made, *missing)])  # type: ignore[misc]
    return plan, done


def test_a_line_has_the_number_of_its_step_and_what_comes_then() -> None:
    plan, _ = planned("etcd", "kubectl", "Flink")
    plan.begin("etcd")
    assert plan.line("etcd", "30 s") == "step 1 of 3: etcd, 30 s; then kubectl, Flink"
    plan.begin("kubectl")
    assert plan.line("kubectl", "5 s") == "step 2 of 3: kubectl, 5 s; then Flink"
    plan.begin("Flink")
    assert plan.line("Flink", "5 s") == "step 3 of 3: Flink, 5 s"


def test_what_is_there_is_no_step() -> None:
    plan, _ = planned("kubectl", made=("etcd",))
    assert plan.line("kubectl", "5 s") == "step 1 of 1: kubectl, 5 s"


def test_steps_that_run_side_by_side_are_not_announced() -> None:
    plan, _ = planned("etcd", "Flink", "jar")
    plan.begin("etcd")
    plan.begin("Flink")
    assert plan.line("etcd", "5 s") == "step 1 of 3: etcd, 5 s; then jar"


def test_what_another_process_has_made_meanwhile_is_not_announced() -> None:
    plan, done = planned("etcd", "Flink", "jar")
    done.add("Flink")
    assert plan.line("etcd", "5 s") == "step 1 of 3: etcd, 5 s; then jar"


def test_a_step_that_nobody_planned_has_no_number() -> None:
    plan, _ = planned("etcd")
    assert plan.line("pause", "5 s") == "pause, 5 s; then etcd"


def test_steps_can_be_added_and_are_never_doubled() -> None:
    plan, _ = planned("etcd")
    plan.expect([Step("etcd", lambda: True), Step("kubelet", lambda: True)])
    assert plan.line("etcd", "5 s") == "step 1 of 2: etcd, 5 s; then kubelet"


class Watched(Plan):
    """A plan that makes a file as soon as three lines were asked for: what the step of the test waits for."""

    def __init__(self, flag: Path) -> None:
        super().__init__()
        self.expect([Step("slow", lambda: True), Step("Flink", lambda: True)])
        self._flag = flag
        self._lines = 0

    def line(self, label: str, detail: str) -> str:
        self._lines += 1
        if self._lines == 3:
            self._flag.touch()
        return super().line(label, detail)


@pytest.fixture
def slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A command that prints two lines and ends when three lines were said of it."""
    monkeypatch.setattr(progress, "plan", Watched(tmp_path / "flag"))
    monkeypatch.setattr(progress, "ELSEWHERE", 0.05)
    monkeypatch.setattr(progress, "ON_TERMINAL", 0.05)
    return ["sh", "-c", 'echo one; echo two; until [ -e "$0" ]; do sleep 0.02; done', str(tmp_path / "flag")]


def test_without_a_terminal_each_state_is_a_line(slow: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_step("slow", slow, packages=9) == "one\ntwo\n"
    said = capsys.readouterr().err
    assert "\x1b" not in said
    *_, state, end = said.splitlines()
    assert state == "[local] step 1 of 2: slow, 0 s, 2 of 9 packages; then Flink"
    assert end == "[local] step 1 of 2: slow, done in 0 s; then Flink"
    assert len(said.splitlines()) >= 4


def read_to_end(master: int) -> str:
    """All that was written to a terminal that is closed by now; the kernel hands it over piece by piece."""
    said = b""
    with os.fdopen(master, "rb", buffering=0) as terminal, contextlib.suppress(OSError):
        while piece := terminal.read(10_000):
            said += piece
    return said.decode()


def test_on_a_terminal_there_is_one_line(slow: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    master, slave = pty.openpty()
    with os.fdopen(slave, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        run_step("slow", slow)
    said = read_to_end(master)
    assert said.count("\n") == 1, said
    assert said.count("\r\x1b[K") >= 4
    assert said.endswith("\x1b[K[local] step 1 of 2: slow, done in 0 s; then Flink\r\n")


def test_a_failed_step_says_the_end_of_its_output_even_when_it_is_no_text() -> None:
    with pytest.raises(StepFailed, match=r"look: exit code 3\n.nothing"):
        run_step("look", ["sh", "-c", r"printf '\377nothing'; exit 3"])
