"""Objects of both kinds in every phase, as the operator's own decisions make them, with what GitOps tools shall say of each.

Used by the tests of this directory alone. A status comes from the decision for an observation, never from a hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from flinkjob.api.codec import dump_status
from flinkjob.api.constants import API_VERSION, FINALIZER
from flinkjob.api.enums import ConditionStatus, HoldReason, OperationKind, RunResult, SavepointPhase
from flinkjob.api.flinkjob_status import Condition, FlinkJobStatus, Hold
from flinkjob.api.flinksavepoint_status import FlinkSavepointStatus
from flinkjob.core.flinkmodel import FlinkJobState, TriggerState
from flinkjob.core.identity import digest_of
from flinkjob.core.seen import JobSeen
from tests.support.inputs import (
    NAME,
    NAMESPACE,
    NOW,
    RUNNING,
    UID,
    World,
    absent,
    ago,
    decide,
    decide_sp,
    deleted,
    digest,
    ended,
    flink_id,
    graph,
    job,
    operation,
    present,
    savepoint,
    seen,
    silent,
    spec,
    triggered,
    unseen,
)

Object = dict[str, Any]
GENERATION = 3
FOLLOWED: dict[str, Any] = {"trigger": triggered(TriggerState.IN_PROGRESS)}
HOLD = Hold(reason=HoldReason.FAILED, since=ago(5), run_digest=digest())

CURRENT, IN_PROGRESS, FAILED, TERMINATING = "Current", "InProgress", "Failed", "Terminating"


@dataclass(frozen=True)
class Case:
    """One object.

    Attributes:
        name: of the case; the phase, and what is special.
        kstatus: what kstatus shall compute.
        argo: the health that the Lua script shall give.
        flux: what healthCheckExprs shall give.
    """

    name: str
    body: Object
    kstatus: str
    argo: str
    flux: str

    @property
    def phase(self) -> str | None:
        """The phase in the object's status."""
        phase = self.body.get("status", {}).get("phase")
        return phase if isinstance(phase, str) else None


def _body(kind: str, name: str, wanted: Object, status: Object, generation: int, **meta: Any) -> Object:
    whole = {"namespace": NAMESPACE, "name": name, "uid": UID, "generation": generation, "finalizers": [FINALIZER]}
    return {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": whole | meta,
        "spec": wanted,
        "status": status,
    }


def _job(wanted: Object, status: FlinkJobStatus, observation: World, meta: Mapping[str, Any] | None = None) -> Object:
    decision = decide(job(wanted, status, **(meta or {})), observation)
    return _body("FlinkJob", NAME, wanted, dump_status(decision.status), GENERATION, **(meta or {}))


def _stopping(by: str, kind: OperationKind = OperationKind.STOP, **fields: Any) -> FlinkJobStatus:
    return replace(RUNNING, operation=operation(kind, by, **fields))


def _stopped(result: RunResult) -> FlinkJobStatus:
    return FlinkJobStatus(submission=ended(result, None if result is RunResult.CANCELLED else "file:/s"))


def jobs() -> list[Case]:
    """FlinkJobs in every phase."""
    well = seen(present())
    stop = seen(present(), **FOLLOWED)
    rescaled = _stopping("Scale", OperationKind.RESCALE, parallelism=2, numbers=digest_of(graph(2).numbers))
    new = _body("FlinkJob", NAME, spec(), {"observedGeneration": 0}, 1)
    unread = _job(spec(), RUNNING, well)
    unread["metadata"]["generation"] = GENERATION + 1
    rows: list[tuple[str, Object, str, str]] = [
        ("never looked at", new, IN_PROGRESS, "Progressing"),
        ("edited and not looked at", unread, IN_PROGRESS, "Progressing"),
        ("Pending", _job(spec(), FlinkJobStatus(), seen(cluster=silent(900))), IN_PROGRESS, "Progressing"),
        (
            "Submitting",
            _job(spec(), FlinkJobStatus(submission=unseen()), seen(absent(0.1))),
            IN_PROGRESS,
            "Progressing",
        ),
        ("Running", _job(spec(), RUNNING, well), CURRENT, "Healthy"),
        ("Running, bad spec", _job({"jar": {}}, RUNNING, well), FAILED, "Degraded"),
        ("Running, silent for 5 s", _job(spec(), RUNNING, seen(JobSeen(), cluster=silent(5))), CURRENT, "Healthy"),
        ("Unknown", _job(spec(), RUNNING, seen(JobSeen(), cluster=silent(61))), IN_PROGRESS, "Unknown"),
        ("Upgrading", _job(spec(), _stopping("Upgrade"), stop), IN_PROGRESS, "Progressing"),
        (
            "Rescaling",
            _job(spec(parallelism=2), rescaled, replace(well, running_graph=graph(2))),
            IN_PROGRESS,
            "Progressing",
        ),
        ("Moving", _job(spec(), _stopping("Move"), stop), IN_PROGRESS, "Progressing"),
        (
            "Suspending",
            _job(spec(state="Suspended"), _stopping("Suspend"), stop),
            IN_PROGRESS,
            "Progressing",
        ),
        ("Suspended", _job(spec(state="Suspended"), _stopped(RunResult.STOPPED), seen()), CURRENT, "Suspended"),
        (
            "Cancelling",
            _job(spec(state="Cancelled"), _stopping("Cancel", OperationKind.CANCEL), well),
            IN_PROGRESS,
            "Progressing",
        ),
        ("Cancelled", _job(spec(state="Cancelled"), _stopped(RunResult.CANCELLED), seen()), CURRENT, "Healthy"),
        ("Draining", _job(spec(state="Drained"), _stopping("Drain"), stop), IN_PROGRESS, "Progressing"),
        ("Drained", _job(spec(state="Drained"), _stopped(RunResult.DRAINED), seen()), CURRENT, "Healthy"),
        ("Restarting", _job(spec(), RUNNING, seen(present(FlinkJobState.RESTARTING))), IN_PROGRESS, "Progressing"),
        ("Finished", _job(spec(), FlinkJobStatus(submission=ended(RunResult.FINISHED)), seen()), CURRENT, "Healthy"),
        ("Failed", _job(spec(), replace(_stopped(RunResult.FAILED), hold=HOLD), seen()), FAILED, "Degraded"),
        ("Held", _job(spec(), replace(_stopped(RunResult.STOPPED), hold=HOLD), seen()), FAILED, "Degraded"),
        ("Deleting", _job(spec(), RUNNING, well, deleted()), TERMINATING, "Progressing"),
    ]
    return [_case(*row) for row in rows]


def savepoints() -> list[Case]:
    """FlinkSavepoints in every phase."""
    begun = FlinkSavepointStatus(
        phase=SavepointPhase.IN_PROGRESS,
        trigger_id="1" * 32,
        directory="file:///savepoints/sp",
        attempt=1,
        job_id=flink_id(),
        submission=1,
        start_time=ago(30),
        cluster_url="http://flink.example:8081",
    )
    done = triggered(TriggerState.COMPLETED, "file:///savepoints/sp/savepoint-1")
    rows: list[tuple[str, Object, str, str]] = [
        ("never looked at", _new_savepoint({"observedGeneration": 0}), IN_PROGRESS, "Progressing"),
        ("Pending", _savepoint(FlinkSavepointStatus(), seen(JobSeen()), FlinkJobStatus()), IN_PROGRESS, "Progressing"),
        ("InProgress", _savepoint(begun, seen(present(), **FOLLOWED)), IN_PROGRESS, "Progressing"),
        ("Syncing", _new_savepoint(dump_status(_syncing(begun))), IN_PROGRESS, "Progressing"),
        ("Completed", _savepoint(begun, seen(present(), trigger=done)), CURRENT, "Healthy"),
        ("Failed", _savepoint(FlinkSavepointStatus(), seen(), without_job=True, old=True), FAILED, "Degraded"),
        (
            "Completed, being deleted",
            _savepoint(begun, seen(present(), trigger=done)) | {},
            TERMINATING,
            "Progressing",
        ),
    ]
    rows[-1][1]["metadata"].update(deleted())
    return [_case(*row) for row in rows]


def _case(name: str, body: Object, kstatus: str, argo: str) -> Case:
    return Case(name, body, kstatus, argo, IN_PROGRESS if kstatus == TERMINATING else kstatus)


def _savepoint(
    status: FlinkSavepointStatus,
    observation: World,
    job_status: FlinkJobStatus = RUNNING,
    *,
    without_job: bool = False,
    old: bool = False,
) -> Object:
    meta = {"creationTimestamp": (ago(3600) if old else NOW).strftime("%Y-%m-%dT%H:%M:%SZ")}
    decision = decide_sp(savepoint(status=status, meta=meta), job_status, observation, without_job=without_job)
    return _new_savepoint(dump_status(decision.status))


def _new_savepoint(status: Object) -> Object:
    return _body("FlinkSavepoint", "sp", {"jobRef": {"name": NAME}}, status, 1)


def _syncing(begun: FlinkSavepointStatus) -> FlinkSavepointStatus:
    """Copied to a store: written down here as the conditions of everything that is in progress."""
    rows = (("Ready", ConditionStatus.FALSE), ("Reconciling", ConditionStatus.TRUE), ("Stalled", ConditionStatus.FALSE))
    conditions = tuple(
        Condition(type=kind, status=state, reason="InProgress", last_transition_time=NOW, observed_generation=1)
        for kind, state in rows
    )
    return replace(begun, phase=SavepointPhase.SYNCING, conditions=conditions, observed_generation=1)
