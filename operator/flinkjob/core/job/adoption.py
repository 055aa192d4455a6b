"""Jobs of this FlinkJob that its status does not know: adopted when there is no status, else reported or cancelled.

Called by the job decision. Invariants: a job of another operator, namespace or FlinkJob is reported, never touched, whatever
the status says; while a live job of this FlinkJob is on the cluster that is not its current run, nothing is submitted; a job
whose spec is unknown, since its program has erased the owner mark, is not taken for one of the present spec.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from flinkjob.api.codec import FlinkJob
from flinkjob.api.constants import ANNOTATION_ADOPT, FINALIZER
from flinkjob.api.enums import SubmissionReason
from flinkjob.api.flinkjob_status import Submission
from flinkjob.api.reasons import Reason
from flinkjob.core.actions import CancelJob
from flinkjob.core.facts import OwnerMark, OwnerMarks, UnknownJobs, UnlistedJob
from flinkjob.core.flinkmodel import JobOverview
from flinkjob.core.identity import Mark, number_of
from flinkjob.core.job import finished
from flinkjob.core.job.draft import DONE, Draft, Halt, Step
from flinkjob.core.ownership import Evidence, refusal
from flinkjob.core.seen import MarkedJob, Presence


def candidate(job: FlinkJob, known: Callable[[str], JobOverview | None]) -> JobOverview | None:
    """The live job that the annotation names, where no run of the FlinkJob's own is known.

    Args:
        known: what is seen of a job of the cluster, by its id.
    """
    named = job.meta.annotations.get(ANNOTATION_ADOPT)
    if named is None or job.status.submission is not None:
        return None
    found = known(named)
    return found if found is not None and not found.state.is_terminal else None


def look(draft: Draft) -> Halt | None:
    """Without a status: find the newest own job on the cluster and take it over. None: there is none."""
    if finished.from_mark(draft):
        return DONE
    lives = any(not job.state.is_terminal for job in draft.observation.owned_jobs)
    if (named := draft.observation.adoption_candidate) is not None and not lives:
        return _take_named(draft, named)
    mine = [
        job for job in draft.observation.owned_jobs if not job.state.is_terminal or own_number(draft, job) is not None
    ]
    if not mine:
        return _wait_for_unlisted_job(draft)
    ours = {job.job_id for job in draft.observation.owned_jobs}
    marked = [one for one in draft.need(OwnerMarks()) if one.overview.job_id in ours]
    live = [one for one in marked if not one.overview.state.is_terminal]
    ended = [one for one in marked if one.overview.state.is_terminal and own_number(draft, one.overview) is not None]
    if len(live) > 1:
        names = ", ".join(sorted(one.overview.job_id for one in live))
        text = f"several live jobs of this FlinkJob are on the cluster, cancel all but one: {names}"
        return draft.stall(Reason.StrayJob, text)
    chosen = live[0] if live else max(ended, key=lambda one: own_number(draft, one.overview) or 0, default=None)
    if chosen is None:
        return None
    if chosen.mark is not None and chosen.mark.owner != str(draft.owner):
        text = f"job {chosen.overview.job_id} belongs to {chosen.mark.owner}; it is not adopted"
        return draft.stall(Reason.OwnedByOther, text, requeue_after=10.0)
    return _adopt(draft, chosen)


def _wait_for_unlisted_job(draft: Draft) -> Halt | None:
    """The object is held, so a run of it may live: the overview leaves out jobs whose JobMaster does not answer."""
    if FINALIZER not in draft.job.meta.finalizers:
        return None
    unlisted_job = draft.need(UnlistedJob())
    if unlisted_job is None:
        return None
    text = f"job {unlisted_job} is on the cluster, but does not answer"
    return draft.wait(Step.ADOPT, Reason.Adopted, text, requeue_after=2.0)


def halt_for_another_operator(draft: Draft) -> Halt | None:
    """Halt while an operator with another identity runs a job of this namespace and name here; touches nothing."""
    marks = draft.need(UnknownJobs())
    if marks is None:
        return draft.wait(Step.ADOPT, Reason.Adopted, "reading whose jobs are on the cluster", requeue_after=0.1)
    mine = draft.owner
    for job_id, mark in sorted(marks.items()):
        if mark is None:
            elsewhere, identity = mine.shares_name(job_id) and not mine.owns(job_id), "another operator identity"
        else:
            owner, identity = mark.of, f"the operator identity {mark.of.identity}"
            same = (owner.namespace, owner.name) == (mine.namespace, mine.name)
            elsewhere = same and owner.identity != mine.identity
        if elsewhere:
            text = f"job {job_id} of {mine.namespace}/{mine.name} runs here under {identity}"
            return draft.stall(Reason.OwnedByOther, text, requeue_after=10.0)
    return None


def belongs_to_other(draft: Draft) -> str:
    """Why the job that the status names is not this FlinkJob's, as a sentence; "" where it is, or is not there.

    A job that was adopted once is asked like one that is to be adopted, except that what the annotation names may be one
    that no operator started: that it was taken over is on record.
    """
    run = draft.live_run
    present = draft.observation.job.presence is Presence.PRESENT
    if run is None or run.job_id is None or not present or draft.owner.owns(run.job_id):
        return ""
    named = draft.job.meta.annotations.get(ANNOTATION_ADOPT) == run.job_id
    recorded = named and run.reason is SubmissionReason.ADOPTED
    return _refusal(draft, run.job_id, draft.need(OwnerMark(run.job_id)), unmarked=draft.given.unmarked or recorded)


def _refusal(draft: Draft, job_id: str, mark: Mark | None, *, unmarked: bool) -> str:
    evidence = Evidence(mark=mark, claims=draft.given.claims, unmarked=unmarked)
    why = refusal(job_id, draft.owner, evidence)
    return f"job {job_id} {why}" if why else ""


def _take_named(draft: Draft, overview: JobOverview) -> Halt:
    """Adopt the job that the annotation names, unless something says that it is somebody else's."""
    mark = next((one.mark for one in draft.need(OwnerMarks()) if one.overview.job_id == overview.job_id), None)
    if why := _refusal(draft, overview.job_id, mark, unmarked=draft.given.unmarked):
        if overview.state.is_beginning:
            return _wait_for_mark(draft, overview)
        return draft.stall(Reason.OwnedByOther, f"{why}; it is not adopted", requeue_after=10.0)
    return _adopt(draft, MarkedJob(overview=overview, mark=mark))


def _wait_for_mark(draft: Draft, overview: JobOverview) -> Halt:
    """A job that is being initialised shows no owner mark yet."""
    text = f"job {overview.job_id} was found on the cluster and is being initialised"
    return draft.wait(Step.ADOPT, Reason.Adopted, text, requeue_after=0.5)


def _adopt(draft: Draft, found: MarkedJob) -> Halt:
    """Take the job over as the current submission; the next look decides whether it must be replaced."""
    overview, mark = found.overview, found.mark
    own, live = draft.owner.owns(overview.job_id), not overview.state.is_terminal
    if own and mark is None and overview.state.is_beginning:
        return _wait_for_mark(draft, overview)
    named = mark.digest if mark is not None else ""
    unknown = own and live and not named
    known = own_number(draft, overview) or (mark.number if mark is not None else 1)
    number = max([known, *(own_number(draft, job) or 0 for job in draft.observation.owned_jobs)])  # they only grow
    cluster = draft.observation.target
    run = Submission(
        number=number,
        reason=SubmissionReason.ADOPTED,
        job_id=overview.job_id,
        cluster_url=cluster.url,
        incarnation=cluster.incarnation,
        high_availability=cluster.high_availability,
        run_digest=None if unknown else named or draft.digest,
        nonce=draft.spec.initial_state.nonce if draft.spec else None,
        intent_time=draft.now,
        seen=True,
    )
    draft.status = replace(draft.status, submission=run)
    if live:
        replaced = ", but not whether it runs this spec: its program has erased the owner mark, so it is replaced"
        text = f"job {overview.job_id} was found on the cluster and is run {number}{replaced if unknown else ''}"
        draft.event(Reason.Adopted, text, warning=unknown)
    return draft.wait(Step.ADOPT, Reason.Adopted, f"job {overview.job_id} was found on the cluster", requeue_after=0.05)


def halt_for_duplicate_job(draft: Draft, run: Submission) -> Halt | None:
    """Halt while another live job of this FlinkJob runs beside its current run; deals with it."""
    duplicates = [job for job in draft.observation.owned_jobs if job.job_id != run.job_id and not job.state.is_terminal]
    return deal_with_duplicate_job(draft, duplicates[0]) if duplicates else None


def deal_with_duplicate_job(draft: Draft, duplicate: JobOverview) -> Halt:
    """A live job of ours that is not the current run: an older run is cancelled, anything else is reported."""
    number = own_number(draft, duplicate)
    current = draft.run.number if draft.run else 0
    url = draft.observation.target.url
    message = f"job {duplicate.job_id} of this FlinkJob is live on {url}"
    if number is not None and number < current:
        if draft.given.job.status.plan is None or draft.given.job.status.plan.reason != Reason.StrayJob:
            draft.event(Reason.StrayJob, f"{message}; it is an older run and is cancelled", warning=True)
        draft.act(CancelJob(url=url, job_id=duplicate.job_id))
        return draft.wait(Step.STRAY, Reason.StrayJob, f"{message}; it is being cancelled", requeue_after=0.5)
    text = f"{message} but is not its current run; cancel it to go on"
    return draft.stall(Reason.StrayJob, text, requeue_after=10.0)


def own_number(draft: Draft, job: JobOverview) -> int | None:
    """Which run of this very FlinkJob (by uid) the job is; None: of none."""
    return number_of(job.job_id, draft.owner, draft.job.meta.uid)
