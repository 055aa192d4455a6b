"""The commands that only look: get, status, history, diff, exceptions, events."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Annotated, Any, Literal, TypeVar

import typer

from flinkjob.api.codec import FlinkJob, parse_job, parse_savepoint
from flinkjob.api.constants import LABEL_JOB
from flinkjob.cli import sqltexts
from flinkjob.cli.errors import CommandFailed, WrongUsage
from flinkjob.cli.eventlines import event_lines
from flinkjob.cli.failures import failure_lines
from flinkjob.cli.fleet import fleet
from flinkjob.cli.flinkview import FlinkSeen, look
from flinkjob.cli.history import chosen_revision, difference, history, revisions_of
from flinkjob.cli.output import as_json, as_yaml
from flinkjob.cli.session import Session, now
from flinkjob.cli.statusview import Seen, screen
from flinkjob.kube.errors import Forbidden, KubeUnavailable
from flinkjob.kube.kinds import Kind

REFRESH_SECONDS = 2.0
WATCH_SECONDS = 1.0
MOST_EVENTS = 100
MOST_FAILURES = 20

Name = Annotated[str, typer.Argument(metavar="NAME", help="The FlinkJob.", show_default=False)]
Watch = Annotated[bool, typer.Option("--watch", "-w", help="Go on showing changes until Ctrl-C.")]


T = TypeVar("T")
Format = Literal["wide", "name", "json", "yaml"]
"""How `get` writes."""


async def get(
    session: Session,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help="FlinkJobs. Defaults to all.", show_default=False)
    ] = None,
    all_namespaces: Annotated[bool, typer.Option("--all-namespaces", "-A", help="Those of all namespaces.")] = False,
    watch: Watch = False,
    output: Annotated[Format | None, typer.Option("--output", "-o", help="Defaults to a table.")] = None,
) -> None:
    """List FlinkJobs: phase, run, uptime, newest checkpoint, restarts."""
    if names and all_namespaces:
        raise WrongUsage("names are of one namespace: leave out -A")
    session = session.following() if watch else session
    listed = partial(_listed, session, names or [], everywhere=all_namespaces)
    found = await _seen_once(session, listed, watch=watch)
    single = len(names or ()) == 1
    _show(session, found, output, everywhere=all_namespaces, single=single)
    while watch:
        known = {_identity(each): each["metadata"]["resourceVersion"] for each in found}
        await asyncio.sleep(WATCH_SECONDS)
        found = await _seen_once(session, listed, watch=watch)
        changed = [each for each in found if known.get(_identity(each)) != each["metadata"]["resourceVersion"]]
        if changed and output in (None, "wide"):
            table = fleet([parse_job(each) for each in found], now(), wide=output == "wide", namespaces=all_namespaces)
            order = sorted(map(_identity, found))
            session.output.lines(table[1 + order.index(_identity(each))] for each in changed)
        elif changed:
            _show(session, changed, output, everywhere=all_namespaces, single=single)


async def status(session: Session, name: Name, watch: Watch = False) -> None:
    """Show one FlinkJob on a screen: what is done or waited for, tasks, failures, checkpoints, lineage, Events."""
    session = session.following() if watch else session
    look = partial(_seen, session, name)
    session.output.lines(screen(await _seen_once(session, look, watch=watch)))
    while watch:
        await asyncio.sleep(REFRESH_SECONDS)
        session.output.screen(screen(await _seen_once(session, look, watch=watch)))


async def _seen_once(session: Session, look: Callable[[], Awaitable[T]], *, watch: bool) -> T:
    """What there is to see; somebody who watches sees what is in the way, and it is tried again."""
    while True:
        try:
            return await look()
        except KubeUnavailable as error:
            if not watch:
                raise
            session.output.warning(error.message)
            await asyncio.sleep(REFRESH_SECONDS)


async def show_history(session: Session, name: Name) -> None:
    """Show the runs of a FlinkJob, and the specs that are kept."""
    found = await session.job(name)
    revisions = await _revisions(session, found)
    session.output.lines(history(parse_job(found), revisions, now()))


async def diff(
    session: Session,
    name: Name,
    revision: Annotated[
        str | None,
        typer.Argument(help="A revision, or the number of its run. Defaults to the one that runs.", show_default=False),
    ] = None,
) -> None:
    """Show how the spec differs from a revision, which is the spec of a run."""
    found = await session.job(name)
    job = parse_job(found)
    named = revision or job.status.current_revision
    if named is None:
        raise CommandFailed(f"{name} has not run yet, so there is no revision to compare its spec with")
    spec = found.get("spec") or {}
    chosen = chosen_revision(job, await _revisions(session, found), named)
    if sqltexts.places(spec):
        chosen = sqltexts.with_references(chosen, spec, await sqltexts.texts_of(session, spec))
    lines = difference(chosen, found)
    session.output.lines(lines or [f"the spec is that of revision {chosen['metadata']['name']}"])


async def exceptions(session: Session, name: Name) -> None:
    """Show why a job failed: what Flink remembers, with the heads of the stack traces."""
    job = parse_job(await session.job(name))
    seen = await _flink(session, job)
    lines = failure_lines(job, seen.exceptions, now(), most=MOST_FAILURES, traces=True)
    session.output.lines([*lines, f"Flink data: {seen.way}"] if lines else [f"no failure is known ({seen.way})"])


async def events(session: Session, name: Name) -> None:
    """Show the Events of a FlinkJob and of its FlinkSavepoints, the newest last."""
    await session.job(name)
    about = {each["metadata"]["name"] for each in await session.savepoints(name)} | {name}
    found = [each for each in await session.events() if (each.get("involvedObject") or {}).get("name") in about]
    session.output.lines(event_lines(found, now(), most=MOST_EVENTS) or ["no Events are known any more"])


async def _seen(session: Session, name: str) -> Seen:
    job = parse_job(await session.job(name))
    flink, savepoints, about = await asyncio.gather(
        _flink(session, job), session.savepoints(name), session.events(name)
    )
    return Seen(
        job=job, savepoints=[parse_savepoint(each) for each in savepoints], events=about, flink=flink, now=now()
    )


async def _flink(session: Session, job: FlinkJob) -> FlinkSeen:
    run = job.status.submission
    return await look(session.kube, run.address if run is not None else "", run.flink_job_id if run is not None else "")


async def _revisions(session: Session, job: Mapping[str, Any]) -> list[dict[str, Any]]:
    name = job["metadata"]["name"]
    try:
        found = await session.kube.revisions(session.namespace, f"{LABEL_JOB}={name}")
    except Forbidden as denied:
        raise CommandFailed(f"the specs of runs are ControllerRevisions, and {denied.message}") from denied
    return revisions_of(job, found)


def _identity(job: Mapping[str, Any]) -> tuple[str, str]:
    meta = job["metadata"]
    return meta["namespace"], meta["name"]


def _without_owners(job: Mapping[str, Any]) -> dict[str, Any]:
    """The object without what says who set which field, which kubectl does not show either."""
    meta = {name: value for name, value in job["metadata"].items() if name != "managedFields"}
    return {**job, "metadata": meta}


async def _listed(session: Session, names: list[str], *, everywhere: bool) -> list[dict[str, Any]]:
    if names:
        return [await session.job(each) for each in names]
    return await session.kube.all(Kind.FLINK_JOB, None if everywhere else session.namespace)


def _show(
    session: Session, found: list[dict[str, Any]], form: Format | None, *, everywhere: bool, single: bool
) -> None:
    output, plain = session.output, [_without_owners(each) for each in found]
    match form:
        case "json":
            output.raw(as_json(plain[0] if single else {"apiVersion": "v1", "kind": "List", "items": plain}))
        case "yaml":
            output.raw(as_yaml(*plain))
        case "name":
            output.lines(f"flinkjob.flinkjob.dev/{each['metadata']['name']}" for each in found)
        case _ if not found:
            where = "in any namespace" if everywhere else f"in namespace {session.namespace}"
            output.progress(f"There are no FlinkJobs {where}.")
        case _:
            jobs = [parse_job(each) for each in found]
            output.lines(fleet(jobs, now(), wide=form == "wide", namespaces=everywhere))
