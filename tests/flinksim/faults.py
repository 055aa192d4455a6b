"""Faults of the simulated network and cluster, chosen by request.

Used by: tests add them to `FlinkSim.faults`, `exchange.py` asks for each request. Invariant: faults are tried in the order
they were added, and each is used up after `times` requests.
"""

import re
from dataclasses import dataclass
from enum import StrEnum


class FaultKind(StrEnum):
    """What goes wrong with a request."""

    REFUSE = "refuse"
    """The connection is refused: no effect."""
    BREAK_BEFORE = "break-before"
    """The connection breaks before the request has an effect."""
    LOSE = "lose"
    """The request has its effect; the connection breaks before the answer."""
    HANG_BEFORE = "hang-before"
    """No effect and no answer: the caller's time-out ends it."""
    HANG = "hang"
    """The request has its effect; no answer: the caller's time-out ends it."""
    DELAY = "delay"
    """The request has its effect; the answer comes `seconds` later."""
    CUT = "cut"
    """The request has its effect; the connection breaks in the middle of the answer."""
    TRUNCATE = "truncate"
    """The request has its effect; half of the answer comes as if it were all."""
    UNAVAILABLE = "unavailable"
    """503 while a leader is elected: no effect."""
    HTML = "html"
    """A proxy's page with `status`: no effect."""
    ERROR = "error"
    """Flink's HTTP 500 for reasons of its own: no effect."""


@dataclass(kw_only=True, slots=True)
class Fault:
    """One fault.

    Attributes:
        path: a regular expression that must match the whole path.
        times: how many requests it hits; None: all.
        skip: how many matching requests pass first.
        hits: how many requests it has hit.
    """

    kind: FaultKind
    method: str | None = None
    path: str = ".*"
    times: int | None = 1
    skip: int = 0
    seconds: float = 0.0
    status: int = 502
    hits: int = 0

    def matches(self, method: str, path: str) -> bool:
        """True when this request is one of those meant."""
        return self.method in (None, method) and re.fullmatch(self.path, path) is not None


class Faults:
    """The faults of a cluster."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(
        self,
        kind: FaultKind,
        path: str = ".*",
        *,
        method: str | None = None,
        times: int | None = 1,
        skip: int = 0,
        seconds: float = 0.0,
        status: int = 502,
    ) -> Fault:
        """Let requests go wrong; returns the fault, whose `hits` can be watched."""
        fault = Fault(kind=kind, method=method, path=path, times=times, skip=skip, seconds=seconds, status=status)
        self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """Everything works again."""
        self._faults.clear()

    def pick(self, method: str, path: str) -> Fault | None:
        """The fault for a request, which is counted; None: it works."""
        for fault in self._faults:
            if not fault.matches(method, path) or (fault.times is not None and fault.hits >= fault.times):
                continue
            if fault.skip > 0:
                fault.skip -= 1
                continue
            fault.hits += 1
            return fault
        return None
