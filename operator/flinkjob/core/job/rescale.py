"""Changing the parallelism of a running job in place, where its scheduler can; verified by the tasks that run.

Called by the job decision. Invariants: success is the observed number of tasks, never that the request was accepted; while
slots are missing the job runs on; where in place does not work the job is replaced through the upgrade strategy.
"""

from __future__ import annotations

from dataclasses import replace

from flinkjob.api.enums import OperationKind
from flinkjob.api.flinkjob_spec import FlinkJobSpec
from flinkjob.api.flinkjob_status import Operation, Submission
from flinkjob.api.reasons import Reason
from flinkjob.core.actions import RescaleJob
from flinkjob.core.job.draft import Draft, Halt, Step
from flinkjob.core.job.stopping import describe
from flinkjob.core.model import Fact, Presence
from flinkjob.core.requester import Requester

ADAPTIVE = "Adaptive"
DEADLINE = 120.0
"""Seconds for a rescale in place: several of the scheduler's cool-downs (30 s by default)."""


def possible(draft: Draft, run: Submission) -> bool:
    """Whether the running job's parallelism can be changed in place."""
    overview = draft.observation.job.overview
    return (
        overview is not None
        and overview.scheduler_type == ADAPTIVE
        and overview.all_tasks_running
        and not run.replace_to_rescale
        and run.parallelism is not None
    )


def wait_for_slots(draft: Draft, spec: FlinkJobSpec, run: Submission) -> Halt | None:
    """Wait until the cluster has the slots that the new parallelism needs."""
    have = run.parallelism or 0
    if spec.parallelism <= have:
        return None
    draft.need(Fact.SLOTS)
    slots = draft.observation.slots
    if slots is None or slots.slots_available + have >= spec.parallelism:
        return None
    free = slots.slots_available + have
    message = f"parallelism {spec.parallelism} needs as many slots, {free} are there; the job runs on with {have}"
    return draft.retry(Step.SCALE, Reason.NotEnoughSlots, message, pause=5.0, attempts=0)


def begin(draft: Draft, spec: FlinkJobSpec, run: Submission) -> Halt:
    """Write the intent of a rescale and send it."""
    operation = Operation(
        kind=OperationKind.RESCALE,
        by=Requester.SCALE,
        submission=run.number,
        job_id=run.job_id,
        run_digest=draft.digest,
        since=draft.now,
        parallelism=spec.parallelism,
        attempt=run.operations + 1,
    )
    draft.update(operations=operation.attempt)
    draft.status = replace(draft.status, operation=operation)
    return _send(draft, operation, run)


def follow_rescale(draft: Draft, operation: Operation, run: Submission) -> Halt | None:
    """Follow a rescale until the tasks run with the new parallelism, or its deadline."""
    seen = draft.observation.job
    if seen.presence is not Presence.PRESENT or seen.overview is None or draft.spec is None:
        draft.requeue_after(1.0)
        return describe(draft, operation)
    if draft.job.meta.deletion_time is not None:
        draft.status = replace(draft.status, operation=None)
        return None
    draft.need(Fact.REQUIREMENTS, run.job_id)
    wanted = draft.observation.requirements
    before, after = run.parallelism or 1, operation.parallelism or 1
    asked = wanted is not None and all(bounds.upper != before for bounds in wanted.values()) and before != after
    total = sum(bounds.upper for bounds in wanted.values()) if wanted is not None else None
    if asked and seen.overview.all_tasks_running and seen.overview.tasks.total == total:
        draft.update(parallelism=after)
        shown = replace(draft.status.job, parallelism=after) if draft.status.job is not None else None
        draft.status = replace(draft.status, operation=None, job=shown)
        draft.event(Reason.Rescaled, f"run {run.number} runs with parallelism {after} instead of {before}")
        return None
    late = operation.since is not None and (draft.now - operation.since).total_seconds() > DEADLINE
    if wanted is None or late:
        draft.update(replace_to_rescale=True)
        draft.status = replace(draft.status, operation=None)
        return None
    if asked:
        draft.requeue_after(1.0)
        return describe(draft, operation)
    return _send(draft, operation, run)


def _send(draft: Draft, operation: Operation, run: Submission) -> Halt:
    assert run.job_id is not None
    assert run.cluster_url is not None
    draft.act(
        RescaleJob(
            url=run.cluster_url,
            job_id=run.job_id,
            before=run.parallelism or 1,
            after=operation.parallelism or 1,
        )
    )
    draft.requeue_after(1.0)
    return describe(draft, operation)
