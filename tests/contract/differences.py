"""Where versions of Flink differ, as data.

Used by: the tests of this directory. Everything that is not here is alike in all versions.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Differences:
    """What one minor version does.

    Attributes:
        duplicate: exception when a job id was used before.
        application_id: `run` also answers with `applicationId`.
        run_application: `POST /jars/:id/run-application` exists.
    """

    duplicate: str
    application_id: bool
    run_application: bool


_BEFORE = Differences(duplicate="DuplicateJobSubmissionException", application_id=False, run_application=False)
_SINCE_2_3 = Differences(duplicate="DuplicateApplicationSubmissionException", application_id=True, run_application=True)

BY_MINOR = {"1.20": _BEFORE, "2.0": _BEFORE, "2.1": _BEFORE, "2.2": _BEFORE, "2.3": _SINCE_2_3}


def differences(version: str) -> Differences:
    """The differences of a full version number."""
    return BY_MINOR[version.rpartition(".")[0]]
