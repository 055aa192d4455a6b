"""Deterministic names: Flink job ids, trigger ids, directories, jar and revision names.

Every id that is sent to Flink is a function of what it stands for, so that repeating a call after a crash repeats the
same id and Flink (or the next look at the cluster) can see that it is the same wish. Called by the job and savepoint
decisions and by the observer, which recognises own jobs in `/jobs/overview` by their prefix.

A Flink job id has 32 hex digits. What they show cannot be changed by any program, unlike the owner mark:

| digits | what they show |
| --- | --- |
| 6 | `FAMILY`: an operator of this kind chose the id |
| 4 | the identity of that operator |
| 14 | namespace and name of the FlinkJob |
| 8 | the run: its number and the FlinkJob's uid |

Earlier versions chose ids of another form, which are still known as those of their FlinkJob: 16 digits for identity,
namespace and name, 16 for the run.

What a Flink job on a cluster can be to a FlinkJob:

- its run's job: the status names the id;
- an owned job: the id has one of the FlinkJob's prefixes, whichever run it is;
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
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from flinkjob.core.flinkmodel import normalise_location

MARK_OWNER = "flinkjob.dev/owner"
MARK_UID = "flinkjob.dev/uid"
MARK_SUBMISSION = "flinkjob.dev/submission"
MARK_DIGEST = "flinkjob.dev/digest"
UNNAMED = "default"
"""The identity of an operator that was given none: others may have it too."""
FAMILY = "f11d0b"
"""The first digits of every Flink job id that an operator of this kind chose."""
_SHOWN = slice(10, 24)
"""Where a job id shows namespace and name of its FlinkJob."""
_PREFIX, _EARLIER_PREFIX = 24, 16
"""Digits of a job id that are the same for all runs of a FlinkJob."""
_ROUND = 4096
"""After so many runs the digits for the number begin anew."""
_EARLIER_RUNS = 4096
"""So many runs are looked for in an id of the earlier form."""
_SEPARATOR = "\x00"
_ATTEMPT = re.compile(r"[0-9]{1,10}-[a-z]{1,32}-[0-9]{1,10}")
_ATTEMPT_DEPTH = 5
"""Namespace, name, uid, attempt, and what Flink calls the snapshot."""
_HEXADECIMAL = re.compile(r"(?:0x)?[0-9a-fA-F]+")


@lru_cache(maxsize=4096)
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
        """The first digits of all Flink job ids of this FlinkJob, whatever its uid."""
        return _chosen_by(self.identity) + shown_name(self.namespace, self.name)

    @property
    def earlier_prefix(self) -> str:
        """The first digits of the ids that earlier versions chose for it."""
        return _hex(_EARLIER_PREFIX, "owner", self.identity, self.namespace, self.name)

    @property
    def prefixes(self) -> tuple[str, str]:
        """All first digits that its Flink job ids may have."""
        return self.prefix, self.earlier_prefix

    def owns(self, flink_job_id: str) -> bool:
        """Whether the id is one of a run of this FlinkJob, of whatever uid."""
        return flink_job_id.startswith(self.prefixes)

    def shares_name(self, flink_job_id: str) -> bool:
        """Whether the id is one of a FlinkJob of the same namespace and name, under whatever identity."""
        return name_in(flink_job_id) == shown_name(self.namespace, self.name)

    def __str__(self) -> str:
        return f"{self.identity}/{self.namespace}/{self.name}"


@dataclass(frozen=True)
class Mark:
    """The owner mark of a running job, read back from its global job parameters."""

    owner: str
    uid: str
    number: int
    digest: str

    @property
    def of(self) -> Owner:
        """Who started the job, as the mark says."""
        return Owner(*self.owner.split("/", 2))


def shown_name(namespace: str, name: str) -> str:
    """The digits that show a FlinkJob in the ids of its Flink jobs, whichever operator runs it."""
    return _hex(14, "name", namespace, name)


def name_in(flink_job_id: str) -> str | None:
    """The digits that show the FlinkJob of a job; None where no operator chose the id, or one of an earlier version."""
    return flink_job_id[_SHOWN] if flink_job_id.startswith(FAMILY) else None


def is_chosen_by(identity: str, flink_job_id: str) -> bool:
    """Whether the operator with this identity chose the id, in its present form."""
    return flink_job_id.startswith(_chosen_by(identity))


def _chosen_by(identity: str) -> str:
    return FAMILY + _hex(4, "identity", identity)


def prefix_of(flink_job_id: str) -> str:
    """The digits of an id that all runs of its FlinkJob share; of any other id, the first ones."""
    return flink_job_id[: _PREFIX if flink_job_id.startswith(FAMILY) else _EARLIER_PREFIX]


def job_id(owner: Owner, uid: str, number: int) -> str:
    """The Flink job id (32 hex) of submission `number`: the owner shows in it, at no cost, in `/jobs/overview`."""
    shown = number % _ROUND ^ _mask(uid)
    return f"{owner.prefix}{shown:03x}{_hex(5, 'run', uid, str(number))}"


def earlier_job_id(owner: Owner, uid: str, number: int) -> str:
    """The id that earlier versions chose for it."""
    return owner.earlier_prefix + _hex(16, "run", uid, str(number))


def _mask(uid: str) -> int:
    """What hides the number of a run in its id, so that two objects of one name begin differently."""
    return int(_hex(3, "number", uid), 16)


def number_of(flink_job_id: str, owner: Owner, uid: str) -> int | None:
    """Which submission of this very FlinkJob (by uid) has the id; None when none of the first 65536 has."""
    if flink_job_id.startswith(owner.earlier_prefix):
        return _earlier_numbers(owner, uid).get(flink_job_id)
    shown = flink_job_id[_PREFIX : _PREFIX + 3]
    if not flink_job_id.startswith(owner.prefix) or not all(digit in "0123456789abcdef" for digit in shown):
        return None
    first = int(shown or "0", 16) ^ _mask(uid)
    numbers, rest = range(first or _ROUND, 16 * _ROUND, _ROUND), flink_job_id[_PREFIX + 3 :]
    return next((number for number in numbers if _hex(5, "run", uid, str(number)) == rest), None)


@lru_cache(maxsize=16)
def _earlier_numbers(owner: Owner, uid: str) -> Mapping[str, int]:
    return {earlier_job_id(owner, uid, number): number for number in range(1, _EARLIER_RUNS + 1)}


def trigger_id(uid: str, submission: int, kind: str, attempt: int) -> str:
    """The trigger id (32 hex) of one attempt of an operation: repeating the attempt repeats the id."""
    return _hex(32, "trigger", uid, str(submission), kind, str(attempt))


def attempt_directory(
    base: str, *, namespace: str, name: str, uid: str, submission: int, kind: str, attempt: int
) -> str:
    """The target directory of one savepoint attempt: nobody else writes there, so what is in it is this attempt's."""
    return f"{base.rstrip('/')}/{namespace}/{name}/{uid}/{submission}-{kind.lower()}-{attempt}"


def is_attempt_of(location: str, namespace: str) -> bool:
    """Whether a snapshot is directly in an `attempt_directory` of an object of this namespace.

    The end of the path says so, which other spellings of the way there do not change.
    """
    parts = normalise_location(location).split("/")[3:]
    return len(parts) >= _ATTEMPT_DEPTH and parts[-_ATTEMPT_DEPTH] == namespace and bool(_ATTEMPT.fullmatch(parts[-2]))


def jar_name(identity: str, digest: str) -> str:
    """The name under which an artifact is uploaded: found again by it, and never another operator's."""
    return f"{_hex(8, 'jar', identity)}-{digest}.jar"


def digest_of(value: Any) -> str:
    """A short stable digest (16 hex) of a JSON-able value, independent of key order."""
    return _hex(16, "digest", json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True))


def digest_of_cause(text: str) -> str:
    """A digest of why something failed, the same for two texts that differ only in ids, numbers and times."""
    return digest_of({"cause": _HEXADECIMAL.sub(_without_number, text)})


def _without_number(found: re.Match[str]) -> str:
    """0 for digits of a number; letters alone are part of a word."""
    return "0" if any(digit.isdigit() for digit in found.group()) else found.group()


def revision_name(name: str, uid: str, digest: str) -> str:
    """The ControllerRevision that holds the spec of the runs with this digest, of this very FlinkJob.

    One of an earlier FlinkJob of the same name goes some time after it, whoever would need it by then.
    """
    return f"{name}-{_hex(10, 'revision', uid, digest)}"


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
