"""A main() that failed after it had started its job: half of the program does not run, though the job does.

Called while a run is observed, and where nothing else is to be done about it. Invariant: the job is left as it is. Flink
reports it in the answer to the run call alone, so that it is not known where that answer was lost.
"""

from __future__ import annotations

from flinkjob.api.enums import MainFailure
from flinkjob.api.flinkjob_status import Submission
from flinkjob.api.reasons import Reason
from flinkjob.core.errors import SubmitRejection
from flinkjob.core.job.draft import Draft, Halt
from flinkjob.core.seen import RunPhase

_MULTIPLE = (
    "main() wants to start more than one job, and Flink runs only the first: make it one execute(), or one FlinkJob for "
    "each job"
)
_KINDS = {
    SubmitRejection.MULTIPLE_JOBS: MainFailure.MULTIPLE_JOBS,
    SubmitRejection.MAIN_THREW: MainFailure.THREW,
    SubmitRejection.EXIT: MainFailure.THREW,
}


def note(draft: Draft) -> None:
    """Note that main() failed although its job was seen, and report it once."""
    run, call = draft.run, draft.observation.run
    if run is None or not run.seen or run.main_failure is not None or call.phase is not RunPhase.REJECTED:
        return
    kind = _KINDS.get(call.rejection) if call.rejection is not None else None
    if kind is None:
        return
    draft.update(main_failure=kind)
    if kind is MainFailure.MULTIPLE_JOBS:
        draft.event(Reason.MultipleJobs, f"run {run.number}: {_MULTIPLE}", warning=True)
    else:
        text = f"run {run.number}: main() failed after it had started the job, which runs on: {call.message}"
        draft.event(Reason.MainFailed, text, warning=True)


def halt_for_multiple_jobs(draft: Draft, run: Submission) -> Halt | None:
    """Halt where only the first of several jobs of a program runs, or ran."""
    return draft.stall(Reason.MultipleJobs, _MULTIPLE) if run.main_failure is MainFailure.MULTIPLE_JOBS else None
