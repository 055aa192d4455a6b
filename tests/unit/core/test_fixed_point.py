"""Deciding again from the decision's own status, under the same observation, changes nothing and does nothing anew.

What a decision may do again is what Flink makes harmless (a stop or savepoint under its own trigger id, a cancel, a rescale)
and what Kubernetes does (creating or deleting by name), while the answer to it is still outstanding.
"""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from flinkjob.api.codec import FlinkSavepoint, dump_status
from flinkjob.api.enums import (
    EndCause,
    HoldReason,
    MainFailure,
    OperationKind,
    Phase,
    RunResult,
    SavepointPhase,
    SnapshotKind,
    SubmissionReason,
)
from flinkjob.api.failure_status import FailureInfo, RestartInfo
from flinkjob.api.flinkjob_status import CheckpointInfo, FlinkJobStatus, Hold, PeriodicInfo, Plan
from flinkjob.api.flinksavepoint_status import FlinkSavepointStatus
from flinkjob.core.actions import ON_A_JOB
from flinkjob.core.errors import RestoreFailure, SubmitRejection
from flinkjob.core.flinkmodel import (
    CheckpointConfig,
    CheckpointDetails,
    CheckpointKind,
    FlinkJobState,
    JobException,
    TriggerState,
)
from flinkjob.core.identity import digest_of_cause
from flinkjob.core.jobfailures import JobFailures
from flinkjob.core.model import JobDecision
from flinkjob.core.progress import Progress
from flinkjob.core.seen import (
    ArtifactPhase,
    ArtifactSeen,
    FoundSnapshot,
    JobGraphPhase,
    JobGraphSeen,
    JobSeen,
    Listing,
    Presence,
    RunPhase,
    RunSeen,
    TextPlace,
    TextsSeen,
    VariablesSeen,
)
from tests.support.inputs import (
    CHECKPOINTS,
    NOW,
    READY,
    World,
    acts,
    ago,
    chk,
    cluster,
    decide,
    decide_sp,
    deleted,
    directory,
    ended,
    flink_id,
    graph,
    job,
    operation,
    overview,
    present,
    run,
    savepoint,
    seen,
    silent,
    spec,
    stats,
    told,
    triggered,
    unseen,
)

REPEATED = {"CancelJob", "StopJob", "TakeSavepoint", "TakeCheckpoint", "RescaleJob", "DeleteSavepoint", "MarkResult"}
"""What may be done again while its effect is not seen: the same call under the same id."""
LET_GO = {"AddFinalizer", "RemoveFinalizer", "DiscardArtifact", "DeleteObject"}
"""What is done by the same decision until the metadata show it, which a status does not."""
MOST_STEPS = 8
"""After so many rounds without anything new a decision must rest."""

PLACE = TextPlace("scripts", "main.sql")
SCRIPT = {"configMapKeyRef": {"name": PLACE.name, "key": PLACE.key}}
PYTHON = {"file": "main.sql", "files": [{"configMapRef": {"name": PLACE.name}}]}


def programmed(wanted: dict[str, Any]) -> dict[str, Any]:
    """The spec with a script or a Python program instead of the jar, where that was drawn."""
    match wanted.get("jar"):
        case {"configMapKeyRef": _} as script:
            return wanted | {"jar": None, "sql": script, "args": []}
        case {"file": _} as python:
            return wanted | {"jar": None, "python": python}
        case _:
            return wanted


specs = st.fixed_dictionaries(
    {},
    optional={
        "state": st.sampled_from(["Running", "Running", "Suspended", "Cancelled", "Drained"]),
        "args": st.sampled_from([[], ["new"], ["--topic=$(topic)"]]),
        "variables": st.sampled_from([{}, {"topic": "inline"}]),
        "variablesFrom": st.sampled_from([[], [{"secretRef": {"name": "s"}}]]),
        "jar": st.sampled_from(
            [{"uri": "https://jars.example/clicks.jar"}, {"uri": "https://jars.example/x.jar"}, SCRIPT, PYTHON]
        ),
        "parallelism": st.integers(1, 3),
        "cluster": st.sampled_from([{"url": "http://flink.example:8081"}, {"url": "http://elsewhere.example:8081"}]),
        "upgrade": st.fixed_dictionaries(
            {},
            optional={
                "strategy": st.sampled_from(["Savepoint", "LastState", "Stateless"]),
                "fallback": st.sampled_from(["LastState", "Wait", "Fail"]),
                "rollback": st.sampled_from([{"policy": "Enabled"}, {"policy": "Disabled"}]),
            },
        ),
        "restart": st.fixed_dictionaries(
            {},
            optional={
                "policy": st.sampled_from(["OnFailure", "Never"]),
                "maxAttempts": st.integers(1, 3),
                "onLost": st.sampled_from(["Restore", "Hold"]),
            },
        ),
        "restore": st.sampled_from([{}, {"onMissing": "Fresh"}, {"maxAge": "1m"}, {"allowNonRestoredState": True}]),
        "initialState": st.sampled_from([{}, {"nonce": 1}, {"strategy": "Custom", "location": "file:/c"}]),
        "savepoints": st.sampled_from([{}, {"interval": "1h"}, {"directory": "file:///own"}]),
        "deletion": st.sampled_from([{}, {"policy": "Cancel"}, {"policy": "Orphan"}]),
        "ttlSecondsAfterFinished": st.sampled_from([0, 3600]),
    },
).map(lambda wanted: programmed(wanted))

ends = st.builds(
    ended,
    st.sampled_from(RunResult),
    st.sampled_from([None, "file:/s"]),
    st.sampled_from([None, *SnapshotKind]),
    released=st.booleans(),
    rejected=st.booleans(),
    running=st.booleans(),
    cause=st.sampled_from([None, *EndCause]),
    message=st.sampled_from([None, "m"]),
    restored_from=st.sampled_from([None, "file:/r"]),
    main_failure=st.sampled_from([None, *MainFailure]),
)
runs = st.builds(
    run,
    restored_from=st.sampled_from([None, "file:/r"]),
    running=st.booleans(),
    healthy=st.booleans(),
    reason=st.sampled_from(SubmissionReason),
    main_failure=st.sampled_from([None, *MainFailure]),
    retains_checkpoints=st.sampled_from([None, True, False]),
    parallelism=st.sampled_from([1, 2, None]),
)
missing = st.builds(unseen, attempts=st.integers(0, 3), rejected=st.booleans(), unanswered=st.booleans())
submissions = st.one_of(st.none(), ends, runs, missing)
operations = st.one_of(
    st.none(),
    st.none(),
    st.builds(
        operation,
        st.sampled_from(
            [OperationKind.STOP, OperationKind.CANCEL, OperationKind.SAVEPOINT_AND_CANCEL, OperationKind.RESCALE]
        ),
        st.sampled_from(["Upgrade", "Suspend", "Deletion", "Move", "FlinkSavepoint/sp"]),
        parallelism=st.just(2),
    ),
)
holds = st.one_of(
    st.none(),
    st.none(),
    st.builds(lambda reason, by: Hold(reason=reason, by=by, since=ago(9)), st.sampled_from(HoldReason), st.just("sp")),
)
plans = st.one_of(
    st.none(),
    st.builds(
        lambda step, reason, attempts, left: Plan(
            step=step, reason=reason, attempts=attempts, since=ago(9), retry_time=left, message="m"
        ),
        st.sampled_from(["Stop", "Submit", "Fetch", "Hold", "Restart", "Preflight", "Connect"]),
        st.sampled_from(["BackOff", "RestoreFailed"]),
        st.integers(0, 4),
        st.sampled_from([None, ago(5), NOW + timedelta(seconds=30)]),
    ),
)
statuses = st.builds(
    FlinkJobStatus,
    submission=submissions,
    operation=operations,
    hold=holds,
    plan=plans,
    restart=st.one_of(
        st.none(),
        st.builds(
            RestartInfo,
            attempts=st.integers(1, 4),
            next_time=st.just(ago(3)),
            submission=st.sampled_from([None, 0, 1]),
            not_started=st.sampled_from([None, digest_of_cause("m"), digest_of_cause("other")]),
        ),
    ),
    last_checkpoint=st.sampled_from([None, CheckpointInfo(id=3, location=f"{CHECKPOINTS}/{flink_id()}/chk-3")]),
    healthy_revision=st.sampled_from([None, "clicks-good"]),
    phase=st.sampled_from([None, Phase.RUNNING, Phase.RESTARTING]),
    last_failure=st.sampled_from([None, FailureInfo(time=ago(30), job_id=flink_id(), recent=1)]),
    periodic=st.sampled_from([None, PeriodicInfo(last_time=ago(4000)), PeriodicInfo(last_time=ago(10))]),
)

FAILED_OFTEN = JobFailures(
    newest=JobException(time=ago(2), name="x.YException", root_cause="YException: boom", task="map (1/2)"),
    times=(ago(2), ago(20), ago(40)),
    restarts=3,
)
jobs_seen = st.one_of(
    st.builds(
        lambda state, failures, steady, short: replace(
            present(state), failures=failures, steady_for=steady, short_for=short
        ),
        st.sampled_from([FlinkJobState.RUNNING, FlinkJobState.RESTARTING, FlinkJobState.CREATED]),
        st.sampled_from([None, FAILED_OFTEN, replace(FAILED_OFTEN, times=(ago(2),))]),
        st.sampled_from([0.0, 60.0, 900.0]),
        st.sampled_from([0.0, 5.0, 900.0]),
    ),
    st.builds(
        present,
        st.sampled_from(FlinkJobState),
        terminal_for=st.sampled_from([0.0, 60.0]),
        scheduler_type=st.sampled_from([None, "Adaptive"]),
    ),
    st.builds(lambda seconds: JobSeen(presence=Presence.ABSENT, absent_for=seconds), st.sampled_from([0.0, 3.0, 60.0])),
    st.just(JobSeen(presence=Presence.UNKNOWN)),
)
histories = st.sampled_from(
    [
        (),
        (chk(3),),
        (chk(3, discarded=True),),
        (chk(9, CheckpointKind.SYNC_SAVEPOINT, f"{directory()}/savepoint-1"), chk(3)),
        (chk(4, CheckpointKind.SAVEPOINT, "file:/sp/4"),),
    ]
)
clusters = st.sampled_from(
    [cluster(), cluster(), cluster(incarnation="jm-2"), cluster(savepoint_directory=None), silent(5), silent(900)]
)


@st.composite
def observations(draw: st.DrawFn) -> World:
    there, own = draw(clusters), f"{CHECKPOINTS}/{flink_id()}"
    about = draw(jobs_seen)
    if not there.reachable:
        about = JobSeen()
    left = draw(st.sampled_from([Listing(readable=False), Listing(readable=True), _found(f"{own}/chk-3", 3)]))
    return seen(
        about,
        cluster=there,
        target=draw(st.sampled_from([there, replace(cluster(), url="http://elsewhere.example:8081")])),
        run=draw(
            st.builds(
                lambda phase, rejection: RunSeen(phase=phase, rejection=rejection, message="m"),
                st.sampled_from(RunPhase),
                st.sampled_from(SubmitRejection),
            )
        ),
        checkpoints=stats(*draw(histories)),
        checkpoint_config=draw(st.sampled_from([None, CheckpointConfig(retained_on_cancellation=True)])),
        trigger=draw(
            st.sampled_from([triggered(state, f"{directory()}/savepoint-1", failure="f") for state in TriggerState])
        ),
        artifact=draw(
            st.sampled_from(
                [
                    READY,
                    READY,
                    ArtifactSeen(phase=ArtifactPhase.WORKING),
                    ArtifactSeen(phase=ArtifactPhase.WORKING, progress=Progress(name="a", done=2**25, size=2**30)),
                    ArtifactSeen(phase=ArtifactPhase.FAILED),
                ]
            )
        ),
        exception=draw(
            st.one_of(
                st.none(),
                st.builds(
                    lambda restore, early: JobException(
                        time=ago(9), name="x", root_cause="m", restore=restore, not_initialized=early
                    ),
                    st.sampled_from([None, *RestoreFailure]),
                    st.booleans(),
                ),
            )
        ),
        job_graph=JobGraphSeen(
            phase=draw(st.sampled_from(JobGraphPhase)), message="m", topology=draw(st.sampled_from([None, graph(1)]))
        ),
        state_sizes=draw(st.sampled_from([None, CheckpointDetails(vertex_bytes={"v1": 5, "old": 5})])),
        vertex_names=draw(st.sampled_from([None, {"v1": "Source", "old": "count"}])),
        owned_jobs=draw(st.sampled_from([(), (overview(),), (overview(number=2),)])),
        alias=draw(st.booleans()),
        texts=draw(st.sampled_from([TextsSeen(texts={PLACE: "INSERT 1"}), TextsSeen(problem="p")])),
        variables=draw(
            st.sampled_from(
                [
                    VariablesSeen(values={"topic": "clicks"}),
                    VariablesSeen(problem="p"),
                ]
            )
        ),
        revisions=draw(st.sampled_from([{}, dict.fromkeys(["clicks-rev"], job().spec)])),
        listings={own: left, directory(): draw(st.sampled_from([left, Listing(readable=True)]))},
        deleting_for=draw(st.sampled_from([1.0, 900.0])),
    )


def _found(location: str, number: int) -> Listing:
    return Listing(readable=True, found=(FoundSnapshot(location=location, number=number, time=ago(30)),))


metas = st.sampled_from([{}, {}, {}, deleted(5), deleted(3600)])
waiting = st.sampled_from(
    [
        (),
        (savepoint(mode="Stop", status=FlinkSavepointStatus(phase=SavepointPhase.PENDING)),),
        (savepoint(status=FlinkSavepointStatus(phase=SavepointPhase.IN_PROGRESS, job_id=flink_id())),),
        (
            savepoint(
                status=FlinkSavepointStatus(
                    phase=SavepointPhase.COMPLETED, location="file:/sp/x", job_id=flink_id(), end_time=ago(60)
                )
            ),
        ),
    ]
)


def _written(decision: JobDecision) -> dict[str, Any]:
    return dump_status(decision.status)


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(specs, statuses, observations(), metas, waiting)
def test_a_decision_comes_to_rest(
    wanted: dict[str, Any],
    status: FlinkJobStatus,
    observation: World,
    meta: dict[str, Any],
    known: tuple[FlinkSavepoint, ...],
) -> None:
    """Under an observation that stays the same it ends after a few steps in a status that it gives back unchanged."""
    about = job(spec(**wanted), status, **meta)
    for _ in range(MOST_STEPS):
        decision = decide(about, observation, savepoints=known)
        _sane(decision)
        if "RunJob" in acts(decision):
            assume(False)  # what is seen of the old run says nothing about the new one
        if _written(decision) == dump_status(about.status):
            again = decide(about, observation, savepoints=known)
            assert _written(again) == dump_status(about.status)
            assert set(acts(again)) - REPEATED - LET_GO == set()
            assert told(again) == [] or "RemoveFinalizer" in acts(again)
            return
        about = job(spec(**wanted), decision.status, **meta)
        observation = _next(observation, decision)
    raise AssertionError(f"still changing after {MOST_STEPS} rounds: {about.status}")


def _next(observation: World, decision: JobDecision) -> World:
    """The same observation, without what only belongs to a run that has ended by this decision."""
    submission = decision.status.submission
    if submission is None or submission.end is not None or submission.job_id != flink_id():
        return replace(observation, job=JobSeen(), run=RunSeen())
    return observation


def _sane(decision: JobDecision) -> None:
    on_jobs = [action.job_id for action in decision.actions if isinstance(action, ON_A_JOB)]
    assert len(on_jobs) == len(set(on_jobs)), "one effect on a job in a round"
    status = {condition.type: condition.status for condition in decision.status.conditions}
    assert set(status) == {"Ready", "Reconciling", "Stalled", "Healthy", "ClusterReachable", "ClusterSuitable"}
    assert not (status["Reconciling"] == status["Stalled"] == "True")
    assert status["Ready"] != "True" or (status["Reconciling"] == status["Stalled"] == "False")
    assert decision.status.observed_generation == 3
    assert decision.status.phase is not None
    if status["Stalled"] == "True":
        assert decision.status.plan is not None
        assert decision.status.plan.message is not None


savepoint_statuses = st.builds(
    FlinkSavepointStatus,
    phase=st.sampled_from([None, *(phase for phase in SavepointPhase if phase is not SavepointPhase.SYNCING)]),
    trigger_id=st.sampled_from([None, "t"]),
    directory=st.just(directory("savepoint")),
    job_id=st.just(flink_id()),
    location=st.sampled_from([None, "file:/sp/4"]),
    start_time=st.sampled_from([None, ago(5), ago(3600)]),
    end_time=st.sampled_from([None, ago(5), ago(3600)]),
    retry_time=st.sampled_from([None, ago(5), NOW + timedelta(seconds=9)]),
    deleting=st.booleans(),
    failures=st.integers(0, 4),
    attempt=st.integers(0, 2),
)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(
    st.sampled_from(
        [{}, {"mode": "Stop"}, {"mode": "Cancel"}, {"type": "Checkpoint"}, {"deletion": {"policy": "Delete"}}]
    ),
    savepoint_statuses,
    statuses,
    observations(),
)
def test_a_flinksavepoint_comes_to_rest(
    fields: dict[str, Any], status: FlinkSavepointStatus, owner: FlinkJobStatus, observation: World
) -> None:
    meta = {"annotations": {"flinkjob.dev/result": '{"location": "file:/sp/4"}'}}
    meta = meta if status.phase is SavepointPhase.COMPLETED else {}
    about = savepoint(status=status, meta=meta, **fields)
    for _ in range(MOST_STEPS):
        decision = decide_sp(about, owner, observation)
        if dump_status(decision.status) == dump_status(about.status):
            assert set(acts(decision)) - REPEATED - LET_GO == set()
            assert told(decision) == []
            return
        about = savepoint(status=decision.status, meta=meta, **fields)
    raise AssertionError(f"still changing: {about.status}")
