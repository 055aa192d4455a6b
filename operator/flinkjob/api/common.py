"""Words and value types that both kinds share; used by the models and, for the words, by every other package.

Invariant: every string type is bounded, since the API server refuses validation rules on unbounded ones.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, PlainSerializer

from flinkjob.api.model import Rule, rules


class DesiredState(StrEnum):
    """What `spec.state` asks for."""

    RUNNING = "Running"
    SUSPENDED = "Suspended"
    CANCELLED = "Cancelled"
    DRAINED = "Drained"


class Phase(StrEnum):
    """One word for what a FlinkJob is doing (`status.phase`)."""

    PENDING = "Pending"
    SUBMITTING = "Submitting"
    RUNNING = "Running"
    UPGRADING = "Upgrading"
    RESCALING = "Rescaling"
    MOVING = "Moving"
    SUSPENDING = "Suspending"
    SUSPENDED = "Suspended"
    CANCELLING = "Cancelling"
    CANCELLED = "Cancelled"
    DRAINING = "Draining"
    DRAINED = "Drained"
    RESTARTING = "Restarting"
    FINISHED = "Finished"
    FAILED = "Failed"
    HELD = "Held"
    UNKNOWN = "Unknown"
    DELETING = "Deleting"


class RunResult(StrEnum):
    """How a submission ended (`status.submission.end.result`)."""

    FINISHED = "Finished"
    """It came to its own end."""
    STOPPED = "Stopped"
    """The operator stopped it with a savepoint."""
    DRAINED = "Drained"
    """The operator drained it: savepoint and highest watermark."""
    CANCELLED = "Cancelled"
    """The operator cancelled it."""
    CANCELLED_EXTERNALLY = "CancelledExternally"
    """Somebody else cancelled or stopped it."""
    FAILED = "Failed"
    """Flink gave it up."""
    LOST = "Lost"
    """Its JobManager was restarted without high availability and no longer knows it."""
    ENDED_UNSEEN = "EndedUnseen"
    """It ended and was forgotten before its result was seen."""
    NEVER_STARTED = "NeverStarted"
    """The cluster refused it, or it failed before any task ran."""
    SAVEPOINT_UNKNOWN = "SavepointUnknown"
    """It went away under a stop of the operator, and where its savepoint lies is not known."""


class SubmissionReason(StrEnum):
    """Why a run was started (`status.submission.reason`)."""

    INITIAL = "Initial"
    """The first one."""
    UPGRADE = "Upgrade"
    """A Run field, `restartNonce` or the parallelism changed, or the job moved."""
    RESUME = "Resume"
    """It was suspended, held or stopped, and is wanted again."""
    RESTART = "Restart"
    """It failed, was lost or was cancelled by somebody else."""
    REDEPLOY = "Redeploy"
    """`initialState.nonce` changed."""
    MOVE = "Move"
    """`cluster` names another cluster."""
    ROLLBACK = "Rollback"
    """The run before did not get healthy, so the last healthy spec runs again."""
    ADOPTED = "Adopted"
    """It was found running on the cluster."""


class SnapshotKind(StrEnum):
    """What a run left to continue from (`status.submission.end.snapshotKind`)."""

    SAVEPOINT = "Savepoint"
    """A savepoint."""
    CHECKPOINT = "Checkpoint"
    """A retained checkpoint."""
    RESTORED = "Restored"
    """It completed none of its own, so its successor starts from the same state."""
    EMPTY = "Empty"
    """It had and left no state."""
    MISSING = "Missing"
    """There must be state, but none is known to be usable."""


class OperationKind(StrEnum):
    """What is being done to the running job (`status.operation.kind`)."""

    STOP = "Stop"
    SAVEPOINT_AND_CANCEL = "SavepointAndCancel"
    CANCEL = "Cancel"
    SAVEPOINT = "Savepoint"
    RESCALE = "Rescale"


class HoldReason(StrEnum):
    """Why a job is held down (`status.hold.reason`)."""

    STOPPED = "Stopped"
    """By a FlinkSavepoint with mode Stop."""
    CANCELLED = "Cancelled"
    """By a FlinkSavepoint with mode Cancel."""
    CANCELLED_EXTERNALLY = "CancelledExternally"
    """Somebody cancelled it outside of the operator."""
    FAILED = "Failed"
    """It failed in a way that starting again cannot mend."""
    ATTEMPTS_USED_UP = "AttemptsUsedUp"
    """It failed as often as allowed."""
    LOST = "Lost"
    """The cluster lost it and nothing usable to continue from is known."""
    ENDED_UNSEEN = "EndedUnseen"
    """It ended while nobody looked, and its result is not known."""
    SAVEPOINT_UNKNOWN = "SavepointUnknown"
    """It went away under a stop of the operator, and where its savepoint lies is not known."""
    STATE_MISSING = "StateMissing"
    """State must exist but nothing usable was found."""


class InitialStateStrategy(StrEnum):
    """Where the first run's state comes from."""

    LATEST = "Latest"
    EARLIEST = "Earliest"
    CUSTOM = "Custom"
    NONE = "None"


class UpgradeStrategy(StrEnum):
    """How a running job is replaced."""

    SAVEPOINT = "Savepoint"
    LAST_STATE = "LastState"
    STATELESS = "Stateless"


class Fallback(StrEnum):
    """What an upgrade does when no savepoint can be taken."""

    LAST_STATE = "LastState"
    WAIT = "Wait"
    FAIL = "Fail"


class OnMissing(StrEnum):
    """What a run does whose predecessor must have left state, but none is usable."""

    FAIL = "Fail"
    FRESH = "Fresh"


class Claim(StrEnum):
    """Who owns the snapshot after a start from it."""

    NO_CLAIM = "NoClaim"
    CLAIM = "Claim"


class RestartPolicy(StrEnum):
    """Whether a failed job is started again."""

    ON_FAILURE = "OnFailure"
    NEVER = "Never"


class OnLoss(StrEnum):
    """What is done with a job that the cluster lost, or that somebody else cancelled."""

    RESTORE = "Restore"
    HOLD = "Hold"


class RollbackPolicy(StrEnum):
    """Whether an upgrade that does not get healthy is taken back."""

    DISABLED = "Disabled"
    ENABLED = "Enabled"


class Switch(StrEnum):
    """On or off."""

    ENABLED = "Enabled"
    DISABLED = "Disabled"


class Requirement(StrEnum):
    """What a cluster must offer before anything is submitted to it."""

    HIGH_AVAILABILITY = "HighAvailability"
    RETAINED_CHECKPOINTS = "RetainedCheckpoints"
    SAVEPOINT_DIRECTORY = "SavepointDirectory"


class DeletionPolicy(StrEnum):
    """What becomes of the Flink job when the FlinkJob is deleted."""

    SAVEPOINT = "Savepoint"
    CANCEL = "Cancel"
    ORPHAN = "Orphan"


class CheckpointingMode(StrEnum):
    """Flink's `execution.checkpointing.mode`."""

    EXACTLY_ONCE = "ExactlyOnce"
    AT_LEAST_ONCE = "AtLeastOnce"


class CheckpointRetention(StrEnum):
    """Flink's `execution.checkpointing.externalized-checkpoint-retention`."""

    RETAIN_ON_CANCELLATION = "RetainOnCancellation"
    DELETE_ON_CANCELLATION = "DeleteOnCancellation"


class FormatType(StrEnum):
    """Flink's savepoint formats."""

    CANONICAL = "Canonical"
    NATIVE = "Native"


class SavepointMode(StrEnum):
    """What happens to the job of a FlinkSavepoint."""

    TRIGGER = "Trigger"
    STOP = "Stop"
    CANCEL = "Cancel"
    EXISTING = "Existing"


class SnapshotDeletion(StrEnum):
    """What becomes of a snapshot's data when its FlinkSavepoint is deleted."""

    RETAIN = "Retain"
    DELETE = "Delete"


class SnapshotType(StrEnum):
    """What is made: a savepoint, or a checkpoint that Flink owns."""

    SAVEPOINT = "Savepoint"
    CHECKPOINT = "Checkpoint"


class CopyCheck(StrEnum):
    """How a copy in an object store is compared with the snapshot."""

    SIZE = "Size"
    CHECKSUM = "Checksum"


class CheckpointType(StrEnum):
    """Flink's `checkpointType` of `POST /jobs/:jobid/checkpoints`."""

    FULL = "Full"
    CONFIGURED = "Configured"


class SavepointPhase(StrEnum):
    """One word for what a FlinkSavepoint is doing (`status.phase`)."""

    PENDING = "Pending"
    IN_PROGRESS = "InProgress"
    SYNCING = "Syncing"
    COMPLETED = "Completed"
    FAILED = "Failed"


class SavepointOrigin(StrEnum):
    """Why a snapshot was made."""

    PERIODIC = "Periodic"
    UPGRADE = "Upgrade"
    SUSPEND = "Suspend"
    DELETION = "Deletion"
    MANUAL = "Manual"


class SavepointErrorCode(StrEnum):
    """Why a FlinkSavepoint failed (`status.error.errorCode`); closed."""

    UNKNOWN_JOB = "UnknownJob"
    """The FlinkJob, or the Flink job at `target`, does not exist."""
    JOB_CHANGED = "JobChanged"
    """The Flink job or run is no longer the one that was named."""
    JOB_NOT_RUNNING = "JobNotRunning"
    """The job was not running, or ended meanwhile."""
    OWNED_BY_OTHER = "OwnedByOther"
    """The job belongs to another operator or namespace."""
    CLUSTER_UNREACHABLE = "ClusterUnreachable"
    """The cluster did not answer, or may not be spoken to."""
    SAVEPOINT_FAILED = "SavepointFailed"
    """Flink could not complete it; the message has the cause."""
    NO_SAVEPOINT_DIRECTORY = "NoSavepointDirectory"
    """Neither the FlinkSavepoint, the FlinkJob nor the cluster names a directory."""
    NO_SNAPSHOT = "NoSnapshot"
    """The job has no completed snapshot, or none that lies anywhere."""
    SNAPSHOT_NOT_SELF_CONTAINED = "SnapshotNotSelfContained"
    """The snapshot refers to files outside its directory, so it cannot be copied."""
    STORE_ERROR = "StoreError"
    """The object store refused or failed."""
    VERIFY_FAILED = "VerifyFailed"
    """The copy differs from the snapshot."""
    TIMEOUT = "Timeout"
    """It was not completed within `timeout`."""


class ConditionStatus(StrEnum):
    """Kubernetes' three-valued truth."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


_DURATION: Final = r"^([0-9]+(ms|s|m|h|d))+$"
_DURATION_PART: Final = re.compile(r"([0-9]+)(ms|s|m|h|d)")
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def duration_seconds(text: str) -> float:
    """The length of a duration of the API, such as `90s`, `1h30m` or `7d`, in seconds.

    Raises:
        ValueError: not a duration, or zero.
    """
    if not re.fullmatch(_DURATION[1:-1], text):
        raise ValueError(f"not a duration: {text!r}; write 90s, 1h30m or 7d")
    seconds = sum(int(number) * _SECONDS[unit] for number, unit in _DURATION_PART.findall(text))
    if seconds <= 0:
        raise ValueError("a duration must not be zero")
    return seconds


def _checked(check: Callable[[str], object]) -> AfterValidator:
    def validate(text: str) -> str:
        check(text)
        return text

    return AfterValidator(validate)


def _no_password(text: str) -> None:
    if re.match(r"^[^:/]+://[^/]*:[^/]*@", text):
        raise ValueError("must not contain a password")


Duration = Annotated[
    str,
    Field(
        min_length=2,
        max_length=32,
        pattern=_DURATION,
        json_schema_extra=rules(Rule("self.matches('[1-9]')", "{path} must not be zero")),
    ),
    _checked(duration_seconds),
]
"""`90s`, `1h30m`, `7d`; never zero."""


def _time_zone(text: str) -> None:
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError("not a known time zone") from error


TimeZone = Annotated[
    str,
    Field(
        min_length=1,
        max_length=64,
        pattern=r"^[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*$",
        json_schema_extra=rules(
            Rule("timestamp('2026-01-01T00:00:00Z').getHours(self) >= 0", "{path} is not a known time zone")
        ),
    ),
    _checked(_time_zone),
]
"""A name of the time zone database, such as `Europe/Berlin`; the API server knows them too."""

Location = Annotated[
    str,
    Field(
        min_length=2,
        max_length=1024,
        pattern=r"^([a-zA-Z][a-zA-Z0-9+.-]*:/|/)[^\x00-\x1f]*$",
        json_schema_extra=rules(Rule("!self.matches('^[^:/]+://[^/]*:[^/]*@')", "{path} must not contain a password")),
    ),
    _checked(_no_password),
]
"""A directory or snapshot as Flink names it: a URI, or an absolute path on the cluster."""

# A host name or address, or an IPv6 address in brackets; perhaps a port.
_HOST: Final = r"([^/@\s?#:\[\]]+|\[[0-9a-fA-F:.]+\])(:[0-9]{1,5})?"

ClusterUrl = Annotated[str, Field(min_length=8, max_length=512, pattern=rf"^https?://{_HOST}(/[^@\s?#]*)?$")]
"""Where a JobManager's REST API answers, without user information, query or fragment."""

ArtifactUri = Annotated[
    str, Field(min_length=8, max_length=2048, pattern=rf"^(https?://{_HOST}/[^\s#]*|file:///[^\s?#]+)$")
]
"""Where a jar lies; `https`, `http` or `file`, without user information."""

JobId = Annotated[str, Field(min_length=32, max_length=32, pattern=r"^[0-9a-f]{32}$")]
"""A Flink job id: 32 hexadecimal digits."""

Sha256 = Annotated[str, Field(min_length=64, max_length=64, pattern=r"^[0-9a-f]{64}$")]

ObjectName = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]
"""The name of a Kubernetes object."""

JobName = Annotated[str, Field(min_length=1, max_length=45, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]
"""The name of a FlinkJob."""


def _cut(limit: int) -> PlainSerializer:
    """Writes a text as one line of at most `limit` characters: the API server refuses the whole status otherwise."""

    def one_line(text: str) -> str:
        line = " ".join(text.split()) if "\n" in text or "\r" in text else text
        return line if len(line) <= limit else f"{line[: limit - 1]}…"

    return PlainSerializer(one_line, return_type=str)


ShortWord = Annotated[str, Field(max_length=64)]
"""One word of the operator's own in a status."""
Word = Annotated[str, Field(max_length=128)]
"""A short identifier in a status."""
Text = Annotated[str, Field(max_length=256), _cut(256)]
"""A name in a status, of whatever length outside. Cut at its limit when written."""
ObservedLocation = Annotated[str, Field(max_length=1024)]
"""A directory or snapshot in a status: as Flink says it, so without rules that could refuse to record it."""
Url = Annotated[str, Field(max_length=640)]
"""An address in a status."""
Message = Annotated[str, Field(max_length=1024), _cut(1024)]
"""One line for people in a status. Cut at its limit when written."""


ConditionMessage = Annotated[str, Field(max_length=768), _cut(768)]
"""One line for people beside a word that says the same. Cut at its limit when written."""


def _utc(value: datetime) -> datetime:
    return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)


def _format_time(value: datetime) -> str:
    return _utc(value).strftime("%Y-%m-%dT%H:%M:%SZ")


def _format_precise_time(value: datetime) -> str:
    return _utc(value).isoformat(timespec="milliseconds").replace("+00:00", "Z")


PreciseTime = Annotated[datetime, AfterValidator(_utc), PlainSerializer(_format_precise_time, return_type=str)]
"""An instant in UTC, written with milliseconds: where a downtime is computed from it."""

Time = Annotated[datetime, AfterValidator(_utc), PlainSerializer(_format_time, return_type=str)]
"""An instant in UTC, written with whole seconds."""
