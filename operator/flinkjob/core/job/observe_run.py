"""What a round's observation teaches about the current run: seen, running, ended (and what it left), lost, forgotten.

Called first by the job decision. Invariants: not knowing is not a state of the job (an unreachable cluster teaches
nothing); absence teaches something only when Flink itself said "not found"; a run's end is latched together with the
state that it left, read after Flink's cache of the checkpoint statistics has expired.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from flinkjob.api.enums import OperationKind, RunResult, SavepointOrigin, SavepointPhase, SnapshotKind, SubmissionReason
from flinkjob.api.flinkjob_status import CheckpointInfo, Operation, SavepointInfo, Submission
from flinkjob.api.reasons import Reason
from flinkjob.core.facts import CheckpointSettings, OwnerMarks
from flinkjob.core.flinkmodel import CheckpointKind, CheckpointStats, FlinkJobState, JobOverview
from flinkjob.core.job import crash_loop, lost_run, main_failure
from flinkjob.core.job.draft import Draft, Halt, Step, is_stop
from flinkjob.core.job.run_end import end_by_state, wait_for_final_state
from flinkjob.core.requester import Requester
from flinkjob.core.seen import Presence
from flinkjob.core.units import readable_size

LOST_AFTER = 5.0
"""Seconds between two "not found" of one incarnation before a job counts as gone."""
FIRST_CHECKPOINT = (1.0, 300.0)
"""Seconds until a run is looked at again whose first checkpoint was not seen yet: a quarter of its age, within these."""


def observe_run(draft: Draft) -> Halt | None:
    """Fold the observation of the current submission's job, and its newest FlinkSavepoint, into the status."""
    _savepoints_seen(draft)
    back = _take_up_again(draft)
    run = draft.live_run
    halt = _look_at(draft, run) if run is not None else None
    main_failure.note(draft)
    return halt or back


def _look_at(draft: Draft, run: Submission) -> Halt | None:
    seen = draft.observation.job
    match seen.presence:
        case Presence.PRESENT:
            assert seen.overview is not None
            return _present(draft, run, seen.overview)
        case Presence.ABSENT:
            crash_loop.keep(draft, run)
            return _absent(draft, run)
        case Presence.UNKNOWN:
            crash_loop.keep(draft, run)
            return None


def _take_up_again(draft: Draft) -> Halt | None:
    """A run that counted as never started has started after all: it is the current run again."""
    last = draft.run
    if last is None or last.end is None or last.end.result is not RunResult.NEVER_STARTED:
        return None
    if any(job.job_id == last.job_id and not job.state.is_terminal for job in draft.observation.owned_jobs):
        draft.update(end=None, seen=True)
        text = f"job {last.job_id} has appeared after all"
        return draft.wait(Step.ADOPT, Reason.Adopted, text, requeue_after=0.05)
    return None


def _present(draft: Draft, run: Submission, overview: JobOverview) -> Halt | None:
    draft.see(overview)
    # A job that is being initialised shows no mark yet.
    if run.attempts > 0 and not run.running and not overview.state.is_beginning:
        _check_content(draft, run)
    if not run.seen:
        manager = draft.observation.cluster.incarnation or run.incarnation
        draft.update(seen=True, rejected=False, incarnation=manager)
    if not run.running and overview.state is FlinkJobState.RUNNING:
        # While its tasks come up: that they run is then said without a wait.
        draft.need(CheckpointSettings(run.flink_job_id))
    if overview.all_tasks_running and not run.running:
        _started(draft)
    if draft.observation.latest is not None:
        _checkpoint_seen(draft, draft.observation.latest)
    if run.running and run.started_time is not None and not lost_run.had_checkpoint(draft, run):
        age = (draft.now - run.started_time).total_seconds()
        draft.requeue_after(min(max(age / 4, FIRST_CHECKPOINT[0]), FIRST_CHECKPOINT[1]))
    if overview.state.is_terminal:
        return _terminal(draft, run, overview)
    crash_loop.note(draft, run, overview)
    return None


def _savepoints_seen(draft: Draft) -> None:
    """Note the newest completed savepoint, whoever asked for it."""
    known = draft.status.last_savepoint
    for savepoint in draft.given.savepoints:
        spec, location, time = savepoint.spec, savepoint.status.location, savepoint.status.end_time
        if savepoint.status.phase is not SavepointPhase.COMPLETED or spec is None or spec.is_checkpoint:
            continue
        if location is None or time is None:
            continue
        if known is None or known.time is None or (time > known.time and location != known.location):
            known = SavepointInfo(name=savepoint.meta.name, location=location, time=time)
    if known is not draft.status.last_savepoint:
        draft.status = replace(draft.status, last_savepoint=known)


def _checkpoint_seen(draft: Draft, stats: CheckpointStats) -> None:
    """Note the newest checkpoint, which only ticks, and goes along with a change."""
    newest = stats.newest_completed(CheckpointKind.CHECKPOINT)
    if newest is not None:
        info = CheckpointInfo(
            id=newest.checkpoint_id,
            location=newest.external_path,
            time=newest.latest_ack_time or newest.trigger_time,
            size=readable_size(newest.state_bytes) if newest.state_bytes is not None else None,
            duration_ms=newest.duration_ms,
            observed_time=draft.now - timedelta(seconds=draft.observation.latest_age),
        )
        draft.status = replace(draft.status, last_checkpoint=info)


def _check_content(draft: Draft, run: Submission) -> None:
    """After a repeated run call, which may have had another content, the job itself says what it is."""
    found = next((one for one in draft.need(OwnerMarks()) if one.overview.job_id == run.job_id), None)
    if found is None:
        return
    if found.mark is not None and found.mark.digest and found.mark.digest != run.run_digest:
        draft.update(run_digest=found.mark.digest)
    if found.mark is None and run.unanswered:
        draft.update(run_digest=None)  # its program has erased the mark, and which of the calls won is not known


def _started(draft: Draft) -> None:
    run = draft.run
    assert run is not None
    config = draft.need(CheckpointSettings(run.flink_job_id))  # by now, since nobody knows it when the job is gone
    kept = config.retained_on_cancellation if config is not None else None
    draft.update(running=True, started_time=draft.now, retains_checkpoints=kept)
    if crash_loop.of_run(draft, run) is None:
        draft.status = replace(draft.status, last_failure=None)
    if draft.status.job is not None and draft.status.job.restarts is None:
        draft.status = replace(draft.status, job=replace(draft.status.job, restarts=0))
    history = draft.status.history
    downtime = ""
    if history and history[0].ended is not None and history[0].number == run.number - 1:
        seconds = max((draft.now - history[0].ended).total_seconds(), 0.0)
        downtime = f"{seconds:.1f}s"
        draft.status = replace(draft.status, history=(replace(history[0], downtime=downtime), *history[1:]))
    source = f" from {run.restored_from}" if run.restored_from else ""
    match run.reason:
        case SubmissionReason.UPGRADE | SubmissionReason.MOVE:
            draft.event(Reason.Upgraded, f"run {run.number} is running{source} after {downtime or 'an unknown time'}")
        case _:
            draft.event(Reason.Running, f"run {run.number} is running{source}")


def _terminal(draft: Draft, run: Submission, overview: JobOverview) -> Halt | None:
    operation = draft.status.operation
    if is_stop(operation):
        return None  # the outcome of the stop decides
    deletes = operation if operation is not None and operation.by == Requester.DELETION else None
    if deletes is not None and overview.state is not FlinkJobState.FINISHED:
        draft.end_run(RunResult.CANCELLED, snapshot=None, kind=SnapshotKind.MISSING, time=overview.end_time)
        return None
    if (halt := wait_for_final_state(draft, run)) is not None:
        return halt
    end_by_state(draft, overview, cancelled_by_us=operation is not None and operation.kind is OperationKind.CANCEL)
    if deletes is not None:
        _record_what_is_left(draft, deletes)
    return None


def _record_what_is_left(draft: Draft, operation: Operation) -> None:
    """The stop before the cancel of a deletion was faster than that: its savepoint stays, and must be found."""
    end = draft.run.end if draft.run is not None else None
    if end is not None and end.snapshot_kind is SnapshotKind.SAVEPOINT and end.snapshot is not None:
        draft.record_savepoint(operation, end.snapshot, SavepointOrigin.DELETION)


def _absent(draft: Draft, run: Submission) -> Halt | None:
    cluster = draft.observation.cluster
    same = cluster.incarnation is not None and cluster.incarnation == run.incarnation
    if not run.seen and (same or cluster.high_availability):
        return None  # it may still appear, or its run call is repeated under the same id
    if cluster.incarnation is None:
        return None
    if draft.observation.job.absent_for < LOST_AFTER:
        remaining = LOST_AFTER - draft.observation.job.absent_for
        text = "the cluster does not know the job; asking again"
        return draft.wait(Step.CONFIRM, Reason.JobLost, text, requeue_after=remaining + 0.1)
    lost_run.end_lost_run(draft, run, forgotten=same or cluster.high_availability)
    return None
