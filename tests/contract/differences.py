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
        program_args: `programArgs`, one text, is understood by `run` (later it is silently ignored).
        two_jobs: what is said when main() calls `execute()` twice.
        first_checkpoint_at_once: the first periodic checkpoint is made as soon as all tasks run; otherwise after a
            random part of the interval, so that a job may be without any for long.
    """

    duplicate: str = "DuplicateJobSubmissionException"
    application_id: bool = False
    program_args: bool = False
    two_jobs: str = "Cannot have more than one execute() or executeAsync() call"
    first_checkpoint_at_once: bool = False


_2_3 = Differences(
    duplicate="DuplicateApplicationSubmissionException",
    application_id=True,
    two_jobs="Cannot have more than 1 streaming jobs",
    first_checkpoint_at_once=True,
)
BY_MINOR = {
    "1.20": Differences(program_args=True),
    "2.0": Differences(),
    "2.1": Differences(),
    "2.2": Differences(),
    "2.3": _2_3,
}


def differences(version: str) -> Differences:
    """The differences of a full version number."""
    return BY_MINOR[version.rpartition(".")[0]]
