"""How to look into a reason, and what to do about it: what `kubectl flinkjob explain` and docs/reasons.md add to its meaning.

A test finds a reason without advice. `NAME` stands for the FlinkJob or FlinkSavepoint.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from flinkjob.api.reasons import Reason


class Look(StrEnum):
    """The command that shows most about a reason."""

    STATUS = "kubectl flinkjob status NAME"
    EXCEPTIONS = "kubectl flinkjob exceptions NAME"
    EVENTS = "kubectl flinkjob events NAME"
    HISTORY = "kubectl flinkjob history NAME"
    DIFF = "kubectl flinkjob diff NAME"
    SAVEPOINTS = "kubectl get fsp -o wide"
    SAVEPOINT = "kubectl describe fsp NAME"
    CONDITIONS = "kubectl describe fj NAME"


@dataclass(frozen=True)
class Advice:
    """How to look, and what to do, in a sentence."""

    look: Look
    act: str


_NOTHING: Final = "Nothing: it is as it should be."
_WAIT: Final = "Nothing: it goes on automatically."


def advice(reason: Reason) -> Advice:
    """What a person can do about a reason."""
    return Advice(*_ADVICE[reason])


_ADVICE: Final[Mapping[Reason, tuple[Look, str]]] = {
    Reason.VariableNotFound: (Look.CONDITIONS, "Create the ConfigMap or Secret, or give the name a value."),
    Reason.ScriptNotFound: (Look.CONDITIONS, "Create the ConfigMap with that key, or correct the reference."),
    Reason.ClassesDiffer: (Look.EVENTS, "Take the class out of one of the jars, or put the jar that counts first."),
    Reason.Pending: (Look.CONDITIONS, "If it lasts, look whether the operator runs and watches this namespace."),
    Reason.FetchingArtifact: (Look.STATUS, "Wait; a large jar takes its time."),
    Reason.Submitting: (Look.STATUS, "Wait; if it lasts, look for free slots on the cluster."),
    Reason.Submitted: (Look.EVENTS, _NOTHING),
    Reason.Running: (Look.STATUS, _NOTHING),
    Reason.Upgrading: (Look.STATUS, _WAIT),
    Reason.Upgraded: (Look.HISTORY, _NOTHING),
    Reason.Moving: (Look.STATUS, _WAIT),
    Reason.Suspending: (Look.STATUS, _WAIT),
    Reason.Suspended: (Look.STATUS, "Run `kubectl flinkjob resume NAME` when the job is wanted again."),
    Reason.Cancelling: (Look.STATUS, _WAIT),
    Reason.Cancelled: (Look.HISTORY, "Run `kubectl flinkjob resume NAME` when the job is wanted again."),
    Reason.Draining: (Look.STATUS, _WAIT),
    Reason.Drained: (Look.HISTORY, "Set a new `initialState.nonce` to run it again."),
    Reason.Deleting: (Look.EVENTS, 'Wait until `deletion.timeout`, or set `flinkjob.dev/force-delete: "true"`.'),
    Reason.Finished: (Look.HISTORY, "Run `kubectl flinkjob restart NAME` to run it once more."),
    Reason.Restarting: (Look.EXCEPTIONS, "Read the root cause; a single restart needs nothing else."),
    Reason.CrashLooping: (Look.EXCEPTIONS, "Correct what the root cause names, or roll the spec back."),
    Reason.Adopted: (Look.HISTORY, "Nothing; leave the annotation `flinkjob.dev/adopt` in place."),
    Reason.WaitingForSavepoint: (Look.SAVEPOINTS, "Wait, or delete the FlinkSavepoint that is in progress."),
    Reason.WaitingForTasks: (Look.STATUS, "See which vertex lacks tasks; often slots are missing."),
    Reason.WaitingForCheckpoint: (Look.STATUS, "See why no checkpoint completes: backpressure, or the directory."),
    Reason.WaitingForSlots: (Look.STATUS, "Add TaskManagers, or lower `parallelism`."),
    Reason.ReadingLastState: (Look.STATUS, _WAIT),
    Reason.WaitingForSubmission: (Look.STATUS, "Wait; look at the JobManager if it stays silent."),
    Reason.BackOff: (Look.STATUS, "Read the message; it is tried again at `status.plan.retryTime`."),
    Reason.InvalidSpec: (Look.CONDITIONS, "Correct the field, and check it with `kubectl flinkjob validate`."),
    Reason.ArtifactFailed: (Look.CONDITIONS, "Correct the address, or make its server answer."),
    Reason.ArtifactChanged: (Look.CONDITIONS, "Set `restartNonce` to accept the new content, or put the jar back."),
    Reason.SubmitRejected: (Look.CONDITIONS, "Correct the program or its arguments; the message has its exception."),
    Reason.SubmitFailed: (Look.CONDITIONS, "Wait; look at the JobManager's log if it repeats."),
    Reason.MultipleJobs: (Look.CONDITIONS, "Leave one `execute()` in `main()`, or make a FlinkJob for each job."),
    Reason.MainFailed: (Look.EVENTS, "Correct what `main()` does after `execute()`."),
    Reason.RestoreFailed: (Look.CONDITIONS, "Go back to the spec before, or name another snapshot with a new nonce."),
    Reason.JobFailed: (Look.EXCEPTIONS, "Correct what the root cause names; `restart` says when it starts again."),
    Reason.JobLost: (Look.CONDITIONS, "Resume it from the checkpoint in the message; use high availability."),
    Reason.JobEndedUnseen: (Look.HISTORY, "Find out from its outputs how it ended, then set a new `restartNonce`."),
    Reason.JobCancelledExternally: (
        Look.HISTORY,
        "Find out who did it; `restart.onExternalCancel: Hold` keeps it down.",
    ),
    Reason.SavepointFailed: (Look.SAVEPOINTS, "Mend what the message names: the directory, or a time-out."),
    Reason.SavepointUnknown: (
        Look.CONDITIONS,
        "Find the savepoint below that directory and name it in `initialState`.",
    ),
    Reason.SavepointNotFound: (Look.SAVEPOINTS, "Name a FlinkSavepoint that is Completed."),
    Reason.LookingForCopy: (Look.STATUS, _WAIT),
    Reason.CopyNotFound: (Look.CONDITIONS, "Correct the place, namespace, job or access of `initialState.copies`."),
    Reason.SourceMayStillRun: (Look.CONDITIONS, "End the job that the copy was made of, on its own cluster."),
    Reason.StateMissing: (Look.HISTORY, "Name the state in `initialState` with a new nonce, or accept an empty start."),
    Reason.NoSavepointDirectory: (Look.CONDITIONS, "Set `savepoints.directory`, or the cluster's own directory."),
    Reason.NotRetained: (Look.CONDITIONS, "Set `checkpoint.retention: RetainOnCancellation`, or use `Savepoint`."),
    Reason.SavepointStop: (Look.SAVEPOINTS, "Run `kubectl flinkjob resume NAME` when the job is wanted again."),
    Reason.StrayJob: (
        Look.CONDITIONS,
        "Look at the job that the message names, and cancel the one that is not wanted.",
    ),
    Reason.OwnedByOther: (Look.CONDITIONS, "Ask the owner that the message names, or name another job."),
    Reason.ClusterUnreachable: (Look.CONDITIONS, "Look at the JobManager, its Service, and network policies."),
    Reason.NoAnswer: (Look.CONDITIONS, _WAIT),
    Reason.ClusterReachable: (Look.CONDITIONS, _NOTHING),
    Reason.LeftBehind: (
        Look.EVENTS,
        "Cancel the job that the message names in Flink yourself, before a FlinkJob of this name is created again.",
    ),
    Reason.StatusUnreadable: (Look.CONDITIONS, "Run the version of the operator that wrote it."),
    Reason.Orphaned: (Look.EVENTS, "Apply the FlinkJob again to adopt the job, or cancel it in Flink."),
    Reason.ValidationFailed: (Look.EVENTS, "Correct the field that the message names."),
    Reason.PreflightFailed: (Look.CONDITIONS, "Correct the program or its arguments; the old job runs on."),
    Reason.StateNotMapped: (Look.DIFF, "Keep the uids of the operators, or allow their state to be left behind."),
    Reason.RolledBack: (Look.HISTORY, "See why the failed run was not healthy, correct the spec, and apply it."),
    Reason.JobHeld: (Look.CONDITIONS, "Run `kubectl flinkjob resume NAME` once the cause is mended."),
    Reason.AttemptsUsedUp: (Look.EXCEPTIONS, "Mend the cause, then run `kubectl flinkjob resume NAME`."),
    Reason.StartingFresh: (
        Look.HISTORY,
        "Make sure that an empty start was meant: `restore.onMissing: Fresh` allows it.",
    ),
    Reason.Rescaling: (Look.STATUS, _WAIT),
    Reason.Rescaled: (Look.STATUS, _NOTHING),
    Reason.ParallelismFixed: (Look.STATUS, "Take the parallelism out of the program to have it set by the spec."),
    Reason.NotEnoughSlots: (Look.STATUS, "Add TaskManagers, or lower `parallelism`."),
    Reason.OldClusterUnreachable: (
        Look.CONDITIONS,
        "Bring the old cluster back, or abandon the job by the annotation.",
    ),
    Reason.AddressNotUnique: (Look.CONDITIONS, "Let the Service select the JobManager that leads, and no other."),
    Reason.Suitable: (Look.CONDITIONS, _NOTHING),
    Reason.Unsuitable: (Look.CONDITIONS, "Change the cluster's configuration, or take it out of `cluster.require`."),
    Reason.Risky: (Look.CONDITIONS, "Change the option of the cluster that the message names."),
    Reason.UnclaimedJob: (Look.EVENTS, "Apply its FlinkJob again to adopt it, or cancel the job in Flink."),
    Reason.TTLIgnored: (Look.EVENTS, "Take `ttlSecondsAfterFinished` out, and delete the object in Git."),
    Reason.SnapshotKept: (Look.EVENTS, "Delete the data yourself once nothing needs them."),
    Reason.SnapshotDeleted: (Look.EVENTS, _NOTHING),
    Reason.OptionsIgnored: (Look.EVENTS, "Set the options in the cluster's own configuration."),
    Reason.ClusterUnsuitable: (Look.CONDITIONS, "Change what the condition ClusterSuitable names."),
    Reason.InProgress: (Look.SAVEPOINT, _WAIT),
    Reason.Completed: (Look.SAVEPOINT, _NOTHING),
    Reason.SavepointSkipped: (
        Look.EVENTS,
        "Read why; the next run starts from the newest checkpoint, where there is one.",
    ),
    Reason.SavepointCompleted: (Look.SAVEPOINTS, _NOTHING),
    Reason.Syncing: (Look.SAVEPOINT, _WAIT),
    Reason.Synced: (Look.SAVEPOINT, _NOTHING),
    Reason.SyncFailed: (Look.SAVEPOINT, "Mend the access to the store that the message names."),
    Reason.UnknownJob: (Look.SAVEPOINT, "Correct `jobRef` in a new FlinkSavepoint."),
    Reason.JobNotRunning: (Look.STATUS, "Wait until it runs, or register its last one by `mode: Existing`."),
    Reason.JobChanged: (Look.HISTORY, "Name the present run in a new FlinkSavepoint, or none."),
    Reason.Timeout: (Look.STATUS, "Raise `timeout` in a new FlinkSavepoint, or look why checkpoints are slow."),
}
