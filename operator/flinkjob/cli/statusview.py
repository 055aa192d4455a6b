"""The screen of `status`: all that a person needs to know of one FlinkJob, most urgent first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.text import Text

from flinkjob.api.codec import FlinkJob, FlinkSavepoint
from flinkjob.api.enums import ConditionStatus
from flinkjob.api.reasons import Reason
from flinkjob.cli.bars import bars
from flinkjob.cli.eventlines import event_lines
from flinkjob.cli.failures import failure_lines
from flinkjob.cli.fleet import condition, stalled
from flinkjob.cli.flinkview import FlinkSeen
from flinkjob.cli.lineage import lineage
from flinkjob.cli.table import table
from flinkjob.cli.texts import BAD, BUSY, FAINT, GOOD, HEAD, NOTHING, phase, since, text

if TYPE_CHECKING:
    from flinkjob.flink.view import Vertex

MOST_EVENTS = 8
_LABEL = 12


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What was read for the screen."""

    job: FlinkJob
    savepoints: Sequence[FlinkSavepoint]
    events: Sequence[Mapping[str, Any]]
    flink: FlinkSeen
    now: datetime


def screen(seen: Seen) -> list[Text]:
    """The lines of the screen."""
    lines = list(_head(seen))
    lines += _section("TASKS", _tasks(seen.flink.vertices))
    lines += _section("FAILURES", failure_lines(seen.job, seen.flink.exceptions, seen.now, most=5))
    lines += _section("CHECKPOINTS", _checkpoints(seen))
    lines += _section("LINEAGE", lineage(seen.job, seen.savepoints, seen.now))
    lines += _section("EVENTS", event_lines(seen.events, seen.now, most=MOST_EVENTS, indent=2))
    return lines


def _section(title: str, lines: Sequence[Text]) -> list[Text]:
    return [Text(""), Text(title, HEAD), *lines] if lines else []


def _field(name: str, *values: Text | str) -> Text:
    line = Text(f"{name + ':':<{_LABEL}}", FAINT)
    for value in values:
        line.append_text(value if isinstance(value, Text) else Text(value))
    return line


def _head(seen: Seen) -> Iterator[Text]:
    job, status, now = seen.job, seen.job.status, seen.now
    yield Text.assemble(text(f"{job.meta.namespace}/{job.meta.name}", HEAD), "  ", phase(status.phase))
    yield from _state(seen)
    yield from _plan(job, now)
    yield from _run(job, now)
    cluster = status.cluster
    if cluster is not None and cluster.url:
        yield _field("Cluster", text(cluster.url), "  Flink ", text(cluster.flink_version))
    yield from _doubts(job)
    yield _field("Flink data", text(seen.flink.way))


def _state(seen: Seen) -> Iterator[Text]:
    job = seen.job
    if job.spec is None:
        yield _field("Spec", text(job.spec_error, BAD))
    if job.status_error is not None:
        yield _field("Status", text(job.status_error, BAD))
    needs, ready = stalled(job), condition(job, "Ready")
    found = needs or ready
    if found is None:
        yield _field(
            "State", text("the operator has not looked at it yet; does it run, and watch this namespace?", BUSY)
        )
        return
    good = needs is None and found.status is ConditionStatus.TRUE
    label = "Stalled" if needs is not None else "Ready" if good else "Not ready"
    style = BAD if needs is not None else GOOD if good else BUSY
    message = text(f"{found.reason}: {found.message}" if found.message else found.reason, style)
    yield _field(label, message, f"  for {since(found.last_transition_time, seen.now)}")
    if not good:
        known = next((each for each in Reason if each == found.reason), None)
        meaning = known.explanation if known is not None else "this kubectl flinkjob is older than the operator's word"
        yield _field("What to do" if needs is not None and known is not None else "Meaning", text(meaning))


def _plan(job: FlinkJob, now: datetime) -> Iterator[Text]:
    plan, shown = job.status.plan, stalled(job)
    if plan is not None and (shown is None or plan.message != shown.message):
        words = plan.message or plan.reason or plan.step
        more = f" (attempt {plan.attempts})" if plan.attempts else ""
        again = (
            f", again in {since(now, plan.retry_time)}" if plan.retry_time is not None and plan.retry_time > now else ""
        )
        yield _field("Doing", text(words, BUSY), f" for {since(plan.since, now)}{more}{again}")
    operation = job.status.operation
    if operation is not None:
        yield _field("Operation", text(operation.kind, BUSY), f" for {since(operation.since, now)}")
    hold = job.status.hold
    if hold is not None:
        by = f" by {hold.by}" if hold.by else ""
        yield _field("Held", text(f"{hold.reason}{by}", BAD), f" for {since(hold.since, now)}")
    taken_back = job.status.rollback
    if taken_back is not None:
        yield _field("Rolled back", text(taken_back.message, BAD))


def _run(job: FlinkJob, now: datetime) -> Iterator[Text]:
    run, seen = job.status.submission, job.status.job
    if run is None:
        return
    up = f", up {since(run.started_time, now)}" if run.lives and run.started_time is not None else ""
    up = ", refused by Flink" if run.refused else up
    why = f" ({run.reason})" if run.reason is not None else ""
    yield _field("Run", text(f"{run.number}{why}{up}, job {run.job_id or NOTHING}"))
    if seen is None or not run.lives:
        return
    tasks = f"{seen.tasks_running or 0} of {seen.tasks_total} tasks run" if seen.tasks_total is not None else ""
    words = [f"{seen.state or NOTHING}", tasks, f"parallelism {seen.parallelism}" if seen.parallelism else ""]
    words.append(f"{seen.restarts} restarts by Flink" if seen.restarts else "")
    yield _field("In Flink", text(", ".join(each for each in words if each)))


def _doubts(job: FlinkJob) -> Iterator[Text]:
    """What is wrong beside the job itself."""
    for kind, wrong in (("ClusterReachable", ConditionStatus.FALSE), ("ClusterSuitable", ConditionStatus.FALSE)):
        found = condition(job, kind)
        if found is not None and (found.status is wrong or (kind == "ClusterSuitable" and found.message)):
            yield _field("Cluster", text(f"{found.reason}: {found.message}", BUSY))
    for kind in ("Synced", "SourceMayStillRun"):
        found = condition(job, kind)
        if found is not None and found.status is (ConditionStatus.FALSE if kind == "Synced" else ConditionStatus.TRUE):
            yield _field(kind, text(f"{found.reason}: {found.message}", BUSY))


def _tasks(vertices: Sequence[Vertex]) -> list[Text]:
    rows = [
        (
            text(each.name),
            each.parallelism,
            text(", ".join(f"{count} {state}" for state, count in sorted(each.tasks.items()))),
            _share(each.busy),
            _share(each.backpressured),
        )
        for each in vertices
    ]
    return table(("VERTEX", "TASKS", "STATES", "BUSY", "BACKPRESSURED"), rows, indent=2)


def _share(part: float | None) -> Text:
    if part is None:
        return text(None)
    return text(f"{part:.0%}", BAD if part >= 0.9 else BUSY if part >= 0.5 else GOOD)


def _checkpoints(seen: Seen) -> list[Text]:
    stats = seen.flink.checkpoints
    if stats is not None:
        if not stats.history:
            return []
        counts = f"  {stats.completed} completed, {stats.failed} failed, {stats.in_progress} in progress"
        return [Text(counts, FAINT), *bars(stats.history, seen.now)]
    newest = seen.job.status.last_checkpoint
    if newest is None:
        return []
    number = newest.id if newest.id is not None else NOTHING
    words = f"#{number} {since(newest.time, seen.now)} ago, {newest.size or NOTHING}"
    return [Text("  ").append_text(text(words)), Text("  the newest that the status knows", FAINT)]
