"""What GitOps tools say of both kinds in every phase: kstatus, Flux's expressions and Argo CD's health, each for real."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from deploy.local.binaries import program_binary
from deploy.local.controlplane import ControlPlane
from flinkjob.api.enums import Phase, SavepointPhase
from tests.gitops import argolua
from tests.gitops.phases import Case, Object, jobs, savepoints

FLUX = Path(__file__).resolve().parents[2] / "deploy" / "gitops" / "flux-kustomization.yaml"
CASES = [*jobs(), *savepoints()]
IDS = [f"{case.body['kind']}: {case.name}" for case in CASES]

pytestmark = pytest.mark.kube


def judge(objects: list[Object]) -> list[dict[str, str]]:
    """The verdicts of kstatus and of Flux, in the order of the objects."""
    checks = yaml.safe_load(FLUX.read_text())["spec"]["healthCheckExprs"]
    asked = json.dumps({"checks": checks, "objects": objects})
    done = subprocess.run([program_binary("gitops")], input=asked, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout))


@pytest.fixture(scope="module")
def verdicts() -> dict[str, dict[str, str]]:
    return dict(zip(IDS, judge([case.body for case in CASES]), strict=True))


@pytest.mark.parametrize(("name", "case"), list(zip(IDS, CASES, strict=True)), ids=IDS)
def test_kstatus(name: str, case: Case, verdicts: dict[str, dict[str, str]]) -> None:
    assert verdicts[name]["kstatus"] == case.kstatus, verdicts[name]


@pytest.mark.parametrize(("name", "case"), list(zip(IDS, CASES, strict=True)), ids=IDS)
def test_flux(name: str, case: Case, verdicts: dict[str, dict[str, str]]) -> None:
    assert verdicts[name]["flux"] == case.flux, verdicts[name]


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_argo_cd(case: Case) -> None:
    health, message = argolua.health(case.body["kind"], case.body)
    assert health == case.argo, message
    assert message


def test_every_phase_is_tried() -> None:
    assert {case.phase for case in jobs()} - {None} == set(Phase)
    assert {case.phase for case in savepoints()} - {None} == set(SavepointPhase)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_a_case_is_what_its_name_says(case: Case) -> None:
    assert case.phase == (None if case.name == "never looked at" else case.phase)
    if case.name.split(",")[0] in {*Phase, *SavepointPhase} and "deleted" not in case.name:
        assert case.phase == case.name.split(",")[0]


@pytest.mark.parametrize("status", [None, {}], ids=["absent", "empty"])
@pytest.mark.parametrize("kind", ["FlinkJob", "FlinkSavepoint"])
def test_a_status_that_was_wiped(kind: str, status: Object | None) -> None:
    body: Object = {
        "apiVersion": "flinkjob.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": "x", "generation": 1},
        "spec": {},
    }
    if status is not None:
        body["status"] = status
    assert argolua.health(kind, body) == ("Progressing", "waits for the operator")
    if status is not None:  # where there is none at all the definition's default fills it in
        assert judge([body])[0]["flux"] == "InProgress"


@pytest.mark.parametrize("case", [jobs()[0], savepoints()[0]], ids=lambda case: case.body["kind"])
def test_an_object_that_no_operator_has_seen(case: Case, control_plane: ControlPlane) -> None:
    """What the API server makes of a manifest that was just applied is in progress, for tools that look at once."""
    name = f"unseen-{case.body['kind'].lower()}"
    wanted = {key: case.body[key] for key in ("apiVersion", "kind", "spec")}
    wanted["metadata"] = {"name": name, "namespace": "default"}
    control_plane.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(wanted))
    try:
        found = json.loads(control_plane.kubectl("get", case.body["kind"], name, "-n", "default", "-o", "json"))
    finally:
        control_plane.kubectl("delete", case.body["kind"], name, "-n", "default")
    assert found["status"] == {"observedGeneration": 0}
    (verdict,) = judge([found])
    assert (verdict["kstatus"], verdict["flux"]) == ("InProgress", "InProgress")
    assert argolua.health(case.body["kind"], found)[0] == "Progressing"
