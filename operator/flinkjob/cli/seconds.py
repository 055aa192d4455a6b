"""`--timeout`, as seconds."""

from __future__ import annotations

from flinkjob.api.common import duration_seconds
from flinkjob.cli.errors import WrongUsage


def seconds_of(timeout: str) -> float:
    """The seconds of a `--timeout`.

    Raises:
        WrongUsage: it is no duration.
    """
    try:
        return duration_seconds(timeout)
    except ValueError as error:
        raise WrongUsage(f"--timeout {timeout}: such as 90s or 10m") from error
