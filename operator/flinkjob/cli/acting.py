"""The commands that change something: they ask the API server, and with `--wait` follow what comes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from flinkjob.api.codec import FlinkJob, parse_job, parse_savepoint
from flinkjob.api.constants import LABEL_JOB
from flinkjob.api.enums import Phase
from flinkjob.cli import changes, goals, sqltexts
from flinkjob.cli.adoption import must_live
from flinkjob.cli.changes import Change
from flinkjob.cli.goals import Judge, Verdict
from flinkjob.cli.history import revisions_of
from flinkjob.cli.manifests import only_job, read
from flinkjob.cli.reading import Name
from flinkjob.cli.rollback import rollback as rolled_back
from flinkjob.cli.sending import Asked, How, create, patch
from flinkjob.cli.session import Session, now

Wait = Annotated[bool, typer.Option("--wait", help="Follow it until it is reached, or can no longer be.")]
Timeout = Annotated[
    str, typer.Option("--timeout", help="How long --wait waits: 90s, 10m. After it the exit code is 3.")
]
Steady = Annotated[
    str | None,
    typer.Option(
        "--steady",
        help="With --wait: reached once all tasks have run for so long without a failure. 0s: as soon as they run. "
        "Defaults to 5s, and to no more than half of --timeout.",
        show_default=False,
    ),
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
    how = How(wait=wait, timeout=timeout, dry_run=dry_run)
    job = _job(await session.job(name))
    change = changes.savepoint(job, now(), savepoint_name, directory)
    await create(session, name, Asked(change, _completed), how)


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
    how = How(wait=wait, timeout=timeout, dry_run=dry_run)
    job = _job(await session.job(name))
    change = changes.stop(job, now(), savepoint_name, directory, drain=drain)
    await create(session, name, Asked(change, _completed), how)


async def suspend(
    session: Session, name: Name, wait: Wait = False, timeout: Timeout = "10m", dry_run: DryRun = False
) -> None:
    """Stop the job with a savepoint by spec.state, to be resumed later."""
    how = How(wait=wait, timeout=timeout, dry_run=dry_run)
    await _change(session, name, changes.suspend, lambda _, sets: goals.phase_reached(Phase.SUSPENDED, sets), how)


async def cancel(
    session: Session, name: Name, wait: Wait = False, timeout: Timeout = "10m", dry_run: DryRun = False
) -> None:
    """Cancel the job by spec.state, without a savepoint."""
    how = How(wait=wait, timeout=timeout, dry_run=dry_run)
    await _change(session, name, changes.cancel, lambda _, sets: goals.phase_reached(Phase.CANCELLED, sets), how)


async def resume(
    session: Session,
    name: Name,
    wait: Wait = False,
    timeout: Timeout = "10m",
    steady: Steady = None,
    dry_run: DryRun = False,
) -> None:
    """Run a suspended, cancelled or held job again, from its newest state."""
    how = How(wait=wait, timeout=timeout, dry_run=dry_run, steady=steady)
    await _change(session, name, changes.resume, _runs_again, how)


async def restart(
    session: Session,
    name: Name,
    wait: Wait = False,
    timeout: Timeout = "10m",
    steady: Steady = None,
    dry_run: DryRun = False,
) -> None:
    """Stop the job with a savepoint and start it again from there."""
    how = How(wait=wait, timeout=timeout, dry_run=dry_run, steady=steady)
    await _change(session, name, changes.restart, _runs_again, how)


async def rescale(
    session: Session,
    name: Name,
    parallelism: Annotated[int, typer.Argument(metavar="N", help="The new parallelism.", show_default=False)],
    wait: Wait = False,
    timeout: Timeout = "10m",
    steady: Steady = None,
    dry_run: DryRun = False,
) -> None:
    """Change the parallelism: in place where Flink can, else by a savepoint."""
    how = How(wait=wait, timeout=timeout, dry_run=dry_run, steady=steady)
    await _change(
        session,
        name,
        lambda job: changes.rescale(job, parallelism),
        lambda _, sets: goals.rescaled(sets, parallelism),
        how,
    )


async def rollback(
    session: Session,
    name: Name,
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            help="A revision, or the number of a run. Defaults to what runs, or if the spec says that, to the one before.",
            show_default=False,
        ),
    ] = None,
    wait: Wait = False,
    timeout: Timeout = "10m",
    steady: Steady = None,
    dry_run: DryRun = False,
) -> None:
    """Run again what an earlier run ran, from the newest state."""

    how = How(wait=wait, timeout=timeout, dry_run=dry_run, steady=steady)
    seconds = how.steady_seconds

    async def ask(found: Mapping[str, Any]) -> Asked:
        kept = await session.kube.revisions(session.namespace, f"{LABEL_JOB}={name}")
        texts = await sqltexts.texts_of(session, found.get("spec") or {})
        change = rolled_back(_job(found), found, revisions_of(found, kept), to, texts)
        return Asked(change, goals.steadily(goals.running(change.sets), seconds))

    await patch(session, name, ask, how)


async def adopt(
    session: Session,
    name: Name,
    job_id: Annotated[str, typer.Argument(metavar="JOB-ID", help="The Flink job.", show_default=False)],
    file: Annotated[
        Path | None,
        typer.Option("--filename", "-f", help="Create the FlinkJob of this manifest; - is the standard input."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also where Flink cannot be asked whether the job lives.")
    ] = False,
    wait: Wait = False,
    timeout: Timeout = "10m",
    steady: Steady = None,
    dry_run: DryRun = False,
) -> None:
    """Take over a Flink job that runs on the FlinkJob's cluster, without a restart. Only before its first run."""
    how = How(wait=wait, timeout=timeout, dry_run=dry_run, steady=steady)
    seconds = how.steady_seconds

    async def ask(found: Mapping[str, Any]) -> Asked:
        job = _job(found)
        change = changes.adopt(job, job_id)
        await must_live(session, job, job_id, force=force)
        judge = goals.unless_old(goals.running(change.sets, job_id=job_id), found)
        return Asked(change, goals.steadily(judge, seconds))

    if file is None:
        await patch(session, name, ask, how)
        return
    manifest = only_job(await asyncio.to_thread(read, file), name)
    change = changes.adopt_by_manifest(manifest, session.namespace, job_id)
    assert change.create is not None
    await must_live(session, parse_job(changes.as_if_stored(change.create)), job_id, force=force)
    await create(session, name, Asked(change, goals.steadily(goals.running({}, job_id=job_id), seconds)), how)


async def _change(
    session: Session,
    name: str,
    change_of: Callable[[FlinkJob], Change],
    judge_of: Callable[[FlinkJob, Mapping[str, Any]], Judge],
    how: How,
) -> None:
    """Change the FlinkJob as it is found; judged by that one and by the fields of the spec that the change sets."""
    seconds = how.steady_seconds

    async def ask(found: Mapping[str, Any]) -> Asked:
        job = _job(found)
        change = change_of(job)
        return Asked(change, goals.steadily(judge_of(job, change.sets), seconds))

    await patch(session, name, ask, how)


def _runs_again(job: FlinkJob, sets: Mapping[str, Any]) -> Judge:
    return goals.running(sets, after=changes.last_run(job))


def _job(found: Mapping[str, Any]) -> FlinkJob:
    return changes.readable(parse_job(found))


def _completed(obj: Mapping[str, Any]) -> Verdict:
    return goals.completed(parse_savepoint(obj))
