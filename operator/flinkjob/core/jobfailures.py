"""What Flink remembers of the failures of a job that it restarts, as a value.

Made by the client (flink), kept by the runtime, folded into a status by the job decision.
"""

from dataclasses import dataclass
from datetime import datetime

from flinkjob.core.flinkmodel import JobException


@dataclass(frozen=True, kw_only=True, slots=True)
class JobFailures:
    """What made Flink restart a job that has not ended, as far as its JobManager remembers (16 failures by default).

    Attributes:
        newest: the last failure.
        times: when it failed, newest first; by Flink's clock.
        restarts: how often Flink has restarted it, by its own counter, which is seconds behind; None where it is unknown.
    """

    newest: JobException
    times: tuple[datetime, ...]
    restarts: int | None = None
