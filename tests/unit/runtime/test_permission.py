"""Nothing is asked of a cluster that a namespace may not speak to: the real observer and reconciler, and who was called."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from flinkjob.core.access.grants import StoreGrants
from flinkjob.core.access.hosts import HostRules
from flinkjob.core.errors import Rejected
from flinkjob.core.facts import (
    Checkpoints,
    Fact,
    Incarnation,
    OwnerMark,
    OwnerMarks,
    StateSizes,
    TaskSlots,
    VertexNames,
)
from flinkjob.core.flinkmodel import TriggerResult, TriggerState
from flinkjob.core.model import Observation
from flinkjob.core.seen import ClusterSeen
from flinkjob.observability.metrics import Metrics
from flinkjob.runtime.cache import ObjectCache
from flinkjob.runtime.clusters import Clusters
from flinkjob.runtime.configmaps import ConfigMaps
from flinkjob.runtime.copy_search import CopySearches
from flinkjob.runtime.copy_tasks import CopyTasks
from flinkjob.runtime.executor import Executor
from flinkjob.runtime.faults import Faults
from flinkjob.runtime.observer import Observer
from flinkjob.runtime.operator_variables import OperatorVariables
from flinkjob.runtime.pace import Pace
from flinkjob.runtime.reconciler import Reconciler
from flinkjob.runtime.services import SERVICE_SECONDS, Services
from flinkjob.runtime.storeaccess import StoreAccesses
from flinkjob.runtime.tasks import Tasks
from flinkjob.runtime.ticks import Ticks
from flinkjob.runtime.variables import VariableSources
from flinkjob.snapshots.listing import SnapshotLister
from tests.unit.api import objects
from tests.unit.runtime.conftest import World
from tests.unit.runtime.stubs import StubEvents, StubFlink, StubKube

KEY = ("default", "demo")
JOB_ID = "a" * 32
TAKEN = "s3://bucket/default/demo-1/u-1/1-savepoint-1/savepoint-1"
"""Where the operator takes a savepoint."""
FOREIGN = "http://flink.other.svc.cluster.local:8081"
OWN = "http://flink.default.svc:8081"
REFUSED = "Service other/flink does not allow namespace default"
WAYS: list[dict[str, Any]] = [
    {"url": FOREIGN},
    {"url": "http://flink.other.svc:8081"},
    {"serviceRef": {"name": "flink", "namespace": "other"}},
]


class Kube(StubKube):
    """With Services, by what they allow."""

    def __init__(self, log: list[str]) -> None:
        super().__init__(log)
        self.allows: str | None = None
        self.read = 0

    async def read_service(self, namespace: str, name: str) -> dict[str, Any] | None:
        self.read += 1
        if (namespace, name) != ("other", "flink") or self.allows is None:
            return None
        return {"metadata": {"annotations": {"flinkjob.dev/allow-from": self.allows}}}

    async def namespace_terminating(self, namespace: str) -> bool:
        return False

    async def get_revision(self, namespace: str, name: str) -> dict[str, Any] | None:
        return None


class Operator:
    """All of the operator but its watch and its queue."""

    def __init__(self, world: World, directory: Path) -> None:
        self.world = world
        self.flinks: dict[str, StubFlink] = {}
        self.kube = Kube([])
        self.cache = ObjectCache()
        self._versions = itertools.count(1, 100)
        world.run(self._make(directory))

    async def _make(self, directory: Path) -> None:
        kube: Any = self.kube
        events: Any = StubEvents(self.kube.log)
        nothing: Any = None
        self.clusters = Clusters(self._connect, Pace(), lambda _: None)
        tasks = Tasks(
            identity="default", clusters=self.clusters, builder=nothing, faults=Faults(), enqueue=lambda _: None, most=8
        )
        stores = StoreAccesses(reader=kube, grants=StoreGrants(), hosts=HostRules())
        self.observer = Observer(
            identity="default",
            clusters=self.clusters,
            tasks=tasks,
            kube=kube,
            snapshots=SnapshotLister(()),
            hosts=HostRules(),
            services=Services(kube, clock=self.world.now),
            copies=CopySearches(identity="default", stores=stores, enqueue=lambda _: None),
            config_maps=ConfigMaps(kube, self.cache.jobs, lambda _: None),
            variables=VariableSources(kube, OperatorVariables(kube, None)),
        )
        executor = Executor(
            identity="default",
            kube=kube,
            clusters=self.clusters,
            tasks=tasks,
            cache=self.cache,
            events=events,
            faults=Faults(),
        )
        self.reconciler = Reconciler(
            identity="default",
            cache=self.cache,
            observer=self.observer,
            executor=executor,
            clusters=self.clusters,
            tasks=tasks,
            copy_tasks=CopyTasks(identity="default", stores=stores, faults=Faults(), enqueue=lambda _: None),
            metrics=Metrics(CollectorRegistry()),
            ticks=Ticks(lambda _: None),
        )

    def _connect(self, url: str, access: object) -> Any:
        return self.flinks.setdefault(url, StubFlink())

    def put_job(self, spec: dict[str, Any], status: dict[str, Any] | None = None, **meta: Any) -> None:
        raw = objects.job(spec, status, resourceVersion=str(next(self._versions)), **meta)
        self.kube.objects[raw["metadata"]["name"]] = raw
        self.cache.put_job(raw)

    def put_savepoint(self, spec: dict[str, Any], status: dict[str, Any] | None = None, **meta: Any) -> None:
        raw = objects.savepoint(spec, status)
        raw["metadata"] |= {
            "resourceVersion": str(next(self._versions)),
            "creationTimestamp": "2026-01-01T00:00:00Z",
        } | meta
        if "target" in spec:
            del raw["spec"]["jobRef"]
        self.kube.objects["demo-1"] = raw
        self.cache.put_savepoint(raw)

    def work(self, key: tuple[str, str] = KEY, rounds: int = 4) -> None:
        """A few rounds, with time for whatever they begin."""
        for _ in range(rounds):
            self.world.run(self.reconciler.reconcile(key))
            self.world.pass_time(3)

    def called(self) -> set[str]:
        """The addresses at which anything was asked."""
        return {url for url, flink in self.flinks.items() if flink.calls}

    def status(self, name: str = "demo") -> dict[str, Any]:
        status = self.kube.objects[name].get("status") or {}
        assert isinstance(status, dict)
        return status

    def stalled(self) -> str:
        found = [one for one in self.status()["conditions"] if one["type"] == "Stalled" and one["status"] == "True"]
        return f"{found[0]['reason']}: {found[0]['message']}" if found else ""


@pytest.fixture
def operator(world: World, tmp_path: Path) -> Operator:
    return Operator(world, tmp_path)


@pytest.mark.isolation("service-of-another-namespace", "permission-taken-back")
@pytest.mark.parametrize("cluster", WAYS, ids=str)
def test_a_cluster_behind_another_namespaces_service(operator: Operator, cluster: dict[str, Any]) -> None:
    operator.put_job({"cluster": cluster})
    operator.work()
    assert operator.stalled().startswith(f"InvalidSpec: spec.cluster: {REFUSED}")
    assert operator.called() == set()
    assert operator.clusters.all() == ()
    operator.kube.allows = "default"
    operator.world.pass_time(SERVICE_SECONDS)
    operator.work()
    assert not operator.stalled()
    assert len(operator.called()) == 1
    operator.kube.allows = "somebody-else"
    operator.world.pass_time(SERVICE_SECONDS)
    operator.work(rounds=1)
    assert operator.clusters.all() == (), "a permission that is taken back ends the polling"
    assert operator.kube.read == 3


@pytest.mark.isolation("needs-no-permission")
def test_a_cluster_of_the_own_namespace_needs_no_permission(operator: Operator) -> None:
    operator.put_job({"cluster": {"url": OWN}})
    operator.work()
    assert operator.called() == {OWN}
    assert operator.kube.read == 0


RUNS = {
    "submission": {
        "number": 1,
        "reason": "Initial",
        "jobId": JOB_ID,
        "clusterUrl": FOREIGN,
        "seen": True,
        "artifactDigest": "d" * 64,
    }
}
ENDED = {"submission": RUNS["submission"] | {"end": {"result": "Failed", "time": "2026-01-01T00:00:00Z"}}}


@pytest.mark.isolation("permission-taken-back")
@pytest.mark.threat("foreign-service")
@pytest.mark.parametrize(
    ("spec", "status"),
    [
        ({"cluster": {"url": FOREIGN}}, RUNS),
        ({"cluster": {"url": FOREIGN}}, ENDED),
        ({"cluster": {"url": OWN}}, RUNS),
        ({"cluster": {"url": OWN}}, ENDED),
        ({"jar": "unreadable"}, RUNS | {"currentRevision": "demo-1"}),
        ({"jar": "unreadable"}, ENDED),
    ],
    ids=["runs there", "ended there", "moves away", "moved away", "unreadable and runs", "unreadable and ended"],
)
def test_a_deletion_asks_nothing_of_a_cluster_that_may_not_be_spoken_to_any_more(
    operator: Operator, spec: dict[str, Any], status: dict[str, Any]
) -> None:
    operator.put_job(
        spec,
        status,
        deletionTimestamp="2026-01-01T00:00:00Z",
        finalizers=["flinkjob.dev/job-cleanup"],
    )
    operator.work(rounds=12)
    assert operator.called() <= {OWN}
    assert operator.kube.objects["demo"]["metadata"]["finalizers"] == [], "it ends all the same"


@pytest.mark.isolation("refused-target")
@pytest.mark.parametrize("cluster", WAYS, ids=str)
def test_a_target_that_is_refused_is_not_asked(operator: Operator, cluster: dict[str, Any]) -> None:
    operator.put_savepoint({"target": {"cluster": cluster, "jobId": JOB_ID}})
    operator.work(("default", f"job:{JOB_ID}"))
    status = operator.status("demo-1")
    assert status["error"]["errorCode"] == "ClusterUnreachable"
    assert REFUSED in status["error"]["message"]
    assert operator.called() == set()
    assert operator.clusters.all() == ()


def being_deleted(operator: Operator) -> tuple[str, str]:
    """A FlinkSavepoint whose data cannot be disposed of yet, so that it has to do with its target for minutes."""
    operator.put_savepoint(
        {"target": {"cluster": {"url": FOREIGN}, "jobId": JOB_ID}, "deletion": {"policy": "Delete"}},
        {"phase": "Completed", "location": TAKEN, "jobId": JOB_ID, "clusterUrl": FOREIGN, "deleting": True},
        deletionTimestamp=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        finalizers=["flinkjob.dev/job-cleanup"],
    )
    return "default", f"job:{JOB_ID}"


@pytest.mark.isolation("refused-target")
def test_a_target_that_is_refused_is_not_polled_while_its_savepoint_is_deleted(operator: Operator) -> None:
    operator.work(being_deleted(operator))
    assert operator.kube.objects["demo-1"]["metadata"]["finalizers"], "it is not gone yet"
    assert operator.called() == set()
    assert operator.clusters.all() == ()


@pytest.mark.isolation("refused-target")
def test_a_target_is_not_polled_any_more_when_its_permission_is_taken_back(operator: Operator) -> None:
    operator.kube.allows = "default"
    key = being_deleted(operator)
    operator.work(key)
    assert [cluster.url for cluster in operator.clusters.all()] == [FOREIGN]
    operator.kube.allows = ""
    operator.world.pass_time(SERVICE_SECONDS)
    operator.work(key, rounds=1)
    assert operator.clusters.all() == ()


@pytest.mark.parametrize(
    "fact",
    [
        Checkpoints(JOB_ID),
        StateSizes(JOB_ID),
        VertexNames(JOB_ID),
        Incarnation(),
        TaskSlots(),
        OwnerMark(JOB_ID),
        OwnerMarks(),
    ],
)
def test_a_fact_is_not_asked_of_a_cluster_that_may_not_be_spoken_to(operator: Operator, fact: Fact[Any]) -> None:
    there = ClusterSeen(url=FOREIGN, reachable=True)
    observation = Observation(now=datetime.now(UTC), cluster=there, target=there)
    found = operator.world.run(operator.observer.fill(KEY, None, observation, fact))
    assert not found.cluster.reachable
    assert REFUSED in found.cluster.error
    assert found.answers.found == ()
    assert operator.called() == set()


@pytest.mark.parametrize(
    ("fact", "call"), [(StateSizes(JOB_ID), "newest_details"), (VertexNames(JOB_ID), "vertex_names")]
)
def test_a_decision_goes_on_without_what_it_can_do_without(operator: Operator, fact: Fact[Any], call: str) -> None:
    operator.put_job({"cluster": {"url": OWN}})
    operator.flinks[OWN] = flink = StubFlink()
    flink.errors = {call: Rejected(400, "no such thing"), "checkpoints": Rejected(400, "no such thing")}
    there = ClusterSeen(url=OWN, reachable=True)
    observation = Observation(now=datetime.now(UTC), cluster=there, target=there)
    operator.work(rounds=1)
    found = operator.world.run(operator.observer.fill(KEY, None, observation, fact))
    assert found.cluster.reachable
    assert found.need(fact) is None
    needed = operator.world.run(operator.observer.fill(KEY, None, observation, Checkpoints(JOB_ID)))
    assert not needed.cluster.reachable


@pytest.mark.isolation("forged-mark")
@pytest.mark.threat("foreign-service")
@pytest.mark.parametrize(
    "place", [FOREIGN, "http://flink.other.svc:8081", "http://169.254.169.254", "http://localhost"]
)
def test_a_forged_mark_does_not_choose_who_disposes_of_data(operator: Operator, place: str) -> None:
    mark = json.dumps({"clusterUrl": place, "location": TAKEN, "jobId": JOB_ID})
    operator.put_job({"cluster": {"url": OWN}}, name="beside")
    spec = {"deletion": {"policy": "Delete"}}
    meta = {"annotations": {"flinkjob.dev/result": mark}, "finalizers": ["flinkjob.dev/job-cleanup"]}
    operator.put_savepoint(spec, **meta)
    operator.work(rounds=1)
    assert operator.status("demo-1")["clusterUrl"] == place
    operator.put_savepoint(
        spec, operator.status("demo-1"), deletionTimestamp=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), **meta
    )
    operator.flinks[OWN] = flink = StubFlink()
    flink.results = [TriggerResult(state=TriggerState.COMPLETED)]
    operator.work()
    assert operator.called() == {OWN}
    assert "dispose" in flink.calls
