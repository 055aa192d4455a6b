"""Deterministic names: Flink job ids, trigger ids, directories, jar and revision names.

Every id that is sent to Flink is a function of what it stands for, so that repeating a call after a crash repeats the
same id and Flink (or the next look at the cluster) can tell that it is the same wish. Called by the job and savepoint
decisions and by the observer, which recognises own jobs in `/jobs/overview` by their prefix.

What a Flink job on a cluster can be to a FlinkJob:

- its run's job: the status names the id;
- an owned job: the id has the FlinkJob's prefix, whichever run it is;
- a duplicate job: an owned job that is live and is not the current run's;
- an unlisted job: an owned job that is live and that the overview leaves out;
- a marked job: the owner mark in its configuration was read;
- an adoption candidate: the annotation `flinkjob.dev/adopt` names it;
- an unknown job: no FlinkJob watches the id;
- an orphaned job: the mark names a FlinkJob of this operator that does not exist.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

MARK_OWNER = "flinkjob.dev/owner"
MARK_UID = "flinkjob.dev/uid"
MARK_SUBMISSION = "flinkjob.dev/submission"
MARK_DIGEST = "flinkjob.dev/digest"
UNNAMED = "default"
"""The identity of an operator that was given none: others may have it too."""
_SEPARATOR = "\x00"


def _hex(length: int, *parts: str) -> str:
    return hashlib.sha256(_SEPARATOR.join(parts).encode()).hexdigest()[:length]


@dataclass(frozen=True)
class Owner:
    """Who runs a job: the operator's identity (a setting) and the FlinkJob's namespace and name."""

    identity: str
    namespace: str
    name: str

    @property
    def prefix(self) -> str:
        """The first 16 hex digits of all Flink job ids of this FlinkJob, whatever its uid."""
        return _hex(16, "owner", self.identity, self.namespace, self.name)

    def __str__(self) -> str:
        return f"{self.identity}/{self.namespace}/{self.name}"


@dataclass(frozen=True)
class Mark:
    """The owner mark of a running job, read back from its global job parameters."""

    owner: str
    uid: str
    number: int
    digest: str


def job_id(owner: Owner, uid: str, number: int) -> str:
    """The Flink job id (32 hex) of submission `number`: the owner shows in it, at no cost, in `/jobs/overview`."""
    return owner.prefix + _hex(16, "run", uid, str(number))


def number_of(flink_job_id: str, owner: Owner, uid: str, *, limit: int = 4096) -> int | None:
    """Which submission of this very FlinkJob (by uid) has the id; None when none up to `limit` has."""
    return _numbers(owner, uid, limit).get(flink_job_id) if flink_job_id.startswith(owner.prefix) else None


@lru_cache(maxsize=8)
def _numbers(owner: Owner, uid: str, limit: int) -> Mapping[str, int]:
    """The numbers of all runs by job id; made once for the many jobs of a FlinkJob that a cluster may show."""
    return {job_id(owner, uid, number): number for number in range(1, limit + 1)}


def trigger_id(uid: str, submission: int, kind: str, attempt: int) -> str:
    """The trigger id (32 hex) of one attempt of an operation: repeating the attempt repeats the id."""
    return _hex(32, "trigger", uid, str(submission), kind, str(attempt))


def attempt_directory(
    base: str, *, namespace: str, name: str, uid: str, submission: int, kind: str, attempt: int
) -> str:
    """The target directory of one savepoint attempt: nobody else writes there, so what lies in it is this attempt's."""
    return f"{base.rstrip('/')}/{namespace}/{name}/{uid}/{submission}-{kind.lower()}-{attempt}"


def jar_name(identity: str, digest: str) -> str:
    """The name under which an artifact is uploaded: found again by it, and never another operator's."""
    return f"{_hex(8, 'jar', identity)}-{digest}.jar"


def digest_of(value: Any) -> str:
    """A short stable digest (16 hex) of a JSON-able value, independent of key order."""
    return _hex(16, "digest", json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True))


def revision_name(name: str, digest: str) -> str:
    """The ControllerRevision that holds the spec of the runs with this digest."""
    return f"{name}-{digest[:10]}"


def mark_parameters(owner: Owner, uid: str, number: int, digest: str) -> dict[str, str]:
    """The global job parameters that carry the owner mark (Flink REST: they come back from `/jobs/:id/config`)."""
    return {MARK_OWNER: str(owner), MARK_UID: uid, MARK_SUBMISSION: str(number), MARK_DIGEST: digest}


def read_mark(user_config: Mapping[str, str]) -> Mark | None:
    """The owner mark in a job's user configuration, or None when it has none or a damaged one."""
    try:
        if user_config[MARK_OWNER].count("/") != 2:
            return None
        return Mark(
            user_config[MARK_OWNER],
            user_config[MARK_UID],
            int(user_config[MARK_SUBMISSION]),
            user_config.get(MARK_DIGEST, ""),
        )
    except (KeyError, ValueError):
        return None
