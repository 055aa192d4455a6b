"""Where the state of each run comes from: run 4 ← savepoint ← run 3, with the savepoints and copies that there are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from rich.text import Text

from flinkjob.api.codec import FlinkJob, FlinkSavepoint
from flinkjob.api.enums import RunResult, SavepointPhase
from flinkjob.api.flinkjob_status import FlinkJobStatus, Submission
from flinkjob.cli.texts import BAD, BUSY, CALM, FAINT, GOOD, HEAD, phase, since, text
from flinkjob.core.flinkmodel import is_checkpoint_place, normalise_location

_BAD_ENDS = (RunResult.FAILED, RunResult.LOST, RunResult.SAVEPOINT_UNKNOWN, RunResult.NEVER_STARTED)

LIVE, REFUSED = "live", "refused by Flink"
MOST_SAVEPOINTS = 5
"""So many are shown of each run."""


@dataclass(frozen=True, kw_only=True)
class Generation:
    """One run, as the lineage shows it.

    Attributes:
        why: why it was started; None of earlier runs, of which the status does not keep it.
        result: how it ended; None while it has not.
        standing: how it stands, for people: live, starting, refused by Flink, or its result.
        restored: the state it started from; None: empty.
    """

    number: int
    job_id: str | None
    why: str | None
    result: RunResult | None
    standing: str
    started: datetime | None
    ended: datetime | None
    restored: str | None
    downtime: str | None = None


def generations(status: FlinkJobStatus) -> list[Generation]:
    """The runs that a status knows, the newest first."""
    found = []
    run = status.submission
    if run is not None:
        found.append(
            Generation(
                number=run.number,
                job_id=run.job_id,
                why=run.reason,
                result=run.end.result if run.end is not None else None,
                standing=_standing(run),
                started=run.started_time,
                ended=run.end.time if run.end is not None else None,
                restored=run.restored_from,
            )
        )
    known = {each.number for each in found}
    for entry in status.history:
        if entry.number not in known:
            found.append(
                Generation(
                    number=entry.number,
                    job_id=entry.job_id,
                    why=None,
                    result=entry.result,
                    standing=entry.result or "ended",
                    started=entry.started,
                    ended=entry.ended,
                    restored=entry.from_,
                    downtime=entry.downtime,
                )
            )
    return found


def _standing(run: Submission) -> str:
    if run.end is not None:
        return run.end.result
    return REFUSED if run.refused else LIVE if run.lives else "starting"


def savepoints_of(job: FlinkJob, savepoints: Sequence[FlinkSavepoint]) -> list[FlinkSavepoint]:
    """Those of this FlinkJob, the newest first."""
    mine = [
        each
        for each in savepoints
        if each.spec is not None and each.spec.job_ref is not None and each.spec.job_ref.name == job.meta.name
    ]
    return sorted(mine, key=_age, reverse=True)


def _age(savepoint: FlinkSavepoint) -> str:
    made = savepoint.status.end_time or savepoint.meta.creation_time
    return made.isoformat() if made is not None else ""


def lineage(job: FlinkJob, savepoints: Sequence[FlinkSavepoint], now: datetime) -> list[Text]:
    """The lines of the lineage; none before the first run."""
    mine = savepoints_of(job, savepoints)
    places = {normalise_location(each.status.location): each for each in mine if each.status.location}
    lines: list[Text] = []
    runs = generations(job.status)
    for run in runs:
        lines.append(_run(run, now))
        lines += _newest([each for each in mine if each.status.submission == run.number], now)
        lines.append(_origin(run, places))
    numbers = {run.number for run in runs}
    others = [each for each in mine if each.status.submission not in numbers]
    if others:
        lines.append(Text("  not of these runs", FAINT))
        lines += _newest(others, now)
    return lines


def standing_style(run: Generation) -> str:
    """The colour of a run that has not ended."""
    return {LIVE: GOOD, REFUSED: BAD}.get(run.standing, BUSY)


def _newest(savepoints: Sequence[FlinkSavepoint], now: datetime) -> list[Text]:
    """The newest ones, and how many more there are."""
    lines = [_savepoint(each, now) for each in savepoints[:MOST_SAVEPOINTS]]
    more = len(savepoints) - len(lines)
    return [*lines, Text(f"    • and {more} older ones", FAINT)] if more else lines


def _run(run: Generation, now: datetime) -> Text:
    line = Text("  ").append(f"run {run.number}", HEAD).append("  ")
    if run.result is None:
        line.append(run.standing, standing_style(run))
        line.append(f" since {since(run.started, now)}" if run.started is not None else "")
    else:
        line.append_text(text(run.result, BAD if run.result in _BAD_ENDS else CALM))
        if run.started is not None and run.ended is not None:
            line.append(f" after {since(run.started, run.ended)}")
        line.append(f", {since(run.ended, now)} ago")
    if run.why is not None:
        line.append("  ").append_text(text(run.why, FAINT))
    if run.downtime is not None:
        line.append("  down for ", FAINT).append_text(text(run.downtime, FAINT))
    return line


def _origin(run: Generation, places: Mapping[str, FlinkSavepoint]) -> Text:
    line = Text("    ← ", FAINT)
    if run.restored is None:
        return line.append("empty", FAINT)
    if (found := places.get(normalise_location(run.restored))) is not None:
        return line.append_text(text(f"savepoint {found.meta.name}"))
    kind = "checkpoint" if is_checkpoint_place(run.restored) else "savepoint"
    return line.append_text(text(f"{kind} {run.restored}"))


def _savepoint(savepoint: FlinkSavepoint, now: datetime) -> Text:
    status = savepoint.status
    line = Text("    • ").append_text(text(savepoint.meta.name)).append("  ").append_text(phase(status.phase))
    for part in _facts(savepoint, now):
        line.append("  ").append_text(part)
    return line


def _facts(savepoint: FlinkSavepoint, now: datetime) -> Iterator[Text]:
    status = savepoint.status
    if status.origin is not None:
        yield text(status.origin, FAINT)
    if status.end_time is not None:
        yield text(f"{since(status.end_time, now)} ago", FAINT)
    if status.size is not None:
        yield text(status.size)
    if status.phase is SavepointPhase.FAILED and status.error is not None:
        yield text(f"{status.error.error_code}: {status.error.message}", BAD)
    if (copy := status.sync) is not None:
        done = copy.end_time is not None and copy.error is None
        words = f"copy {copy.sequence_number or '-'}" + ("" if done else " not complete")
        yield text(words + (f" {copy.uri}" if copy.uri else ""), GOOD if done else BAD if copy.error else FAINT)
