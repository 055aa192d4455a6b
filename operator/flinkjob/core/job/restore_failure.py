"""A run that cannot start from its snapshot, or fails before all its tasks run: whether it is tried again, and the next step.

Called where an end is latched (`run_end`), before a restart (`restart`), and while Flink starts the tasks of a live run over
and over (`running`). Invariants: what Flink says will not change on its own is not repeated; what may be over soon, such as a
store that does not answer, is tried again like any failure; a run whose tasks have all run once is none of these.
"""

from __future__ import annotations

from flinkjob.api.enums import EndCause, SubmissionReason
from flinkjob.api.flinkjob_spec import FlinkJobSpec
from flinkjob.api.flinkjob_status import RunEnd, Submission
from flinkjob.api.reasons import Reason
from flinkjob.core.errors import RestoreFailure, with_steps
from flinkjob.core.flinkmodel import FlinkJobState, JobException
from flinkjob.core.identity import digest_of_cause
from flinkjob.core.job import rollback
from flinkjob.core.job.draft import Draft, Halt, Step

LOOK_AGAIN = 5.0
"""Seconds after which a run is looked at again whose tasks Flink cannot start."""

_WORDS = {
    RestoreFailure.MISSING: "there is no complete snapshot",
    RestoreFailure.DAMAGED: "its _metadata cannot be read",
    RestoreFailure.FILES_GONE: "files that it refers to are gone",
    RestoreFailure.NOT_MAPPED: "it has state of operators that the program lacks",
    RestoreFailure.INCOMPATIBLE: "its state does not fit the program",
    RestoreFailure.OTHER_BACKEND: "it was made with another state backend",
    RestoreFailure.NO_FILE_SYSTEM: "the cluster has no file system for it",
    RestoreFailure.UNREACHABLE: "its store does not answer",
    RestoreFailure.OTHER: "Flink cannot restore it",
}
_CAUSES = {
    RestoreFailure.NOT_MAPPED: EndCause.STATE_NOT_MAPPED,
    RestoreFailure.INCOMPATIBLE: EndCause.STATE_INCOMPATIBLE,
    RestoreFailure.OTHER_BACKEND: EndCause.STATE_INCOMPATIBLE,
}
_LASTING = (EndCause.RESTORE_FAILED, EndCause.STATE_NOT_MAPPED, EndCause.STATE_INCOMPATIBLE)
_FITS_NOT = (EndCause.STATE_NOT_MAPPED, EndCause.STATE_INCOMPATIBLE)
_TRYING_AGAIN = (FlinkJobState.RESTARTING, FlinkJobState.FAILING)


def cause_of(run: Submission, exception: JobException) -> EndCause | None:
    """What the failure of a run means for the next one; None: nothing in particular."""
    if run.running:
        return None
    restore = exception.restore if run.restored_from is not None else None
    if restore is not None and restore.permanent:
        return _CAUSES.get(restore, EndCause.RESTORE_FAILED)
    if restore is RestoreFailure.OTHER or exception.not_initialized:
        return EndCause.NOT_STARTED
    return None


def message_of(run: Submission, exception: JobException) -> str:
    """Why a run failed: in words where its snapshot is the reason, then as Flink says it."""
    if run.running or run.restored_from is None or exception.restore is None:
        return exception.root_cause
    return f"{_WORDS[exception.restore]}: {exception.root_cause}"


def event_of(run: Submission, cause: EndCause | None, message: str) -> tuple[Reason, str]:
    """Reason and text of the Event about a run that failed."""
    if cause in _LASTING:
        return Reason.RestoreFailed, with_next_step(run, cause, message)
    return Reason.JobFailed, f"run {run.number} failed: {message or 'no cause given'}"


def with_next_step(run: Submission, cause: EndCause | None, message: str) -> str:
    """A message about a snapshot that a run cannot start from: why, and what a person can do.

    Flink repeats the whole path in most causes, so that its last part is enough before.
    """
    changed = run.reason not in (SubmissionReason.INITIAL, SubmissionReason.REDEPLOY)
    steps = []
    if cause in _FITS_NOT and changed:
        steps.append("revert the spec (the snapshot is kept)")
    if cause is EndCause.STATE_NOT_MAPPED:
        steps.append("set restore.allowNonRestoredState to leave state behind")
    steps.append("name another snapshot in initialState with a new nonce")
    where = run.restored_from or ""
    if where in message:
        where = where.rstrip("/").rpartition("/")[2]
    return with_steps(f"run {run.number} cannot start from {where}: {message}", ", or ".join(steps))


def halt_after_end(draft: Draft, spec: FlinkJobSpec, last: Submission, end: RunEnd) -> Halt | None:
    """Halt for good where another run would fail as the last one did."""
    message = end.message or ""
    if last.running or end.cause is None:
        return None
    if end.cause is EndCause.NOT_STARTED:
        before = draft.status.restart
        if before is None or before.submission == last.number or before.not_started is None:
            return None
        if before.not_started == digest_of_cause(message):
            why = f"run {last.number} failed before all its tasks ran, as the run before did: {message}"
            text = with_steps(why, "change the spec, restartNonce or initialState with a new nonce to try again")
            return draft.stall(Reason.RestoreFailed if last.restored_from else Reason.JobFailed, text)
        return None
    if last.restored_from is None or _allowed_by_now(spec, last, end):
        return None
    return draft.stall(Reason.RestoreFailed, with_next_step(last, end.cause, message))


def _allowed_by_now(spec: FlinkJobSpec, last: Submission, end: RunEnd) -> bool:
    """Whether a person lets the next run leave state behind, which the last one had to restore."""
    helps = end.cause in (EndCause.STATE_NOT_MAPPED, EndCause.RESTORE_FAILED)
    return helps and spec.restore.allow_non_restored_state and not last.allow_non_restored_state


def halt_while_live(draft: Draft, run: Submission) -> Halt | None:
    """Say that Flink starts the tasks of a run over and over, since its snapshot cannot be read.

    The job is left as it is: it runs as soon as Flink can read the snapshot, and is cancelled at once by a change.
    """
    if run.restored_from is None or run.running:
        return None
    before = draft.given.job.status.plan
    known = before is not None and before.step == Step.HOLD and before.reason == Reason.RestoreFailed
    overview = draft.observation.job.overview
    trying = overview is not None and overview.state in _TRYING_AGAIN
    failures = draft.observation.job.failures if trying else None
    if failures is None:
        said = before.message or "" if known and before is not None else None
        return draft.stall(Reason.RestoreFailed, said, requeue_after=LOOK_AGAIN) if said is not None else None
    cause = cause_of(run, failures.newest)
    if cause not in _LASTING:
        return None
    reason, message = event_of(run, cause, message_of(run, failures.newest))
    if rollback.may_take_back(draft, run):
        return rollback.take_back(draft, run, message)
    if not known:
        draft.event(reason, message, warning=True)
    return draft.stall(reason, message, requeue_after=LOOK_AGAIN)
