"""Argo CD's actions on FlinkJobs: when they are offered, what they make, and that the API accepts it."""

from __future__ import annotations

import copy
from datetime import datetime

import pytest
import yaml

from deploy.local.controlplane import ControlPlane
from flinkjob.api.codec import parse_job, parse_savepoint
from flinkjob.api.constants import ANNOTATION_RESTARTED_AT, MAX_JOB_NAME
from tests.gitops import argolua
from tests.gitops.phases import Object, jobs

OBJECTS: dict[str, Object] = {case.name: case.body for case in jobs()}


@pytest.mark.parametrize(
    ("name", "offered"),
    [
        ("Running", {"restart", "suspend", "savepoint"}),
        ("Upgrading", {"restart", "suspend"}),
        ("Failed", {"restart", "suspend"}),
        ("never looked at", {"restart", "suspend"}),
        ("Suspended", {"resume"}),
        ("Cancelled", {"resume"}),
        ("Drained", set()),
        ("Deleting", set()),
    ],
)
def test_what_is_offered(name: str, offered: set[str]) -> None:
    assert argolua.enabled(OBJECTS[name]) == offered


def test_every_action_has_a_script() -> None:
    assert argolua.action_names() == {"restart", "suspend", "resume", "savepoint"}


def test_restart() -> None:
    before = copy.deepcopy(OBJECTS["Running"])
    before["metadata"]["annotations"] = {"team": "a"}
    after = argolua.act("restart", before)
    annotations = after["metadata"].pop("annotations")
    assert datetime.fromisoformat(annotations.pop(ANNOTATION_RESTARTED_AT)).tzinfo is not None
    assert annotations == {"team": "a"}
    assert after["spec"] == before["spec"]
    assert ANNOTATION_RESTARTED_AT in argolua.act("restart", OBJECTS["Running"])["metadata"]["annotations"]


@pytest.mark.parametrize(
    ("action", "name", "state"), [("suspend", "Running", "Suspended"), ("resume", "Suspended", "Running")]
)
def test_suspend_and_resume(action: str, name: str, state: str) -> None:
    after = argolua.act(action, OBJECTS[name])
    parsed = parse_job(after)
    assert parsed.spec is not None, parsed.spec_error
    assert parsed.spec.state == state
    assert {**after["spec"], "state": None} == {**OBJECTS[name]["spec"], "state": None}


def test_savepoint() -> None:
    longest = copy.deepcopy(OBJECTS["Running"])
    longest["metadata"]["name"] = "x" * MAX_JOB_NAME
    ((made),) = argolua.act("savepoint", longest)
    assert made["operation"] == "create"
    parsed = parse_savepoint(made["resource"])
    assert parsed.spec is not None, parsed.spec_error
    assert (parsed.meta.namespace, made["resource"]["spec"]) == ("shop", {"jobRef": {"name": "x" * MAX_JOB_NAME}})
    assert len(parsed.meta.name) <= 63


@pytest.mark.kube
@pytest.mark.parametrize("action", sorted(argolua.action_names()))
def test_the_api_server_accepts_it(action: str, control_plane: ControlPlane) -> None:
    made = argolua.act(action, OBJECTS["Running"])
    body = made[0]["resource"] if isinstance(made, list) else made
    kept = {key: body["metadata"][key] for key in ("name", "annotations") if key in body["metadata"]}
    whole = {key: body[key] for key in ("apiVersion", "kind", "spec")} | {"metadata": kept | {"namespace": "default"}}
    text = yaml.safe_dump(whole)
    control_plane.kubectl("create", "--dry-run=server", "--validate=strict", "-o", "name", "-f", "-", stdin=text)
