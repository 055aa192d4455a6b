"""What `FlinkJob.status` says of failures and of the restarts that follow them; see `flinkjob_status`."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field

from flinkjob.api.common import Cause, PreciseTime, ShortWord, Text, Time, Word
from flinkjob.api.model import STATUS_CONFIG


@dataclass(frozen=True, kw_only=True, slots=True)
class FailureInfo:
    """The newest failure that Flink reported for the job."""

    __pydantic_config__: ClassVar[ConfigDict] = STATUS_CONFIG

    time: Annotated[
        PreciseTime | None,
        Field(description="When. Up to a minute behind while the job fails again and again from one cause."),
    ] = None
    job_id: Annotated[ShortWord | None, Field(description="The Flink job that failed.")] = None
    exception: Annotated[Text | None, Field(description="The exception's class.")] = None
    root_cause: Annotated[
        Cause | None,
        Field(
            description="The innermost cause, and what it made fail in the program or a connector where that says more."
        ),
    ] = None
    task: Annotated[Text | None, Field(description="The task.")] = None
    task_manager: Annotated[Text | None, Field(description="The TaskManager.")] = None
    recent: Annotated[
        int, Field(ge=0, description="How often the job failed in the ten minutes before, this failure included.")
    ] = 0
    recovered_time: Annotated[
        Time | None, Field(description="When the job had run well again; absent while it has not, or has ended.")
    ] = None
    causes: Annotated[
        tuple[Annotated[str, Field(max_length=16, description="Hexadecimal digits.")], ...],
        Field(
            max_length=6,
            description="Digests of the causes since the job last ran well; there was an Event for each.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class RestartInfo:
    """Restarts by the operator after failures."""

    __pydantic_config__: ClassVar[ConfigDict] = STATUS_CONFIG

    attempts: Annotated[int, Field(ge=0, description="How many in a row.")] = 0
    next_time: Annotated[PreciseTime | None, Field(description="When the next one is due.")] = None
    submission: Annotated[int | None, Field(ge=0, description="The run after whose end it is due.")] = None
    not_started: Annotated[
        Word | None, Field(description="Digest of why that run failed before all its tasks ran, where it did.")
    ] = None
