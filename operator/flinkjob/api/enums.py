"""The closed lists of words of both kinds: what may stand in a spec, and what the operator writes into a status.

Used by the models and by everybody who decides by them. Each member's docstring is its text in the reference.
"""

from enum import StrEnum


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
    """It went away under a stop of the operator, and where its savepoint is stored is not known."""


class EndCause(StrEnum):
    """What made a run fail, where that decides what follows (`status.submission.end.cause`)."""

    RESTORE_FAILED = "RestoreFailed"
    """Its snapshot is missing, damaged or out of reach for this cluster, so that another attempt cannot help."""
    STATE_NOT_MAPPED = "StateNotMapped"
    """Its snapshot has state that the program lacks; only `restore.allowNonRestoredState` or another program can help."""
    STATE_INCOMPATIBLE = "StateIncompatible"
    """The state in its snapshot does not fit the program or its state backend; only another program can help."""
    NOT_STARTED = "NotStarted"
    """It failed before all its tasks ran. Where the next run does so for the same reason, none is started after that."""


class MainFailure(StrEnum):
    """How main() failed after it had started the job (`status.submission.mainFailure`)."""

    MULTIPLE_JOBS = "MultipleJobs"
    """It wanted to start another job, which Flink refused."""
    THREW = "Threw"
    """It threw, or wanted to end the JobManager."""


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
    """It went away under a stop of the operator, and where its savepoint is stored is not known."""


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


class RuntimeMode(StrEnum):
    """Flink's `execution.runtime-mode`."""

    STREAMING = "Streaming"
    BATCH = "Batch"
    AUTOMATIC = "Automatic"


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
    """The cluster did not answer, or the operator is not allowed to connect to it."""
    SAVEPOINT_FAILED = "SavepointFailed"
    """Flink could not complete it; the message has the cause."""
    NO_SAVEPOINT_DIRECTORY = "NoSavepointDirectory"
    """Neither the FlinkSavepoint, the FlinkJob nor the cluster names a directory."""
    NO_SNAPSHOT = "NoSnapshot"
    """The job has no completed snapshot, or none that is stored anywhere."""
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
