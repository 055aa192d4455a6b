"""Short builders of what decisions are given: a FlinkJob and FlinkSavepoints as the API server has them, what was observed.

Used by the tests of the core. A status is written in Python's names of its fields and goes through the codec, as in life.
`decide` answers every fact that the decision asks for from the observation that it was given, and says which were asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from flinkjob.api.codec import FlinkJob, FlinkSavepoint, dump_status, parse_job, parse_savepoint
from flinkjob.api.constants import FINALIZER
from flinkjob.api.enums import OperationKind, RunResult, SnapshotKind, SubmissionReason
from flinkjob.api.flinkjob_spec import FlinkJobSpec
from flinkjob.api.flinkjob_status import FlinkJobStatus, Operation, RunEnd, Submission
from flinkjob.api.flinksavepoint_status import FlinkSavepointStatus
from flinkjob.api.reasons import Reason
from flinkjob.core.actions import PostEvent
from flinkjob.core.facts import (
    Accessible,
    Alias,
    Artifact,
    Checkpoints,
    CheckpointSettings,
    ConfigMapTexts,
    Copy,
    Disposal,
    Fact,
    Failure,
    Incarnation,
    InUse,
    JobGraph,
    JobsOfNamespace,
    OwnerMark,
    OwnerMarks,
    RecordedElsewhere,
    Revision,
    RunningGraph,
    Snapshots,
    StateSizes,
    TaskSlots,
    Triggered,
    UnknownJobs,
    UnlistedJob,
    Variables,
    VertexNames,
)
from flinkjob.core.flinkmodel import (
    Checkpoint,
    CheckpointConfig,
    CheckpointDetails,
    CheckpointKind,
    CheckpointStats,
    CheckpointStatus,
    ClusterOverview,
    FlinkJobState,
    JobException,
    JobOverview,
    TaskCounts,
    TriggerResult,
    TriggerState,
)
from flinkjob.core.identity import Mark, Owner, attempt_directory, job_id, trigger_id
from flinkjob.core.job.decide import decide_job, digest_of_spec
from flinkjob.core.jobgraph import Topology, TopologyVertex
from flinkjob.core.model import JobDecision, JobInput, Observation, OperationOutcome, SavepointDecision, SavepointInput
from flinkjob.core.savepoint.decide import decide_savepoint
from flinkjob.core.seen import (
    ArtifactPhase,
    ArtifactSeen,
    ClusterSeen,
    CopyFound,
    DisposalSeen,
    JobGraphPhase,
    JobGraphSeen,
    JobSeen,
    Listing,
    MarkedJob,
    Presence,
    TextsSeen,
    VariablesSeen,
)

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
URL = "http://flink.example:8081"
NAMESPACE, NAME, UID, IDENTITY = "shop", "clicks", "u-1", "default"
OWNER = Owner(IDENTITY, NAMESPACE, NAME)
JAR = "a" * 64
SAVEPOINTS = "file:///savepoints"
CHECKPOINTS = "file:///checkpoints"

PLACES = tuple(f"/uploads/{number}_jar" for number in range(1, 11))
READY = ArtifactSeen(phase=ArtifactPhase.READY, digest=JAR, jar_id="1_jar", places=PLACES)
"""The jar is on the cluster."""


def ago(seconds: float) -> datetime:
    """So many seconds before now."""
    return NOW - timedelta(seconds=seconds)


def flink_id(number: int = 1, uid: str = UID) -> str:
    """The Flink job id of a run."""
    return job_id(OWNER, uid, number)


def spec(**fields: Any) -> dict[str, Any]:
    """The spec of a FlinkJob, by its names in YAML; without those fields that are None."""
    whole = {"cluster": {"url": URL}, "jar": {"uri": "https://jars.example/clicks.jar"}} | fields
    return {name: value for name, value in whole.items() if value is not None}


def digest(restarted_at: str | None = None, **fields: Any) -> str:
    """The run digest of `spec(**fields)`."""
    parsed = parse_job({"metadata": {}, "spec": spec(**fields)}).spec
    assert parsed is not None
    return digest_of_spec(parsed, restarted_at)


def run(number: int = 1, **fields: Any) -> Submission:
    """A submission whose job was seen with all tasks running; `fields` change it."""
    before = Submission(
        number=number,
        reason=SubmissionReason.INITIAL,
        job_id=flink_id(number),
        cluster_url=URL,
        incarnation="jm-1",
        revision=f"{NAME}-rev",
        run_digest=digest(),
        artifact_digest=JAR,
        jar_id="1_jar",
        intent_time=ago(3600),
        started_time=ago(3590),
        parallelism=1,
        seen=True,
        running=True,
        healthy=True,
    )
    return replace(before, **fields)


def unseen(**fields: Any) -> Submission:
    """A submission that was intended and never seen on the cluster."""
    return replace(run(seen=False, running=False, healthy=False, started_time=None, intent_time=ago(10)), **fields)


def ended(
    result: RunResult, snapshot: str | None = None, kind: SnapshotKind | None = None, **fields: Any
) -> Submission:
    """A submission whose end is latched."""
    kind = kind or (SnapshotKind.SAVEPOINT if snapshot else SnapshotKind.MISSING)
    message = fields.pop("message", None)
    end = RunEnd(
        result=result,
        time=fields.pop("at", ago(10)),
        snapshot=snapshot,
        snapshot_kind=kind,
        message=message,
        cause=fields.pop("cause", None),
    )
    return run(end=replace(end, released=fields.pop("released", False)), **fields)


def operation(kind: OperationKind = OperationKind.STOP, by: str = "Upgrade", **fields: Any) -> Operation:
    """The first operation on run 1."""
    stop = kind in (OperationKind.STOP, OperationKind.SAVEPOINT_AND_CANCEL)
    before = Operation(
        kind=kind,
        by=by,
        trigger_id=trigger_id(UID, 1, kind, 1) if stop else None,
        directory=directory(kind) if stop else None,
        submission=1,
        job_id=flink_id(),
        run_digest=digest(),
        since=ago(5),
        attempt=1,
    )
    return replace(before, **fields)


def directory(kind: str = "stop", number: int = 1, attempt: int = 1) -> str:
    """The directory of an attempt of an operation."""
    return attempt_directory(
        SAVEPOINTS, namespace=NAMESPACE, name=NAME, uid=UID, submission=number, kind=kind, attempt=attempt
    )


def job(
    wanted: dict[str, Any] | None = None, status: FlinkJobStatus | None = None, *, held: bool = True, **meta: Any
) -> FlinkJob:
    """A FlinkJob, its status read back as the API server returns it."""
    if held:
        meta.setdefault("finalizers", [FINALIZER])
    return parse_job(
        {
            "metadata": {"namespace": NAMESPACE, "name": NAME, "uid": UID, "generation": 3, "resourceVersion": "7"}
            | meta,
            "spec": spec() if wanted is None else wanted,
            "status": dump_status(status or FlinkJobStatus()),
        }
    )


RUNNING = FlinkJobStatus(submission=run())
"""The status of a job that runs."""


def deleted(seconds: float = 1.0, **meta: Any) -> dict[str, Any]:
    """The metadata of an object whose deletion was asked for so long ago."""
    return {"deletionTimestamp": ago(seconds).strftime("%Y-%m-%dT%H:%M:%SZ")} | meta


def savepoint(
    name: str = "sp",
    status: FlinkSavepointStatus | None = None,
    *,
    meta: dict[str, Any] | None = None,
    **fields: Any,
) -> FlinkSavepoint:
    """A FlinkSavepoint of the job; `fields` are of its spec, by their names in YAML."""
    return parse_savepoint(
        {
            "metadata": {"namespace": NAMESPACE, "name": name, "uid": f"u-{name}", "generation": 1} | (meta or {}),
            "spec": {"jobRef": {"name": NAME}} | fields,
            "status": dump_status(status or FlinkSavepointStatus()),
        }
    )


def overview(state: FlinkJobState = FlinkJobState.RUNNING, number: int = 1, **fields: Any) -> JobOverview:
    """A job in `/jobs/overview`, with two tasks that run while it is RUNNING."""
    running = 2 if state is FlinkJobState.RUNNING else 0
    tasks = TaskCounts(total=2, running=fields.pop("tasks", running))
    end = ago(10) if state.is_terminal else None
    before = JobOverview(
        job_id=flink_id(number), name=NAME, state=state, start_time=ago(3600), end_time=end, tasks=tasks
    )
    return replace(before, **fields)


def present(state: FlinkJobState = FlinkJobState.RUNNING, *, terminal_for: float = 60.0, **fields: Any) -> JobSeen:
    """The job of the current run is on the cluster."""
    return JobSeen(presence=Presence.PRESENT, overview=overview(state, **fields), terminal_for=terminal_for)


UNKNOWN = JobSeen(presence=Presence.UNKNOWN)
"""The question for the job was not answered."""


def absent(seconds: float = 60.0) -> JobSeen:
    """Flink does not know the job, and has not for so long."""
    return JobSeen(presence=Presence.ABSENT, absent_for=seconds)


def cluster(**fields: Any) -> ClusterSeen:
    """A cluster that answers."""
    before = ClusterSeen(
        url=URL,
        reachable=True,
        incarnation="jm-1",
        flink_version="2.3.0",
        savepoint_directory=SAVEPOINTS,
        checkpoint_directory=CHECKPOINTS,
        intercepts_exit=True,
        keeps_uploads=True,
    )
    return replace(before, **fields)


def silent(seconds: float = 0.0) -> ClusterSeen:
    """The cluster does not answer, and has not for so long."""
    return cluster(reachable=False, error="connection refused", unreachable_for=seconds)


def chk(
    number: int, kind: CheckpointKind = CheckpointKind.CHECKPOINT, path: str | None = None, **fields: Any
) -> Checkpoint:
    """A completed snapshot of run 1."""
    before = Checkpoint(
        checkpoint_id=number,
        status=CheckpointStatus.COMPLETED,
        kind=kind,
        external_path=path or f"{CHECKPOINTS}/{flink_id()}/chk-{number}",
        latest_ack_time=ago(20),
    )
    return replace(before, **fields)


def stats(*history: Checkpoint, **fields: Any) -> CheckpointStats:
    """Checkpoint statistics."""
    return CheckpointStats(completed=len(history), history=tuple(history), **fields)


def triggered(state: TriggerState, location: str | None = None, **fields: Any) -> TriggerResult:
    """What Flink says of a trigger."""
    return TriggerResult(state=state, location=location, **fields)


@dataclass(frozen=True, kw_only=True)
class World(Observation):
    """An observation, and what is answered when a decision asks: the same for each job and each place but where a mapping
    says otherwise."""

    checkpoints: CheckpointStats | None = field(default_factory=CheckpointStats)
    checkpoint_config: CheckpointConfig | None = None
    state_sizes: CheckpointDetails | None = None
    vertex_names: Mapping[str, str] | None = None
    trigger: TriggerResult | None = None
    artifact: ArtifactSeen = READY
    marked: tuple[MarkedJob, ...] = ()
    exception: JobException | None = None
    alias: bool = False
    revisions: Mapping[str, FlinkJobSpec | None] = field(default_factory=dict)
    job_graph: JobGraphSeen | None = None
    slots: ClusterOverview | None = None
    running_graph: Topology | None = None
    listings: Mapping[str, Listing] = field(default_factory=dict)
    disposal: DisposalSeen | None = None
    unlisted_job: str | None = None
    unknown_jobs: Mapping[str, Mark | None] | None = field(default_factory=dict)
    mark: Mark | None = None
    copy: CopyFound | None = None
    texts: TextsSeen = field(default_factory=TextsSeen)
    in_use: frozenset[str] = frozenset()
    variables: VariablesSeen = field(default_factory=VariablesSeen)

    def answering(self, fact: Fact[Any]) -> World:
        """With the answer to a question; a directory that is not listed cannot be read."""
        return replace(self, answers=self.answers.having(fact, self._answer(fact)))

    def _answer(self, fact: Fact[Any]) -> Any:
        match fact:
            case Snapshots(directory):
                return self.listings.get(directory, Listing(readable=False))
            case Revision(name):
                return self.revisions.get(name)
            case InUse(places):
                return places & self.in_use
            case RecordedElsewhere():
                return False
            case JobsOfNamespace():
                return ()
            case Accessible(addresses, most):
                return tuple(dict.fromkeys(one.url for one in addresses if one.url))[:most]
        return getattr(self, _ANSWERED_BY[type(fact)])


_ANSWERED_BY: Mapping[type[Fact[Any]], str] = {
    Alias: "alias",
    Artifact: "artifact",
    CheckpointSettings: "checkpoint_config",
    Checkpoints: "checkpoints",
    ConfigMapTexts: "texts",
    Copy: "copy",
    Disposal: "disposal",
    Failure: "exception",
    Incarnation: "target",
    JobGraph: "job_graph",
    OwnerMark: "mark",
    OwnerMarks: "marked",
    RunningGraph: "running_graph",
    StateSizes: "state_sizes",
    TaskSlots: "slots",
    Triggered: "trigger",
    UnknownJobs: "unknown_jobs",
    UnlistedJob: "unlisted_job",
    Variables: "variables",
    VertexNames: "vertex_names",
}


def seen(seen_job: JobSeen | None = None, **fields: Any) -> World:
    """An observation: one cluster that answers, and the job on it."""
    there = fields.pop("cluster", None) or cluster()
    fields.setdefault("target", there)
    fields.setdefault("job_graph", JobGraphSeen(phase=JobGraphPhase.COMPILED, topology=graph(3)))
    fields.setdefault("running_graph", graph(1))
    return World(now=fields.pop("now", NOW), cluster=there, job=seen_job or JobSeen(), **fields)


def graph(*numbers: int, **fields: Any) -> Topology:
    """A job graph of two vertices, with one parallelism for both or one for each."""
    first, second = numbers if len(numbers) == 2 else numbers * 2
    vertices = (
        TopologyVertex(vertex_id="v1", description="Source", parallelism=first),
        TopologyVertex(vertex_id="v2", description="count", parallelism=second, inputs=("0 v1 HASH",)),
    )
    return Topology(name=NAME, vertices=vertices, **{"elastic": True} | fields)


def given(about: FlinkJob, observation: Observation, **fields: Any) -> JobInput:
    """The input of a decision about a FlinkJob."""
    if "savepoints" in fields:
        fields["savepoints"] = tuple(fields["savepoints"])
    return JobInput(identity=IDENTITY, job=about, observation=observation, **fields)


def decide(about: FlinkJob, observation: World, asked: list[Fact[Any]] | None = None, **fields: Any) -> JobDecision:
    """Decide, answering what is asked for from the observation; a directory that it does not list cannot be read."""
    for _ in range(20):
        answer = decide_job(given(about, observation, **fields))
        if isinstance(answer, JobDecision):
            return answer
        if asked is not None:
            asked.append(answer)
        observation = observation.answering(answer)
    raise AssertionError("the decision asks without end")


def decide_sp(
    about: FlinkSavepoint,
    status: FlinkJobStatus | None = None,
    observation: World | None = None,
    *,
    owner: FlinkJob | None = None,
    outcome: OperationOutcome | None = None,
    without_job: bool = False,
    **fields: Any,
) -> SavepointDecision:
    """Decide about a FlinkSavepoint of a FlinkJob with this status."""
    observation = observation or seen(present())
    for _ in range(20):
        answer = decide_savepoint(
            SavepointInput(
                savepoint=about,
                job=None if without_job else owner or job(status=status),
                job_status=status or FlinkJobStatus(),
                observation=observation,
                outcome=outcome,
                identity=IDENTITY,
                **fields,
            )
        )
        if isinstance(answer, SavepointDecision):
            return answer
        observation = observation.answering(answer)
    raise AssertionError("the decision asks without end")


def acts(decision: JobDecision | SavepointDecision) -> list[str]:
    """The kinds of action, without what only tells."""
    return [type(action).__name__ for action in decision.actions if not isinstance(action, PostEvent)]


def told(decision: JobDecision | SavepointDecision) -> list[str]:
    """The reasons of the Events, without the advice on the cluster."""
    events = [action.reason for action in decision.actions if isinstance(action, PostEvent)]
    return [reason for reason in events if reason != Reason.ClusterUnsuitable]


def event_of(decision: JobDecision | SavepointDecision, reason: str) -> PostEvent:
    """The one Event with this reason."""
    (event,) = (action for action in decision.actions if isinstance(action, PostEvent) and action.reason == reason)
    return event


def plan_of(decision: JobDecision) -> tuple[str | None, str | None]:
    """Step and reason of the plan."""
    plan = decision.status.plan
    return (plan.step, plan.reason) if plan is not None else (None, None)


def error_of(decision: SavepointDecision) -> str | None:
    """The code of a FlinkSavepoint's error."""
    return decision.status.error.error_code if decision.status.error is not None else None


def conditions(decision: JobDecision | SavepointDecision) -> str:
    """What the conditions say, in words: `Ready, healthy` is a job that runs well, `Stalled, not synced` a copy that failed.

    First those of Ready, Reconciling and Stalled that are not False, then a FlinkJob's Healthy or a FlinkSavepoint's Synced.
    """
    states = {condition.type: condition.status for condition in decision.status.conditions}
    kstatus = {name: states[name] for name in ("Ready", "Reconciling", "Stalled")}
    said = [name if state == "True" else f"{name} unknown" for name, state in kstatus.items() if state != "False"]
    words = {
        "Healthy": {"True": "healthy", "False": "unhealthy", "Unknown": "health unknown"},
        "Synced": {"True": "synced", "False": "not synced"},
    }
    return ", ".join([" and ".join(said), *(words[name][states[name]] for name in words if name in states)])
