"""Jobs that came to their own end: latched, marked, and their objects removed after a while."""

from __future__ import annotations

import json

import pytest

from tests.support.integration import Lab, check_exactly_once, condition, submission

pytestmark = [pytest.mark.kube, pytest.mark.flink]

MARK = "flinkjob.dev/result"
BOUNDED = ("--count", "200", "--rate", "0")


@pytest.mark.behaviour(71)
def test_the_object_goes_after_its_time(lab: Lab) -> None:
    lab.apply(lab.job("short-lived", *BOUNDED, ttlSecondsAfterFinished=2))
    lab.gone("short-lived")
    assert check_exactly_once(lab.out("short-lived"), upto=200).ok
    assert [job["state"] for job in lab.flink_jobs("short-lived")] == ["FINISHED"]


def test_the_time_can_be_given_later(lab: Lab) -> None:
    manifest = lab.job("later-ttl", *BOUNDED)
    lab.apply(manifest)
    lab.phase("later-ttl", "Finished")
    lab.edit(manifest, ttlSecondsAfterFinished=0)
    lab.gone("later-ttl")


def test_an_object_that_a_gitops_tool_owns_stays(lab: Lab) -> None:
    manifest = lab.job("owned", *BOUNDED, ttlSecondsAfterFinished=0)
    manifest["metadata"]["labels"] = {"kustomize.toolkit.fluxcd.io/name": "apps"}
    lab.apply(manifest)
    lab.phase("owned", "Finished")
    lab.wait("owned", lambda _: "TTLIgnored" in lab.reasons("owned"), "told")
    lab.start("another")
    lab.phase("owned", "Finished")
    lab.told_once("TTLIgnored", "owned")


def test_created_again_with_its_mark_it_does_not_run_again(lab: Lab) -> None:
    """As a GitOps tool or a restored backup would: the mark is an annotation, which outlives the status."""
    manifest = lab.job("marked", *BOUNDED)
    lab.apply(manifest)
    found = lab.wait("marked", lambda job: MARK in job["metadata"].get("annotations", {}), "marked")
    mark = found["metadata"]["annotations"][MARK]
    assert json.loads(mark)["result"] == "Finished"
    lab.delete("marked")
    lab.gone("marked")
    manifest["metadata"]["annotations"] = {MARK: mark}
    lab.apply(manifest)
    found = lab.phase("marked", "Finished")
    assert submission(found)["end"]["result"] == "Finished"
    assert len(lab.flink_jobs("marked")) == 1
    changed = lab.edit(manifest, restartNonce=1)
    lab.wait("marked", lambda job: submission(job)["number"] == 2, "run again, since the spec changed")
    assert changed["spec"]["restartNonce"] == 1
    lab.phase("marked", "Finished")


@pytest.mark.parametrize("mark", ["no json", '{"result": "Finished"}', '{"number": "x", "digest": 1}'])
def test_a_mark_that_says_nothing_is_ignored(lab: Lab, mark: str) -> None:
    name = f"nonsense-{len(mark)}"
    manifest = lab.job(name, *BOUNDED)
    manifest["metadata"]["annotations"] = {MARK: mark}
    lab.apply(manifest)
    lab.phase(name, "Finished")
    assert len(lab.flink_jobs(name)) == 1


@pytest.mark.fault("flink-finishes-during-a-stop")
def test_finishing_during_a_stop(lab: Lab) -> None:
    """Whoever is first, nothing is lost or doubled, and it is not run twice to its end."""
    manifest = lab.job("closing", "--count", "500")
    lab.apply(manifest)
    lab.wait("closing", lambda job: submission(job).get("running") or "end" in submission(job), "begun")
    lab.edit(manifest, restartNonce=1)
    lab.wait("closing", lambda job: job["status"]["observedGeneration"] == 2, "the edit seen")
    found = lab.phase("closing", "Finished")
    if any(run["result"] == "Finished" for run in found["status"].get("history", [])):
        return  # it had finished when the edit came, which rightly ran it anew
    assert check_exactly_once(lab.out("closing"), upto=500).ok
    assert lab.started_fresh("closing") == 1


@pytest.mark.behaviour(50)
def test_without_checkpoints(lab: Lab) -> None:
    lab.apply(lab.job("batch", *BOUNDED, checkpoint={}, runtimeMode="Batch"))
    found = lab.phase("batch", "Finished")
    assert condition(found, "Ready")["status"] == "True"
    counted = check_exactly_once(lab.out("batch"), upto=200)
    assert (counted.total, counted.missing, counted.doubled) == (200, (), ()), "a batch may come in any order"
