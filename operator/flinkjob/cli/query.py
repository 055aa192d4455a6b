"""query: the first rows of a SELECT, for a person who looks at data; a job of its own that ends when they are there.

Invariants: no FlinkJob is made; what was uploaded and started is removed again, also when the person interrupts; what the
values contain is only shown.
"""

from __future__ import annotations

import asyncio
import secrets
import signal
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from flinkjob.api import flink_options
from flinkjob.api.codec import parse_job
from flinkjob.cli.errors import CommandFailed, TimedOut, WrongUsage
from flinkjob.cli.flinkway import flink_at
from flinkjob.cli.rows import Rows, result_of, rows_of
from flinkjob.cli.seconds import seconds_of
from flinkjob.cli.session import Session
from flinkjob.cli.table import table
from flinkjob.core.addresses import addresses
from flinkjob.core.errors import FlinkJobError, Invalid, SubmitRejected
from flinkjob.core.flinkmodel import CancelResult, FlinkJobState, RunRequest
from flinkjob.core.program import RunnerSort

if TYPE_CHECKING:
    from flinkjob.flink.view import FlinkView

ENTRY_CLASS = "dev.flinkjob.runner.SqlQuery"
RUNNER = "FLINKJOB_RUNNER_DIR"
MOST_ROWS = 1000
MOST_BYTES = 256 * 1024
"""Of all rows: they travel with the heartbeats of TaskManagers."""
PAUSE = 0.5
PATIENCE, LATE = 15.0, 60.0
"""Seconds for which a job is cancelled again that does not end, and one whose run call got no answer."""


Mode = Literal["streaming", "batch"]
"""`execution.runtime-mode`."""


async def query(
    session: Session,
    statement: Annotated[str | None, typer.Argument(help="Statements, of which the last is a SELECT.")] = None,
    filename: Annotated[Path | None, typer.Option("--filename", "-f", help="A file with them.")] = None,
    job: Annotated[str | None, typer.Option("--job", help="On the cluster of this FlinkJob.")] = None,
    cluster: Annotated[str | None, typer.Option("--cluster", help="On the cluster with this REST address.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=MOST_ROWS, help="So many rows end the query.")] = 20,
    changelog: Annotated[bool, typer.Option("--changelog", help="Show each change, not what they come to.")] = False,
    mode: Annotated[Mode, typer.Option("--mode", help="How Flink runs it.")] = "streaming",
    timeout: Annotated[str, typer.Option("--timeout", help="Show what there is after so long.")] = "60s",
    runner_dir: Annotated[
        Path | None, typer.Option("--runner-dir", envvar=RUNNER, help="Where sql-runner-*.jar is.")
    ] = None,
) -> None:
    """Show the first rows of a SELECT, by a job of its own on a Flink cluster."""
    from flinkjob.artifacts.merge import Text, merge

    script = _script(statement, filename)
    if (job is None) == (cluster is None):
        raise WrongUsage("name the cluster by --job or by --cluster")
    url = cluster if cluster is not None else await _cluster_of(session, job or "")
    until = time.monotonic() + seconds_of(timeout)
    _end_as_by_interrupt()
    async with flink_at(session.kube, url) as (flink, way):
        session.output.progress(f"asking Flink {way}")
        with tempfile.TemporaryDirectory() as directory:
            jar = Path(directory) / "query.jar"
            merge(jar, (), runner=runner_in(runner_dir), script=(Text(script),))
            async with _uploaded(flink, jar) as jar_id, _running(session, flink, jar_id, limit, mode) as job_id:
                found, over = await _watch(session, flink, job_id, limit, until)
    _show(session, found, changelog=changelog)
    if not over:
        raise TimedOut(f"{found.seen} rows within {timeout}; the query was ended")


def _end_as_by_interrupt() -> None:
    """A query that is terminated, or whose terminal is closed, ends as by Ctrl-C: it leaves nothing behind."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    for ending in (signal.SIGTERM, signal.SIGHUP):
        if task is not None:
            loop.add_signal_handler(ending, task.cancel)


def _script(statement: str | None, filename: Path | None) -> str:
    if (statement is None) == (filename is None):
        raise WrongUsage("give the statements, or a file of them by -f")
    if statement is not None:
        return statement
    try:
        return (filename or Path()).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise WrongUsage(f"{filename}: {error.strerror if isinstance(error, OSError) else 'no text'}") from error


def runner_in(directory: Path | None) -> Path:
    """The newest SQL runner of a directory."""
    from flinkjob.artifacts.runners import Runners

    there = f"--runner-dir or {RUNNER} names the directory, as for the operator"
    if directory is None:
        raise WrongUsage(f"no SQL runner is named: {there}")
    runners = Runners(directory)
    try:
        return runners.path(RunnerSort.SQL, runners.newest(RunnerSort.SQL))
    except Invalid as error:
        raise WrongUsage(f"there is no sql-runner-*.jar in {directory}: {there}") from error


async def _cluster_of(session: Session, name: str) -> str:
    url, _ = addresses(parse_job(await session.job(name)))
    if not url:
        raise CommandFailed(f"FlinkJob {name} names no cluster")
    return url


@asynccontextmanager
async def _uploaded(flink: FlinkView, jar: Path) -> AsyncIterator[str]:
    jar_id = await flink.upload_jar(jar, f"flinkjob-query-{secrets.token_hex(8)}.jar")
    try:
        yield jar_id
    finally:
        await flink.delete_jar(jar_id)


@asynccontextmanager
async def _running(session: Session, flink: FlinkView, jar_id: str, limit: int, mode: Mode) -> AsyncIterator[str]:
    """The id of the job, which is cancelled unless it has ended before."""
    job_id = secrets.token_hex(16)
    await flink.cancel(job_id)  # there is none yet: who may not end a job must not start it
    request = RunRequest(
        job_id=job_id,
        entry_class=ENTRY_CLASS,
        args=(str(limit), str(MOST_BYTES)),
        flink_configuration={
            flink_options.JOB_NAME: "kubectl flinkjob query",
            flink_options.RUNTIME_MODE: mode.upper(),
            "restart-strategy.type": "none",
            flink_options.CHECKPOINT_RETENTION: "DELETE_ON_CANCELLATION",
        },
    )
    may_begin = True
    try:
        await flink.run_jar(jar_id, request)
        may_begin = False
        yield job_id
    except SubmitRejected:
        may_begin = False
        raise
    finally:
        await _end(session, flink, job_id, may_begin=may_begin)


async def _end(session: Session, flink: FlinkView, job_id: str, *, may_begin: bool) -> None:
    """Cancels the job; where the run call got no answer, its main() may go on, and the job begin later."""
    until = time.monotonic() + (LATE if may_begin else PATIENCE)
    while True:
        try:
            result = await flink.cancel(job_id)
        except FlinkJobError:
            result = None
        if result is not None and (result is not CancelResult.NOT_FOUND or not may_begin):
            return
        if time.monotonic() > until:
            session.output.warning(
                f"Flink job {job_id} could not be ended, or may still begin: look for it on the cluster"
            )
            return
        await asyncio.sleep(PAUSE)


async def _watch(session: Session, flink: FlinkView, job_id: str, limit: int, until: float) -> tuple[Rows, bool]:
    """The rows once there are enough or no more come, and whether that is so; else those that there are in the end."""
    found, said = Rows(), -1
    while True:
        state = await flink.job_status(job_id)
        kept, seen = await flink.kept_rows(job_id)
        found = rows_of(kept, seen) if kept else found
        if state is FlinkJobState.FAILED:
            raise CommandFailed(f"the query failed: {await _why(flink, job_id)}")
        if state is None or state.is_terminal or found.seen >= limit:
            return found, True
        if time.monotonic() > until:
            return found, False
        if found.seen != said:
            said = found.seen
            session.output.progress(f"{said} rows so far")
        await asyncio.sleep(PAUSE)


async def _why(flink: FlinkView, job_id: str) -> str:
    try:
        found = await flink.exceptions(job_id, 1)
    except FlinkJobError as error:
        return error.message
    return found[0].root_cause if found else "Flink does not say why"


def _show(session: Session, found: Rows, *, changelog: bool) -> None:
    if changelog:
        rows = [(kind, *map(_shown, row)) for kind, row in found.changes]
        session.output.lines(table(("OP", *map(_shown, found.columns)), rows))
    else:
        session.output.lines(
            table([*map(_shown, found.columns)], [[*map(_shown, row)] for row in result_of(found.changes)])
        )
    if len(found.changes) < found.seen or not found.changes:
        session.output.progress(f"{len(found.changes)} of {found.seen} rows are shown")


def _shown(value: str | None) -> str:
    return "NULL" if value is None else value
