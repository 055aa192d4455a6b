"""What can come next on a command line, in the way in which kubectl asks its plugins for it.

kubectl runs `kubectl_complete-flinkjob` with the words so far, the last of which is still being typed, and reads one
candidate a line and at the end a number that says what the shell may add. `completion` prints that program.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from flinkjob.api.reasons import Reason
from flinkjob.core.errors import FlinkJobError
from flinkjob.kube.kinds import Kind
from flinkjob.kube.kubecontext import KubeContext

SCRIPT: Final = """\
#!/bin/sh
# Completes kubectl flinkjob in every shell where kubectl is completed. Put it on the PATH, executable, by this name:
#   kubectl flinkjob completion > ~/.local/bin/kubectl_complete-flinkjob
#   chmod +x ~/.local/bin/kubectl_complete-flinkjob
exec kubectl-flinkjob __complete "$@"
"""
NO_FILES: Final = ":4"
FILES: Final = ":0"
NAMES_SECONDS: Final = 3.0
_WITHOUT_NAMES: Final = ("validate", "migrate", "completion", "explain")
_ACCESS: Final = {
    "-n": "namespace",
    "--namespace": "namespace",
    "--context": "context",
    "--kubeconfig": "kubeconfig",
}
Options = Mapping[str, str]
"""The options of a command with what each does; those that take a value end with `=`."""


def candidates(
    words: Sequence[str], commands: Mapping[str, tuple[str, Options]], names: Callable[[KubeContext], Iterable[str]]
) -> list[str]:
    """The lines of the answer.

    Args:
        words: those so far; the last is being typed.
        commands: what each does, and its options.
        names: asks for the names of the FlinkJobs.
    """
    *before, typed = words or [""]
    if not before:
        return [*_fitting(((name, does) for name, (does, _) in commands.items()), typed), NO_FILES]
    command = before[0]
    options = commands.get(command, ("", {}))[1]
    last = before[-1]
    if f"{last}=" in options:
        return _values(last, typed)
    if typed.startswith("-"):
        return [*_fitting(((name.rstrip("="), does) for name, does in options.items()), typed), NO_FILES]
    if command == "explain":
        return [*_fitting(((reason, "") for reason in Reason), typed), NO_FILES]
    if command not in commands or command in _WITHOUT_NAMES:
        return [NO_FILES]
    return [*_fitting(((name, "") for name in names(_access(before))), typed), NO_FILES]


def _values(option: str, typed: str) -> list[str]:
    if option in ("-f", "--filename", "--kubeconfig"):
        return [FILES]
    formats = ("wide", "name", "json", "yaml") if option in ("-o", "--output") else ()
    return [*_fitting(((each, "") for each in formats), typed), NO_FILES]


def _fitting(found: Iterable[tuple[str, str]], typed: str) -> list[str]:
    return [f"{name}\t{does}" if does else name for name, does in found if name.startswith(typed)]


def _access(words: Sequence[str]) -> KubeContext:
    """Which cluster the words before name."""
    given: dict[str, Any] = {}
    for number, word in enumerate(words):
        option, sign, value = word.partition("=")
        if option in _ACCESS:
            given[_ACCESS[option]] = value if sign else "".join(words[number + 1 : number + 2])
    if given.get("kubeconfig"):
        given["kubeconfig"] = Path(given["kubeconfig"])
    return KubeContext(**{name: value or None for name, value in given.items()})


def names_of(chosen: KubeContext) -> list[str]:
    """The names of the FlinkJobs; none where they cannot be had soon, since somebody is typing."""
    try:
        return asyncio.run(asyncio.wait_for(_names(chosen), NAMES_SECONDS))
    except (FlinkJobError, TimeoutError):
        return []


async def _names(chosen: KubeContext) -> list[str]:
    from flinkjob.kube.user import UserClient

    async with await UserClient.connect(chosen) as kube:
        return [each["metadata"]["name"] for each in await kube.all(Kind.FLINK_JOB, kube.namespace)]
