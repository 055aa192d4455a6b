"""When the savepoint of a stop takes too long, and what can be continued from without it.

Called by `stopping` while a stop is in progress, and by `running` before one. Invariant: Flink cannot abort a stop, so
nothing counts as too long before Flink itself would have given the savepoint up, at the job's own checkpoint timeout.
"""

from __future__ import annotations

from flinkjob.api.common import duration_seconds
from flinkjob.api.enums import Fallback
from flinkjob.api.flinkjob_status import Operation, Submission
from flinkjob.core.flinkmodel import CheckpointConfig
from flinkjob.core.job.draft import Draft
from flinkjob.core.model import Fact
from flinkjob.core.requester import Requester

MARGIN = 60.0
"""Seconds on top of the job's checkpoint timeout within which Flink is trusted to end a savepoint that hangs."""
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


def has_last_state(draft: Draft, run: Submission) -> bool:
    """Whether a cancel leaves a complete, retained checkpoint to start from.

    Where the newest one that is told of is discarded, a newer one of the running job has taken its place meanwhile.
    """
    assert run.job_id is not None
    config = _checkpointing(draft, run)
    stats = draft.need_checkpoints(run.job_id)
    newest = stats.newest_completed() if stats is not None else None
    stays = config is not None and config.retained_on_cancellation
    return stays and newest is not None and newest.external_path is not None


def _checkpointing(draft: Draft, run: Submission) -> CheckpointConfig | None:
    draft.need(Fact.CHECKPOINT_CONFIG, run.job_id)
    return draft.observation.checkpoint_config
