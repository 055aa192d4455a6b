"""How a command fails: one line, and an exit code that scripts can rely on.

0   done, or reached
1   refused, failed, not found, or what was waited for can no longer be reached
2   the command was called wrongly
3   not reached within --timeout; it may still be reached later
"""

from __future__ import annotations

from enum import IntEnum

from flinkjob.core.errors import FlinkJobError


class Code(IntEnum):
    """Exit codes."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    TIMED_OUT = 3


class CommandFailed(FlinkJobError):
    """What was asked for cannot be done."""

    code = Code.FAILED


class WrongUsage(CommandFailed):
    """The command was called with what does not fit together."""

    code = Code.USAGE


class TimedOut(CommandFailed):
    """What is waited for was not reached in time."""

    code = Code.TIMED_OUT
