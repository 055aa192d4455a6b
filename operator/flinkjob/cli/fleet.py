"""The table of `get`: a row for each FlinkJob, in the words of its status."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rich.text import Text

from flinkjob.api.codec import FlinkJob
from flinkjob.api.enums import ConditionStatus
from flinkjob.api.flinkjob_status import Condition
from flinkjob.cli.table import Cell, table
from flinkjob.cli.texts import BAD, BUSY, GOOD, phase, since, text

HEADS = ("NAME", "READY", "PHASE", "RUN", "UP", "PARALLELISM", "CHECKPOINT", "RESTARTS", "AGE")
MORE_HEADS = ("FLINK", "CLUSTER", "SAVEPOINT", "MESSAGE")
_READY = {ConditionStatus.TRUE: GOOD, ConditionStatus.FALSE: BUSY, ConditionStatus.UNKNOWN: BAD}


def condition(job: FlinkJob, kind: str) -> Condition | None:
    """One condition of a FlinkJob."""
    return next((each for each in job.status.conditions if each.type == kind), None)


def stalled(job: FlinkJob) -> Condition | None:
    """The condition that says why a person has to do something; None where the operator goes on alone."""
    found = condition(job, "Stalled")
    return found if found is not None and found.status is ConditionStatus.TRUE else None


def fleet(jobs: Sequence[FlinkJob], now: datetime, *, wide: bool = False, namespaces: bool = False) -> list[Text]:
    """The lines of the table.

    Args:
        wide: with the columns that do not fit on a usual screen.
        namespaces: with that of each job.
    """
    heads = (*(("NAMESPACE",) if namespaces else ()), *HEADS, *(MORE_HEADS if wide else ()))
    ordered = sorted(jobs, key=lambda each: (each.meta.namespace, each.meta.name))
    return table(heads, [_row(each, now, wide=wide, namespaces=namespaces) for each in ordered])


def _row(job: FlinkJob, now: datetime, *, wide: bool, namespaces: bool) -> list[Cell]:
    status, ready = job.status, condition(job, "Ready")
    run, seen, newest = status.submission, status.job, status.last_checkpoint
    lives = run is not None and run.running and run.end is None
    cells: list[Cell] = [text(job.meta.namespace)] if namespaces else []
    cells += [
        text(job.meta.name),
        text(ready.status, _READY[ready.status]) if ready is not None else text(None),
        text(status.phase, BAD) if stalled(job) is not None else phase(status.phase),
        run.number if run is not None else None,
        since(run.started_time, now) if run is not None and lives else None,
        job.spec.parallelism if job.spec is not None else None,
        since(newest.time, now) if newest is not None else None,
        seen.restarts if seen is not None else None,
        since(job.meta.creation_time, now),
    ]
    if wide:
        cluster = status.cluster
        cells += [
            cluster.flink_version if cluster is not None else None,
            cluster.url if cluster is not None else None,
            since(status.last_savepoint.time, now) if status.last_savepoint is not None else None,
            ready.message if ready is not None else job.spec_error,
        ]
    return cells
