"""The client against a real API server, with the rights of the operator's own ServiceAccount."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
import yaml

from flinkjob.api.constants import FINALIZER
from flinkjob.kube.client import KubeClient
from flinkjob.kube.errors import Conflict, Gone, KubeRejected, KubeUnavailable, NamespaceTerminating
from flinkjob.kube.events import EventRecorder
from flinkjob.kube.kinds import Kind, ObjectRef
from tests.support.integration import ControlPlane, operator_kubeconfig

pytestmark = pytest.mark.kube

JOB = Kind.FLINK_JOB


@pytest.fixture
async def client(control_plane: ControlPlane) -> AsyncIterator[KubeClient]:
    async with await KubeClient.connect(operator_kubeconfig(control_plane)) as connected:
        yield connected


@pytest.fixture
def namespace(control_plane: ControlPlane) -> str:
    name = f"kube-{uuid.uuid4().hex[:8]}"
    control_plane.kubectl("create", "namespace", name)
    return name


@pytest.fixture
async def job(control_plane: ControlPlane, client: KubeClient, namespace: str) -> dict[str, Any]:
    """A FlinkJob `clicks` as the API server has it."""
    create_job(control_plane, namespace, "clicks")
    found = await client.get(JOB, namespace, "clicks")
    assert found
    return found


def create_job(control_plane: ControlPlane, namespace: str, name: str) -> None:
    body = {
        "apiVersion": "flinkjob.dev/v1alpha1",
        "kind": "FlinkJob",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"cluster": {"url": "http://flink:8081"}, "jar": {"uri": "https://jars.example/clicks.jar"}},
    }
    control_plane.kubectl("create", "-f", "-", stdin=yaml.safe_dump(body))


def version(obj: dict[str, Any]) -> str:
    return str(obj["metadata"]["resourceVersion"])


async def test_the_kinds_are_served(client: KubeClient) -> None:
    await client.crds_present()


@pytest.mark.fault("api-conflicts-and-trouble")
async def test_status_is_compare_and_set(client: KubeClient, job: dict[str, Any], namespace: str) -> None:
    written = await client.patch_status(
        JOB, namespace, "clicks", {"phase": "Running", "observedGeneration": 1}, version(job)
    )
    assert written["status"]["phase"] == "Running"
    assert written["metadata"]["generation"] == job["metadata"]["generation"]
    with pytest.raises(Conflict):
        await client.patch_status(JOB, namespace, "clicks", {"phase": "Failed"}, version(job))
    cleared = await client.patch_status(JOB, namespace, "clicks", {"phase": None}, version(written))
    assert cleared["status"] == {"observedGeneration": 1}


async def test_a_status_write_that_changes_nothing_changes_nothing(
    client: KubeClient, job: dict[str, Any], namespace: str
) -> None:
    written = await client.patch_status(JOB, namespace, "clicks", {"phase": "Running"}, version(job))
    again = await client.patch_status(JOB, namespace, "clicks", {"phase": "Running"}, version(written))
    assert version(again) == version(written)


async def test_an_object_created_again_is_another(
    control_plane: ControlPlane, client: KubeClient, job: dict[str, Any], namespace: str
) -> None:
    control_plane.kubectl("delete", "flinkjob", "clicks", "--namespace", namespace)
    with pytest.raises(Gone):
        await client.patch_status(JOB, namespace, "clicks", {"phase": "Running"}, version(job))
    create_job(control_plane, namespace, "clicks")
    with pytest.raises(Conflict):
        await client.patch_status(JOB, namespace, "clicks", {"phase": "Running"}, version(job))


async def test_a_status_that_the_schema_refuses(client: KubeClient, job: dict[str, Any], namespace: str) -> None:
    with pytest.raises(KubeRejected, match=r"status\.phase: Unsupported value") as caught:
        await client.patch_status(JOB, namespace, "clicks", {"phase": "Dancing"}, version(job))
    assert type(caught.value) is KubeRejected
    assert caught.value.permanent


async def test_the_finalizer_comes_and_goes(
    control_plane: ControlPlane, client: KubeClient, job: dict[str, Any], namespace: str
) -> None:
    held = await client.add_finalizer(JOB, namespace, "clicks", version(job), [])
    assert held["metadata"]["finalizers"] == [FINALIZER]
    with pytest.raises(Conflict):
        await client.add_finalizer(JOB, namespace, "clicks", version(job), [])
    assert version(await client.add_finalizer(JOB, namespace, "clicks", "1", [FINALIZER])) == version(held)
    with pytest.raises(Conflict):
        await client.remove_finalizer(JOB, namespace, "clicks", version(job), [FINALIZER])

    control_plane.kubectl("delete", "flinkjob", "clicks", "--namespace", namespace, "--wait=false")
    deleting = await client.get(JOB, namespace, "clicks")
    assert deleting
    assert "deletionTimestamp" in deleting["metadata"]
    await client.remove_finalizer(JOB, namespace, "clicks", version(deleting), [FINALIZER])
    assert await client.get(JOB, namespace, "clicks") is None
    assert await client.remove_finalizer(JOB, namespace, "clicks", version(deleting), [FINALIZER]) is None


async def test_other_finalizers_are_left_alone(
    control_plane: ControlPlane, client: KubeClient, job: dict[str, Any], namespace: str
) -> None:
    patch = '{"metadata":{"finalizers":["example.com/a"]}}'
    control_plane.kubectl("patch", "flinkjob", "clicks", "--namespace", namespace, "--type=merge", "-p", patch)
    seen = await client.get(JOB, namespace, "clicks")
    assert seen
    held = await client.add_finalizer(JOB, namespace, "clicks", version(seen), seen["metadata"]["finalizers"])
    both = held["metadata"]["finalizers"]
    assert both == ["example.com/a", FINALIZER]
    left = await client.remove_finalizer(JOB, namespace, "clicks", version(held), both)
    assert left
    assert left["metadata"]["finalizers"] == ["example.com/a"]

    control_plane.kubectl("delete", "flinkjob", "clicks", "--namespace", namespace, "--wait=false")
    deleting = await client.get(JOB, namespace, "clicks")
    assert deleting
    with pytest.raises(KubeRejected) as caught:
        await client.add_finalizer(JOB, namespace, "clicks", version(deleting), ["example.com/a"])
    assert not isinstance(caught.value, Conflict)
    control_plane.kubectl(
        "patch",
        "flinkjob",
        "clicks",
        "--namespace",
        namespace,
        "--type=merge",
        "-p",
        '{"metadata":{"finalizers":null}}',
    )


async def test_annotations(client: KubeClient, job: dict[str, Any], namespace: str) -> None:
    marked = await client.annotate(JOB, namespace, "clicks", {"flinkjob.dev/result": "{}"}, version(job))
    assert marked["metadata"]["annotations"] == {"flinkjob.dev/result": "{}"}
    with pytest.raises(Conflict):
        await client.annotate(JOB, namespace, "clicks", {"flinkjob.dev/result": None}, version(job))
    bare = await client.annotate(JOB, namespace, "clicks", {"flinkjob.dev/result": None})
    assert "annotations" not in bare["metadata"]


async def test_savepoints_are_created_once(client: KubeClient, job: dict[str, Any], namespace: str) -> None:
    body = {
        "apiVersion": "flinkjob.dev/v1alpha1",
        "kind": "FlinkSavepoint",
        "metadata": {"name": "clicks-1", "namespace": namespace},
        "spec": {"jobRef": {"name": "clicks"}},
    }
    first = await client.create_savepoint(body)
    assert (await client.create_savepoint(body))["metadata"]["uid"] == first["metadata"]["uid"]
    assert [item["metadata"]["name"] for item in await client.list_all(Kind.FLINK_SAVEPOINT, [namespace])] == [
        "clicks-1"
    ]
    assert not await client.delete_savepoint(namespace, "clicks-1", uid=str(uuid.uuid4()))
    assert await client.delete_savepoint(namespace, "clicks-1", uid=first["metadata"]["uid"])
    assert not await client.delete_savepoint(namespace, "clicks-1")


async def test_a_job_is_deleted_only_if_it_is_that_one(client: KubeClient, job: dict[str, Any], namespace: str) -> None:
    assert not await client.delete_job(namespace, "clicks", uid=str(uuid.uuid4()))
    assert await client.get(JOB, namespace, "clicks")
    assert await client.delete_job(namespace, "clicks", uid=job["metadata"]["uid"])
    assert await client.get(JOB, namespace, "clicks") is None
    assert not await client.delete_job(namespace, "clicks", uid=job["metadata"]["uid"])


async def test_revisions(client: KubeClient, job: dict[str, Any], namespace: str) -> None:
    body = {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": "clicks-0a1b",
            "namespace": namespace,
            "labels": {"flinkjob.dev/job": "clicks"},
            "ownerReferences": [
                {
                    "apiVersion": "flinkjob.dev/v1alpha1",
                    "kind": "FlinkJob",
                    "name": "clicks",
                    "uid": job["metadata"]["uid"],
                    "controller": True,
                }
            ],
        },
        "revision": 1,
        "data": {"spec": job["spec"]},
    }
    await client.create_revision(body)
    await client.create_revision(body)
    (found,) = await client.list_revisions(namespace, "flinkjob.dev/job=clicks")
    assert found["data"] == {"spec": job["spec"]}
    assert await client.list_revisions(namespace, "flinkjob.dev/job=other") == []
    one = await client.get_revision(namespace, "clicks-0a1b")
    assert one
    assert one["revision"] == 1
    assert await client.delete_revision(namespace, "clicks-0a1b")
    assert not await client.delete_revision(namespace, "clicks-0a1b")
    assert await client.get_revision(namespace, "clicks-0a1b") is None


async def test_lists_are_paged(
    control_plane: ControlPlane, client: KubeClient, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flinkjob.kube.pages.PAGE_SIZE", 2)
    for number in range(5):
        create_job(control_plane, namespace, f"job-{number}")
    names = [f"job-{number}" for number in range(5)]
    found = await client.list_all(JOB, [namespace])
    assert [item["metadata"]["name"] for item in found] == names
    assert {(item["kind"], item["apiVersion"]) for item in found} == {("FlinkJob", "flinkjob.dev/v1alpha1")}
    assert len(await client.list_all(JOB)) >= 5


async def test_events_appear_at_the_object(
    control_plane: ControlPlane, client: KubeClient, job: dict[str, Any], namespace: str
) -> None:
    async with EventRecorder(client, "flinkjob-operator", "test") as events:
        events.post(ObjectRef.of(job), reason="Submitted", message="job 0a1b, revision 1")
        events.post(ObjectRef.of(job), type="Warning", reason="JobFailed", message="x" * 4000)
    described = control_plane.kubectl("describe", "flinkjob", "clicks", "--namespace", namespace)
    assert "Submitted" in described
    assert "job 0a1b, revision 1" in described
    assert "JobFailed" in described


async def test_of_many_events_at_once_none_is_lost(
    control_plane: ControlPlane, client: KubeClient, namespace: str
) -> None:
    lost: list[None] = []
    said = {(f"job-{number}", reason) for number in range(400) for reason in ("Submitted", "Running", "Adopted")}
    async with EventRecorder(client, "flinkjob-operator", "test", dropped=lambda: lost.append(None)) as events:
        for name, reason in sorted(said):
            events.post(ObjectRef(kind="FlinkJob", namespace=namespace, name=name), reason=reason, message=reason)
        await events.flush()
    shown = control_plane.kubectl(
        "get",
        "events",
        "--namespace",
        namespace,
        "--output=jsonpath={range .items[*]}{.involvedObject.name} {.reason}{'\\n'}{end}",
    )
    assert {(name, reason) for name, reason in map(str.split, shown.splitlines())} == said
    assert not lost


async def test_a_dying_namespace(
    control_plane: ControlPlane,
    client: KubeClient,
    job: dict[str, Any],
    namespace: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert not await client.namespace_terminating(namespace)
    held = await client.add_finalizer(JOB, namespace, "clicks", version(job), [])
    control_plane.kubectl("delete", "namespace", namespace, "--wait=false")
    assert await client.namespace_terminating(namespace)
    with pytest.raises(NamespaceTerminating):
        await client.create_savepoint(
            {
                "apiVersion": "flinkjob.dev/v1alpha1",
                "kind": "FlinkSavepoint",
                "metadata": {"name": "late", "namespace": namespace},
                "spec": {"jobRef": {"name": "clicks"}},
            }
        )
    async with EventRecorder(client, "flinkjob-operator", "test") as events:
        events.post(ObjectRef.of(held), type="Warning", reason="LeftBehind", message="job 0a1b runs on")
    assert "LeftBehind: job 0a1b runs on" in caplog.text
    async with asyncio.timeout(180):
        while (seen := await client.get(JOB, namespace, "clicks")) and "deletionTimestamp" not in seen["metadata"]:
            await asyncio.sleep(0.05)
    assert seen
    await client.remove_finalizer(JOB, namespace, "clicks", version(seen), seen["metadata"]["finalizers"])
    assert await client.namespace_terminating(f"{namespace}-never-was")


@pytest.mark.fault("api-watch-or-etcd-stuck")
@pytest.mark.slow
async def test_an_outage(tmp_path_factory: pytest.TempPathFactory) -> None:
    with ControlPlane(tmp_path_factory.mktemp("outage")) as own:
        async with await KubeClient.connect(own.kubeconfig) as client:
            own.stop_apiserver()
            with pytest.raises(KubeUnavailable, match="the API server does not answer"):
                await client.get(JOB, "default", "clicks")
            asking = asyncio.create_task(asyncio.to_thread(own.start_apiserver))
            await asking
            assert not await client.namespace_terminating("default")
