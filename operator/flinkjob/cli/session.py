"""What a command works with: the API server with the user's rights, the two streams, and objects found by their names."""

from __future__ import annotations

import asyncio
import difflib
import functools
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flinkjob.cli.errors import Code, CommandFailed
from flinkjob.cli.output import Output
from flinkjob.core.errors import FlinkJobError
from flinkjob.kube.errors import Forbidden, Gone
from flinkjob.kube.kinds import Kind
from flinkjob.kube.kubecontext import KubeContext

if TYPE_CHECKING:
    from flinkjob.kube.user import UserClient

MOST_SUGGESTIONS = 3


@dataclass(frozen=True, kw_only=True)
class Session:
    """A command that is under way.

    Attributes:
        namespace: the one that the user named, else that of the context.
    """

    kube: UserClient
    output: Output
    namespace: str

    def following(self) -> Session:
        """The same, for somebody who reads again and again."""
        from flinkjob.kube.following import FollowingClient

        return replace(self, kube=FollowingClient(self.kube))

    async def job(self, name: str) -> dict[str, Any]:
        """A FlinkJob.

        Raises:
            CommandFailed: there is none; names that are alike are suggested.
        """
        return await self._named(Kind.FLINK_JOB, name)

    async def _named(self, kind: Kind, name: str) -> dict[str, Any]:
        try:
            return await self.kube.get(kind, self.namespace, name)
        except Gone as gone:
            raise CommandFailed(await self._missing(kind, name)) from gone

    async def _missing(self, kind: Kind, name: str) -> str:
        text = f"there is no {kind.kind} {name} in namespace {self.namespace}"
        try:
            there = [each["metadata"]["name"] for each in await self.kube.all(kind, self.namespace)]
        except FlinkJobError:
            return text
        alike = difflib.get_close_matches(name, there, MOST_SUGGESTIONS, 0.5)
        if alike:
            return f"{text}; did you mean {' or '.join(alike)}?"
        return text if there else f"{text}, nor any other; see kubectl flinkjob get -A"

    async def events(self, name: str | None = None) -> list[dict[str, Any]]:
        """The Events about a name, or about all objects of the operator; none where the user may not read them: said."""
        try:
            return await self.kube.events(self.namespace, name)
        except Forbidden as denied:
            self.output.warning(f"Events are not shown: {denied.message}")
            return []

    async def savepoints(self, name: str) -> list[dict[str, Any]]:
        """The FlinkSavepoints of a FlinkJob; none where the user may not read them, which is said."""
        try:
            return await self.kube.all(Kind.FLINK_SAVEPOINT, self.namespace, fields=f"spec.jobRef.name={name}")
        except Forbidden as denied:
            self.output.warning(f"savepoints are not shown: {denied.message}")
            return []


def now() -> datetime:
    """The time of this machine."""
    return datetime.now(UTC)


Command = Callable[..., Coroutine[Any, Any, Code | None]]
Namespace = Annotated[str | None, typer.Option("--namespace", "-n", help="Defaults to that of the context.")]
Context = Annotated[str | None, typer.Option("--context", help="A context of the kubeconfig.")]
Kubeconfig = Annotated[Path | None, typer.Option("--kubeconfig", help="Defaults to KUBECONFIG, else ~/.kube/config.")]
_SHARED: Mapping[str, Any] = {"namespace": Namespace, "context": Context, "kubeconfig": Kubeconfig}


def on_cluster(command: Command) -> Callable[..., Code]:
    """The command as typer calls it: with the options that say which cluster, and a session as its first argument."""
    own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]
    shared = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
        for name, kind in _SHARED.items()
    ]

    def called(**given: Any) -> Code:
        chosen = KubeContext(**{name: given.pop(name) for name in _SHARED})
        return asyncio.run(_run(chosen, functools.partial(command, **given)))

    called.__doc__ = command.__doc__
    called.__name__ = command.__name__
    called.__signature__ = inspect.Signature([*own, *shared])  # type: ignore[attr-defined]
    return called


async def _run(chosen: KubeContext, command: Callable[[Session], Awaitable[Code | None]]) -> Code:
    from flinkjob.kube.user import UserClient

    async with await UserClient.connect(chosen) as kube:
        code = await command(Session(kube=kube, output=Output(), namespace=kube.namespace))
        return Code.DONE if code is None else code
