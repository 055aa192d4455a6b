"""Durations among the options, as seconds."""

from __future__ import annotations

from flinkjob.api.common import duration_seconds
from flinkjob.cli.errors import WrongUsage


def seconds_of(given: str, option: str = "--timeout") -> float:
    """The seconds of a duration that an option was given.

    Raises:
        WrongUsage: it is no duration.
    """
    try:
        return duration_seconds(given)
    except ValueError as error:
        raise WrongUsage(f"{option} {given}: such as 90s or 10m") from error
