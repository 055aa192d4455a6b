"""`FlinkSavepoint.status`: how far it is and what came out. Frozen standard dataclasses, as for the FlinkJob."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field

from flinkjob.api.common import Message, ObservedLocation, Text, Time, Word
from flinkjob.api.enums import FormatType, SavepointErrorCode, SavepointOrigin, SavepointPhase
from flinkjob.api.flinkjob_status import Condition
from flinkjob.api.model import STATUS_CONFIG
from flinkjob.api.sync import SyncStatus


@dataclass(frozen=True, kw_only=True, slots=True)
class SavepointError:
    """Why it failed."""

    __pydantic_config__: ClassVar[ConfigDict] = STATUS_CONFIG

    error_code: Annotated[SavepointErrorCode, Field(description="Why, in one word of a closed list.")]
    message: Annotated[Message, Field(description="Why, in one line for people.")] = ""
    details: Annotated[Message | None, Field(description="More, such as the directory or the job id.")] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class FlinkSavepointStatus:
    """How far it is and what came out."""

    __pydantic_config__: ClassVar[ConfigDict] = STATUS_CONFIG

    observed_generation: Annotated[int | None, Field(ge=0, description="The metadata.generation acted on.")] = None
    phase: Annotated[SavepointPhase | None, Field(description="Where the FlinkSavepoint is in its lifecycle.")] = None
    conditions: Annotated[
        tuple[Condition, ...],
        Field(
            max_length=8,
            description="Ready, Reconciling, Stalled; Synced where a copy was asked for.",
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        ),
    ] = ()
    trigger_id: Annotated[Word | None, Field(description="The trigger id, written before the call.")] = None
    directory: Annotated[ObservedLocation | None, Field(description="The directory of the current attempt.")] = None
    attempt: Annotated[int, Field(ge=0, description="Which attempt this is.")] = 0
    cluster_url: Annotated[Text | None, Field(max_length=512, description="The cluster that made it.")] = None
    deleting: Annotated[bool, Field(description="Whether its data are being disposed of.")] = False
    job_id: Annotated[Word | None, Field(description="The Flink job id.")] = None
    job_state: Annotated[Word | None, Field(description="The Flink job's state afterwards, Flink's own word.")] = None
    submission: Annotated[int | None, Field(ge=0, description="The run of the FlinkJob it acts on.")] = None
    run_digest: Annotated[
        Word | None,
        Field(
            description="Modes Stop and Cancel: the digest of the spec at the first attempt; only that is held down."
        ),
    ] = None
    origin: Annotated[SavepointOrigin | None, Field(description="Why it was made.")] = None
    checkpoint_id: Annotated[int | None, Field(ge=0, description="Flink's checkpoint id.")] = None
    start_time: Annotated[Time | None, Field(description="When it was triggered.")] = None
    end_time: Annotated[Time | None, Field(description="When it completed or failed.")] = None
    duration: Annotated[Word | None, Field(description="How long it took, such as 1m1s.")] = None
    location: Annotated[ObservedLocation | None, Field(description="Where the snapshot is stored.")] = None
    size: Annotated[Word | None, Field(description="Its size, such as 1.2Gi.")] = None
    size_bytes: Annotated[int | None, Field(ge=0, description="Its size in bytes.")] = None
    format_type: Annotated[FormatType | None, Field(description="Its format.")] = None
    flink_version: Annotated[Word | None, Field(description="The Flink version that made it.")] = None
    retry_time: Annotated[Time | None, Field(description="When it is tried again.")] = None
    failures: Annotated[int, Field(ge=0, description="How often it failed.")] = 0
    error: Annotated[SavepointError | None, Field(description="Why it failed.")] = None
    sync: Annotated[SyncStatus | None, Field(description="The copy in another store, where one was asked for.")] = None

    @property
    def flink_job_id(self) -> str:
        """The id of the Flink job that was asked for the snapshot; empty before."""
        return self.job_id or ""

    @property
    def trigger(self) -> str:
        """The trigger id that was sent with the question; empty before."""
        return self.trigger_id or ""
