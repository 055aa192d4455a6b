"""Calls that may take minutes, as tasks beside the workers: fetching and uploading a jar, and the run call.

Started by the observer (artifacts) and the executor (runs). Invariants: a worker never waits for them longer than a moment;
at most one of each for a key; the outcome is kept for the next observation and the key is enqueued, but not what was sent,
with its secrets; each ends at some time, and of those that are sent at the same time each namespace has its share.
"""

from __future__ import annotations

import asyncio
import logging
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path

from flinkjob.artifacts.build import CHANGED, JarBuilder
from flinkjob.artifacts.errors import ArtifactInvalid
from flinkjob.core.actions import RunJob
from flinkjob.core.errors import FlinkJobError, Invalid, Rejected, SubmitRejected, SubmitRejection
from flinkjob.core.flinkmodel import RunRequest, TriggerState
from flinkjob.core.hiding import NOTHING, Hiding
from flinkjob.core.identity import jar_name
from flinkjob.core.longcalls import is_outdated, patience, still_brings
from flinkjob.core.program import PYTHON_ENTRY_CLASS, RunnerSort, ScriptPart
from flinkjob.core.savepoint.disposers import outcome
from flinkjob.core.seen import (
    ArtifactPhase,
    ArtifactRequest,
    ArtifactSeen,
    DisposalPhase,
    DisposalSeen,
    JobGraphPhase,
    JobGraphRequest,
    JobGraphSeen,
    RunPhase,
    RunSeen,
)
from flinkjob.core.shares import Usage
from flinkjob.flink.client import FlinkClient
from flinkjob.net.permits import Permits, on_account
from flinkjob.runtime.background import Background
from flinkjob.runtime.clusters import Clusters
from flinkjob.runtime.faults import Effect, Faults
from flinkjob.runtime.queue import Key
from flinkjob.runtime.uploads import Uploads

log = logging.getLogger(__name__)

MOMENT = 0.5
"""Seconds that an observation waits for an artifact, so that a cached one costs no extra round."""
DISPOSAL_LOOKS = 120
PYTHON_BEGINS = 10.0
"""Seconds after which a Python program has surely begun, or will be refused."""


class Tasks:
    """The long calls of all keys."""

    def __init__(
        self,
        *,
        identity: str,
        clusters: Clusters,
        builder: JarBuilder,
        faults: Faults,
        enqueue: Callable[[Key], None],
        most: int,
        hiding: Callable[[Key], Hiding] = lambda key: NOTHING,
    ) -> None:
        """
        Args:
            hiding: takes out what must not be shown of what a cluster says about a FlinkJob.
            most: uploads and calls that run a main() that are sent at the same time; one namespace may have half of them.
        """
        self._sent = Permits(most, each=(most + 1) // 2)
        self._hiding = hiding
        self._queued: set[Key] = set()
        self._uploads = Uploads()
        self._beginning: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()
        self._identity = identity
        self._clusters = clusters
        self._builder = builder
        self._faults = faults
        self._fetches: Background[Key, ArtifactRequest, ArtifactSeen] = Background(lambda key, _: enqueue(key))
        self._runs: Background[Key, tuple[str, int], RunSeen] = Background(lambda key, _: enqueue(key))
        self._job_graphs: Background[Key, str, JobGraphSeen] = Background(lambda key, _: enqueue(key))
        self._disposals: Background[tuple[Key, str], tuple[str, ...], DisposalSeen] = Background()

    def usage(self) -> Usage:
        """How many calls that last there may be, are sent, and wait."""
        return self._sent.usage()

    # artifacts

    async def artifact(self, key: Key, request: ArtifactRequest) -> ArtifactSeen:
        """How far the jar is on its way to the cluster; starts it when nobody did."""
        fetch = self._fetches.get(key)
        if fetch is None or not still_brings(fetch.asked, fetch.outcome, fetch.age, request):
            fetch = self._fetches.start(key, request, self._bring(key, request), title=f"artifact {key[0]}/{key[1]}")
        if (seen := await fetch.wait(MOMENT)) is not None:
            return seen
        progress = self._uploads.progress(key) or self._builder.progress(key[0], request.recipe, request.uploads)
        return ArtifactSeen(phase=ArtifactPhase.WORKING, progress=progress)

    async def _bring(self, key: Key, request: ArtifactRequest) -> ArtifactSeen:
        try:
            return await self._place(key, request)
        except Invalid as error:
            changed = CHANGED if request.recipe.is_built else "digest-mismatch"
            other = isinstance(error, ArtifactInvalid) and error.reason == changed
            return ArtifactSeen(phase=ArtifactPhase.FAILED, message=error.message, permanent=True, other_content=other)
        except Rejected as error:
            return ArtifactSeen(phase=ArtifactPhase.FAILED, message=error.message, permanent=error.permanent)
        except FlinkJobError as error:
            return ArtifactSeen(phase=ArtifactPhase.FAILED, message=error.message)
        except Exception as error:
            log.exception("bringing a jar to the cluster failed in the operator itself")
            return ArtifactSeen(phase=ArtifactPhase.FAILED, message=f"internal error: {type(error).__name__}")

    async def _place(self, key: Key, request: ArtifactRequest) -> ArtifactSeen:
        """Have the jar on the cluster, and what it needs beside it, and find out where, if its program must know."""
        seen = await self._upload(key, request)
        if request.recipe.runner is not RunnerSort.PYTHON:
            return seen
        beside = [await self._upload_beside(key, request.url, part) for part in request.uploads]
        directory = (await self._clusters.at(request.url, key).identify()).upload_directory
        return replace(seen, places=tuple(f"{directory}/{each}" for each in (seen.jar_id, *beside)))

    async def _upload_beside(self, key: Key, url: str, part: ScriptPart) -> str:
        """The id of a file that is on the cluster, known by its content; Flink takes whatever has the name of a jar."""
        if (jar_id := await self._on_cluster(key, url, part.sha256)) is not None:
            return jar_id
        artifact = await self._builder.file(key[0], part)
        name = f"the archive {part.name}" if part.name else "the file of requirements"
        return await self._send_jar(key, url, artifact.path, part.sha256, name)

    async def _send_jar(self, key: Key, url: str, path: Path, digest: str, name: str) -> str:
        """The id of a file that is uploaded under its digest; of several keys that bring the same one, one does it."""
        target = (url, digest)
        async with self._uploads.turn(key, target) as others:
            if others and (there := await self._on_cluster(key, url, digest)) is not None:
                return there
            async with self._client(key, url) as client:
                self._faults.before(Effect.UPLOAD)
                with self._uploads.sending(target, name) as upload:
                    jar_id = await client.upload_jar(path, jar_name(self._identity, digest), sent=upload.so_far)
                self._faults.after(Effect.UPLOAD)
            return jar_id

    async def _upload(self, key: Key, request: ArtifactRequest) -> ArtifactSeen:
        """Find the jar on the cluster by its digest, else fetch it and upload it under its digest."""
        if (jar_id := request.recipe.on_cluster) is not None:
            return await self._named(key, request.url, jar_id)
        known = self._builder.digest_of(request.recipe, request.digest)
        if known is not None and (found := await self._find(key, request.url, known)) is not None:
            return found
        built = await self._builder.get(key[0], request.recipe, request.digest)
        if known != built.digest and (found := await self._find(key, request.url, built.digest)) is not None:
            return found
        jar_id = await self._send_jar(key, request.url, built.artifact.path, built.digest, "the jar")
        return ArtifactSeen(phase=ArtifactPhase.READY, digest=built.digest, jar_id=jar_id, note=built.note)

    async def _find(self, key: Key, url: str, digest: str) -> ArtifactSeen | None:
        jar_id = await self._on_cluster(key, url, digest)
        return ArtifactSeen(phase=ArtifactPhase.READY, digest=digest, jar_id=jar_id) if jar_id is not None else None

    async def _on_cluster(self, key: Key, url: str, digest: str) -> str | None:
        """The id of the jar that was uploaded under this digest."""
        name = jar_name(self._identity, digest)
        jars = await self._clusters.at(url, key).jars()
        return next((jar.id for jar in jars if jar.name == name), None)

    async def _named(self, key: Key, url: str, jar_id: str) -> ArtifactSeen:
        if not any(jar.id == jar_id for jar in await self._clusters.at(url, key).jars()):
            message = f"jar: the cluster has no jar {jar_id}: it was deleted, or the JobManager has lost its uploads"
            raise ArtifactInvalid("gone", f"{message}; upload it again and name its new id")
        return ArtifactSeen(phase=ArtifactPhase.READY, jar_id=jar_id)

    @asynccontextmanager
    async def _client(self, key: Key, url: str) -> AsyncIterator[FlinkClient]:
        """A client for one long call, once it is this namespace's turn."""
        self._queued.add(key)
        try:
            with on_account((key[0],)):
                async with self._sent.hold():
                    self._queued.discard(key)
                    yield self._clusters.at(url, key).client
        finally:
            self._queued.discard(key)

    @asynccontextmanager
    async def _main(self, key: Key, url: str, request: RunRequest) -> AsyncIterator[FlinkClient]:
        """A client for a call that runs a main(); Python programs begin one after the other on each cluster.

        Else those that begin at the same time would be refused by what runs them, since Flink takes them for each other. One
        that takes long to begin is not waited for.
        """
        begins = asyncio.Lock()
        if request.entry_class == PYTHON_ENTRY_CLASS:
            begins = self._beginning.setdefault(url, begins)
        self._queued.add(key)
        try:
            await begins.acquire()
            with _released(begins, PYTHON_BEGINS):
                async with self._client(key, url) as client:
                    yield client
        finally:
            self._queued.discard(key)

    # job graphs

    async def job_graph(self, key: Key, request: JobGraphRequest) -> JobGraphSeen:
        """Whether the program compiles to a job graph; starts the compilation when nobody did."""
        known, asked = self._job_graphs.get(key), request.digest
        if known is None or known.asked != asked or is_outdated(known.outcome, known.age):
            title = f"job graph {key[0]}/{key[1]}"
            known = self._job_graphs.start(key, asked, self._compile(key, request), title=title)
        return await known.wait(MOMENT) or JobGraphSeen(phase=JobGraphPhase.WORKING)

    async def _compile(self, key: Key, request: JobGraphRequest) -> JobGraphSeen:
        try:
            async with self._main(key, request.url, request.request) as client:
                topology = await client.plan_jar(request.jar_id, request.request)
        except SubmitRejected as error:
            busy = error.kind is SubmitRejection.PYTHON_BUSY
            return JobGraphSeen(phase=JobGraphPhase.UNCLEAR if busy else JobGraphPhase.REFUSED, message=error.message)
        except FlinkJobError as error:
            return JobGraphSeen(phase=JobGraphPhase.UNCLEAR, message=error.message)
        except Exception as error:
            log.exception("compiling failed in the operator itself")
            return JobGraphSeen(phase=JobGraphPhase.UNCLEAR, message=f"internal error: {type(error).__name__}")
        return JobGraphSeen(phase=JobGraphPhase.COMPILED, topology=topology)

    # disposals

    async def dispose(self, key: Key, urls: tuple[str, ...], location: str) -> DisposalSeen:
        """How far the disposal of a snapshot's data is; starts it when nobody did. A failed one is tried again.

        Args:
            urls: clusters that may do it; the first that can does. On a local path only the first may say that nothing
                is there: what another machine does not have says nothing.
        """
        disposal = self._disposals.get((key, location))
        if disposal is None:
            disposing = self._dispose(key, urls, location)
            disposal = self._disposals.start((key, location), urls, disposing, title=f"dispose {location}")
        seen = await disposal.wait(MOMENT)
        if seen is None:
            return DisposalSeen(phase=DisposalPhase.WORKING)
        self._disposals.drop((key, location))
        return seen

    async def _dispose(self, key: Key, urls: tuple[str, ...], location: str) -> DisposalSeen:
        seen = DisposalSeen(phase=DisposalPhase.FAILED, message="no cluster is known that could dispose of it")
        failures = []
        for url in urls:
            seen = await self._dispose_at(key, url, location, first=url == urls[0])
            if seen.phase is DisposalPhase.DONE:
                return seen
            failures.append(f"{url}: {seen.message}")
        return replace(seen, message="; ".join(failures)) if failures else seen

    async def _dispose_at(self, key: Key, url: str, location: str, *, first: bool) -> DisposalSeen:
        try:
            async with self._clusters.borrow(url, key) as client:
                self._faults.before(Effect.DISPOSE)
                request = await client.dispose_savepoint(location)
                self._faults.after(Effect.DISPOSE)
                for _ in range(DISPOSAL_LOOKS):
                    result = await client.disposal_result(request)
                    if result.state is not TriggerState.IN_PROGRESS:
                        return outcome(result, location, first=first)
                    await asyncio.sleep(MOMENT)
        except FlinkJobError as error:
            return DisposalSeen(phase=DisposalPhase.FAILED, message=error.message)
        except Exception as error:
            log.exception("a disposal failed in the operator itself")
            return DisposalSeen(phase=DisposalPhase.FAILED, message=f"internal error: {type(error).__name__}")
        return DisposalSeen(phase=DisposalPhase.FAILED, message="Flink has not finished the disposal")

    # runs

    def run(self, key: Key, action: RunJob) -> None:
        """Send the run call; its outcome is seen by `run_seen`."""
        asked = (action.request.job_id, action.attempt)
        self._runs.start(key, asked, self._send(key, action), title=f"run {action.request.job_id}")

    def run_seen(self, key: Key, job_id: str, attempt: int) -> RunSeen:
        """What is known of the run call of this very job id and attempt."""
        run = self._runs.get(key)
        if run is None or run.asked != (job_id, attempt):
            return RunSeen()
        return run.outcome or RunSeen(phase=RunPhase.WORKING, queued=key in self._queued)

    async def _send(self, key: Key, action: RunJob) -> RunSeen:
        try:
            async with self._main(key, action.url, action.request) as client:
                await client.run_jar(action.jar_id, action.request, timeout=patience(action.attempt))
            seen = RunSeen(phase=RunPhase.ACCEPTED)
        except SubmitRejected as error:
            message = self._hiding(key)(error.message)
            log.info("run call refused (%s): %s", error.kind, message)
            if error.kind is SubmitRejection.JAR_NOT_FOUND:
                self._fetches.drop(key)  # before anybody can see the refusal, so that the repeat has another jar
            seen = RunSeen(phase=RunPhase.REJECTED, rejection=error.kind, message=message)
        except FlinkJobError as error:
            message = self._hiding(key)(error.message)
            log.warning("run call without a clear answer: %s", message)
            seen = RunSeen(phase=RunPhase.UNCLEAR, message=message)
        except Exception as error:
            log.exception("run call failed in the operator itself")
            seen = RunSeen(phase=RunPhase.UNCLEAR, message=f"internal error: {type(error).__name__}")
        self._faults.after(Effect.RUN)
        return seen

    # ends

    def forget(self, key: Key) -> None:
        """The key is gone: nothing of it is kept."""
        self._fetches.drop(key)
        self._runs.drop(key)
        self._job_graphs.drop(key)

    async def end(self, key: Key) -> None:
        """Another replica works on the key: nothing of it goes on when this returns."""
        await self._fetches.end(key)
        await self._runs.end(key)
        await self._job_graphs.end(key)
        for name in [name for name in self._disposals.all() if name[0] == key]:
            await self._disposals.end(name)

    async def close(self) -> None:
        """End all calls."""
        await self._fetches.close()
        await self._runs.close()
        await self._job_graphs.close()
        await self._disposals.close()


@contextmanager
def _released(lock: asyncio.Lock, seconds: float) -> Iterator[None]:
    """Release the lock at the end, or after so many seconds."""
    timer = asyncio.get_running_loop().call_later(seconds, lock.release)
    try:
        yield
    finally:
        if timer.when() > asyncio.get_running_loop().time():
            timer.cancel()
            lock.release()
