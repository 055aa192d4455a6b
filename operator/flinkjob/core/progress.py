"""How far a download or an upload is, in words that change seldom: each change of them is a write of the status.

Pure. Called by the job decision. Invariant: one has at most some ten texts where its size is known, else one for each
doubling of what has come.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from flinkjob.core.units import readable_size

LARGE: Final = 16 * 1024 * 1024
"""Bytes; what is smaller is there before anybody reads of it."""
_STEP = 10


@dataclass(frozen=True, kw_only=True)
class Progress:
    """A file that is being fetched, or uploaded.

    Attributes:
        name: what people know it by.
        what: is done with it.
        done: bytes that are there.
        size: bytes that there will be; 0 where the server does not say that.
    """

    name: str
    done: int
    size: int
    what: str = "fetched"

    def __str__(self) -> str:
        """Empty where it is not worth a word."""
        if max(self.done, self.size) < LARGE:
            return ""
        if self.size:
            percent = self.done * 100 // self.size // _STEP * _STEP
            return f"{self.name} is {self.what}: {percent}% of {readable_size(self.size)}"
        return f"{self.name} is {self.what}: over {readable_size(1 << (self.done.bit_length() - 1))}"
