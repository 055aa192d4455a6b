"""A run whose tasks have no slots: what it needs and what its cluster has.

Called by `running` while not all tasks of a run are running. Invariant: it only says so; Flink itself starts the tasks as
soon as there are slots.
"""

from __future__ import annotations

from flinkjob.api.flinkjob_spec import FlinkJobSpec
from flinkjob.api.flinkjob_status import Submission
from flinkjob.api.reasons import Reason
from flinkjob.core.facts import TaskSlots
from flinkjob.core.flinkmodel import ClusterOverview
from flinkjob.core.job.draft import Draft, Halt, Step
from flinkjob.core.seen import JobSeen

SHORT = 2.0
"""Seconds that tasks may wait for slots, which is how every job begins, before it is worth a question."""
CERTAIN = 10.0
"""Seconds after which they surely lack slots, even where a program's own parallelism hides how many."""
LOOK_AGAIN = (2.0, 60.0)
"""Seconds until the slots are counted again: a quarter of the waiting, within these."""


def halt_without_slots(draft: Draft, spec: FlinkJobSpec, run: Submission) -> Halt | None:
    """Say that the tasks of a run wait for slots, where they do."""
    seen = draft.observation.job
    if seen.overview is None or seen.short_for < SHORT or not (seen.overview.waits_for_slots or failed_for_slots(seen)):
        return None
    slots, needed = draft.need(TaskSlots()), run.parallelism or spec.parallelism
    if slots is None or (0 < slots.slots_available >= needed and seen.short_for < CERTAIN):
        return None
    least, most = LOOK_AGAIN
    step = Step.RESTART if run.running else Step.SUBMIT
    text = _describe(slots, needed)
    before = draft.given.job.status.plan
    if before is None or before.reason != Reason.WaitingForSlots:
        draft.event(Reason.WaitingForSlots, text, warning=True)
    return draft.wait(step, Reason.WaitingForSlots, text, requeue_after=min(max(seen.short_for / 4, least), most))


def failed_for_slots(seen: JobSeen) -> bool:
    """Whether the job failed last because Flink had waited for slots for too long: it then waits for them anew."""
    return seen.failures is not None and seen.failures.newest.no_slots


def _describe(slots: ClusterOverview, needed: int) -> str:
    wanted = "1 slot" if needed == 1 else f"{needed} slots"
    if slots.taskmanagers == 0:
        return f"needs {wanted}, and the cluster has no TaskManager"
    managers = "1 TaskManager" if slots.taskmanagers == 1 else f"{slots.taskmanagers} TaskManagers"
    text = f"needs {wanted}, {slots.slots_available} free of {slots.slots_total}, {managers}"
    never = slots.slots_total < needed
    return f"{text}: it cannot run before TaskManagers are added or parallelism is lowered" if never else text
