"""How busy a job is, and how far behind its sources are: from two readings of Flink's counters.

Used by `flink/loads.py`, which reads, by `runtime/load_reads.py`, which has the clock, and by the metrics. Flink counts
milliseconds for all tasks of a vertex since they started, so the difference of two readings says what they did in between,
however long that was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class VertexTimes:
    """What the tasks of a vertex have done since they started: milliseconds, all tasks together."""

    busy: float
    idle: float
    backpressured: float


@dataclass(frozen=True, slots=True)
class JobTimes:
    """One reading of a job.

    Attributes:
        vertices: by their ids; those that Flink has no numbers of are left out.
        sources: the ids of the vertices that read from outside.
    """

    vertices: Mapping[str, VertexTimes]
    sources: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SourceLag:
    """How far behind a source is, or all of a job.

    Attributes:
        pending: records that are not read yet; None where the source does not know.
        seconds: how old the events are that it emits, the latest of all tasks; None where it does not say.
    """

    pending: int | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class JobLoad:
    """What is known of the load of a job.

    Attributes:
        busy, backpressured: of the vertex where it is the most, as a part of the time, from 0 to 1; None: not known yet.
    """

    busy: float | None = None
    backpressured: float | None = None
    lag: SourceLag = SourceLag()


def shares(before: JobTimes, after: JobTimes) -> tuple[float, float] | None:
    """What part of the time between two readings the busiest vertex was busy, and the most held up one held up.

    Returns:
        None when no vertex has moved in between, as when Flink has no newer numbers, or all tasks were started again.
    """
    moved = [
        spent
        for vertex, now in after.vertices.items()
        if (then := before.vertices.get(vertex)) is not None and (spent := _between(then, now)) is not None
    ]
    if not moved:
        return None
    return max(busy for busy, _ in moved), max(backpressured for _, backpressured in moved)


def _between(then: VertexTimes, now: VertexTimes) -> tuple[float, float] | None:
    busy, idle = now.busy - then.busy, now.idle - then.idle
    backpressured = now.backpressured - then.backpressured
    total = busy + idle + backpressured
    if min(busy, idle, backpressured) < 0 or total <= 0:
        return None
    return busy / total, backpressured / total


def together(lags: Iterable[SourceLag]) -> SourceLag:
    """All sources of a job: what is pending in all of them, and the oldest events."""
    found = tuple(lags)
    pending = [each.pending for each in found if each.pending is not None]
    seconds = [each.seconds for each in found if each.seconds is not None]
    return SourceLag(sum(pending) if pending else None, max(seconds) if seconds else None)
