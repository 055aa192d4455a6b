"""What the page of a FlinkJob shows, as values. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from flinkjob.api.enums import ConditionStatus
from flinkjob.api.flinkjob_status import Condition
from flinkjob.api.reasons import Reason
from flinkjob.cli.eventlines import event_time
from flinkjob.cli.history import masked
from flinkjob.cli.output import as_yaml
from flinkjob.cli.statusview import Seen, screen
from flinkjob.cli.texts import since
from flinkjob.core.errors import visible
from flinkjob.ui.fleetview import Row, row
from flinkjob.ui.pictures import Picture, checkpoint_bars, lineage_graph, timeline
from flinkjob.ui.savepointview import SavepointRow, catalogue

if TYPE_CHECKING:
    from flinkjob.flink.view import Vertex

MOST_EVENTS: Final = 50
MOST_SAVEPOINTS: Final = 20
_LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
"""Repeats the spec, with all of its values."""
_WRONG_WHEN: Final = {"Ready": ConditionStatus.FALSE, "Stalled": ConditionStatus.TRUE}


@dataclass(frozen=True, kw_only=True)
class InWords:
    """A condition in words.

    Attributes:
        meaning: what its reason means, from the reference; "" where it is no word of this version.
    """

    kind: str
    status: str
    tone: str
    reason: str
    message: str
    meaning: str
    age: str


@dataclass(frozen=True, kw_only=True)
class Line:
    """An Event or a failure."""

    age: str
    tone: str
    head: str
    message: str
    details: str = ""


@dataclass(frozen=True, kw_only=True)
class Task:
    """A vertex; shares are whole percents, None where Flink has none."""

    name: str
    parallelism: int
    states: str
    busy: int | None
    backpressured: int | None


@dataclass(frozen=True, kw_only=True)
class JobPage:
    """All of the page.

    Attributes:
        summary: the head of `kubectl flinkjob status`, as pairs of label and words.
    """

    row: Row
    summary: Sequence[tuple[str, str]]
    conditions: Sequence[InWords]
    timeline: Picture | None
    lineage: Picture | None
    checkpoints: Picture | None
    tasks: Sequence[Task]
    failures: Sequence[Line]
    events: Sequence[Line]
    savepoints: Sequence[SavepointRow]
    yaml: str
    way: str


def job_page(seen: Seen, obj: Mapping[str, Any]) -> JobPage:
    """The page of a FlinkJob.

    Args:
        seen: what was read for the screen of `kubectl flinkjob status`.
        obj: the object as the API server gives it.
    """
    job, now, flink = seen.job, seen.now, seen.flink
    stats = flink.checkpoints
    return JobPage(
        row=row(job, now),
        summary=_summary(seen),
        conditions=[_in_words(each, now) for each in job.status.conditions],
        timeline=timeline(job, seen.savepoints, flink.exceptions, now),
        lineage=lineage_graph(job, seen.savepoints, now),
        checkpoints=checkpoint_bars(stats.history, now) if stats is not None else None,
        tasks=[_task(each) for each in flink.vertices],
        failures=_failures(seen),
        events=_events(seen.events, now),
        savepoints=catalogue(seen.savepoints, [job], now)[:MOST_SAVEPOINTS],
        yaml=as_yaml(shown(obj)),
        way=visible(flink.way),
    )


def shown(obj: Mapping[str, Any]) -> dict[str, Any]:
    """The object as a page has it: without who set which field, and without values that are secret by their name."""
    meta = {name: value for name, value in obj["metadata"].items() if name != "managedFields"}
    notes = {name: value for name, value in (meta.get("annotations") or {}).items() if name != _LAST_APPLIED}
    meta = {name: value for name, value in {**meta, "annotations": notes}.items() if value != {}}
    return {**obj, "metadata": meta, "spec": masked(obj.get("spec") or {})}


def _summary(seen: Seen) -> list[tuple[str, str]]:
    """The first block of the screen: its lines are a label, a colon and words."""
    found = []
    for line in screen(seen)[1:]:
        if not line.plain:
            break
        label, _, words = line.plain.partition(":")
        found.append((label, words.strip()))
    return found


def _in_words(condition: Condition, now: datetime) -> InWords:
    known = next((each for each in Reason if each == condition.reason), None)
    wrong = _WRONG_WHEN.get(condition.type)
    tone = "calm" if wrong is None else "bad" if condition.status is wrong else "good"
    if condition.type == "Ready" and tone == "bad":
        tone = "busy"
    return InWords(
        kind=visible(condition.type),
        status=str(condition.status),
        tone=tone,
        reason=visible(condition.reason),
        message=visible(condition.message),
        meaning=known.explanation if known is not None else "",
        age=since(condition.last_transition_time, now),
    )


def _task(vertex: Vertex) -> Task:
    states = ", ".join(f"{count} {state}" for state, count in sorted(vertex.tasks.items()))
    return Task(
        name=visible(vertex.name),
        parallelism=vertex.parallelism,
        states=visible(states),
        busy=_percent(vertex.busy),
        backpressured=_percent(vertex.backpressured),
    )


def _percent(share: float | None) -> int | None:
    return min(max(round(share * 100), 0), 100) if share is not None else None


def _failures(seen: Seen) -> list[Line]:
    found = [
        Line(
            age=since(each.time, seen.now),
            tone="bad",
            head=visible(each.task or each.name),
            message=visible(each.root_cause),
            details="\n".join(map(visible, each.stacktrace_head.splitlines())),
        )
        for each in seen.flink.exceptions
    ]
    last = seen.job.status.last_failure
    if not found and last is not None:
        words = visible(last.root_cause or last.exception or "")
        found.append(Line(age=since(last.time, seen.now), tone="bad", head=visible(last.task or ""), message=words))
    return found


def _events(events: Sequence[Mapping[str, Any]], now: datetime) -> list[Line]:
    newest = sorted(events, key=event_time, reverse=True)[:MOST_EVENTS]
    return [
        Line(
            age=since(event_time(each), now),
            tone="busy" if each.get("type") == "Warning" else "calm",
            head=visible(str(each.get("reason") or "")),
            message=visible(str(each.get("message") or "")),
        )
        for each in newest
    ]
