"""What the operator adds to the REST calls that a person would make by hand, for one job at a time."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from deploy.local.restdriver import RestDriver
from tests.bench.measure import SMALL, first_all_running, pass_time, stopwatch, until
from tests.bench.report import Figure, Goal, Report
from tests.support.kube import Object
from tests.support.lab import Lab, observed, submission

ROUNDS = 2 if SMALL else 10
QUICK = {"execution.checkpointing.interval": "200ms"}

pytestmark = [pytest.mark.kube, pytest.mark.flink, pytest.mark.slow]


@pytest.fixture(scope="module")
def jar_id(lab: Lab, rest: RestDriver) -> Iterator[str]:
    """A jar of the bare calls; another FlinkJob keeps the operator's own jar on the cluster meanwhile."""
    lab.start("holder")
    first = rest.upload(lab.jar)
    for number in range(3):
        warm_up = _run(rest, lab, first, f"warm-up-{number}")
        _all_running(rest, warm_up)
        rest.cancel(warm_up)
    yield first
    lab.clean()


@pytest.fixture(scope="module")
def http(lab: Lab) -> Iterator[httpx.Client]:
    """Plain HTTP to Flink."""
    with lab.flink.http() as client:
        yield client


def _arguments(lab: Lab, name: str) -> list[str]:
    return ["--rate", "200", "--out", str(lab.out(name))]


def _run(rest: RestDriver, lab: Lab, jar: str, name: str, savepoint: str | None = None, *more: str) -> str:
    arguments = [*_arguments(lab, name), *more]
    return rest.run(jar, *arguments, savepoint=savepoint, config=QUICK, job_id=uuid.uuid4().hex)


def _all_running(rest: RestDriver, job_id: str) -> None:
    def attempt() -> bool:
        job = rest.overview(job_id)
        return bool(job and job["state"] == "RUNNING" and job["tasks"]["running"] == job["tasks"]["total"])

    until(attempt, f"all tasks of {job_id}")


def _ended(rest: RestDriver, job_id: str) -> None:
    until(lambda: (rest.overview(job_id) or {}).get("state") in ("FAILED", "CANCELED", "FINISHED"), f"end of {job_id}")


def _said(lab: Lab, name: str, phase: str, number: int | None = None) -> Object:
    """The FlinkJob as soon as its status says so of the present spec."""
    found: dict[str, Any] = {}

    def attempt() -> bool:
        found.update(lab.get(name))
        status = found.get("status", {})
        if status.get("phase") != phase or not observed(found):
            return False
        return number is None or status["submission"]["number"] == number

    until(attempt, f"{name} {phase}")
    return found


def _remove(lab: Lab, name: str, into: list[float]) -> None:
    lab.edit(lab.job(name), deletion={"policy": "Cancel"})
    until(lambda: observed(lab.get(name)), f"{name} observed")
    with stopwatch(into):
        lab.delete(name)
        until(lambda: lab.kube.get("FlinkJob", lab.namespace, name) is None, f"{name} gone")


def test_from_apply_to_running_and_from_delete_to_gone(lab: Lab, rest: RestDriver, jar_id: str, report: Report) -> None:
    started: list[float] = []
    gone: list[float] = []
    bare_started: list[float] = []
    bare_gone: list[float] = []
    for number in range(ROUNDS):
        with stopwatch(bare_started):
            job = _run(rest, lab, jar_id, f"bare-{number}")
            _all_running(rest, job)
        with stopwatch(bare_gone):
            rest.cancel(job)
        name = f"start-{number}"
        with stopwatch(started):
            lab.apply(lab.job(name))
            _said(lab, name, "Running", 1)
        assert lab.live_jobs(name)[0]["tasks"]["running"] == lab.live_jobs(name)[0]["tasks"]["total"]
        _remove(lab, name, gone)
    goal = Goal(kind="above", value=0.25)
    report.add(
        Figure.of("apply → all tasks run, in status", started, bare_started, goal),
        Figure.of("delete → cancelled and gone", gone, bare_gone),
    )


@pytest.mark.behaviour(32)
def test_downtime_of_an_upgrade(lab: Lab, rest: RestDriver, jar_id: str, http: httpx.Client, report: Report) -> None:
    down: list[float] = []
    whole: list[float] = []
    bare_down: list[float] = []
    bare_whole: list[float] = []
    manifest = lab.start("upgrades")
    for number in range(ROUNDS):
        old = _run(rest, lab, jar_id, f"bare-upgrade-{number}")
        _all_running(rest, old)
        lab.checkpointed(old)
        with stopwatch(bare_whole):
            saved = _stop(http, rest, old)
            new = _run(rest, lab, jar_id, f"bare-upgrade-{number}", saved)
            _all_running(rest, new)
        bare_down.append(_downtime(http, rest, old, new))
        rest.cancel(new)

        old = submission(lab.get("upgrades"))["jobId"]
        with stopwatch(whole):
            lab.edit(manifest, args=[*manifest["spec"]["args"], "--name", f"v{number}"])
            found = _said(lab, "upgrades", "Running", number + 2)
        assert submission(found)["restoredFrom"]
        down.append(_downtime(http, rest, old, submission(found)["jobId"]))
    lab.exactly_once("upgrades")
    report.add(
        Figure.of("edit → upgraded with a savepoint, in status", whole, bare_whole),
        Figure.of("downtime of that upgrade", down, bare_down, Goal(kind="times", value=1.2)),
    )


def test_suspend_and_resume(lab: Lab, rest: RestDriver, http: httpx.Client, jar_id: str, report: Report) -> None:
    suspended: list[float] = []
    resumed: list[float] = []
    bare_suspended: list[float] = []
    bare_resumed: list[float] = []
    manifest = lab.start("pauses")
    job = _run(rest, lab, jar_id, "bare-pauses")
    _all_running(rest, job)
    for number in range(ROUNDS):
        with stopwatch(bare_suspended):
            saved = _stop(http, rest, job)
        with stopwatch(bare_resumed):
            job = _run(rest, lab, jar_id, "bare-pauses", saved)
            _all_running(rest, job)
        with stopwatch(suspended):
            lab.edit(manifest, state="Suspended")
            _said(lab, "pauses", "Suspended")
        with stopwatch(resumed):
            lab.edit(manifest, state="Running")
            _said(lab, "pauses", "Running", number + 2)
    rest.cancel(job)
    report.add(
        Figure.of("suspend → stopped with a savepoint, in status", suspended, bare_suspended),
        Figure.of("resume → all tasks run, in status", resumed, bare_resumed),
    )


def test_a_savepoint(lab: Lab, rest: RestDriver, http: httpx.Client, jar_id: str, report: Report) -> None:
    operator: list[float] = []
    bare: list[float] = []
    lab.start("saved")
    job = _run(rest, lab, jar_id, "bare-saved")
    _all_running(rest, job)
    for number in range(ROUNDS):
        with stopwatch(bare):
            target = lab.savepoint_directory("bare-saved")
            body = {"target-directory": target, "cancel-job": False}
            trigger = http.post(f"/jobs/{job}/savepoints", json=body).raise_for_status().json()["request-id"]
            until(lambda: _savepoint_complete(http, job, trigger), "a bare savepoint")  # noqa: B023
        name = f"saved-{number}"
        with stopwatch(operator):
            lab.apply(lab.savepoint(name, "saved"))
            until(lambda: _completed(lab, name), f"{name} complete")  # noqa: B023
    rest.cancel(job)
    report.add(Figure.of("savepoint → Completed, in status", operator, bare, Goal(kind="above", value=0.2)))


def test_what_happens_behind_its_back(lab: Lab, rest: RestDriver, jar_id: str, report: Report) -> None:
    """A job that somebody cancels, and one whose program fails: until the status does not say Running any more."""
    cancelled: list[float] = []
    failed: list[float] = []
    bare: list[float] = []
    for number in range(ROUNDS):
        for kind, into in (("cancelled", cancelled), ("failed", failed)):
            name = f"{kind}-{number}"
            healthy = lab.directory / f"{name}-healthy"
            healthy.touch()
            arguments = ("--fail-after", "0", "--fail-until", str(healthy), "--restart", "none")
            lab.start(name, *arguments, restart={"policy": "Never"})
            job = lab.live_jobs(name)[0]["jid"]
            pass_time(0.37 * number % 2)  # at any moment between two looks of the operator
            with stopwatch(into):
                if kind == "cancelled":
                    lab.cancel_in_flink(job)
                else:
                    healthy.unlink()
                until(lambda: lab.get(name)["status"]["phase"] != "Running", f"{name} seen")  # noqa: B023
            _remove(lab, name, [])
        job = _run(rest, lab, jar_id, f"bare-cancelled-{number}")
        _all_running(rest, job)
        with stopwatch(bare):
            lab.cancel_in_flink(job)
            _ended(rest, job)
    median, worst = Goal(kind="most", value=1.5), Goal(kind="most", value=2.5)
    report.add(
        Figure.of("cancelled by somebody → in status", cancelled, (), median, grain=0.7),
        Figure(name="… the worst", unit="s", value=max(cancelled), goal=worst, grain=1.0),
        Figure.of("failed → in status", failed, (), median, grain=0.7),
        Figure(name="… the worst of these", unit="s", value=max(failed), goal=worst, grain=1.0),
        Figure.of("for comparison: cancelled by bare REST, and polled each 10 ms", bare),
    )


def _savepoint_complete(http: httpx.Client, job: str, trigger: str) -> bool:
    answer = http.get(f"/jobs/{job}/savepoints/{trigger}").raise_for_status().json()
    return bool(answer["status"]["id"] == "COMPLETED")


def _completed(lab: Lab, name: str) -> bool:
    found = lab.kube.get("FlinkSavepoint", lab.namespace, name) or {}
    return bool(found.get("status", {}).get("phase") == "Completed")


def _stop(http: httpx.Client, rest: RestDriver, job: str) -> str:
    trigger = http.post(f"/jobs/{job}/stop", json={"drain": False}).raise_for_status().json()["request-id"]
    found: dict[str, Any] = {}

    def attempt() -> bool:
        found.update(http.get(f"/jobs/{job}/savepoints/{trigger}").raise_for_status().json())
        return bool(found["status"]["id"] == "COMPLETED")

    until(attempt, f"savepoint of {job}")
    _ended(rest, job)
    return str(found["operation"]["location"])


def _downtime(http: httpx.Client, rest: RestDriver, old: str, new: str) -> float:
    before = rest.overview(old)
    assert before is not None
    return first_all_running(http, new) - int(before["end-time"]) / 1000
