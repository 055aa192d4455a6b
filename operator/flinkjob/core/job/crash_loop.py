"""A run that Flink itself restarts: what failed, how often, and from when on it counts as running well again.

Called by `observe_run`; `conditions` says what is found. Invariants: a job that crashes does not count as well between two
crashes; while it fails again and again from one cause, its status changes at most once a minute; each cause has one Event
until the job has run well. Flink's times are compared with each other only, never with the operator's clock.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

from flinkjob.api.enums import Phase
from flinkjob.api.failure_status import FailureInfo
from flinkjob.api.flinkjob_status import Submission
from flinkjob.api.reasons import Reason
from flinkjob.core.errors import one_line
from flinkjob.core.flinkmodel import JobException, JobOverview
from flinkjob.core.identity import digest_of_cause
from flinkjob.core.job.draft import Draft
from flinkjob.core.job.slots import failed_for_slots
from flinkjob.core.jobfailures import JobFailures

WINDOW = timedelta(minutes=10)
"""Failures within so long of each other count together."""
OFTEN = 3
"""So many of them are a crash loop."""
SETTLED = 10.0
"""Seconds of steady running after which a job counts as well again after a restart by Flink."""
WELL = 120.0
"""The same after a crash loop."""
TICK = timedelta(seconds=60)
"""So long after the failure that a status holds, a further one from the same cause is worth a write."""
MOST_CAUSES = 6
"""After so many causes no further one has an Event of its own."""

_EXECUTION = re.compile(r" - execution #\d+$")


def note(draft: Draft, run: Submission, overview: JobOverview) -> None:
    """Fold what Flink says of failures into the status, and note whether the job has yet to run well again."""
    failures, known = draft.observation.job.failures, of_run(draft, run)
    if failed_for_slots(draft.observation.job):
        failures = None
        if not overview.all_tasks_running:
            draft.recovering = run.running
            return  # it waits, and `slots` says for what
    newest = _newest(draft, known, failures) if failures is not None else known
    if newest is None or newest.recovered_time is not None:  # what restarted it now may not have been read yet
        draft.recovering = _was_restarting(draft, run) and not _is_well(draft, overview, SETTLED)
        return
    if newest is not known and _worth_a_write(known, newest):
        _fail(draft, known, newest)
    draft.recovering = not _is_well(draft, overview, WELL if is_loop(newest) else SETTLED)
    if not draft.recovering:
        _recover(draft, run, newest)


def keep(draft: Draft, run: Submission) -> None:
    """Where the job cannot be looked at: it is as well as it was."""
    known = of_run(draft, run)
    unwell = known is not None and known.recovered_time is None
    draft.recovering = unwell or _was_restarting(draft, run)


def of_run(draft: Draft, run: Submission) -> FailureInfo | None:
    """The newest failure that the status holds of this very run's job."""
    known = draft.status.last_failure
    return known if known is not None and known.job_id is not None and known.job_id == run.job_id else None


def is_loop(failure: FailureInfo) -> bool:
    """Whether a job fails so often that it is no accident."""
    return failure.recent >= OFTEN


def explain(draft: Draft, run: Submission) -> tuple[Reason, str] | None:
    """Why a run is not well, in one word and in a line for people; None where no failure of it is known."""
    known = of_run(draft, run)
    if known is None or known.recovered_time is not None:
        return None
    cause = describe(known)
    if is_loop(known):
        text = (
            f"fails again and again, and Flink restarts it; Ready again after {WELL:.0f} s without a failure: {cause}"
        )
        return Reason.CrashLooping, one_line(text)
    return Reason.Restarting, one_line(f"Flink restarts it after a failure: {cause}")


def describe(failure: FailureInfo) -> str:
    """What failed and where, in one line."""
    places = [failure.task, f"on {failure.task_manager}" if failure.task_manager else None]
    where = " ".join(place for place in places if place)
    return f"{failure.root_cause} ({where})" if where else failure.root_cause or ""


def failure_of(draft: Draft, run: Submission, exception: JobException) -> FailureInfo:
    """An exception as the status has it."""
    return FailureInfo(
        time=exception.time or draft.now,
        job_id=run.job_id,
        exception=exception.name[:256],
        root_cause=exception.root_cause,
        task=_EXECUTION.sub("", exception.task[:256]) if exception.task else None,
        task_manager=exception.taskmanager[:256] if exception.taskmanager else None,
    )


def _newest(draft: Draft, known: FailureInfo | None, failures: JobFailures) -> FailureInfo | None:
    """The newest failure: the one that is known, or another one that is counted together with those around it."""
    assert draft.run is not None
    times = failures.times
    if known is not None and known.time is not None and times[0] <= known.time:
        return known
    found = failure_of(draft, draft.run, failures.newest)
    episode = known is not None and known.recovered_time is None
    return replace(
        found,
        recent=sum(times[0] - each <= WINDOW for each in times),
        causes=known.causes if known is not None and episode else (),
    )


def _worth_a_write(known: FailureInfo | None, newest: FailureInfo) -> bool:
    if known is None or known.recovered_time is not None or known.time is None or newest.time is None:
        return True
    if is_loop(newest) and not is_loop(known):
        return True
    return _is_new(newest) is not None or newest.time - known.time >= TICK


def _fail(draft: Draft, known: FailureInfo | None, newest: FailureInfo) -> None:
    """Put another failure into the status and report it where it is news."""
    if (news := _is_new(newest)) is not None:
        newest = replace(newest, causes=(*newest.causes, news))
        draft.event(Reason.Restarting, f"Flink restarts the job after a failure: {describe(newest)}", warning=True)
    before = known is not None and known.recovered_time is None and is_loop(known)
    if is_loop(newest) and not before:
        text = f"failed {newest.recent} times within {WINDOW.total_seconds() / 60:.0f} minutes: {describe(newest)}"
        draft.event(Reason.CrashLooping, text, warning=True)
    _put(draft, known, newest)


def _put(draft: Draft, known: FailureInfo | None, newest: FailureInfo) -> None:
    """Failure and number of restarts are put down together: the next count begins with the failures after this one."""
    failures, job = draft.observation.job.failures, draft.status.job
    draft.status = replace(draft.status, last_failure=newest)
    if job is None or failures is None:
        return
    since = known.time if known is not None else None
    more = sum(since is None or each > since for each in failures.times)
    restarts = max((job.restarts or 0) + more, failures.restarts or 0)
    draft.status = replace(draft.status, job=replace(job, restarts=restarts))


def _recover(draft: Draft, run: Submission, newest: FailureInfo) -> None:
    _put(draft, of_run(draft, run), replace(newest, recovered_time=draft.now))
    restarts = draft.status.job.restarts if draft.status.job is not None else None
    draft.event(
        Reason.Running, f"run {run.number} runs well again; Flink has restarted it {restarts or 0} times so far"
    )


def _is_new(failure: FailureInfo) -> str | None:
    """The digest of a cause that had no Event yet; None where it had, or where there were too many."""
    digest = digest_of_cause(f"{failure.exception} {failure.root_cause}")[:8]
    return digest if digest not in failure.causes and len(failure.causes) < MOST_CAUSES else None


def _is_well(draft: Draft, overview: JobOverview, seconds: float) -> bool:
    """Whether all tasks have run steadily for so long; where not yet, the job is looked at again then."""
    if not overview.all_tasks_running:
        return False
    remaining = seconds - draft.observation.job.steady_for
    if remaining <= 0:
        return True
    draft.requeue_after(remaining + 0.1)
    return False


def _was_restarting(draft: Draft, run: Submission) -> bool:
    """Whether the status says that a run, after it ran, lacks tasks."""
    before = draft.given.job.status
    same = before.submission is not None and before.submission.number == run.number and before.submission.running
    return same and before.phase is Phase.RESTARTING
