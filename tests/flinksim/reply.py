"""What the simulated cluster answers, now or later.

Used by: `rest.py` and `submission.py` make replies, the transports wait for them.
"""

from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Response:
    """Status and JSON body."""

    status: int
    body: Any


@dataclass(slots=True)
class Reply:
    """A response that may come later.

    Attributes:
        ready_at: seconds since 1970; 0: at once.
        broken: the process died before it could answer.
    """

    response: Response | None = None
    ready_at: float = 0.0
    broken: bool = False

    @classmethod
    def now(cls, response: Response) -> Self:
        """A response that is there."""
        return cls(response=response)
