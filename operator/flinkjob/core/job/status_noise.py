"""Values that only tick are not worth a write: they go along with another change, or wait for a turn.

Called last by the job decision. What ticks is the newest checkpoint, when it was asked for, and how often Flink has restarted
the job. Invariant: when nothing else changed, and it is not this FlinkJob's turn (`runtime/ticks.py`), the status to write is
the one that is there, so an idle resource costs no PATCH. How far a run is that was intended a moment ago is not written
either: what follows in the next moment says it as well.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from flinkjob.api.codec import dump_status
from flinkjob.api.flinkjob_status import CheckpointInfo, FlinkJobStatus, Submission
from flinkjob.core.flinkmodel import FlinkJobState

TICK_SECONDS = 300.0
"""So many seconds after it was written a value that ticks is worth a turn."""
SAME_SECONDS = 3600.0
"""The same when the newest checkpoint is still the same one: what is written then is that it was asked for."""

BEGINNING_SECONDS = 3.0
"""For so long after its intent is not written how a run comes up, unless all its tasks run or something is wrong."""


def settled(before: FlinkJobStatus, after: FlinkJobStatus, *, may_tick: bool) -> FlinkJobStatus:
    """`after`, or `before` when they differ only in values that tick and it is not their turn."""
    if not _differ_only_in_ticks(before, after) or _is_first(before, after):
        return after
    return after if may_tick and ticked(before, after) else before


def begins(before: FlinkJobStatus, after: FlinkJobStatus, now: datetime) -> float | None:
    """In how many seconds it is worth a write that a run which was just intended is coming up; None: now.

    What is left out meanwhile is what the cluster shows again to whoever looks next: that it knows the job, the states of the
    job until its tasks run, and words. A job that has ended, and a repeated run call, are written at once.
    """
    run, next_run = before.submission, after.submission
    if run is None or next_run is None or run.intent_time is None or run.attempts:
        return None
    left = BEGINNING_SECONDS - (now - run.intent_time).total_seconds()
    job = after.job
    if left <= 0 or (job is not None and job.state is not None and FlinkJobState(job.state).is_terminal):
        return None
    return left if _without_words(before, run) == _without_words(after, replace(next_run, seen=run.seen)) else None


def ticked(before: FlinkJobStatus, after: FlinkJobStatus) -> bool:
    """Whether there is a newer checkpoint, or the same was asked for long after it was written."""
    known, new = before.last_checkpoint, after.last_checkpoint
    if new is None or known is None:
        return False
    if (known.id, known.location) != (new.id, new.location):
        return True
    asked, asked_before = new.observed_time, known.observed_time
    return asked is not None and (asked_before is None or asked - asked_before >= timedelta(seconds=SAME_SECONDS))


def tick_after(status: FlinkJobStatus, now: datetime) -> float | None:
    """In how many seconds what ticks in a status that is written is worth a turn; None when nothing ticks in it."""
    known = status.last_checkpoint
    if known is None or status.submission is None or status.submission.end is not None:
        return None
    if known.observed_time is None:
        return 0.0
    return max((known.observed_time - now).total_seconds() + TICK_SECONDS, 0.0)


def _is_first(before: FlinkJobStatus, after: FlinkJobStatus) -> bool:
    """Whether it is the first checkpoint of its run: that is no tick, it says later whether the run ever had one."""
    known, new = before.last_checkpoint, after.last_checkpoint
    return new is not None and (known is None or _run(known) != _run(new))


def _fails_again(status: FlinkJobStatus) -> bool:
    """Whether the job goes down and comes up again and again: how it is at the moment is no news then."""
    run, failure = status.submission, status.last_failure
    live = run is not None and run.end is None and failure is not None and failure.job_id == run.job_id
    return live and failure is not None and failure.recovered_time is None


def _run(checkpoint: CheckpointInfo) -> str:
    """The part of a checkpoint's location that all checkpoints of a run share."""
    return (checkpoint.location or "").rpartition("/")[0]


def _differ_only_in_ticks(before: FlinkJobStatus, after: FlinkJobStatus) -> bool:
    """Whether the same is written of both but for what ticks; the statuses are compared first, which takes a tenth of the
    time of comparing what is written."""
    one, other = _still(before), _still(after)
    return one == other or dump_status(one) == dump_status(other)


def _still(status: FlinkJobStatus) -> FlinkJobStatus:
    """The status without what ticks."""
    job = replace(status.job, observed_time=None, restarts=None) if status.job is not None else None
    if job is not None and _fails_again(status):
        job = replace(job, state=None, tasks_running=None, tasks_total=None)
    return replace(status, job=job, last_checkpoint=None)


def _without_words(status: FlinkJobStatus, run: Submission) -> FlinkJobStatus:
    """The status without the Flink job, its checkpoints and all messages; `run` in place of its submission."""
    return replace(
        status,
        submission=run,
        job=None,
        last_checkpoint=None,
        plan=replace(status.plan, message=None) if status.plan is not None else None,
        conditions=tuple(replace(each, message="") for each in status.conditions),
    )
