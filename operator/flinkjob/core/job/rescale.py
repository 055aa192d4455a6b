"""Another parallelism of a running job: in place where that means the same as starting it anew, verified in Flink.

Called by the job decision. The plan of the recorded jar with the new parallelism says which vertices follow it, and to which
number: a program may set numbers of its own. Invariants: in place only when graph and chains stay the same, with exactly the
numbers of that plan; success is the observed number of tasks, never that the request was accepted; while slots are missing
the job runs on; a job whose numbers do not change is left alone; in all other cases it is replaced by the upgrade strategy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from flinkjob.api.enums import OperationKind
from flinkjob.api.flinkjob_spec import FlinkJobSpec
from flinkjob.api.flinkjob_status import Operation, Submission
from flinkjob.api.reasons import Reason
from flinkjob.core.actions import RescaleJob
from flinkjob.core.facts import RunningGraph, TaskSlots
from flinkjob.core.flinkmodel import JobOverview
from flinkjob.core.identity import digest_of
from flinkjob.core.job import compilation, submission
from flinkjob.core.job.draft import DONE, Draft, Halt, Step
from flinkjob.core.job.stopping import describe
from flinkjob.core.jobgraph import Topology
from flinkjob.core.requester import Requester
from flinkjob.core.seen import Presence

DEADLINE = 120.0
"""Seconds for a rescale in place: several of the scheduler's cool-downs (30 s by default)."""


def step(draft: Draft, spec: FlinkJobSpec, run: Submission, busy: Callable[[], Halt | None]) -> Halt | None:
    """Change the parallelism in place, or say what is waited for; None: the job must be replaced.

    Args:
        busy: says what must end first, asked only before the job is rescaled in place.
    """
    wanted, running = _wanted(draft, spec, run), _running(draft, run)
    if isinstance(wanted, Halt):
        return wanted
    if wanted is None or running is None:
        return _wait_for_slots(draft, spec.parallelism, run.parallelism or 0)
    same = wanted.same_structure(running)
    if same and wanted.numbers == running.numbers:
        return _left_alone(draft, spec, run, running)
    if (halt := _wait_for_slots(draft, wanted.largest, running.largest)) is not None:
        return halt
    overview = draft.observation.job.overview
    steady = overview is not None and overview.all_tasks_running
    if not (same and running.elastic and steady) or run.replace_to_rescale:
        return None
    return busy() or _begin(draft, spec, run, wanted)


def _wanted(draft: Draft, spec: FlinkJobSpec, run: Submission) -> Topology | Halt | None:
    """What the jar of this run compiles to with the parallelism that is wanted."""
    artifact = submission.artifact_ready(draft, spec, url=draft.wanted_url, recorded=run.artifact_digest)
    return artifact if isinstance(artifact, Halt) else compilation.compiled(draft, spec, run, artifact)


def _running(draft: Draft, run: Submission) -> Topology | None:
    return draft.need(RunningGraph(run.flink_job_id))


def _wait_for_slots(draft: Draft, wanted: int, have: int) -> Halt | None:
    """Wait until the cluster has the slots that the new parallelism needs."""
    if wanted <= have:
        return None
    slots = draft.need(TaskSlots())
    if slots is None or slots.slots_available + have >= wanted:
        return None
    free = slots.slots_available + have
    message = f"parallelism {wanted} needs as many slots, {free} are there; the job runs on with {have}"
    return draft.retry(Step.SCALE, Reason.NotEnoughSlots, message, pause=5.0, attempts=0)


def _left_alone(draft: Draft, spec: FlinkJobSpec, run: Submission, running: Topology) -> Halt:
    """The program sets all numbers itself: nothing would change."""
    text = (
        f"run {run.number} runs on with parallelism {running.words}: the program sets it, whatever `parallelism` says"
    )
    draft.event(Reason.ParallelismFixed, text, warning=True)
    _note(draft, spec.parallelism, running)
    draft.requeue_after(0.5)
    return DONE


def _note(draft: Draft, asked: int, running: Topology) -> None:
    """Note the parallelism that was asked for, and the one that Flink shows."""
    draft.update(parallelism=asked, actual_parallelism=running.largest)
    if draft.status.job is not None:
        draft.status = replace(draft.status, job=replace(draft.status.job, parallelism=running.largest))


def _begin(draft: Draft, spec: FlinkJobSpec, run: Submission, wanted: Topology) -> Halt:
    """Write the intent of a rescale and send it."""
    operation = Operation(
        kind=OperationKind.RESCALE,
        by=Requester.SCALE,
        submission=run.number,
        job_id=run.job_id,
        run_digest=draft.digest,
        since=draft.now,
        parallelism=spec.parallelism,
        numbers=digest_of(wanted.numbers),
        attempt=run.operations + 1,
    )
    draft.update(operations=operation.attempt)
    draft.status = replace(draft.status, operation=operation)
    return _send(draft, operation, run, wanted)


def follow_rescale(draft: Draft, operation: Operation, run: Submission) -> Halt | None:
    """Follow a rescale until the tasks run with the new parallelism, or its deadline."""
    seen, spec = draft.observation.job, draft.spec
    if seen.presence is not Presence.PRESENT or seen.overview is None or spec is None:
        draft.requeue_after(1.0)
        return describe(draft, operation)
    if draft.job.meta.deletion_time is not None:
        draft.status = replace(draft.status, operation=None)
        return None
    if operation.numbers is None:
        _give_up(
            draft
        )  # an earlier version began it, and did not note what it asked for: the job is replaced to be sure
        return None
    running = _running(draft, run)
    asked = running is not None and digest_of(running.numbers) == operation.numbers
    if running is not None and asked and _runs_as(seen.overview, running):
        _note(draft, operation.parallelism or 1, running)
        draft.status = replace(draft.status, operation=None)
        draft.event(Reason.Rescaled, f"run {run.number} runs with parallelism {running.words}")
        return None
    late = operation.since is not None and (draft.now - operation.since).total_seconds() > DEADLINE
    if running is None or not running.elastic or late:
        _give_up(draft)
        return None
    if asked or not seen.overview.all_tasks_running:
        draft.requeue_after(1.0)
        return describe(draft, operation)
    if spec.parallelism != operation.parallelism or draft.digest != run.run_digest:
        draft.status = replace(draft.status, operation=None)  # nothing was changed yet: what is wanted by now decides
        return None
    wanted = _wanted(draft, spec, run)
    if isinstance(wanted, Halt):
        return wanted
    if wanted is None or digest_of(wanted.numbers) != operation.numbers or not wanted.same_structure(running):
        _give_up(draft)
        return None
    return _send(draft, operation, run, wanted)


def _runs_as(overview: JobOverview, graph: Topology) -> bool:
    return overview.all_tasks_running and overview.tasks.total == sum(graph.numbers.values())


def _give_up(draft: Draft) -> None:
    draft.update(replace_to_rescale=True)
    draft.status = replace(draft.status, operation=None)


def _send(draft: Draft, operation: Operation, run: Submission, wanted: Topology) -> Halt:
    draft.act(RescaleJob(url=run.address, job_id=run.flink_job_id, parallelism=tuple(sorted(wanted.numbers.items()))))
    draft.requeue_after(1.0)
    return describe(draft, operation)
