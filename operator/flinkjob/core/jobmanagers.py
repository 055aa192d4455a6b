"""The JobManagers at the address of a cluster: whether there is one, and what its configuration says.

Used by `runtime.cluster`, which asks. Invariant: a JobManager that replaces another one is no second one; one that answers
again after another has answered is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from flinkjob.api import flink_options

FLIP_MEMORY: Final = 120.0
"""Seconds after which an address that two JobManagers answered at is believed to have only one."""
MOST: Final = 16
"""So many processes are remembered of an address, whatever it answers."""
_UPLOADS_BELOW: Final = "flink-web-upload"
"""The directory that Flink makes for uploads below the configured one."""


@dataclass(frozen=True, slots=True)
class JobManagers:
    """Those that have answered at an address.

    Attributes:
        current: the process that answered last.
        earlier: those that have answered, the newest last.
        flipped: when an earlier one last answered again, in seconds of the clock of whoever asks; None: never.
    """

    current: str | None = None
    earlier: tuple[str, ...] = ()
    flipped: float | None = None

    def after(self, incarnation: str, now: float) -> JobManagers:
        """The same after a process has answered."""
        again = incarnation != self.current and incarnation in self.earlier
        others = (each for each in self.earlier if each != incarnation)
        return JobManagers(incarnation, (*others, incarnation)[-MOST:], now if again else self.flipped)

    def are_several(self, now: float) -> bool:
        """Whether two of them have answered in turn lately, so that they share the address."""
        return self.flipped is not None and now - self.flipped < FLIP_MEMORY


def configured(config: Mapping[str, str]) -> dict[str, Any]:
    """The fields of `ClusterSeen` that follow from the JobManager's configuration."""

    def first(*names: str) -> str | None:
        return next((config[name] for name in names if config.get(name)), None)

    uploads = first(flink_options.UPLOAD_DIRECTORY)
    return {
        "savepoint_directory": first(*flink_options.SAVEPOINT_DIRECTORY),
        "checkpoint_directory": first(*flink_options.CHECKPOINT_DIRECTORY),
        "intercepts_exit": (first(flink_options.INTERCEPT_EXIT) or "DISABLED").upper() != "DISABLED",
        "keeps_uploads": uploads is not None,
        "upload_directory": f"{uploads or first(flink_options.TEMPORARY_DIRECTORY) or ''}/{_UPLOADS_BELOW}",
    }
