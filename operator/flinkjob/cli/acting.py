"""The commands that change something: they ask the API server, and with `--wait` follow what comes of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from flinkjob.api.codec import parse_job, parse_savepoint
from flinkjob.api.common import duration_seconds
from flinkjob.api.constants import GROUP, LABEL_JOB
from flinkjob.api.enums import Phase
from flinkjob.cli import changes, goals, owners
from flinkjob.cli.changes import Change
from flinkjob.cli.errors import CommandFailed, TimedOut, WrongUsage
from flinkjob.cli.goals import Judge, Outcome, Verdict
from flinkjob.cli.history import revisions_of
from flinkjob.cli.manifests import only_job, read
from flinkjob.cli.reading import Name
from flinkjob.cli.rollback import rollback as rolled_back
from flinkjob.cli.session import Session, now
from flinkjob.kube.errors import Gone, KubeUnavailable
from flinkjob.kube.kinds import Kind

LOOK_SECONDS = 0.5

Wait = Annotated[bool, typer.Option("--wait", help="Follow it until it is reached, or can no longer be.")]
Timeout = Annotated[
    str, typer.Option("--timeout", help="How long --wait waits: 90s, 10m. After it the exit code is 3.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="The API server checks it and stores nothing.")]
SavepointName = Annotated[
    str | None, typer.Option("--name", help="Of the FlinkSavepoint. Defaults to NAME-DATE-TIME.", show_default=False)
]
Directory = Annotated[
    str | None,
    typer.Option("--directory", help="Where to. Defaults to the job's, then the cluster's.", show_default=False),
]


async def savepoint(
    session: Session,
    name: Name,
    savepoint_name: SavepointName = None,
    directory: Directory = None,
    wait: Wait = False,
    timeout: Timeout = "10m",
    dry_run: DryRun = False,
) -> None:
    """Take a savepoint; the job runs on."""
    job = parse_job(await session.job(name))
    change = changes.savepoint(job, now(), savepoint_name, directory)
    await _create(session, name, change, _completed, wait=wait, timeout=timeout, dry_run=dry_run)


async def stop(
    session: Session,
    name: Name,
    savepoint_name: SavepointName = None,
    directory: Directory = None,
    drain: Annotated[bool, typer.Option("--drain", help="Send the highest watermark first.")] = False,
    wait: Wait = False,
    timeout: Timeout = "10m",
    dry_run: DryRun = False,
) -> None:
    """Stop the job with a savepoint, without a change of the spec; resume starts it again."""
    job = parse_job(await session.job(name))
    change = changes.stop(job, now(), savepoint_name, directory, drain=drain)
    await _create(session, name, change, _completed, wait=wait, timeout=timeout, dry_run=dry_run)


async def suspend(
    session: Session, name: Name, wait: Wait = False, timeout: Timeout = "10m", dry_run: DryRun = False
) -> None:
    """Stop the job with a savepoint by spec.state, to be resumed later."""
    found = await session.job(name)
    change = changes.suspend(parse_job(found))
    judge = goals.phase_reached(Phase.SUSPENDED, change.sets)
    await _patch(session, found, change, judge, wait=wait, timeout=timeout, dry_run=dry_run)


async def cancel(
    session: Session, name: Name, wait: Wait = False, timeout: Timeout = "10m", dry_run: DryRun = False
) -> None:
    """Cancel the job by spec.state, without a savepoint."""
    found = await session.job(name)
    change = changes.cancel(parse_job(found))
    judge = goals.phase_reached(Phase.CANCELLED, change.sets)
    await _patch(session, found, change, judge, wait=wait, timeout=timeout, dry_run=dry_run)


async def resume(
    session: Session, name: Name, wait: Wait = False, timeout: Timeout = "10m", dry_run: DryRun = False
) -> None:
    """Run a suspended, cancelled or held job again, from its newest state."""
    await _start_again(session, name, changes.resume, wait=wait, timeout=timeout, dry_run=dry_run)


async def restart(
    session: Session, name: Name, wait: Wait = False, timeout: Timeout = "10m", dry_run: DryRun = False
) -> None:
    """Stop the job with a savepoint and start it again from there."""
    await _start_again(session, name, changes.restart, wait=wait, timeout=timeout, dry_run=dry_run)


async def rescale(
    session: Session,
    name: Name,
    parallelism: Annotated[int, typer.Argument(metavar="N", help="The new parallelism.", show_default=False)],
    wait: Wait = False,
    timeout: Timeout = "10m",
    dry_run: DryRun = False,
) -> None:
    """Change the parallelism: in place where Flink can, else by a savepoint."""
    found = await session.job(name)
    change = changes.rescale(parse_job(found), parallelism)
    judge = goals.rescaled(change.sets, parallelism)
    await _patch(session, found, change, judge, wait=wait, timeout=timeout, dry_run=dry_run)


async def rollback(
    session: Session,
    name: Name,
    to: Annotated[
        str | None,
        typer.Option(
            "--to", help="A revision, or the number of its run. Defaults to the one before.", show_default=False
        ),
    ] = None,
    wait: Wait = False,
    timeout: Timeout = "10m",
    dry_run: DryRun = False,
) -> None:
    """Run again what an earlier run ran, from the newest state."""
    found = await session.job(name)
    kept = await session.kube.revisions(session.namespace, f"{LABEL_JOB}={name}")
    job = parse_job(found)
    change = rolled_back(job, found, revisions_of(found, kept), to)
    judge = goals.running(change.sets)
    await _patch(session, found, change, judge, wait=wait, timeout=timeout, dry_run=dry_run)


async def adopt(
    session: Session,
    name: Name,
    job_id: Annotated[str, typer.Argument(metavar="JOB-ID", help="The Flink job.", show_default=False)],
    file: Annotated[
        Path | None,
        typer.Option("--filename", "-f", help="Create the FlinkJob of this manifest; - is the standard input."),
    ] = None,
    wait: Wait = False,
    timeout: Timeout = "10m",
    dry_run: DryRun = False,
) -> None:
    """Take over a Flink job that runs on the FlinkJob's cluster, without a restart. Only before its first run."""
    judge = goals.running({}, job_id=job_id)
    if file is None:
        found = await session.job(name)
        change = changes.adopt(parse_job(found), job_id)
        await _patch(session, found, change, judge, wait=wait, timeout=timeout, dry_run=dry_run)
        return
    manifest = only_job(await asyncio.to_thread(read, file), name)
    change = changes.adopt_by_manifest(manifest, session.namespace, job_id)
    await _create(session, name, change, judge, wait=wait, timeout=timeout, dry_run=dry_run)


async def _start_again(
    session: Session, name: str, asked: Callable[[Any], Change], *, wait: bool, timeout: str, dry_run: bool
) -> None:
    found = await session.job(name)
    job = parse_job(found)
    change = asked(job)
    run = job.status.submission
    judge = goals.running(change.sets, after=run.number if run is not None else 0)
    await _patch(session, found, change, judge, wait=wait, timeout=timeout, dry_run=dry_run)


async def _patch(
    session: Session,
    found: Mapping[str, Any],
    change: Change,
    judge: Judge,
    *,
    wait: bool,
    timeout: str,
    dry_run: bool,
) -> None:
    """Change the FlinkJob, and perhaps follow it."""
    seconds = _seconds(timeout)
    name = found["metadata"]["name"]
    for warning in owners.warnings(found, change.sets):
        session.output.warning(warning)
    await session.kube.patch(Kind.FLINK_JOB, session.namespace, name, change.patch, dry_run=dry_run)
    _asked(session, name, change, dry_run=dry_run)
    if wait and not dry_run:
        await _follow(session, Kind.FLINK_JOB, name, judge, seconds)


async def _create(
    session: Session, name: str, change: Change, judge: Judge, *, wait: bool, timeout: str, dry_run: bool
) -> None:
    """Create an object, and perhaps follow it."""
    seconds = _seconds(timeout)
    assert change.create is not None
    kind = next(each for each in Kind if each.kind == change.create["kind"])
    made = await session.kube.create(change.create, dry_run=dry_run)
    _asked(session, name, change, dry_run=dry_run)
    session.output.lines([f"{kind.kind.lower()}.{GROUP}/{made['metadata']['name']}"])
    if wait and not dry_run:
        await _follow(session, kind, made["metadata"]["name"], judge, seconds)


def _completed(obj: Mapping[str, Any]) -> Verdict:
    return goals.completed(parse_savepoint(obj))


def _asked(session: Session, name: str, change: Change, *, dry_run: bool) -> None:
    verb = "would be asked for" if dry_run else "asked for"
    checked = " (checked by the API server, not stored)" if dry_run else ""
    session.output.lines([f"{name}: {verb}: {change.asks}{checked}"])


def _seconds(timeout: str) -> float:
    try:
        return duration_seconds(timeout)
    except ValueError as error:
        raise WrongUsage(f"--timeout: {error}") from error


async def _follow(session: Session, kind: Kind, name: str, judge: Judge, seconds: float) -> None:
    """Look until it is reached; each new line about it is shown once.

    Raises:
        CommandFailed: it can no longer be reached.
        TimedOut: it was not reached in time.
    """
    end = time.monotonic() + seconds
    shown = ""
    look = partial(_look, session, kind, name, judge)
    while (verdict := await look()).outcome is Outcome.WAITING:
        if verdict.words != shown:
            shown = verdict.words
            session.output.progress(f"{name}: {shown}")
        if time.monotonic() > end:
            raise TimedOut(f"{name}: not reached within {seconds:g} s; it is at: {shown}")
        await asyncio.sleep(LOOK_SECONDS)
    if verdict.outcome is Outcome.OUT_OF_REACH:
        raise CommandFailed(f"{name}: {verdict.words}")
    session.output.lines([f"{name}: {verdict.words}"])


async def _look(session: Session, kind: Kind, name: str, judge: Judge) -> Verdict:
    try:
        return judge(await session.kube.get(kind, session.namespace, name))
    except Gone:
        return Verdict(Outcome.OUT_OF_REACH, f"the {kind.kind} was deleted")
    except KubeUnavailable as error:
        return Verdict(Outcome.WAITING, error.message)
