"""What happens when a FlinkJob is upgraded, restored, restarted and deleted: the parts of its spec of these names.

Invariant: all of them act without touching the running job.
"""

from typing import Annotated

from pydantic import Field

from flinkjob.api.common import Duration
from flinkjob.api.enums import (
    Claim,
    DeletionPolicy,
    Fallback,
    OnLoss,
    OnMissing,
    RestartPolicy,
    RollbackPolicy,
    Switch,
    UpgradeStrategy,
)
from flinkjob.api.model import SpecModel


class RestoreSpec(SpecModel):
    """How every later run starts from its predecessor's state."""

    on_missing: Annotated[
        OnMissing,
        Field(
            description="Fail: when state must exist but none is usable, stop and say so. Fresh: start empty, with a "
            "warning."
        ),
    ] = OnMissing.FAIL
    max_age: Annotated[
        Duration | None,
        Field(
            description="State older than this when the run before ended counts as missing. "
            "Any age is accepted by default."
        ),
    ] = None
    allow_non_restored_state: Annotated[
        bool, Field(description="Start although the snapshot holds state that the job no longer has.")
    ] = False
    claim_mode: Annotated[
        Claim,
        Field(
            description="NoClaim: the snapshot stays as it is. Claim: Flink owns and soon deletes it; only with "
            "initialState.location, for that first start, and without rollback."
        ),
    ] = Claim.NO_CLAIM


class RollbackSpec(SpecModel):
    """Back to the last healthy revision when the new run does not get healthy."""

    policy: Annotated[
        RollbackPolicy,
        Field(
            description="Enabled: a run with a new spec that fails, or is not healthy by the deadline, is replaced by "
            "the last healthy one, from the state before the upgrade; then held until the spec changes. What the "
            "failed run had committed to its outputs by then is written again."
        ),
    ] = RollbackPolicy.DISABLED
    healthy_after: Annotated[
        Duration,
        Field(
            description="Healthy = all tasks running all that time, no restart and, where checkpointing is on, one "
            "completed checkpoint."
        ),
    ] = "60s"
    deadline: Annotated[Duration, Field(description="By when the new run must be healthy.")] = "10m"


class UpgradeSpec(SpecModel):
    """How a running job is replaced when a Run field changes."""

    strategy: Annotated[
        UpgradeStrategy,
        Field(
            description="Savepoint: stop with a savepoint, start from it. LastState: cancel, start from the "
            "newest retained checkpoint. Stateless: cancel, start empty."
        ),
    ] = UpgradeStrategy.SAVEPOINT
    fallback: Annotated[
        Fallback,
        Field(
            description="When strategy Savepoint cannot take one (the job is not running on all tasks, the savepoint "
            "keeps failing or takes longer than timeout): LastState: as that strategy. Wait: try again. Fail: Stalled, "
            "the job runs on until the spec changes."
        ),
    ] = Fallback.LAST_STATE
    preflight: Annotated[
        Switch,
        Field(
            description="Enabled: before the running job is touched the new jar is fetched, checked, uploaded and its "
            "job graph compiled on the cluster (main() runs once more, without a job); any failure leaves the old "
            "job running. State that the new job graph seems to lack is reported in the Event StateNotMapped. "
            "Disabled: only the jar is fetched and uploaded."
        ),
    ] = Switch.ENABLED
    rollback: Annotated[RollbackSpec, Field(description="What happens when the new run does not get healthy.")] = (
        RollbackSpec()
    )
    timeout: Annotated[
        Duration,
        Field(
            description="How long the stop with a savepoint may take, and at least one minute more than the job's own "
            "checkpoint timeout. Flink cannot abort a stop: after it an Event reports the delay, and fallback counts. "
            "LastState cancels the job, Wait and Fail wait for the stop, which Fail does not repeat."
        ),
    ] = "10m"


class RestartSpec(SpecModel):
    """What happens when the job fails, is lost by its cluster, or is cancelled by somebody else."""

    policy: Annotated[
        RestartPolicy,
        Field(description="OnFailure: a FAILED job is started again from its newest state. Never: it stays down."),
    ] = RestartPolicy.ON_FAILURE
    max_attempts: Annotated[
        int | None, Field(ge=1, le=1000, description="How often in a row; then held. Unlimited by default.")
    ] = None
    initial_delay: Annotated[Duration, Field(description="The first pause; it doubles with every attempt.")] = "5s"
    max_delay: Annotated[Duration, Field(description="The longest pause.")] = "5m"
    reset_after: Annotated[
        Duration, Field(description="The attempt counter is reset once a run has been up for this long.")
    ] = "10m"
    on_lost: Annotated[
        OnLoss,
        Field(
            description="The JobManager was restarted without high availability. Restore: start again from the newest "
            "checkpoint found in the checkpoint directory; where it cannot be read this acts as Hold. Hold: stay down."
        ),
    ] = OnLoss.RESTORE
    on_external_cancel: Annotated[
        OnLoss, Field(description="Somebody else cancelled or stopped it. Restore: start it again. Hold: stay down.")
    ] = OnLoss.RESTORE


class DeletionSpec(SpecModel):
    """What becomes of the Flink job when this FlinkJob is deleted."""

    policy: Annotated[
        DeletionPolicy,
        Field(
            description="Savepoint: stop with a savepoint where there is state and a directory, else cancel. Cancel. "
            "Orphan: the job runs on."
        ),
    ] = DeletionPolicy.SAVEPOINT
    timeout: Annotated[
        Duration,
        Field(
            description="Deadline for stopping the job. After it the operator cancels the job if the cluster is reachable "
            "and otherwise leaves it running; an Event reports either. The annotation "
            'flinkjob.dev/force-delete: "true" brings it forward to now.'
        ),
    ] = "5m"
