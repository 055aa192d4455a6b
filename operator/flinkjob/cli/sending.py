"""How a change is sent, and with `--wait` followed to its end.

Invariant: a change is of the object that it was made from. Where that has another version by now, it is made anew.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from flinkjob.api.constants import GROUP
from flinkjob.cli import owners
from flinkjob.cli.changes import Change
from flinkjob.cli.errors import CommandFailed, TimedOut, WrongUsage
from flinkjob.cli.goals import Judge, Outcome, Verdict, holds
from flinkjob.cli.seconds import seconds_of
from flinkjob.cli.session import Session
from flinkjob.kube.errors import AlreadyExists, Conflict, Gone, KubeUnavailable
from flinkjob.kube.kinds import Kind

LOOK_SECONDS = 0.5
STEADY_SECONDS = 5.0
"""Longer than a crash in the first second takes to be seen by the operator, which looks at a cluster every two seconds."""
NOT_AT_ALL = "0s"
MOST_ATTEMPTS = 8
"""How often a change is made anew since the object changed meanwhile."""


@dataclass(frozen=True, kw_only=True)
class How:
    """The options of all commands that change something.

    Attributes:
        steady: for how long a job has to have run; None: as `steady_seconds` has it.
    """

    wait: bool
    timeout: str
    dry_run: bool
    steady: str | None = NOT_AT_ALL

    @property
    def seconds(self) -> float:
        """How long it is followed."""
        return seconds_of(self.timeout)

    @property
    def steady_seconds(self) -> float:
        """How long a job has to have run.

        Raises:
            WrongUsage: it is no duration, or one that cannot be over before `--wait` ends.
        """
        if self.steady is None:
            return min(STEADY_SECONDS, self.seconds / 2)
        seconds = 0.0 if self.steady == NOT_AT_ALL else seconds_of(self.steady, "--steady")
        if self.wait and seconds >= self.seconds:
            raise WrongUsage(f"--steady {self.steady} must be shorter than --timeout {self.timeout}")
        return seconds


@dataclass(frozen=True)
class Asked:
    """A change, and when it is reached."""

    change: Change
    judge: Judge


Ask = Callable[[Mapping[str, Any]], Awaitable[Asked]]
"""The change of a FlinkJob as it was just read."""


async def patch(session: Session, name: str, ask: Ask, how: How) -> None:
    """Change the FlinkJob, and perhaps follow it."""
    seconds = how.seconds
    asked = await _patched(session, name, ask, dry_run=how.dry_run)
    _say(session, name, asked.change, dry_run=how.dry_run)
    if how.wait and not how.dry_run:
        await _follow(session, Kind.FLINK_JOB, name, asked.judge, seconds)


async def create(session: Session, name: str, asked: Asked, how: How) -> None:
    """Create an object, and perhaps follow it."""
    seconds, body = how.seconds, asked.change.create
    assert body is not None
    kind = next(each for each in Kind if each.kind == body["kind"])
    made = await _created(session, kind, body, dry_run=how.dry_run)
    _say(session, name, asked.change, dry_run=how.dry_run)
    session.output.lines([f"{kind.kind.lower()}.{GROUP}/{made['metadata']['name']}"])
    if how.wait and not how.dry_run:
        await _follow(session, kind, made["metadata"]["name"], asked.judge, seconds)


async def _patched(session: Session, name: str, ask: Ask, *, dry_run: bool) -> Asked:
    """Sends it; where an answer was lost and the object has it by now, it counts as sent."""
    asked: Asked | None = None
    for _ in range(MOST_ATTEMPTS):
        found = await session.job(name)
        if asked is not None and holds(found, asked.change.patch):
            return asked
        asked = await ask(found)
        for warning in owners.warnings(found, asked.change.sets):
            session.output.warning(warning)
        try:
            await session.kube.patch(Kind.FLINK_JOB, found, asked.change.patch, dry_run=dry_run)
        except Conflict:
            continue
        return asked
    raise CommandFailed(f"{name} changed {MOST_ATTEMPTS} times while this was asked for: try again")


async def _created(session: Session, kind: Kind, body: Mapping[str, Any], *, dry_run: bool) -> Mapping[str, Any]:
    """Creates it. An answer may be lost and the request be repeated: what is there already and is the same counts as made."""
    try:
        return await session.kube.create(body, dry_run=dry_run)
    except AlreadyExists:
        there = await session.kube.get(kind, session.namespace, body["metadata"]["name"])
        notes = {"annotations": body["metadata"].get("annotations") or {}}
        if not holds(there, {"spec": body["spec"], "metadata": notes}):
            raise
        session.output.progress(f"{kind.kind} {body['metadata']['name']} is there, with the same spec")
        return there


def _say(session: Session, name: str, change: Change, *, dry_run: bool) -> None:
    verb = "would be asked for" if dry_run else "asked for"
    checked = " (checked by the API server, not stored)" if dry_run else ""
    session.output.lines([f"{name}: {verb}: {change.asks}{checked}"])


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
