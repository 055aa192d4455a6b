"""What the operator adds to the REST calls that a person would make by hand: start, upgrade, savepoint."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from deploy.local.restdriver import RestDriver
from tests.bench.measure import SMALL, Figure, Report, first_all_running, stopwatch, until
from tests.support.lab import Lab, submission

ROUNDS = 2 if SMALL else 10
START_GOAL = 1.0
DOWNTIME_GOAL = 0.5

pytestmark = [pytest.mark.kube, pytest.mark.flink, pytest.mark.slow]


@pytest.fixture(scope="module")
def jar_id(lab: Lab, rest: RestDriver) -> Iterator[str]:
    """A jar of the bare calls; another FlinkJob keeps the operator's own jar on the cluster meanwhile."""
    lab.start("holder")
    first = rest.upload(lab.jar)
    warm_up = _run(rest, lab, first, "warm-up")
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


def _run(rest: RestDriver, lab: Lab, jar: str, name: str, savepoint: str | None = None) -> str:
    config = {"execution.checkpointing.interval": "200ms"}
    return rest.run(jar, *_arguments(lab, name), savepoint=savepoint, config=config, job_id=uuid.uuid4().hex)


def _all_running(rest: RestDriver, job_id: str) -> None:
    def attempt() -> bool:
        job = rest.overview(job_id)
        return bool(job and job["state"] == "RUNNING" and job["tasks"]["running"] == job["tasks"]["total"])

    until(attempt, f"all tasks of {job_id}")


def _said_running(lab: Lab, name: str, number: int) -> dict[str, Any]:
    found: dict[str, Any] = {}

    def attempt() -> bool:
        found.update(lab.get(name))
        status = found.get("status", {})
        return bool(status.get("phase") == "Running" and status["submission"]["number"] == number)

    until(attempt, f"{name} Running as {number}")
    return found


def test_from_apply_to_running(lab: Lab, rest: RestDriver, jar_id: str, report: Report) -> None:
    operator: list[float] = []
    bare: list[float] = []
    for number in range(ROUNDS):
        with stopwatch(bare):
            job = _run(rest, lab, jar_id, f"bare-{number}")
            _all_running(rest, job)
        rest.cancel(job)
        name = f"start-{number}"
        with stopwatch(operator):
            lab.apply(lab.job(name))
            _said_running(lab, name, 1)
        assert lab.live_jobs(name)[0]["tasks"]["running"] == lab.live_jobs(name)[0]["tasks"]["total"]
        lab.edit(lab.job(name), deletion={"policy": "Cancel"})
        lab.delete(name)
        lab.gone(name)
    figure = report.add(Figure.of("apply → all tasks run, in status", operator, bare, START_GOAL))
    assert figure.met, figure


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
            found = _said_running(lab, "upgrades", number + 2)
        assert submission(found)["restoredFrom"]
        down.append(_downtime(http, rest, old, submission(found)["jobId"]))
    lab.exactly_once("upgrades")
    report.add(Figure.of("edit → upgraded with a savepoint, in status", whole, bare_whole))
    figure = report.add(Figure.of("downtime of that upgrade", down, bare_down, DOWNTIME_GOAL))
    assert figure.met, figure


def test_from_savepoint_to_completed(
    lab: Lab, rest: RestDriver, jar_id: str, http: httpx.Client, report: Report
) -> None:
    operator: list[float] = []
    bare: list[float] = []
    job = submission(lab.get("holder"))["jobId"]
    for number in range(ROUNDS):
        with stopwatch(bare):
            body = {"target-directory": lab.savepoint_directory("bare"), "cancel-job": False}
            answer = http.post(f"/jobs/{job}/savepoints", json=body).raise_for_status()
            _completed(http, job, answer.json()["request-id"])
        name = f"holder-{number}"
        with stopwatch(operator):
            lab.apply(lab.savepoint(name, "holder"))
            _said_completed(lab, name)
    report.add(Figure.of("FlinkSavepoint → Completed, in status", operator, bare))


def _said_completed(lab: Lab, name: str) -> None:
    def attempt() -> bool:
        found = lab.kube.get("FlinkSavepoint", lab.namespace, name)
        return bool(found and found.get("status", {}).get("phase") == "Completed")

    until(attempt, f"{name} Completed")


def _stop(http: httpx.Client, rest: RestDriver, job: str) -> str:
    answer = http.post(f"/jobs/{job}/stop", json={"drain": False}).raise_for_status()
    saved = _completed(http, job, answer.json()["request-id"])
    until(lambda: (found := rest.overview(job)) is not None and found["state"] == "FINISHED", f"{job} FINISHED")
    return saved


def _completed(http: httpx.Client, job: str, trigger: str) -> str:
    answer: dict[str, Any] = {}

    def attempt() -> bool:
        answer.update(http.get(f"/jobs/{job}/savepoints/{trigger}").raise_for_status().json())
        return bool(answer["status"]["id"] == "COMPLETED")

    until(attempt, f"savepoint {trigger}")
    return str(answer["operation"]["location"])


def _downtime(http: httpx.Client, rest: RestDriver, old: str, new: str) -> float:
    ended = rest.overview(old)
    assert ended is not None
    return first_all_running(http, new) - float(ended["end-time"]) / 1000
