"""When the savepoint of a stop takes too long, and what can be continued from without it.

Called by `stopping` while a stop is in progress, and by `running` before one. Invariant: Flink cannot abort a stop, so
nothing counts as too long before Flink itself would have given the savepoint up, at the job's own checkpoint timeout.
"""

from __future__ import annotations

from flinkjob.api.common import duration_seconds
from flinkjob.api.enums import Fallback
from flinkjob.api.flinkjob_status import Operation, Submission
from flinkjob.api.reasons import Reason
from flinkjob.core.facts import Checkpoints, CheckpointSettings
from flinkjob.core.flinkmodel import CheckpointConfig, FlinkJobState, RestoredCheckpoint, normalise_location
from flinkjob.core.job import crash_loop
from flinkjob.core.job.draft import Draft, Step
from flinkjob.core.requester import Requester

MARGIN = 60.0
"""Seconds on top of the job's checkpoint timeout within which Flink is trusted to end a savepoint that hangs."""
NOT_RUNNING_GRACE = 10.0
"""Seconds that a job may be short of running tasks before it counts as one of which no savepoint can be taken."""
LAST_STATE = "no savepoint can be taken; its newest retained checkpoint has the state"
_PAST_RECOVERY = (FlinkJobState.RUNNING, FlinkJobState.FAILING, FlinkJobState.RESTARTING)
FLINKS_TIMEOUT = 600.0
"""Flink's default of `execution.checkpointing.timeout`, in seconds: for a job whose own cannot be read."""


def time_is_up(draft: Draft, operation: Operation, run: Submission) -> bool:
    """Whether a stop by the FlinkJob itself is in progress for longer than its timeout allows."""
    wanted = timeout_of(draft, operation)
    if wanted is None or operation.since is None:
        return False
    passed = (draft.now - operation.since).total_seconds()
    allowed = duration_seconds(wanted)
    if passed < allowed:
        draft.requeue_after(allowed - passed + 0.1)
        return False
    config = _checkpointing(draft, run)
    own = config.timeout_ms / 1000 if config is not None and config.timeout_ms is not None else FLINKS_TIMEOUT
    return passed >= max(allowed, own + MARGIN)


def timeout_of(draft: Draft, operation: Operation) -> str | None:
    """The timeout of a stop; None where another one counts, of the deletion or of the FlinkSavepoint that asked for it."""
    if draft.spec is None:
        return None
    match operation.by:
        case Requester.UPGRADE | Requester.MOVE:
            return draft.spec.upgrade.timeout
        case Requester.SUSPEND | Requester.DRAIN:
            return draft.spec.savepoints.timeout
        case _:
            return None


def may_cancel_instead(draft: Draft, operation: Operation, run: Submission) -> bool:
    """Whether a stop that takes too long gives way to a cancel that loses no more than what came since a checkpoint."""
    if draft.spec is None or operation.by == Requester.DRAIN or draft.spec.upgrade.fallback is not Fallback.LAST_STATE:
        return False
    return has_last_state(draft, run)


def nothing_to_lose(draft: Draft, run: Submission) -> str:
    """Why a cancel loses nothing that a savepoint could keep; empty where it may lose something.

    While not all tasks run and nothing of this run has completed, Flink itself starts the tasks again from what the run
    was started from. A JobManager that has just taken over shows no statistics before it has restored, so a job that ran
    counts only once its state is past that.
    """
    if run.bounded:
        return "a bounded job has no state to continue from"
    overview = draft.observation.job.overview
    if overview is None or overview.all_tasks_running or (run.running and overview.state not in _PAST_RECOVERY):
        return ""
    stats = draft.need(Checkpoints(run.flink_job_id))
    if stats is None or stats.newest_completed() is not None or not _is_its_start(stats.restored, run):
        return ""
    if _may_lose_a_checkpoint(draft, run) and not (_is_in_a_loop(draft, run) or lacked_tasks(draft)):
        return ""
    return "its tasks do not all run and no checkpoint is complete, so the next run starts where this one started"


def _may_lose_a_checkpoint(draft: Draft, run: Submission) -> bool:
    """Whether a cancel would lose a checkpoint that completed after the statistics were read, since it is not retained.

    After a single failure that is likely enough to wait for the tasks; not where they fail again and again or stay away,
    and none has ever completed. Should one complete even then, the next run is not started, and the reason is reported.
    """
    config = _checkpointing(draft, run)
    return config is not None and config.interval_ms is not None and not config.retained_on_cancellation


def _is_in_a_loop(draft: Draft, run: Submission) -> bool:
    failure = crash_loop.of_run(draft, run)
    return failure is not None and failure.recovered_time is None and crash_loop.is_loop(failure)


def _is_its_start(restored: RestoredCheckpoint | None, run: Submission) -> bool:
    """Whether Flink has restored nothing else than what the run was started from."""
    if restored is None:
        return True
    place, start = restored.external_path, run.restored_from
    return place is not None and start is not None and normalise_location(place) == normalise_location(start)


def lacked_tasks(draft: Draft) -> bool:
    """Whether a stop has waited for all tasks to run for so long that no savepoint can be expected."""
    before = draft.given.job.status.plan
    if before is None or before.step != Step.STOP or before.reason != Reason.WaitingForTasks or before.since is None:
        return False
    return (draft.now - before.since).total_seconds() >= NOT_RUNNING_GRACE


def has_last_state(draft: Draft, run: Submission) -> bool:
    """Whether a cancel leaves a complete, retained checkpoint to start from.

    Where the newest one that is reported is discarded, a newer one of the running job has taken its place meanwhile.
    """
    config = _checkpointing(draft, run)
    stats = draft.need(Checkpoints(run.flink_job_id))
    newest = stats.newest_completed() if stats is not None else None
    stays = config is not None and config.retained_on_cancellation
    return stays and newest is not None and newest.external_path is not None


def _checkpointing(draft: Draft, run: Submission) -> CheckpointConfig | None:
    return draft.need(CheckpointSettings(run.flink_job_id))
