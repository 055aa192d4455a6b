"""The objects as last seen: filled by the watch and by the operator's own writes, read by the reconciler.

Invariants: an older resourceVersion never replaces a newer one; a FlinkSavepoint is found under the key of the FlinkJob that
it names, so that both are worked on together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from flinkjob.api.codec import FlinkJob, FlinkSavepoint, parse_job, parse_savepoint
from flinkjob.core.flinkmodel import normalise_location
from flinkjob.runtime.queue import Key

Raw = Mapping[str, Any]


class ObjectCache:
    """FlinkJobs and FlinkSavepoints by key."""

    def __init__(self) -> None:
        self._jobs: dict[Key, tuple[Raw, FlinkJob]] = {}
        self._savepoints: dict[Key, tuple[Raw, FlinkSavepoint, Key]] = {}
        self._by_job: dict[Key, set[Key]] = {}

    def put_job(self, raw: Raw) -> Key:
        """Take in a FlinkJob as the API server returned it; the key to work on."""
        key = _name(raw)
        before = self._jobs.get(key)
        if before is None or not _older(raw, before[0]):
            self._jobs[key] = (raw, parse_job(raw))
        return key

    def put_savepoint(self, raw: Raw) -> Key:
        """Take in a FlinkSavepoint; the key to work on is the one of its FlinkJob."""
        name = _name(raw)
        before = self._savepoints.get(name)
        if before is not None and _older(raw, before[0]):
            return before[2]
        job_name = ((raw.get("spec") or {}).get("jobRef") or {}).get("name") or ""
        key = (name[0], str(job_name))
        if before is not None:
            self._by_job[before[2]].discard(name)
        self._savepoints[name] = (raw, parse_savepoint(raw), key)
        self._by_job.setdefault(key, set()).add(name)
        return key

    def drop_job(self, raw: Raw) -> Key:
        """The FlinkJob is gone (unless one of the same name was created meanwhile)."""
        key = _name(raw)
        before = self._jobs.get(key)
        if before is not None and before[1].meta.uid == raw["metadata"].get("uid"):
            del self._jobs[key]
        return key

    def drop_savepoint(self, raw: Raw) -> Key | None:
        """The FlinkSavepoint is gone; the key of its FlinkJob."""
        name = _name(raw)
        before = self._savepoints.get(name)
        if before is None or before[1].meta.uid != raw["metadata"].get("uid"):
            return None
        del self._savepoints[name]
        self._by_job[before[2]].discard(name)
        return before[2]

    def job(self, key: Key) -> FlinkJob | None:
        found = self._jobs.get(key)
        return found[1] if found is not None else None

    def raw_job(self, key: Key) -> Raw | None:
        found = self._jobs.get(key)
        return found[0] if found is not None else None

    def savepoints_of(self, key: Key) -> tuple[FlinkSavepoint, ...]:
        """The FlinkSavepoints that name this FlinkJob, by name."""
        return tuple(self._savepoints[name][1] for name in sorted(self._by_job.get(key, ())))

    def savepoint(self, namespace: str, name: str) -> FlinkSavepoint | None:
        found = self._savepoints.get((namespace, name))
        return found[1] if found is not None else None

    def jobs(self) -> Iterator[FlinkJob]:
        return (parsed for _, parsed in self._jobs.values())

    def keys(self) -> set[Key]:
        return set(self._jobs) | {key for key, names in self._by_job.items() if names}

    def snapshots_in_use(self) -> frozenset[str]:
        """Normalised places of all snapshots that some FlinkJob was started from or would start from."""
        used: set[str] = set()
        for job in self.jobs():
            submission, hold, spec = job.status.submission, job.status.hold, job.spec
            places = [hold.location if hold is not None else None]
            if submission is not None:
                places += [submission.restored_from, submission.end.snapshot if submission.end is not None else None]
            if spec is not None:
                places.append(spec.initial_state.location)
                if spec.initial_state.savepoint_ref is not None:
                    named = self.savepoint(job.meta.namespace, spec.initial_state.savepoint_ref.name)
                    places.append(named.status.location if named is not None else None)
            used.update(normalise_location(place) for place in places if place)
        return frozenset(used)

    def waiting_for(self, namespace: str, savepoint: str) -> Iterator[Key]:
        """The FlinkJobs whose first run waits for this FlinkSavepoint (`initialState.savepointRef`)."""
        for key, (_, job) in self._jobs.items():
            reference = job.spec.initial_state.savepoint_ref if job.spec is not None else None
            if key[0] == namespace and reference is not None and reference.name == savepoint:
                yield key


def _name(raw: Raw) -> Key:
    meta = raw["metadata"]
    return str(meta.get("namespace") or ""), str(meta["name"])


def _older(new: Raw, old: Raw) -> bool:
    """Whether `new` is an earlier version of the very same object."""
    if new["metadata"].get("uid") != old["metadata"].get("uid"):
        return False
    try:
        return int(new["metadata"]["resourceVersion"]) < int(old["metadata"]["resourceVersion"])
    except (KeyError, ValueError):
        return False
