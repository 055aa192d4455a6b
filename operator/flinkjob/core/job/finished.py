"""A job that came to its own end: its mark, and the removal of its object after a while.

Called by the job decision. Invariants: an object that is created again or restored with the mark does not run again under the
same spec; an object that Argo CD, Flux or Helm owns is not removed, since they would create it again.
"""

from __future__ import annotations

import json
from datetime import timedelta

from flinkjob.api.codec import Meta, read_job_result
from flinkjob.api.constants import ANNOTATION_RESULT, GITOPS_MARKS
from flinkjob.api.enums import RunResult, SnapshotKind
from flinkjob.api.flinkjob_spec import FlinkJobSpec
from flinkjob.api.flinkjob_status import RunEnd, Submission
from flinkjob.api.reasons import Reason
from flinkjob.core.actions import DeleteObject, MarkResult
from flinkjob.core.job import main_failure
from flinkjob.core.job.draft import Draft, Halt

_MOST_RUNS = 2**31


def rest(draft: Draft, spec: FlinkJobSpec, last: Submission, end: RunEnd) -> Halt | None:
    """What is left to do for a finished job; halts where it was only the first of several."""
    mark = json.dumps({"result": "Finished", "digest": last.run_digest, "number": last.number}, sort_keys=True)
    if draft.job.meta.annotations.get(ANNOTATION_RESULT) != mark:
        draft.act(MarkResult(mark=mark))
    if (halt := main_failure.halt_for_multiple_jobs(draft, last)) is not None:
        return halt
    if spec.ttl_seconds_after_finished is None or end.time is None:
        return None
    if owner := owned_by(draft.job.meta):
        if draft.given.job.status.submission is None or draft.given.job.status.submission.end is None:
            draft.event(
                Reason.TTLIgnored, f"ttlSecondsAfterFinished: {owner} would create the object again", warning=True
            )
        return None
    remaining = (end.time + timedelta(seconds=spec.ttl_seconds_after_finished) - draft.now).total_seconds()
    if remaining > 0:
        draft.requeue_after(remaining + 0.1)
    else:
        draft.act(DeleteObject())
    return None


def owned_by(meta: Meta) -> str | None:
    """The mark of the GitOps tool that owns the object; None when nobody does."""
    return next((name for name in GITOPS_MARKS if name in meta.annotations or name in meta.labels), None)


def from_mark(draft: Draft) -> bool:
    """Without a status but with the mark of this very spec: take the result over. True when it was."""
    text = draft.job.meta.annotations.get(ANNOTATION_RESULT)
    if text is None:
        return False
    try:
        mark = read_job_result(text)
    except ValueError:
        return False
    number, digest = mark.get("number"), mark.get("digest")
    if not isinstance(number, int) or not 0 < number < _MOST_RUNS or digest != draft.digest:
        return False
    spec = draft.spec
    end = RunEnd(result=RunResult.FINISHED, time=draft.job.meta.creation_time, snapshot_kind=SnapshotKind.EMPTY)
    nonce = spec.initial_state.nonce if spec is not None else None
    draft.start_from(Submission(number=number, run_digest=draft.digest, nonce=nonce, seen=True, end=end))
    return True
