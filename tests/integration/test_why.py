"""Why a job does not run well, seen with `kubectl` alone: a crash loop and its cause, slots that are missing."""

from __future__ import annotations

import pytest

from tests.support.integration import Lab, Object, condition, submission, wait_until

pytestmark = [pytest.mark.kube, pytest.mark.flink]

CAUSE = "IllegalStateException: fails on purpose after 60 records"


def reason(job: Object, kind: str = "Ready") -> str:
    return str(condition(job, kind).get("reason"))


def ready_during(lab: Lab, name: str, *, crashes: int) -> set[str]:
    """What condition Ready was while the job crashed so often."""
    path = f"/jobs/{submission(lab.get(name))['jobId']}/exceptions?maxExceptions=1"
    times: set[int] = set()
    ready: set[str] = set()

    def enough() -> bool:
        times.add(lab.rest(path)["exceptionHistory"]["entries"][0]["timestamp"])
        ready.add(condition(lab.get(name), "Ready")["status"])
        return len(times) > crashes

    wait_until(enough, timeout=60, what=f"{crashes} crashes")
    return ready


@pytest.mark.every_flink
def test_a_crash_loop_says_what_fails_and_is_not_ready_in_between(lab: Lab, version: str) -> None:
    lab.apply(lab.job("crashing", "--fail-after", "60", "--restart", "100000"))
    first = lab.wait("crashing", lambda job: "lastFailure" in job["status"], "a cause")
    failure = first["status"]["lastFailure"]
    assert failure["rootCause"] == CAUSE
    assert "count" in failure["task"]
    assert "execution" not in failure["task"]
    assert failure["taskManager"]
    assert condition(first, "Healthy")["status"] == "False"
    assert CAUSE in condition(first, "Healthy")["message"]
    lab.wait("crashing", lambda job: reason(job) == "CrashLooping", "CrashLooping")
    lab.told_exactly("crashing", Restarting=1, CrashLooping=1)
    assert ready_during(lab, "crashing", crashes=4) == {"False"}, "never between two crashes"
    assert lab.get("crashing")["status"]["job"]["restarts"] >= 3


def test_a_job_that_crashed_once_is_ready_again(lab: Lab) -> None:
    healed = lab.directory / "once"
    lab.apply(lab.job("crashed", "--fail-after", "60", "--fail-until", str(healed), "--restart", "100000"))
    lab.wait("crashed", lambda job: "lastFailure" in job["status"], "a cause")
    healed.touch()
    found = lab.wait("crashed", lambda job: condition(job, "Ready")["status"] == "True", "Ready")
    assert found["status"]["lastFailure"]["recoveredTime"]
    assert submission(found)["number"] == 1


@pytest.mark.every_flink
def test_a_job_that_needs_more_slots_than_there_are(lab: Lab, version: str) -> None:
    manifest = lab.job("too-wide", parallelism=40)
    lab.apply(manifest)
    waiting = lab.wait("too-wide", lambda job: reason(job) == "WaitingForSlots", "WaitingForSlots")
    assert condition(waiting, "Ready")["message"].startswith("needs 40 slots, ")
    assert " free of 16, 1 TaskManager" in condition(waiting, "Ready")["message"]
    lab.edit(manifest, parallelism=1)
    lab.running("too-wide")


def test_a_cluster_that_no_name_leads_to(lab: Lab) -> None:
    """A host without dots is a Service of the FlinkJob's own namespace, wherever the operator runs."""
    lab.apply(lab.job("unresolved", cluster={"url": "http://flink-nowhere:8081"}))
    lab.told_once("ClusterUnreachable", "unresolved")
    message = condition(lab.get("unresolved"), "Ready")["message"]
    assert message.startswith(f"http://flink-nowhere.{lab.namespace}.svc:8081: host flink-nowhere.{lab.namespace}.svc ")
    assert message.endswith(f"is there a Service flink-nowhere in namespace {lab.namespace}?")
    assert lab.get("unresolved")["status"]["phase"] == "Pending"
