"""Whether a cluster is fit to run jobs: what `cluster.require` asks for, and what its configuration endangers.

Called by the job decision before something is submitted, and for the condition `ClusterSuitable`. Pure; read from what the
JobManager says of its configuration, once for each of its processes.
"""

from __future__ import annotations

from dataclasses import dataclass

from flinkjob.api.cluster_options import acts_only_in_cluster
from flinkjob.api.enums import CheckpointRetention, Requirement
from flinkjob.api.flink_options import CHECKPOINT_DIRECTORY
from flinkjob.api.flinkjob_spec import FlinkJobSpec
from flinkjob.api.reasons import Reason
from flinkjob.core.job.draft import Draft, Halt
from flinkjob.core.seen import ClusterSeen

MOST_OPTIONS = 5
"""So many options that do nothing are named."""


@dataclass(frozen=True)
class Advice:
    """What speaks against the cluster: `unmet` forbids submissions, `risks` only warn."""

    unmet: tuple[str, ...] = ()
    risks: tuple[str, ...] = ()


def advise(cluster: ClusterSeen, spec: FlinkJobSpec) -> Advice:
    """What the cluster lacks for this job."""
    if cluster.incarnation is None:
        return Advice()
    unmet = [] if cluster.allows_submission else ["web.submit.enable is false, so nothing can be submitted"]
    own_checkpoints = spec.checkpoint.directory or any(
        name in spec.flink_configuration for name in CHECKPOINT_DIRECTORY
    )
    checkpoints = bool(own_checkpoints or cluster.checkpoint_directory)
    savepoints = bool(spec.savepoints.directory or cluster.savepoint_directory)
    for requirement in spec.cluster.require:
        match requirement:
            case Requirement.HIGH_AVAILABILITY if not cluster.high_availability:
                unmet.append("HighAvailability: high-availability.type is NONE")
            case Requirement.RETAINED_CHECKPOINTS if not checkpoints or _dropped(spec):
                unmet.append("RetainedCheckpoints: no checkpoint directory, or retention DeleteOnCancellation")
            case Requirement.SAVEPOINT_DIRECTORY if not savepoints:
                unmet.append("SavepointDirectory: no savepoint directory")
            case _:
                pass
    risks = [
        (
            not cluster.intercepts_exit,
            "cluster.intercept-user-system-exit is off: System.exit in a job ends the JobManager",
        ),
        (not cluster.high_availability, "no high availability: a restart of the JobManager loses its jobs"),
        (not checkpoints, "no checkpoint directory: checkpoints do not survive a failure"),
        (not savepoints, "no savepoint directory: no savepoint can be taken"),
        (_dropped(spec), "checkpoints are deleted on cancel: LastState cannot work"),
        (bool(ignored_options(spec)), ignored_options(spec)),
        (not cluster.keeps_uploads, "web.upload.dir is not set: uploaded jars are lost with the JobManager"),
    ]
    return Advice(tuple(unmet), tuple(text for applies, text in risks if applies))


def halt_if_unsuitable(draft: Draft, spec: FlinkJobSpec) -> Halt | None:
    """Halt while the cluster does not meet `cluster.require`: nothing is submitted there."""
    unmet = advise(draft.observation.target, spec).unmet
    return draft.stall(Reason.Unsuitable, "; ".join(unmet), requeue_after=60.0) if unmet else None


def ignored_options(spec: FlinkJobSpec) -> str:
    """Says which options of the spec do nothing, since they act only in the cluster's own configuration; else empty."""
    ignored = sorted(option for option in spec.flink_configuration if acts_only_in_cluster(option))
    if not ignored:
        return ""
    more = f" and {len(ignored) - MOST_OPTIONS} more" if len(ignored) > MOST_OPTIONS else ""
    names = f"{', '.join(ignored[:MOST_OPTIONS])}{more}"
    return f"flinkConfiguration: set {names} in the cluster's own configuration, since they do nothing for one job"


def _dropped(spec: FlinkJobSpec) -> bool:
    return spec.checkpoint.retention is CheckpointRetention.DELETE_ON_CANCELLATION
