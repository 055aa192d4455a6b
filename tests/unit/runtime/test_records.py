"""Which ControllerRevisions are kept: the newest ones, and always those that may be run again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from flinkjob.api.codec import parse_job
from flinkjob.api.program_spec import ScriptInit, SqlSpec
from flinkjob.core.actions import RecordRevision
from flinkjob.kube.client import KubeClient
from flinkjob.kube.errors import Forbidden
from flinkjob.runtime.faults import Faults
from flinkjob.runtime.records import keep_revision, prune_revisions, spec_in, spec_of
from tests.support.tables import table
from tests.unit.api import objects

UID = "u-1"
EXAMPLES = sorted((Path(__file__).parents[3] / "deploy/examples").glob("flinkjob-*.yaml"))


class Revisions:
    """What is needed of `KubeClient`."""

    def __init__(self, *names: str) -> None:
        self.names = list(names)
        self.bodies: list[dict[str, Any]] = []

    async def create_revision(self, body: Mapping[str, Any]) -> None:
        self.bodies.append(body)
        if body["metadata"]["name"] not in self.names:
            self.names.append(body["metadata"]["name"])

    async def list_revisions(self, namespace: str, label_selector: str) -> list[dict[str, Any]]:
        assert (namespace, label_selector) == ("shop", "flinkjob.dev/job=clicks")
        owner = [{"uid": UID}]
        found: list[dict[str, Any]] = [
            {"metadata": {"name": name, "ownerReferences": owner}, "revision": number}
            for number, name in enumerate(self.names)
        ]
        return [*found, {"metadata": {"name": "of-another", "ownerReferences": [{"uid": "u-2"}]}, "revision": 0}]

    async def delete_revision(self, namespace: str, name: str) -> bool:
        self.names.remove(name)
        return True


async def kept(before: list[str], keep: int, status: Mapping[str, Any], new: str = "new") -> list[str]:
    kube = Revisions(*before)
    job = parse_job(objects.job({}, dict(status), namespace="shop", name="clicks", uid=UID))
    assert job.status_error is None
    action = RecordRevision(name=new, number=len(before) + 1, keep=keep)
    await keep_revision(cast("KubeClient", kube), job, action)
    await prune_revisions(cast("KubeClient", kube), job, action, Faults())
    return kube.names


@table(
    ("before", "keep", "status", "after"),
    "all of them below the limit",
    (["a", "b"], 10, {}, ["a", "b", "new"]),
    "as many as the limit says",
    (["a", "b", "c"], 2, {}, ["c", "new"]),
    "the one that runs is among them",
    (["a", "b"], 1, {"healthyRevision": "b", "submission": {"revision": "b"}}, ["b", "new"]),
    "the healthy one and the one that runs are kept beyond the limit",
    (["a", "b"], 1, {"healthyRevision": "a", "submission": {"revision": "b"}}, ["a", "b", "new"]),
    "the healthy one is kept and an unused one goes",
    (["a", "b", "c"], 2, {"healthyRevision": "a", "submission": {"revision": "c"}}, ["a", "c", "new"]),
    "the one of a rollback is kept beyond the limit",
    (["a", "b"], 1, {"rollback": {"revision": "a"}, "submission": {"revision": "b"}}, ["a", "b", "new"]),
)
async def test_what_is_kept(before: list[str], keep: int, status: Mapping[str, Any], after: list[str]) -> None:
    assert await kept(before, keep, status) == after


async def test_nothing_is_listed_for_the_first_run() -> None:
    kube = Revisions()
    job = parse_job(objects.job({}, {}, namespace="elsewhere", name="first", uid=UID))
    action = RecordRevision(name="new", number=1, keep=3)
    await keep_revision(cast("KubeClient", kube), job, action)
    await prune_revisions(cast("KubeClient", kube), job, action, Faults())
    assert kube.names == ["new"]


async def test_where_none_can_be_deleted_they_stay_and_nothing_is_held_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(namespace: str, name: str) -> bool:
        raise Forbidden(403, "no")

    kube = Revisions("a", "b", "c")
    monkeypatch.setattr(kube, "delete_revision", refuse)
    job = parse_job(objects.job({}, {}, namespace="shop", name="clicks", uid=UID))
    await prune_revisions(cast("KubeClient", kube), job, RecordRevision(name="c", number=3, keep=1), Faults())
    assert kube.names == ["a", "b", "c"]


async def test_a_script_is_kept_with_its_texts_not_with_their_places() -> None:
    kube = Revisions()
    named = {"configMapKeyRef": {"name": "a", "key": "b"}}
    spec = {"cluster": {"url": "http://flink:8081"}, "sql": named | {"initFrom": [named]}}
    job = parse_job({"metadata": {"namespace": "shop", "name": "clicks", "uid": UID}, "spec": spec})
    script = SqlSpec(script="INSERT", init_from=(ScriptInit(script="CREATE"),))
    await keep_revision(cast("KubeClient", kube), job, RecordRevision(name="new", number=1, keep=3, sql=script))
    assert kube.bodies[0]["data"]["spec"] == spec | {"sql": {"script": "INSERT", "initFrom": [{"script": "CREATE"}]}}
    back = parse_job({"metadata": {}, "spec": kube.bodies[0]["data"]["spec"]}).spec
    assert back is not None
    assert back.sql == script


@pytest.mark.parametrize("name", [path.name for path in EXAMPLES])
def test_a_spec_is_kept_as_it_was_applied(name: str) -> None:
    """Also without what it leaves out: a default may be another one in a later version."""
    applied = next(
        each for each in yaml.safe_load_all((EXAMPLES[0].parent / name).read_text()) if each["kind"] == "FlinkJob"
    )
    job = parse_job(applied)
    assert spec_of(job) == applied["spec"]
    assert parse_job({"metadata": {}, "spec": spec_of(job)}).spec == job.spec


async def test_the_same_again() -> None:
    assert await kept(["a", "b"], 2, {}, new="b") == ["a", "b"]


@pytest.mark.invariant(12)
@pytest.mark.parametrize("data", [None, "text", 5, [], {}, {"spec": None}, {"spec": "text"}, {"spec": {"cluster": []}}])
def test_a_revision_that_somebody_wrote_holds_no_spec(data: Any) -> None:
    assert spec_in({"data": data}) is None


def test_a_revision_holds_the_spec_that_it_was_made_of() -> None:
    spec = {"cluster": {"url": "http://flink"}, "jar": {"uri": "https://jars/a.jar"}}
    job = parse_job({"metadata": {"namespace": "shop", "name": "clicks"}, "spec": spec})
    assert spec_in({"data": {"spec": spec_of(job)}}) == job.spec
