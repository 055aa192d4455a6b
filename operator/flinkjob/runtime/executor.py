"""Performs what was decided, in stages: what must exist first, the intent by compare-and-set, the calls, then the rest.

Called by the reconciler, once a round. Invariants: no call with an effect on Flink is made before the status that holds its
intent was accepted by the API server for the very object that was decided on; every effect has a named fault point before
and after it; repeating a round after a crash repeats no effect that Flink or Kubernetes does not itself make harmless.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, assert_never

from flinkjob.api.codec import FlinkJob, FlinkSavepoint, dump_status, fitting_status
from flinkjob.api.constants import ANNOTATION_RESULT
from flinkjob.api.reasons import Reason
from flinkjob.core.actions import (
    Action,
    AddFinalizer,
    CancelJob,
    CreateSavepoint,
    DeleteObject,
    DeleteSavepoint,
    DiscardArtifact,
    EventType,
    MarkResult,
    PostEvent,
    RecordRevision,
    RecordSavepoint,
    RemoveFinalizer,
    RescaleJob,
    RunJob,
    StopJob,
    TakeCheckpoint,
    TakeSavepoint,
)
from flinkjob.core.errors import FlinkJobError, one_line
from flinkjob.core.hiding import NOTHING, Hiding
from flinkjob.core.identity import jar_name
from flinkjob.core.model import JobDecision, SavepointDecision
from flinkjob.kube.client import KubeClient
from flinkjob.kube.errors import Conflict, Gone, KubeRejected, NamespaceTerminating
from flinkjob.kube.events import EventRecorder
from flinkjob.kube.kinds import Kind, ObjectRef
from flinkjob.kube.mergepatch import merge_patch
from flinkjob.runtime import records
from flinkjob.runtime.cache import ObjectCache
from flinkjob.runtime.clusters import Clusters
from flinkjob.runtime.faults import Effect, Faults
from flinkjob.runtime.leader import NotLeading
from flinkjob.runtime.queue import Key
from flinkjob.runtime.tasks import Tasks

log = logging.getLogger(__name__)

_FIRST = (AddFinalizer, RecordRevision, RecordSavepoint, CreateSavepoint)
"""What must exist before the status says what follows from it."""
ONCE_SECONDS = 3600.0
"""For so long what one object has said for all is not said again."""


class Executor:
    """Carries out decisions."""

    def __init__(
        self,
        *,
        identity: str,
        kube: KubeClient,
        clusters: Clusters,
        tasks: Tasks,
        cache: ObjectCache,
        events: EventRecorder,
        faults: Faults,
        count_event: Callable[[str, str], None] = lambda kind, reason: None,
        hiding: Callable[[Key], Hiding] = lambda key: NOTHING,
    ) -> None:
        """
        Args:
            count_event: called with kind and reason of each Event, for metrics.
            hiding: takes out what must not be logged of what a cluster says about a FlinkJob.
        """
        self._identity = identity
        self._kube = kube
        self._clusters = clusters
        self._tasks = tasks
        self._cache = cache
        self._events = events
        self._faults = faults
        self._count_event = count_event
        self._hiding = hiding
        self._said: dict[tuple[str, str, str], float] = {}

    async def savepoint(self, key: Key, savepoint: FlinkSavepoint, decision: SavepointDecision) -> None:
        """Write a FlinkSavepoint's status, make its calls, record Events, and leave the result mark.

        Raises:
            Conflict, Gone: the object was changed or deleted meanwhile; nothing was called.
        """
        meta, version = savepoint.meta, savepoint.meta.resource_version
        if any(isinstance(action, AddFinalizer) for action in decision.actions):
            held = await self._add_finalizer(Kind.FLINK_SAVEPOINT, savepoint, version)
            self._cache.put_savepoint(held)
            version = held["metadata"]["resourceVersion"]
        raw = await self._write_status(Kind.FLINK_SAVEPOINT, savepoint, decision.status, version=version)
        for action in decision.actions:
            await self._call(key, action)
        self._record_events(savepoint, Kind.FLINK_SAVEPOINT, decision.actions)
        if decision.result_mark is not None:
            self._faults.before(Effect.RESULT_MARK)
            mark = {ANNOTATION_RESULT: decision.result_mark}
            version = raw["metadata"]["resourceVersion"] if raw is not None else version
            marked = await self._kube.annotate(Kind.FLINK_SAVEPOINT, meta.namespace, meta.name, mark, version)
            self._faults.after(Effect.RESULT_MARK)
            self._cache.put_savepoint(marked)
        if any(isinstance(action, DeleteObject) for action in decision.actions):
            self._faults.before(Effect.OBJECT_DELETE)
            await self._kube.delete_savepoint(meta.namespace, meta.name, uid=meta.uid)
            self._faults.after(Effect.OBJECT_DELETE)
        if any(isinstance(action, RemoveFinalizer) for action in decision.actions):
            self._faults.before(Effect.FINALIZER_REMOVE)
            raw = await self._kube.remove_finalizer(
                Kind.FLINK_SAVEPOINT, meta.namespace, meta.name, version, meta.finalizers
            )
            self._faults.after(Effect.FINALIZER_REMOVE)
            if raw is None or not raw["metadata"].get("finalizers"):
                self._cache.drop_savepoint(_stub(savepoint))

    async def job(self, key: Key, job: FlinkJob, decision: JobDecision) -> None:
        """Carry out a decision about a FlinkJob. One that lets it go is carried out even if its status is refused.

        Raises:
            Conflict, Gone: the object was changed or deleted meanwhile; nothing was called.
            KubeRejected: the status is refused; nothing was called.
        """
        version = await self._before(job, decision.actions)
        try:
            await self._write_status(Kind.FLINK_JOB, job, decision.status, version=version)
        except (Conflict, Gone):
            raise
        except KubeRejected as error:
            if not any(isinstance(action, RemoveFinalizer) for action in decision.actions):
                raise
            log.warning("the deletion of FlinkJob %s ends without its status: %s", job.meta.name, error.message)
        for action in decision.actions:
            if isinstance(action, RunJob):
                self._faults.before(Effect.RUN)
                self._tasks.run(key, action)
            else:
                await self._call(key, action)
        self._record_events(job, Kind.FLINK_JOB, decision.actions)
        await self._afterwards(key, job, decision.actions)

    # stages

    async def _before(self, job: FlinkJob, actions: Sequence[Action]) -> str:
        """What must exist before the intent, made at the same time; the resourceVersion to write the status against.

        Raises:
            KubeRejected, KubeUnavailable: as the first of them that failed; all have ended then.
        """
        first = [action for action in actions if isinstance(action, _FIRST)]
        made = await asyncio.gather(*(self._make(job, action) for action in first), return_exceptions=True)
        if failed := [each for each in made if isinstance(each, BaseException)]:
            raise failed[0]
        return next((each for each in made if isinstance(each, str)), job.meta.resource_version)

    async def _make(self, job: FlinkJob, action: Action) -> str | None:
        """One of these; the new resourceVersion of the FlinkJob, None where it stays as it is."""
        match action:
            case AddFinalizer():
                held = await self._add_finalizer(Kind.FLINK_JOB, job, job.meta.resource_version)
                self._cache.put_job(held)
                return str(held["metadata"]["resourceVersion"])
            case RecordRevision():
                self._faults.before(Effect.REVISION)
                await records.keep_revision(self._kube, job, action)
                self._faults.after(Effect.REVISION)
            case RecordSavepoint():
                self._faults.before(Effect.RECORD)
                await self._create(job, records.recorded_savepoint(job, action), f"savepoint {action.location}")
                self._faults.after(Effect.RECORD)
            case CreateSavepoint():
                self._faults.before(Effect.SAVEPOINT_CREATE)
                await self._create(job, records.wanted_savepoint(job, action), "a request")
                self._faults.after(Effect.SAVEPOINT_CREATE)
            case _:
                pass
        return None

    async def _create(self, job: FlinkJob, savepoint: dict[str, Any], what: str) -> None:
        """Creates a FlinkSavepoint. Where none can be, by a policy or a quota, its FlinkJob goes on, and an Event says so."""
        try:
            self._cache.put_savepoint(await self._kube.create_savepoint(savepoint))
        except NamespaceTerminating:
            log.warning("no FlinkSavepoint for %s: the namespace is being deleted", what)
        except (Conflict, Gone):
            raise
        except KubeRejected as error:
            message = one_line(f"no FlinkSavepoint for {what}: {error.message}")
            self.record_event(job, PostEvent(type=EventType.WARNING, reason=Reason.SavepointFailed, message=message))

    async def _add_finalizer(self, kind: Kind, about: FlinkJob | FlinkSavepoint, version: str) -> dict[str, Any]:
        meta = about.meta
        self._faults.before(Effect.FINALIZER_ADD)
        held = await self._kube.add_finalizer(kind, meta.namespace, meta.name, version, meta.finalizers)
        self._faults.after(Effect.FINALIZER_ADD)
        return held

    async def _write_status(
        self, kind: Kind, seen: FlinkJob | FlinkSavepoint, status: Any, *, version: str | None = None
    ) -> Mapping[str, Any] | None:
        """One PATCH where the status differs, none where it does not; the object afterwards, None without a PATCH."""
        if status == seen.status and seen.status_error is None:
            return None
        written, misfit = fitting_status(status)
        if misfit:
            log.error("%s %s is written without what does not fit: %s", kind.kind, seen.meta.name, misfit)
        patch = merge_patch(_stored(seen), written)
        if not patch:
            return None
        effect = Effect.JOB_STATUS if kind is Kind.FLINK_JOB else Effect.SAVEPOINT_STATUS
        meta = seen.meta
        self._faults.before(effect)
        raw = await self._kube.patch_status(kind, meta.namespace, meta.name, patch, version or meta.resource_version)
        self._faults.after(effect)
        self._cache.put(kind, raw)
        return raw

    async def _call(self, key: Key, action: Action) -> None:
        """A call with an effect on Flink. An unclear answer is no error here: the next look resolves it.

        Raises:
            NotLeading: it was not made, and neither is anything that follows from it.
        """
        try:
            match action:
                case StopJob():
                    self._faults.before(Effect.STOP)
                    await self._clusters.at(action.url, key).client.stop_with_savepoint(
                        action.job_id, action.trigger_id, action.directory, action.format_type, action.drain
                    )
                    self._faults.after(Effect.STOP)
                case TakeSavepoint():
                    self._faults.before(Effect.SAVEPOINT)
                    await self._clusters.at(action.url, key).client.trigger_savepoint(
                        action.job_id, action.trigger_id, action.directory, action.format_type, action.cancel
                    )
                    self._faults.after(Effect.SAVEPOINT)
                case TakeCheckpoint():
                    self._faults.before(Effect.CHECKPOINT)
                    await self._clusters.at(action.url, key).client.trigger_checkpoint(
                        action.job_id, action.trigger_id, action.checkpoint_type
                    )
                    self._faults.after(Effect.CHECKPOINT)
                case CancelJob():
                    self._faults.before(Effect.CANCEL)
                    await self._clusters.at(action.url, key).client.cancel(action.job_id)
                    self._faults.after(Effect.CANCEL)
                case RescaleJob():
                    self._faults.before(Effect.RESCALE)
                    await self._clusters.at(action.url, key).client.set_resource_requirements(
                        action.job_id, dict(action.parallelism)
                    )
                    self._faults.after(Effect.RESCALE)
                case (
                    AddFinalizer()
                    | RemoveFinalizer()
                    | RecordRevision()
                    | RecordSavepoint()
                    | CreateSavepoint()
                    | DeleteSavepoint()
                    | DeleteObject()
                    | MarkResult()
                    | RunJob()
                    | DiscardArtifact()
                    | PostEvent()
                ):
                    pass
                case _:
                    assert_never(action)
        except NotLeading:
            raise
        except FlinkJobError as error:
            log.warning("%s: %s", type(action).__name__, self._hiding(key)(error.message))

    async def _afterwards(self, key: Key, job: FlinkJob, actions: Sequence[Action]) -> None:
        for action in actions:
            match action:
                case RecordRevision():
                    await records.prune_revisions(self._kube, job, action, self._faults)
                case DiscardArtifact():
                    await self._discard(key, action)
                case RemoveFinalizer():
                    await self._remove_finalizer(key)
                case DeleteSavepoint():
                    await self._delete_savepoint(key, action)
                case MarkResult():
                    await self._mark(key, action)
                case DeleteObject():
                    await self._delete(key)
                case _:
                    pass

    async def _delete_savepoint(self, key: Key, action: DeleteSavepoint) -> None:
        """Deletes an outdated FlinkSavepoint; one that may not be deleted stays, and holds up nothing."""
        self._faults.before(Effect.SAVEPOINT_DELETE)
        try:
            await self._kube.delete_savepoint(key[0], action.name, uid=action.uid)
        except KubeRejected as error:
            log.warning("FlinkSavepoint %s stays: %s", action.name, error.message)
        self._faults.after(Effect.SAVEPOINT_DELETE)

    async def _discard(self, key: Key, action: DiscardArtifact) -> None:
        """Remove a jar; best effort."""
        client = self._clusters.at(action.url, key).client
        name = jar_name(self._identity, action.digest)
        try:
            for jar in await client.list_jars():
                if jar.name == name:
                    self._faults.before(Effect.DISCARD)
                    await client.delete_jar(jar.id)
                    self._faults.after(Effect.DISCARD)
        except NotLeading:
            raise
        except FlinkJobError as error:
            log.info("jar %s stays on %s: %s", name, action.url, self._hiding(key)(error.message))

    async def _mark(self, key: Key, action: MarkResult) -> None:
        job = self._cache.job(key)
        if job is None:
            return
        mark = {ANNOTATION_RESULT: action.mark}
        self._faults.before(Effect.RESULT_MARK)
        raw = await self._kube.annotate(Kind.FLINK_JOB, key[0], key[1], mark, job.meta.resource_version)
        self._faults.after(Effect.RESULT_MARK)
        self._cache.put_job(raw)

    async def _delete(self, key: Key) -> None:
        job = self._cache.job(key)
        if job is None:
            return
        self._faults.before(Effect.OBJECT_DELETE)
        await self._kube.delete_job(key[0], key[1], uid=job.meta.uid)
        self._faults.after(Effect.OBJECT_DELETE)

    async def _remove_finalizer(self, key: Key) -> None:
        job = self._cache.job(key)
        if job is None:
            return
        meta = job.meta
        self._faults.before(Effect.FINALIZER_REMOVE)
        raw = await self._kube.remove_finalizer(
            Kind.FLINK_JOB, meta.namespace, meta.name, meta.resource_version, meta.finalizers
        )
        self._faults.after(Effect.FINALIZER_REMOVE)
        if raw is not None and not raw["metadata"].get("deletionTimestamp"):
            self._cache.put_job(raw)
        elif raw is None or not raw["metadata"].get("finalizers"):
            self._cache.drop_job(_stub(job))

    def record_event(self, about: FlinkJob | FlinkSavepoint, event: PostEvent) -> None:
        """Record an Event that follows from no decision."""
        self._record_events(about, Kind.FLINK_JOB if isinstance(about, FlinkJob) else Kind.FLINK_SAVEPOINT, (event,))

    def _record_events(self, about: FlinkJob | FlinkSavepoint, kind: Kind, actions: Sequence[Action]) -> None:
        meta = about.meta
        ref = ObjectRef(kind=kind.kind, namespace=meta.namespace, name=meta.name, uid=meta.uid)
        for action in actions:
            if isinstance(action, PostEvent) and not self._was_said(meta.namespace, action):
                log.info("%s: %s", action.reason, action.message)
                self._count_event(kind.kind, action.reason)
                self._events.post(ref, type=action.type.value, reason=action.reason, message=action.message)

    def _was_said(self, namespace: str, event: PostEvent) -> bool:
        """Whether another object of the namespace has just said the same of the same thing."""
        if not event.once_for:
            return False
        now, said = time.monotonic(), (namespace, event.once_for, event.message)
        self._said = {each: when for each, when in self._said.items() if now - when < ONCE_SECONDS}
        if said in self._said:
            return True
        self._said[said] = now
        return False


def _stored(seen: FlinkJob | FlinkSavepoint) -> Mapping[str, Any]:
    """The status that the object has; of a FlinkJob with what cannot be read of it, so that it goes."""
    if isinstance(seen, FlinkJob) and seen.status_error is not None:
        return seen.unreadable_status
    return dump_status(seen.status)


def _stub(about: FlinkJob | FlinkSavepoint) -> dict[str, Any]:
    """As much of an object as the cache needs to forget it."""
    return {"metadata": {"namespace": about.meta.namespace, "name": about.meta.name, "uid": about.meta.uid}}
