"""What the operator does when Flink or the status goes away: nothing to the job, and it finds back."""

from __future__ import annotations

import pytest

from tests.support.integration import Fault, FlinkProxy, Lab, condition, conditions, submission

pytestmark = [pytest.mark.kube, pytest.mark.flink]

CALLS = ("run", "stop", "upload")
FAULTS = (Fault.CUT_AFTER, Fault.CUT_BEFORE, Fault.UNAVAILABLE, Fault.HTML)
ALWAYS = {
    ("run", Fault.CUT_AFTER),
    ("run", Fault.UNAVAILABLE),
    ("stop", Fault.CUT_AFTER),
    ("upload", Fault.CUT_BEFORE),
    ("stop", Fault.HTML),
}
"""Each call and each fault once, and both calls that have an effect where the answer alone is lost."""
LATER = pytest.mark.everything("other pairs of a call and an unclear answer of Flink")
UNCLEAR = [
    pytest.param(call, fault, marks=() if (call, fault) in ALWAYS else LATER) for call in CALLS for fault in FAULTS
]


@pytest.mark.fault("people-backup-without-status")
def test_adopted_after_the_status_was_wiped(lab: Lab) -> None:
    manifest = lab.start("wiped-status")
    (job,) = lab.flink_jobs("wiped-status")
    lab.kube.replace_status("FlinkJob", lab.namespace, "wiped-status", {})
    lab.wait("wiped-status", lambda each: submission(each).get("reason") == "Adopted", "adopted")
    found = lab.running("wiped-status", 1)
    assert submission(found)["jobId"] == job["jid"]
    lab.told_once("Adopted", "wiped-status")
    lab.edit(manifest, restartNonce=1)
    found = lab.running("wiped-status", 2)
    assert submission(found)["restoredFrom"]
    lab.checkpointed(submission(found)["jobId"], 2)
    lab.exactly_once("wiped-status")
    assert lab.started_fresh("wiped-status") == 1


@pytest.mark.behaviour(46)
@pytest.mark.invariant(5)
@pytest.mark.fault("rest-refused")
def test_an_unreachable_cluster_changes_only_its_condition(lab: Lab, proxy: FlinkProxy) -> None:
    lab.cluster_url = proxy.url
    manifest = lab.start("far")
    (job,) = lab.flink_jobs("far")
    proxy.refuse()
    found = lab.wait("far", lambda each: conditions(each)["ClusterReachable"] == "False", "unreachable")
    assert found["status"]["phase"] == "Running"
    assert conditions(found)["Ready"] == "True", "for a minute nothing is concluded"
    assert condition(found, "ClusterReachable")["message"]
    lab.edit(manifest, restartNonce=1)
    lab.wait("far", lambda each: each["status"]["observedGeneration"] == 2, "generation 2 seen")
    assert submission(lab.get("far"))["number"] == 1
    assert [each["jid"] for each in lab.live_jobs("far")] == [job["jid"]]
    proxy.accept()
    found = lab.running("far", 2)
    assert conditions(found)["ClusterReachable"] == "True"
    assert submission(found)["restoredFrom"]


@pytest.mark.behaviour(46)
@pytest.mark.everything("a cluster that is away for a whole minute")
def test_unknown_after_a_minute(lab: Lab, proxy: FlinkProxy) -> None:
    lab.cluster_url = proxy.url
    lab.start("silent")
    jobs = [job["jid"] for job in lab.flink_jobs("silent")]
    proxy.refuse()
    found = lab.wait("silent", lambda each: each["status"]["phase"] == "Unknown", "Unknown", deadline=180)
    expected = {"Ready": "Unknown", "Reconciling": "False", "Stalled": "False", "Healthy": "Unknown"}
    assert conditions(found).items() >= (expected | {"ClusterReachable": "False"}).items()
    assert found["status"]["job"]["state"] == "RUNNING", "the last word of Flink is kept"
    proxy.accept()
    found = lab.running("silent", 1)
    assert conditions(found)["Ready"] == "True"
    assert [job["jid"] for job in lab.flink_jobs("silent")] == jobs


@pytest.mark.behaviour(2, 5, 6, 10)
@pytest.mark.invariant(1, 4)
@pytest.mark.fault("rest-cut")
@pytest.mark.parametrize(("call", "fault"), UNCLEAR)
def test_a_call_without_a_clear_answer(lab: Lab, proxy: FlinkProxy, call: str, fault: Fault) -> None:
    name = f"unclear-{call}-{fault}"
    lab.cluster_url = proxy.url
    paths = {"run": "/jars/:jar/run", "stop": "/jobs/:id/stop", "upload": "/jars/upload"}
    rule = proxy.add(fault, method="POST", path=paths[call], times=1)
    if call == "stop":
        manifest = lab.start(name)
        lab.edit(manifest, restartNonce=1)
        found = lab.running(name, 2)
        assert len(lab.savepoints_on_disk(name)) == 1
    else:
        lab.apply(lab.job(name, **fresh_jar(lab, name)))
        found = lab.running(name, 1)
    assert rule.hits == 1
    assert len(lab.flink_jobs(name)) == submission(found)["number"]
    lab.checkpointed(submission(found)["jobId"], 2)
    lab.exactly_once(name)
    assert lab.started_fresh(name) == 1


def fresh_jar(lab: Lab, name: str) -> dict[str, dict[str, str]]:
    """A jar that is not on the cluster yet."""
    made = lab.own_jar(name)
    return {"jar": {"uri": f"file://{made}"}}


@pytest.mark.fault("rest-cut")
@pytest.mark.parametrize("path", ["/jobs/overview", "/jobs/:id/savepoints/:id", "/jobs/:id/checkpoints", "/jars"])
def test_readings_that_fail_now_and_then(lab: Lab, proxy: FlinkProxy, path: str) -> None:
    name = f"flaky{path.count('/')}{path.count(':')}{len(path)}"
    lab.cluster_url = proxy.url
    proxy.add(Fault.UNAVAILABLE, method="GET", path=path, times=2)
    manifest = lab.start(name)
    proxy.add(Fault.CUT_BEFORE, method="GET", path=path, times=2)
    lab.edit(manifest, restartNonce=1)
    found = lab.running(name, 2)
    assert submission(found)["restoredFrom"]
    assert len(lab.flink_jobs(name)) == 2
    assert len(lab.savepoints_on_disk(name)) == 1
