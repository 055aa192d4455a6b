"""Pictures as numbers: where each bar, node and arrow of an SVG is. The templates draw them, and escape each text.

Pure. Lengths are in units of the picture, which the page scales.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from flinkjob.api.codec import FlinkJob, FlinkSavepoint
from flinkjob.api.enums import SavepointPhase
from flinkjob.cli.bars import MOST
from flinkjob.cli.lineage import LIVE, REFUSED, Generation, generations, savepoints_of
from flinkjob.cli.texts import milliseconds, since
from flinkjob.core.errors import one_line, visible
from flinkjob.core.flinkmodel import Checkpoint, CheckpointStatus, JobException, is_checkpoint_place, normalise_location
from flinkjob.core.units import readable_size

WIDTH: Final = 720
BAR_HEIGHT: Final = 90
LANE: Final = 26
_SHORTEST: Final = timedelta(minutes=1)
_GOOD_ENDS: Final = ("Finished", "Stopped", "Drained", "Cancelled")
MOST_RUNS: Final = 8
MOST_LABEL: Final = 40


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A part of a picture.

    Attributes:
        words: what it is, for people who see no picture too.
        tone: good, busy, bad or calm.
    """

    x: float
    y: float
    width: float = 0
    height: float = 0
    tone: str
    words: str
    label: str = ""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """Marks on a sheet.

    Attributes:
        words: the whole in a sentence.
    """

    width: int
    height: int
    words: str
    marks: Sequence[Mark]
    dots: Sequence[Mark] = ()


def checkpoint_bars(checkpoints: Sequence[Checkpoint], now: datetime) -> Picture | None:
    """The newest checkpoints, the newest at the right; the highest bar is the slowest. None where there are none."""
    shown = sorted(checkpoints, key=lambda each: each.checkpoint_id)[-MOST:]
    if not shown:
        return None
    slowest = max(max(each.duration_ms or 0 for each in shown), 1)
    step = WIDTH / MOST
    marks = []
    for place, each in enumerate(shown):
        height = max((each.duration_ms or 0) / slowest * BAR_HEIGHT, 3)
        failed = each.status is CheckpointStatus.FAILED
        tone = "bad" if failed else "good" if each.status is CheckpointStatus.COMPLETED else "busy"
        size = readable_size(each.state_bytes) if each.state_bytes is not None else "size unknown"
        kind = "savepoint" if each.is_savepoint else "checkpoint"
        why = f", {each.failure}" if failed and each.failure else ""
        words = f"{kind} {each.checkpoint_id}: {each.status.lower()}, {milliseconds(each.duration_ms)}, {size}"
        words += f", {since(each.trigger_time, now)} ago{why}"
        marks.append(
            Mark(
                x=round(place * step + 2, 1),
                y=round(BAR_HEIGHT - height + 4, 1),
                width=round(step - 4, 1),
                height=round(height, 1),
                tone=tone,
                words=visible(words),
            )
        )
    bad = sum(1 for each in shown if each.status is CheckpointStatus.FAILED)
    words = f"The newest {len(shown)} checkpoints by duration: the slowest took {milliseconds(slowest)}, {bad} failed"
    return Picture(width=WIDTH, height=BAR_HEIGHT + 8, words=words, marks=marks)


def timeline(
    job: FlinkJob, savepoints: Sequence[FlinkSavepoint], failures: Sequence[JobException], now: datetime
) -> Picture | None:
    """Runs as bars over time, one below the other, with savepoints and failures as dots. None before the first run."""
    runs = [each for each in generations(job.status) if each.started is not None or each.ended is not None][:MOST_RUNS]
    if not runs:
        return None
    begin = min(each.started or each.ended or now for each in runs)
    whole = max(now - begin, _SHORTEST)

    def at(time: datetime) -> float:
        return round(min(max((time - begin) / whole, 0.0), 1.0) * WIDTH, 1)

    marks = []
    for lane, run in enumerate(reversed(runs)):
        start, end = at(run.started or run.ended or now), at(run.ended or now)
        marks.append(
            Mark(
                x=start,
                y=lane * LANE + 4,
                width=max(round(end - start, 1), 3),
                height=LANE - 8,
                tone=_tone(run),
                words=_words(run, now),
                label=f"run {run.number}",
            )
        )
    height = len(runs) * LANE + LANE
    dots = [*_savepoint_dots(savepoints_of(job, savepoints), now), *_failure_dots(job, failures, now)]
    placed = [
        Mark(x=min(max(at(time), 5), WIDTH - 5), y=height - LANE / 2, tone=tone, words=words)
        for time, tone, words in dots
        if time >= begin
    ]
    words = f"{len(runs)} runs since {since(begin, now)} ago, {len(placed)} savepoints and failures below them"
    return Picture(width=WIDTH, height=height, words=words, marks=marks, dots=placed)


def lineage_graph(job: FlinkJob, savepoints: Sequence[FlinkSavepoint], now: datetime) -> Picture | None:
    """Runs from left to right, each after the state that it started from; the newest at the right."""
    runs = list(reversed(generations(job.status)[: MOST_RUNS // 2]))
    if not runs:
        return None
    places = {normalise_location(each.status.location): each for each in savepoints if each.status.location}
    marks: list[Mark] = []
    for run in runs:
        origin, kind = "empty", "calm"
        if run.restored is not None:
            known = places.get(normalise_location(run.restored))
            what = "checkpoint" if is_checkpoint_place(run.restored) else "savepoint"
            origin, kind = (f"savepoint {known.meta.name}" if known is not None else f"{what} {run.restored}"), "busy"
        marks.append(_node(len(marks), kind, one_line(origin, 512)))
        marks.append(_node(len(marks), _tone(run), f"run {run.number}", _words(run, now)))
    return Picture(width=len(marks) * 190, height=64, words=" then ".join(each.words for each in marks), marks=marks)


def _node(place: int, tone: str, label: str, words: str = "") -> Mark:
    said = visible(label)
    short = said if len(said) <= MOST_LABEL // 2 else f"{said[:9]}…{said[-9:]}"
    return Mark(x=place * 190 + 4, y=8, width=160, height=48, tone=tone, words=words or said, label=short)


def _tone(run: Generation) -> str:
    if run.result is None:
        return {LIVE: "good", REFUSED: "bad"}.get(run.standing, "busy")
    return "calm" if run.result in _GOOD_ENDS else "bad"


def _words(run: Generation, now: datetime) -> str:
    began = f"started {since(run.started, now)} ago, " if run.started is not None else ""
    end = run.standing if run.result is None else f"{run.standing} {since(run.ended, now)} ago"
    why = f" ({run.why})" if run.why else ""
    down = f", down for {run.downtime}" if run.downtime else ""
    return visible(f"run {run.number}{why}: {began}{end}{down}")


def _savepoint_dots(savepoints: Sequence[FlinkSavepoint], now: datetime) -> Iterator[tuple[datetime, str, str]]:
    for each in savepoints:
        time = each.status.end_time
        if time is not None:
            failed = each.status.phase is SavepointPhase.FAILED
            words = f"savepoint {each.meta.name}: {each.status.phase}, {since(time, now)} ago"
            yield time, "bad" if failed else "good", visible(words)


def _failure_dots(
    job: FlinkJob, failures: Sequence[JobException], now: datetime
) -> Iterator[tuple[datetime, str, str]]:
    known = [(each.time, each.root_cause) for each in failures]
    last = job.status.last_failure
    if not known and last is not None:
        known.append((last.time, last.root_cause or last.exception or "unknown cause"))
    for time, cause in known:
        if time is not None:
            yield time, "bad", visible(f"failure {since(time, now)} ago: {one_line(cause, 200)}")
