"""The actions of the command line, from a page: first what it would do, checked by the API server, then the same for real.

Invariant: what an action does, and what it warns of, is what the command of the same name does and warns of.
"""

from __future__ import annotations

import io
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from flinkjob.cli import acting
from flinkjob.cli.output import Output
from flinkjob.cli.session import Session
from flinkjob.core.errors import FlinkJobError

if TYPE_CHECKING:
    from flinkjob.kube.user import UserClient

NOT_A_NUMBER: Final = "a parallelism is a whole number"


@dataclass(frozen=True, kw_only=True)
class Action:
    """A button.

    Attributes:
        means: what it does, in a sentence.
        number: what a person gives along; "" nothing.
        grave: whether the job is down afterwards.
    """

    name: str
    title: str
    means: str
    number: str = ""
    grave: bool = False


ACTIONS: Final = (
    Action(name="savepoint", title="Take a savepoint", means="The job runs on."),
    Action(name="restart", title="Restart", means="Stops with a savepoint and starts again from it."),
    Action(
        name="rescale", title="Rescale", means="In place where Flink can, else by a savepoint.", number="Parallelism"
    ),
    Action(name="rollback", title="Roll back", means="Runs again what an earlier run ran, from the newest state."),
    Action(name="resume", title="Resume", means="Runs a job that is down again, from its newest state."),
    Action(name="suspend", title="Suspend", means="Stops with a savepoint, until it is resumed.", grave=True),
    Action(name="stop", title="Stop", means="Stops with a savepoint, without a change of the spec.", grave=True),
    Action(name="cancel", title="Cancel", means="Ends the job without a savepoint.", grave=True),
)
_COMMANDS: Final[Mapping[str, Callable[..., Coroutine[Any, Any, None]]]] = {
    "savepoint": acting.savepoint,
    "restart": acting.restart,
    "rollback": acting.rollback,
    "resume": acting.resume,
    "suspend": acting.suspend,
    "stop": acting.stop,
    "cancel": acting.cancel,
}


@dataclass(frozen=True, kw_only=True)
class Said:
    """What came of it.

    Attributes:
        done: whether it was asked for, or with `dry_run` could be.
        lines: what the command says of it, warnings first.
    """

    done: bool
    lines: tuple[str, ...]


def named(name: str) -> Action | None:
    """The action of this name."""
    return next((each for each in ACTIONS if each.name == name), None)


async def act(kube: UserClient, namespace: str, name: str, action: Action, number: str = "", *, dry_run: bool) -> Said:
    """Ask for it, or let the API server check it."""
    out, err = io.StringIO(), io.StringIO()
    session = Session(kube=kube, output=Output(out, err), namespace=namespace)
    try:
        await _call(action, session, name, number)(dry_run=dry_run)
    except FlinkJobError as error:
        return Said(done=False, lines=(*_lines(err), error.message))
    return Said(done=True, lines=(*_lines(err), *_lines(out)))


def _call(action: Action, session: Session, name: str, number: str) -> Callable[..., Awaitable[None]]:
    if action.name in _COMMANDS:
        return partial(_COMMANDS[action.name], session, name)
    if not (number.isascii() and number.isdecimal() and len(number) < 8):
        raise FlinkJobError(NOT_A_NUMBER)
    return partial(acting.rescale, session, name, int(number))


def _lines(stream: io.StringIO) -> list[str]:
    return [line for line in stream.getvalue().splitlines() if line.strip()]
