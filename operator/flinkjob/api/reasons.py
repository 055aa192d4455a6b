"""Every reason that the operator gives, with its meaning: the same word in conditions, Events, metrics and the reference.

A test finds members that the reference does not explain. Each member is `word, what it means and what a person can do`.
"""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why a resource is in the state that it is in."""

    explanation: str

    def __new__(cls, word: str, explanation: str) -> Reason:
        member = str.__new__(cls, word)
        member._value_ = word
        member.explanation = explanation
        return member

    @classmethod
    def of(cls, word: str | None, default: Reason) -> Reason:
        """The member with this word, as read from a status; `default` for an unknown one."""
        member = cls._value2member_map_.get(word) if word else None
        return member if isinstance(member, Reason) else default

    # the program
    VariableNotFound = (
        "VariableNotFound",
        "A name in `spec.args` or `spec.flinkConfiguration` has no value, or a ConfigMap or Secret of `spec.variablesFrom` cannot "
        "be read. What runs goes on; nothing is started until it is there.",
    )
    ScriptNotFound = (
        "ScriptNotFound",
        "A ConfigMap or key that `spec.sql` or `spec.python` names does not exist, has no text or cannot be read. A job that runs goes on, and is started again after a failure, with the texts that it has; create the ConfigMap, or correct the reference.",
    )
    ClassesDiffer = (
        "ClassesDiffer",
        "Two jars of the job have classes of one name with different content. Those of the first jar count: `spec.jar`, then `spec.dependencies.jars` in their order.",
    )

    # progress
    Pending = "Pending", "Nothing has been decided yet."
    FetchingArtifact = (
        "FetchingArtifact",
        "The jar is being downloaded, checked or uploaded to the cluster; of a large one the message says how far it is.",
    )
    Submitting = "Submitting", "The run call was sent or is about to be; the job is not running on all tasks yet."
    Submitted = "Submitted", "The cluster has the job."
    Running = "Running", "All tasks of the job are running."
    Upgrading = "Upgrading", "The running job is being replaced by one with the new spec."
    Upgraded = "Upgraded", "The job with the new spec is running."
    Moving = "Moving", "The job is being stopped here to be started on another cluster."
    Suspending = "Suspending", "The job is being stopped with a savepoint."
    Suspended = "Suspended", "The job is stopped, as asked; set `state: Running` to resume from its savepoint."
    Cancelling = "Cancelling", "The job is being cancelled."
    Cancelled = "Cancelled", "The job is cancelled, as asked."
    Draining = "Draining", "The job is being stopped with a savepoint and MAX_WATERMARK."
    Drained = "Drained", "The job is drained, as asked; running it again needs a new `initialState.nonce`."
    Deleting = "Deleting", "The FlinkJob is being deleted and its Flink job ended by `deletion.policy`."
    Finished = "Finished", "The job came to its own end; it runs again only when its spec changes."
    Restarting = (
        "Restarting",
        "Flink, or the operator after a pause, restarts the failed job: see `status.lastFailure`. After a restart by Flink it is Ready again once it has run for 10 seconds.",
    )
    CrashLooping = (
        "CrashLooping",
        "Flink restarts the job again and again, at least 3 times within 10 minutes: see `status.lastFailure`, correct the spec or what the job needs. Ready again once it has run for 2 minutes.",
    )
    Adopted = "Adopted", "A job of this FlinkJob was found running on the cluster and taken over without a restart."
    WaitingForSavepoint = "WaitingForSavepoint", "A FlinkSavepoint of this job is in progress; the change waits for it."
    WaitingForTasks = "WaitingForTasks", "A savepoint needs all tasks running; they are not yet."
    WaitingForCheckpoint = (
        "WaitingForCheckpoint",
        "`LastState` needs one completed, retained checkpoint before the job is cancelled.",
    )
    WaitingForSlots = (
        "WaitingForSlots",
        "The cluster has fewer free slots than the job needs: add TaskManagers or lower `parallelism`.",
    )
    ReadingLastState = "ReadingLastState", "The job has ended; its newest checkpoint or savepoint is being looked up."
    WaitingForSubmission = (
        "WaitingForSubmission",
        "An earlier run call got no answer: the job may still appear; it is stopped when it does.",
    )
    BackOff = "BackOff", "Something failed; it is tried again after a pause that grows with every failure."

    # trouble
    InvalidSpec = (
        "InvalidSpec",
        "The spec cannot be run as it is; a running job is left alone. Correct the field that the message names.",
    )
    ArtifactFailed = "ArtifactFailed", "The jar cannot be had: see the message for the address and the answer."
    ArtifactChanged = (
        "ArtifactChanged",
        "The jar that this run was started from is no longer what its address gives; set `restartNonce` to accept the new content.",
    )
    SubmitRejected = (
        "SubmitRejected",
        "Flink refused to run the jar, and would again: see the message; change the spec or `restartNonce`.",
    )
    SubmitFailed = "SubmitFailed", "The run call failed; it is repeated with the same job id."
    MultipleJobs = (
        "MultipleJobs",
        "main() wants to start more than one job, and Flink runs only the first, which is left as it is: the rest of the program does not run. Make it one `execute()`, or one FlinkJob for each job.",
    )
    MainFailed = (
        "MainFailed",
        "main() failed after it had started the job; the job runs on. See the message for what main() did not do.",
    )
    RestoreFailed = (
        "RestoreFailed",
        "The job cannot be started from its savepoint or checkpoint, and is not tried again: the message says why and what to do. The snapshot is kept.",
    )
    JobFailed = "JobFailed", "The Flink job has failed; see `status.lastFailure`."
    JobLost = "JobLost", "The JobManager was restarted without high availability and no longer knows the job."
    JobEndedUnseen = "JobEndedUnseen", "The job ended and was forgotten by the cluster before its result was seen."
    JobCancelledExternally = (
        "JobCancelledExternally",
        "Somebody else cancelled or stopped the job; it is started again from its newest state.",
    )
    SavepointFailed = "SavepointFailed", "Flink could not complete the savepoint: see the message; the job runs on."
    SavepointUnknown = (
        "SavepointUnknown",
        "The job went away while it was being stopped, and where its savepoint is stored is not known: look below the directory that the message names.",
    )
    SavepointNotFound = (
        "SavepointNotFound",
        "The FlinkSavepoint that `initialState.savepointRef` names does not exist or has not completed.",
    )
    LookingForCopy = "LookingForCopy", "The stores that `initialState.copies` names are being looked into."
    CopyNotFound = (
        "CopyNotFound",
        "None of the places in `initialState.copies` has a complete copy that can be read; they are looked into again every half minute.",
    )
    SourceMayStillRun = (
        "SourceMayStillRun",
        "The run was started from a copy that another operator made: make sure that the job it was made of no longer runs.",
    )
    StateMissing = (
        "StateMissing",
        "There must be state to continue from but none is usable: give `initialState` with a new `nonce` to say where to start from.",
    )
    NoSavepointDirectory = (
        "NoSavepointDirectory",
        "Neither `savepoints.directory` nor the cluster's own configuration names a directory for savepoints.",
    )
    NotRetained = (
        "NotRetained",
        "The job's checkpoints are not kept after a cancel, so `LastState` would lose its state; use `Savepoint`, or set `checkpoint.retention`.",
    )
    SavepointStop = (
        "SavepointStop",
        "A FlinkSavepoint with `mode: Stop` or `Cancel` stopped the job; a change of the spec or of `state` starts it again from there.",
    )
    StrayJob = "StrayJob", "Another live job of this FlinkJob is on the cluster; nothing is submitted while it lives."
    OwnedByOther = (
        "OwnedByOther",
        "A job that is to be run, adopted or acted on is another's: of another operator, namespace or FlinkJob, or of nobody where the operator runs without `--allow-unmarked-jobs`; it is never touched.",
    )
    ClusterUnreachable = (
        "ClusterUnreachable",
        "The cluster's REST endpoint does not answer; the job itself may be fine.",
    )
    NoAnswer = "NoAnswer", "The cluster's REST endpoint has not answered for some seconds, which is no news yet."
    ClusterReachable = "ClusterReachable", "The cluster's REST endpoint answers."
    LeftBehind = "LeftBehind", "The FlinkJob is gone but its Flink job could not be ended; the message names it."
    StatusUnreadable = (
        "StatusUnreadable",
        "The status holds what this version of the operator cannot read: nothing is done until that is mended or taken away, or another version runs. A deletion goes on with the rest of the status.",
    )
    Orphaned = "Orphaned", "The FlinkJob was deleted with `deletion.policy: Orphan`; its Flink job runs on."
    ValidationFailed = "ValidationFailed", "The spec was not accepted; a running job goes on under its last one."

    PreflightFailed = (
        "PreflightFailed",
        "The new program cannot be compiled on the cluster; the job runs on under its last spec.",
    )
    StateNotMapped = (
        "StateNotMapped",
        "Before an upgrade: the running job has state in vertices that the new program lacks. A new SQL script is not run then, and the job runs on. For other programs it is a warning: the new run starts only if their operators, by their uid, are in other vertices by now. Keep the uids, go back to the script before, or set `restore.allowNonRestoredState` to leave that state behind.",
    )
    RolledBack = "RolledBack", "The new spec did not get healthy and was taken back; it is tried again when it changes."
    JobHeld = (
        "JobHeld",
        "The job is down and stays so, as `restart` says; a change of the spec or of `state` starts it again.",
    )
    AttemptsUsedUp = (
        "AttemptsUsedUp",
        "The job failed as often as `restart.maxAttempts` allows; a change of the spec or of `state` starts it again.",
    )
    StartingFresh = "StartingFresh", "No usable state was found, and `restore.onMissing: Fresh` starts the job empty."
    Rescaling = "Rescaling", "The parallelism of the running job is being changed in place."
    Rescaled = "Rescaled", "The job runs with its new parallelism."
    ParallelismFixed = (
        "ParallelismFixed",
        "The program sets the parallelism of its operators itself, so that `parallelism` changes nothing: the job runs on as it is.",
    )
    NotEnoughSlots = (
        "NotEnoughSlots",
        "The cluster has too few slots for the new parallelism; the job runs on with the old one: add TaskManagers or lower `parallelism`.",
    )
    OldClusterUnreachable = (
        "OldClusterUnreachable",
        "The job cannot be stopped where it is; bring that cluster back, or give the annotation `flinkjob.dev/abandon: <job id>`.",
    )
    AddressNotUnique = (
        "AddressNotUnique",
        "Two JobManagers answer at one address in turn; nothing is done until only one does.",
    )
    Suitable = "Suitable", "The cluster offers what its jobs need."
    Unsuitable = "Unsuitable", "The cluster does not offer what `cluster.require` asks for; nothing is submitted."
    Risky = "Risky", "The cluster works, but its configuration endangers jobs; the message says what to change."

    UnclaimedJob = (
        "UnclaimedJob",
        "A running job carries this operator's mark but its FlinkJob does not exist: apply the FlinkJob again to adopt it, or cancel the job.",
    )
    TTLIgnored = (
        "TTLIgnored",
        "`ttlSecondsAfterFinished` is ignored, since a GitOps tool owns the object and would create it again.",
    )
    SnapshotKept = (
        "SnapshotKept",
        "The FlinkSavepoint is gone but its data were kept: they are in use, or could not be disposed of in time.",
    )
    SnapshotDeleted = "SnapshotDeleted", "The data of the FlinkSavepoint were disposed of."
    OptionsIgnored = (
        "OptionsIgnored",
        "`flinkConfiguration` has options that act only in the cluster's own configuration, not for one job: set them there, or take them out.",
    )
    ClusterUnsuitable = (
        "ClusterUnsuitable",
        "The cluster lacks something that the job needs or that makes it safe; see the condition ClusterSuitable.",
    )

    # savepoints
    InProgress = "InProgress", "The savepoint was triggered and is being written."
    Completed = "Completed", "The savepoint is complete; its location is in status."
    SavepointSkipped = (
        "SavepointSkipped",
        "The job is cancelled without the savepoint that was wanted; the message says why.",
    )
    SavepointCompleted = "SavepointCompleted", "A savepoint was completed."
    Syncing = "Syncing", "The snapshot is complete and is being copied to `syncTo`."
    Synced = "Synced", "The snapshot is complete, and so is its copy."
    SyncFailed = "SyncFailed", "The copy failed; it is tried again, or given up: see `status.sync`."
    UnknownJob = "UnknownJob", "The FlinkJob that `jobRef` names does not exist."
    JobNotRunning = "JobNotRunning", "The job is not running, so no savepoint of it can be taken."
    JobChanged = "JobChanged", "The FlinkJob runs another Flink job by now than the one that was named."
    Timeout = "Timeout", "Not done within `timeout`; Flink cannot abort it, so it may still complete."
