"""The objects as last seen: filled by the watch and by the operator's own writes, read by the reconciler.

Invariants: only what was parsed of an object is kept, not the object; an older resourceVersion never replaces a newer one; a
FlinkSavepoint is found under the key of the FlinkJob that it names, or whose current Flink job it names, so that both are
worked on together; else under one made of that job's id; what is in use is kept as objects change, not looked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from flinkjob.api.codec import FlinkJob, FlinkSavepoint, Meta, parse_job, parse_savepoint
from flinkjob.api.flinksavepoint_spec import JobRef
from flinkjob.core.copies.in_use import copied_place, places_of, recorded_place
from flinkjob.core.identity import name_in, shown_name
from flinkjob.core.ownership import claims
from flinkjob.kube.kinds import Kind
from flinkjob.runtime.holdings import Holdings
from flinkjob.runtime.queue import Key

Raw = Mapping[str, Any]

TARGET = "job:"
"""Begins the second half of the key of FlinkSavepoints whose Flink job is no FlinkJob's; no name has a colon."""


class _Savepoint(NamedTuple):
    """A FlinkSavepoint, the FlinkJob that it names, and its key."""

    parsed: FlinkSavepoint
    named: str
    key: Key


class ObjectCache:
    """FlinkJobs and FlinkSavepoints by key."""

    def __init__(self) -> None:
        self._jobs: dict[Key, FlinkJob] = {}
        self._savepoints: dict[Key, _Savepoint] = {}
        self._by_job: dict[Key, set[Key]] = {}
        self._by_target: dict[str, set[Key]] = {}
        self._runs: dict[str, set[Key]] = {}
        self._shown: dict[str, Key] = {}
        self._moved: set[Key] = set()
        self._jars: Holdings[Key] = Holdings()
        self._copied: Holdings[Key] = Holdings()
        self._recorded: Holdings[Key] = Holdings()
        self._started: Holdings[Key] = Holdings()
        self._changed: set[Key] = set()
        self._waiting: dict[Key, set[Key]] = {}

    def has(self, kind: Kind, raw: Raw) -> bool:
        """Whether this very version of an object is known: the operator's own writes are, before a watch shows them."""
        name = _name(raw)
        if kind is Kind.FLINK_JOB:
            job = self._jobs.get(name)
            return job is not None and _is_same(raw, job.meta)
        savepoint = self._savepoints.get(name)
        return savepoint is not None and _is_same(raw, savepoint.parsed.meta)

    def put(self, kind: Kind, raw: Raw) -> Key:
        """Take in an object of this kind; the key to work on."""
        return self.put_job(raw) if kind is Kind.FLINK_JOB else self.put_savepoint(raw)

    def drop(self, kind: Kind, raw: Raw) -> Key | None:
        """An object of this kind is gone; the key to work on, None where it was not known."""
        return self.drop_job(raw) if kind is Kind.FLINK_JOB else self.drop_savepoint(raw)

    def put_job(self, raw: Raw) -> Key:
        """Take in a FlinkJob as the API server returned it; the key to work on."""
        key = _name(raw)
        before = self._jobs.get(key)
        if before is None or not _older(raw, before.meta):
            job = self._jobs[key] = parse_job(raw)
            self._shown[shown_name(*key)] = key
            self._runs_now(key, before, job)
            self._uses_now(key, before, job)
        return key

    def put_savepoint(self, raw: Raw) -> Key:
        """Take in a FlinkSavepoint; the key to work on is the one of its FlinkJob."""
        name = _name(raw)
        before = self._savepoints.get(name)
        if before is not None and _older(raw, before.parsed.meta):
            return before.key
        return self._put(name, parse_savepoint(raw), _named(raw))

    def _put(self, name: Key, savepoint: FlinkSavepoint, named: str) -> Key:
        if name in self._savepoints:
            self._take_out(name)
        if (target := _target(savepoint)) is not None:
            self._by_target.setdefault(target, set()).add(name)
        key = self._key_of(name, savepoint, named)
        self._savepoints[name] = _Savepoint(savepoint, named, key)
        self._by_job.setdefault(key, set()).add(name)
        self._copied.put(name, _some(copied_place(savepoint)))
        self._recorded.put(name, _some(recorded_place(savepoint)))
        self._changed |= {key, *self._waiting.get(name, ())}
        return key

    def _key_of(self, name: Key, savepoint: FlinkSavepoint, named: str) -> Key:
        target = _target(savepoint)
        if target is not None:
            own = [key for key in self._runs.get(target, ()) if key[0] == name[0]]
            return min(own) if own else (name[0], f"{TARGET}{target}")
        return name[0], named

    def _take_out(self, name: Key) -> None:
        savepoint, _, key = self._savepoints.pop(name)
        self._copied.put(name, ())
        self._recorded.put(name, ())
        self._changed |= {key, *self._waiting.get(name, ())}
        self._by_job[key].discard(name)
        if not self._by_job[key]:
            del self._by_job[key]
        if (target := _target(savepoint)) is not None:
            self._by_target[target].discard(name)
            if not self._by_target[target]:
                del self._by_target[target]

    def _runs_now(self, key: Key, before: FlinkJob | None, now: FlinkJob | None) -> None:
        """The FlinkJob has another Flink job: FlinkSavepoints that name either of them change their keys."""
        old, new = _run_of(before), _run_of(now)
        if old == new:
            return
        if old is not None:
            self._runs[old].discard(key)
            if not self._runs[old]:
                del self._runs[old]
        if new is not None:
            self._runs.setdefault(new, set()).add(key)
        for target in (old, new):
            for name in sorted(self._by_target.get(target or "", ())):
                known = self._savepoints[name]
                self._moved.add(self._put(name, known.parsed, known.named))

    def take_moved(self) -> set[Key]:
        """The keys that got FlinkSavepoints of others since the last time; they are to be worked on."""
        moved, self._moved = self._moved, set()
        return moved

    def shown(self, flink_job_id: str) -> Key | None:
        """The FlinkJob whose namespace and name the id of a Flink job shows."""
        return self._shown.get(name_in(flink_job_id) or "")

    def claims(self, flink_job_id: str, asks: Key | None = None) -> tuple[str, ...]:
        """The FlinkJobs of all namespaces whose Flink job this is, as namespace/name; see `core.ownership.claims`."""
        holders = {key: self._jobs[key].meta.creation_time for key in self._runs.get(flink_job_id, ())}
        return claims(self.shown(flink_job_id), holders, asks)

    def drop_job(self, raw: Raw) -> Key:
        """The FlinkJob is gone (unless one of the same name was created meanwhile)."""
        key = _name(raw)
        before = self._jobs.get(key)
        if before is not None and before.meta.uid == raw["metadata"].get("uid"):
            del self._jobs[key]
            del self._shown[shown_name(*key)]
            self._runs_now(key, before, None)
            self._uses_now(key, before, None)
        return key

    def drop_savepoint(self, raw: Raw) -> Key | None:
        """The FlinkSavepoint is gone; the key of its FlinkJob."""
        name = _name(raw)
        before = self._savepoints.get(name)
        if before is None or before.parsed.meta.uid != raw["metadata"].get("uid"):
            return None
        self._take_out(name)
        return before.key

    def job(self, key: Key) -> FlinkJob | None:
        return self._jobs.get(key)

    def savepoints_of(self, key: Key) -> tuple[FlinkSavepoint, ...]:
        """The FlinkSavepoints that name this FlinkJob, by name; a `target` that is its job is given as a `jobRef`."""
        return tuple(_resolved(self._savepoints[name].parsed, key) for name in sorted(self._by_job.get(key, ())))

    def savepoints(self) -> Iterator[FlinkSavepoint]:
        return (each.parsed for each in self._savepoints.values())

    def savepoint(self, namespace: str, name: str) -> FlinkSavepoint | None:
        found = self._savepoints.get((namespace, name))
        return found.parsed if found is not None else None

    def jobs(self) -> Iterator[FlinkJob]:
        return iter(self._jobs.values())

    def keys(self) -> set[Key]:
        return set(self._jobs) | {key for key, names in self._by_job.items() if names}

    # what is in use

    def in_use(self, places: frozenset[str]) -> frozenset[str]:
        """Those of these normalised places whose snapshots some FlinkJob was started from or would start from."""
        self._settle()
        return frozenset(place for place in places if place in self._started or place in self._copied)

    def snapshots_in_use(self) -> frozenset[str]:
        """All such places."""
        self._settle()
        return self._started.all() | self._copied.all()

    def recorded_elsewhere(self, name: Key, place: str) -> bool:
        """Whether another FlinkSavepoint than this one, which stays, has the snapshot at this normalised place."""
        return self._recorded.by_others(name, place)

    def jar_of_others(self, key: Key, digest: str) -> bool:
        """Whether another FlinkJob than this one was started from the jar of this digest, or has it beside its jar."""
        return self._jars.by_others(key, digest)

    def waiting_for(self, namespace: str, savepoint: str) -> Iterator[Key]:
        """The FlinkJobs that name this FlinkSavepoint (`initialState.savepointRef`)."""
        return iter(sorted(self._waiting.get((namespace, savepoint), ())))

    def _uses_now(self, key: Key, before: FlinkJob | None, now: FlinkJob | None) -> None:
        """A FlinkJob has changed."""
        self._changed.add(key)
        run = now.status.submission if now is not None else None
        self._jars.put(key, (*_some(run.artifact_digest), *run.uploads) if run is not None else ())
        old, new = _names(before), _names(now)
        if old != new:
            if old is not None:
                self._waiting[old].discard(key)
                if not self._waiting[old]:
                    del self._waiting[old]
            if new is not None:
                self._waiting.setdefault(new, set()).add(key)

    def _settle(self) -> None:
        """Find out what those FlinkJobs use that have changed, or whose FlinkSavepoints have."""
        changed, self._changed = self._changed, set()
        for key in changed:
            job = self._jobs.get(key)
            named = _names(job)
            savepoint = self.savepoint(*named) if named is not None else None
            own = partial(self.savepoints_of, key)
            self._started.put(key, places_of(job, savepoint, own) if job is not None else ())


def _names(job: FlinkJob | None) -> Key | None:
    """The FlinkSavepoint that `initialState.savepointRef` names."""
    reference = job.spec.initial_state.savepoint_ref if job is not None and job.spec is not None else None
    return (job.meta.namespace, reference.name) if job is not None and reference is not None else None


def _some(value: str | None) -> tuple[str, ...]:
    return () if value is None else (value,)


def _target(savepoint: FlinkSavepoint) -> str | None:
    """The Flink job id that it names by `target`."""
    spec = savepoint.spec
    return spec.target.job_id if spec is not None and spec.target is not None else None


def _run_of(job: FlinkJob | None) -> str | None:
    return job.status.submission.job_id if job is not None and job.status.submission is not None else None


def _resolved(savepoint: FlinkSavepoint, key: Key) -> FlinkSavepoint:
    target = _target(savepoint)
    if target is None or savepoint.spec is None or key[1].startswith(TARGET):
        return savepoint
    reference = JobRef(name=key[1], job_id=target)
    return replace(savepoint, spec=savepoint.spec.model_copy(update={"job_ref": reference, "target": None}))


def _name(raw: Raw) -> Key:
    meta = raw["metadata"]
    return str(meta.get("namespace") or ""), str(meta["name"])


def _named(raw: Raw) -> str:
    """The FlinkJob that a FlinkSavepoint names, also where the rest of its spec cannot be read."""
    found: Any = raw
    for part in ("spec", "jobRef", "name"):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found if isinstance(found, str) else ""


def _is_same(new: Raw, old: Meta) -> bool:
    """Whether `new` is the very same version of the very same object."""
    meta = new["metadata"]
    version = meta.get("resourceVersion")
    return bool(version) and (meta.get("uid"), version) == (old.uid, old.resource_version)


def _older(new: Raw, old: Meta) -> bool:
    """Whether `new` is an earlier version of the very same object."""
    if new["metadata"].get("uid") != old.uid:
        return False
    try:
        return int(new["metadata"]["resourceVersion"]) < int(old.resource_version)
    except (KeyError, ValueError):
        return False
