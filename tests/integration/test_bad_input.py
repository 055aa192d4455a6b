"""What only the cluster can know to be wrong: Stalled with one line that a person can act on, and nothing else touched.

What the API server refuses at apply is in `test_manifests.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.integration import Lab, build_demo_jar, condition, conditions

pytestmark = [pytest.mark.kube, pytest.mark.flink]


def check_stalled(lab: Lab, name: str, reason: str, words: str) -> None:
    found = lab.stalled(name, reason)
    message = condition(found, "Stalled")["message"]
    assert words in message
    assert "\n" not in message
    assert len(message) <= 512
    assert conditions(found)["Reconciling"] == "False"
    assert lab.live_jobs(name) == []


@pytest.mark.behaviour(16)
@pytest.mark.fault("artifact-cannot-run")
@pytest.mark.every_flink
@pytest.mark.parametrize(
    ("name", "args", "spec", "reason", "words"),
    [
        ("no-class", [], {"entryClass": "com.example.None"}, "SubmitRejected", "com.example.None"),
        ("throws", ["--main-throw", "topic is missing"], {}, "SubmitRejected", "topic is missing"),
        ("bad-args", ["--unknown", "x"], {}, "SubmitRejected", "unknown argument --unknown"),
        ("no-job", ["--no-execute", "true"], {}, "SubmitRejected", ""),
        ("exits", ["--exit", "3"], {}, "SubmitRejected", ""),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_program_that_cannot_run(
    lab: Lab, name: str, args: list[str], spec: dict[str, Any], reason: str, words: str
) -> None:
    manifest = lab.job(name, *args)
    manifest["spec"]["jar"] |= spec
    lab.apply(manifest)
    check_stalled(lab, name, reason, words)
    lab.edit(manifest, args=["--rate", "50"], jar={"uri": f"file://{lab.jar}"})
    lab.running(name)


@pytest.mark.fault("artifact-cannot-run")
def test_no_entry_class_anywhere(lab: Lab, version: str) -> None:
    lab.apply(lab.job("mainless", jar={"uri": f"file://{build_demo_jar(version, manifest=False)}"}))
    check_stalled(lab, "mainless", "SubmitRejected", "")


@pytest.mark.every_flink
def test_a_savepoint_that_does_not_exist(lab: Lab, tmp_path: Path) -> None:
    state = {"strategy": "Custom", "location": f"file://{tmp_path}/nothing"}
    manifest = lab.job("no-path", initialState=state)
    lab.apply(manifest)
    check_stalled(lab, "no-path", "RestoreFailed", f"{tmp_path}/nothing")
    lab.edit(manifest, initialState={"strategy": "None", "nonce": 1})
    lab.running("no-path")


@pytest.mark.every_flink
def test_state_that_does_not_fit(lab: Lab) -> None:
    lab.start("donor")
    lab.apply(lab.savepoint("donor-1", "donor"))
    saved = lab.savepoint_phase("donor-1", "Completed")
    state = {"strategy": "Custom", "location": saved["status"]["location"]}
    manifest = lab.job("misfit", "--uid", "other", initialState=state)
    lab.apply(manifest)
    check_stalled(lab, "misfit", "RestoreFailed", "")
    lab.edit(manifest, restore={"allowNonRestoredState": True}, initialState=state | {"nonce": 1})
    lab.running("misfit")


def test_a_savepoint_reference_to_nothing(lab: Lab) -> None:
    manifest = lab.job("no-ref", initialState={"strategy": "Custom", "savepointRef": {"name": "absent"}})
    lab.apply(manifest)
    check_stalled(lab, "no-ref", "SavepointNotFound", "FlinkSavepoint absent does not exist")


@pytest.mark.fault("people-wrong-order")
def test_a_savepoint_reference_that_comes_later(lab: Lab) -> None:
    lab.start("giver")
    lab.apply(lab.job("taker", initialState={"strategy": "Custom", "savepointRef": {"name": "giver-1"}}))
    lab.stalled("taker", "SavepointNotFound")
    lab.apply(lab.savepoint("giver-1", "giver"))
    lab.savepoint_phase("giver-1", "Completed")
    lab.running("taker")


def test_a_wrong_flink_option(lab: Lab) -> None:
    manifest = lab.job("option", flinkConfiguration={"execution.checkpointing.timeout": "soon"})
    lab.apply(manifest)
    check_stalled(lab, "option", "SubmitRejected", "soon")


@pytest.mark.behaviour(39)
@pytest.mark.invariant(10)
def test_what_already_runs_is_left_alone(lab: Lab, tmp_path: Path) -> None:
    manifest = lab.start("steady")
    before = [job["jid"] for job in lab.flink_jobs("steady")]
    for change, reason in (
        ({"jar": {"uri": "file:///etc/hostname"}}, "ArtifactFailed"),
        ({"jar": {"uri": f"file://{lab.jar}", "entryClass": "com.example.None"}}, "PreflightFailed"),
        ({"args": ["--main-throw", "no"]}, "PreflightFailed"),
        ({"flinkConfiguration": {"execution.checkpointing.timeout": "soon"}}, "PreflightFailed"),
    ):
        lab.edit(manifest, **change)
        found = lab.stalled("steady", reason)
        assert conditions(found)["Healthy"] == "True"
        assert [job["jid"] for job in lab.flink_jobs("steady")] == before
    lab.edit(manifest)
    found = lab.running("steady", 1)
    assert conditions(found)["Ready"] == "True"


@pytest.mark.behaviour(12, 68)
def test_a_job_that_was_never_accepted_is_deleted_at_once(lab: Lab) -> None:
    lab.apply(lab.job("never-accepted", "--main-throw", "never"))
    lab.stalled("never-accepted", "SubmitRejected")
    lab.delete("never-accepted")
    lab.gone("never-accepted")
    assert "LeftBehind" not in lab.kube.reasons(lab.namespace, "never-accepted")
