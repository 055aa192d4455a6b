"""Failures of a job with their root causes: those that Flink remembers, else the newest one that the status has."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rich.text import Text

from flinkjob.api.codec import FlinkJob
from flinkjob.cli.texts import BAD, BUSY, FAINT, since, text
from flinkjob.core.flinkmodel import JobException


def failure_lines(
    job: FlinkJob, exceptions: Sequence[JobException], now: datetime, *, most: int, traces: bool = False
) -> list[Text]:
    """The newest failures first.

    Args:
        traces: with the first lines of the stack traces.
    """
    lines = [line for each in exceptions[:most] for line in _exception(each, now, traces=traces)]
    last = job.status.last_failure
    if not lines and last is not None:
        lines.append(_line(last.time, last.root_cause or last.exception, last.task, last.task_manager, now))
    if lines and last is not None and last.recent > 1 and last.recovered_time is None:
        lines.append(Text(f"  {last.recent} failures within ten minutes", BUSY))
    end = job.status.submission.end if job.status.submission is not None else None
    if end is not None and end.message:
        lines.append(Text.assemble("  the run ended: ", text(end.message, BAD)))
    return lines


def _exception(each: JobException, now: datetime, *, traces: bool) -> list[Text]:
    lines = [_line(each.time, each.root_cause, each.task, each.taskmanager, now)]
    if traces:
        lines += [Text("      ").append_text(text(line, FAINT)) for line in each.stacktrace_head.splitlines()]
    return lines


def _line(time: datetime | None, cause: str | None, task: str | None, where: str | None, now: datetime) -> Text:
    line = Text(f"  {since(time, now):>6} ago  ").append_text(text(cause, BAD))
    if task:
        line.append("  in ", FAINT).append_text(text(task, FAINT))
    if where:
        line.append(" on ", FAINT).append_text(text(where, FAINT))
    return line
