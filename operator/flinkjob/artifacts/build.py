"""Gets the jar of a recipe: fetched as it is, or made of jars and a script or Python files in a process with limits.

Called by `runtime`. Invariants: a made jar is known by the digest of its recipe, which
neither another operator nor another zlib changes; a jar that was recorded is made of the same contents again or not at all,
with the same runner as long as that is there; what a jar contains costs no more than the limits of the process.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from flinkjob.artifacts.errors import ArtifactInvalid, ArtifactUnavailable
from flinkjob.artifacts.fetch import Artifact, ArtifactStore
from flinkjob.artifacts.merge import ADDED_BYTES, UNPACKED
from flinkjob.artifacts.runners import Runners
from flinkjob.childprocess import child
from flinkjob.core.program import JarPart, Recipe, RunnerSort, ScriptPart, last_part, runner_of
from flinkjob.core.progress import Progress

log = logging.getLogger(__name__)

MIB = 1024 * 1024
MEMORY_BYTES: Final = 96 * MIB
"""Of the process; as many files as are allowed take 80."""
CPU_SECONDS: Final = 60
SECONDS: Final = 120.0
"""In all; 100 MiB take less than one."""
LONGEST_ANSWER = 64 * 1024
MOST_KNOWN = 1000
CHANGED: Final = "recipe-changed"
"""Why a jar is refused that would be made of other contents than the recorded one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Built:
    """A jar on this machine.

    Attributes:
        digest: what it is known by: of its bytes, or of its recipe where the operator makes it.
        note: what a person should know of it, or "".
    """

    artifact: Artifact
    digest: str
    note: str = ""


@dataclass(frozen=True)
class _Added:
    """What is put into a jar besides jars.

    Attributes:
        order: for the process that makes it.
        files: of it, which stay on this machine as long as this is referenced.
    """

    order: dict[str, Any]
    files: tuple[Artifact, ...] = ()


_MADE_OF: Final = {
    None: "the jars are",
    RunnerSort.SQL: "the script and the jars are",
    RunnerSort.PYTHON: "the files and the jars are",
}


class JarBuilder:
    """Jars by their recipes."""

    def __init__(
        self, store: ArtifactStore, runners: Runners, turn: Callable[[str], AbstractAsyncContextManager[None]]
    ) -> None:
        """
        Args:
            turn: held while a jar is made for a namespace.
        """
        self._store = store
        self._runners = runners
        self._turn = turn
        self._made: OrderedDict[str, tuple[str, str]] = OrderedDict()

    def digest_of(self, recipe: Recipe, recorded: str | None) -> str | None:
        """What the jar will be known by, as far as that can be said without fetching anything.

        Args:
            recorded: of an earlier run that is to be repeated.

        Raises:
            Invalid: there is no runner.
        """
        if recorded is not None or not recipe.is_built or not recipe.pinned:
            return recorded
        return recipe.digest([str(jar.sha256) for jar in recipe.jars], self._runner(recipe, None))

    def progress(self, namespace: str, recipe: Recipe, uploads: tuple[ScriptPart, ...]) -> Progress | None:
        """How far the file is that is being fetched for a jar or what is uploaded beside it; None where none is."""
        parts: tuple[JarPart | ScriptPart, ...] = (*recipe.jars, *recipe.script, *uploads)
        return self._store.progress(namespace, {part.uri for part in parts if part.uri is not None})

    async def get(self, namespace: str, recipe: Recipe, recorded: str | None) -> Built:
        """The jar.

        Args:
            namespace: who asks.
            recorded: the digest of an earlier run that is to be repeated: other contents are refused.

        Raises:
            ArtifactUnavailable: try again later.
            ArtifactInvalid: nothing helps but to change the spec or what it refers to.
            Invalid: there is no runner.
        """
        if not recipe.is_built:
            only = recipe.jars[0]
            artifact = await self._store.get(namespace, only.uri, recorded, access=only.access)
            return Built(artifact=artifact, digest=artifact.digest)
        jars = [await self._store.get(namespace, jar.uri, jar.sha256, access=jar.access) for jar in recipe.jars]
        digests = [jar.digest for jar in jars]
        runner = self._runner(recipe, recorded)
        digest = recipe.digest(digests, runner)
        if recorded is not None and not _same_content(recorded, digest):
            raise ArtifactInvalid(CHANGED, f"jar: {_MADE_OF[recipe.runner]} not those of the run that is started again")
        bytes_digest, note = self._made.get(digest, ("", ""))
        if bytes_digest and (known := self._store.here(namespace, bytes_digest)) is not None:
            return Built(artifact=known, digest=digest, note=note)
        added = await self._added(namespace, recipe, runner)
        named = [[str(jar.path), last_part(part.uri)] for jar, part in zip(jars, recipe.jars, strict=True)]
        order = added.order | {"jars": named}
        size = sum(part.path.stat().st_size for part in (*jars, *added.files)) + ADDED_BYTES
        notes: list[str] = []

        async def write(target: Path) -> None:
            notes.append(await _make(order | {"target": str(target)}, size))

        async with self._turn(namespace):
            artifact = await self._store.put(namespace, size, write, private=recipe.private)
        log.info("made jar %s, sha256 %s", digest, artifact.digest)
        self._made[digest] = artifact.digest, notes[0]
        if len(self._made) > MOST_KNOWN:
            self._made.popitem(last=False)
        return Built(artifact=artifact, digest=digest, note=notes[0])

    def _runner(self, recipe: Recipe, recorded: str | None) -> int | None:
        if recipe.runner is None:
            return None
        before = runner_of(recorded)
        return self._runners.like(recipe.runner, before[0] if before is not None else None)

    async def _added(self, namespace: str, recipe: Recipe, version: int | None) -> _Added:
        """What is put into the jar besides jars."""
        order: dict[str, Any] = {"runner": None, "script": [], "python": None}
        if recipe.runner is None or version is None:
            return _Added(order)
        runner = str(self._runners.path(recipe.runner, version))
        if recipe.runner is RunnerSort.SQL:
            script = [[await self._text(namespace, part), part.name] for part in recipe.script]
            return _Added(order | {"runner": runner, "script": script})
        files = [
            await self._fetched(namespace, part, script=not part.name.endswith(UNPACKED))
            if part.uri is not None
            else None
            for part in recipe.script
        ]
        listed = [
            [str(file.path) if file is not None else None, part.text, part.name]
            for file, part in zip(files, recipe.script, strict=True)
        ]
        python = {"runner": runner, "files": listed, "main": recipe.main}
        return _Added(order | {"python": python}, tuple(file for file in files if file is not None))

    async def file(self, namespace: str, part: ScriptPart) -> Artifact:
        """What is uploaded beside the jar of a Python program; an archive where it has a name. Raises as `get` does."""
        if part.uri is not None:
            return await self._fetched(namespace, part, script=not part.name)
        if (known := self._store.here(namespace, part.sha256)) is not None:
            return known
        content = (part.text or "").encode()

        async def write(target: Path) -> None:
            await asyncio.to_thread(target.write_bytes, content)

        async with self._turn(namespace):
            return await self._store.put(namespace, len(content), write, private=True)

    async def _fetched(self, namespace: str, part: ScriptPart, *, script: bool) -> Artifact:
        assert part.uri is not None
        try:
            return await self._store.get(namespace, part.uri, part.sha256, access=part.access, script=script)
        except (ArtifactInvalid, ArtifactUnavailable) as error:
            raise type(error)(error.reason, f"python: {error.message.removeprefix('jar: ')}") from error

    async def _text(self, namespace: str, part: ScriptPart) -> str:
        if part.text is not None:
            return part.text
        assert part.uri is not None
        try:
            script = await self._store.get(namespace, part.uri, part.sha256, access=part.access, script=True)
            return await asyncio.to_thread(script.path.read_text, "utf-8")
        except (ArtifactInvalid, ArtifactUnavailable) as error:
            raise type(error)(error.reason, f"sql: {error.message.removeprefix('jar: ')}") from error
        except UnicodeDecodeError as error:
            raise ArtifactInvalid("script", f"sql: {last_part(part.uri)} is not a text in UTF-8") from error


def _same_content(recorded: str, digest: str) -> bool:
    """Whether two jars are made of the same; a runner that is not there any more is stood in for by the newest."""
    before, now = runner_of(recorded), runner_of(digest)
    return recorded == digest or (before is not None and now is not None and before[1] == now[1])


async def _make(order: dict[str, Any], size: int) -> str:
    """Make a jar in a process of its own; what a person should know of it."""
    limits = {"AS": MEMORY_BYTES, "CPU": CPU_SECONDS, "FSIZE": size}
    async with child("flinkjob.artifacts.mergechild", limit=LONGEST_ANSWER) as process:
        try:
            async with asyncio.timeout(SECONDS):
                said, _ = await process.communicate(json.dumps(order | {"limits": limits}).encode())
        except TimeoutError:
            raise ArtifactUnavailable("build", f"jar: it could not be made within {SECONDS:.0f} s") from None
    try:
        answer = json.loads(said)
    except ValueError:
        text = f"jar: the process that makes it has ended ({process.returncode}): a jar needs more than it may take"
        raise ArtifactUnavailable("build", text) from None
    if "note" in answer:
        return str(answer["note"])
    if "later" in answer:
        raise ArtifactUnavailable(str(answer["later"]), str(answer["message"]))
    raise ArtifactInvalid(str(answer["reason"]), str(answer["message"]))
