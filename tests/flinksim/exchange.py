"""One exchange with the simulated cluster, faults included, independent of how bytes travel.

Used by: `transport.py` and `server.py`.
"""

import json
import math
from dataclasses import dataclass
from enum import StrEnum

from tests.flinksim.cluster import FlinkSim
from tests.flinksim.faults import Fault, FaultKind
from tests.flinksim.reply import Reply
from tests.flinksim.request import Request
from tests.flinksim.rest import respond

_ELECTION = "Service temporarily unavailable due to an ongoing leader election. Please refresh."
_PAGE = b"<html><head><title>Bad Gateway</title></head><body>upstream did not answer</body></html>"
_SILENT = (FaultKind.HANG, FaultKind.HANG_BEFORE)
_BEFORE = (FaultKind.BREAK_BEFORE, FaultKind.HANG_BEFORE)


class Broken(StrEnum):
    """An exchange without an answer."""

    REFUSED = "refused"
    CUT = "cut"
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class Sent:
    """An answer; `cut` when the connection breaks in its middle."""

    status: int
    content: bytes
    content_type: str = "application/json; charset=UTF-8"
    cut: bool = False


async def exchange(sim: FlinkSim, request: Request, patience: float = math.inf) -> Sent | Broken:
    """Let a request arrive and wait for its answer.

    Args:
        patience: seconds after which the caller gives up; what it asked for happens all the same.
    """
    sim.settle()
    sim.requests.append((request.method, request.path))
    arrived = sim.clock.now()
    if arrived < sim.down_until:
        return Broken.REFUSED
    fault = sim.faults.pick(request.method, request.path)
    early = _without_effect(fault)
    if early is not None:
        return await _wait(sim, arrived, patience) if early is Broken.SILENT else early
    if arrived < sim.electing_until:
        return Sent(503, json.dumps({"errors": [_ELECTION]}).encode())
    process = sim.process
    reply = respond(sim, request)
    if reply.ready_at:
        if reply.ready_at - arrived > patience:
            return await _wait(sim, arrived, patience)
        await sim.clock.sleep_until(reply.ready_at)
        sim.settle()
        if sim.process != process:
            return Broken.CUT
    if fault is None:
        return _sent(reply)
    return await _with_effect(sim, fault, reply, arrived, patience)


def _without_effect(fault: Fault | None) -> Sent | Broken | None:
    match fault.kind if fault else None:
        case FaultKind.REFUSE:
            return Broken.REFUSED
        case FaultKind.BREAK_BEFORE:
            return Broken.CUT
        case FaultKind.HANG_BEFORE:
            return Broken.SILENT
        case FaultKind.UNAVAILABLE:
            return Sent(503, json.dumps({"errors": [_ELECTION]}).encode())
        case FaultKind.HTML:
            assert fault is not None
            return Sent(fault.status, _PAGE, "text/html")
        case FaultKind.ERROR:
            text = "<Exception on server side:\njava.util.concurrent.TimeoutException: Invocation timed out\n\tat x\n>"
            return Sent(500, json.dumps({"errors": ["Internal server error.", text]}).encode())
        case _:
            return None


async def _with_effect(sim: FlinkSim, fault: Fault, reply: Reply, arrived: float, patience: float) -> Sent | Broken:
    answer = _sent(reply)
    match fault.kind:
        case FaultKind.LOSE:
            return Broken.CUT
        case FaultKind.HANG:
            return await _wait(sim, arrived, patience)
        case FaultKind.DELAY:
            if fault.seconds > patience:
                return await _wait(sim, arrived, patience)
            await sim.clock.sleep_until(sim.clock.now() + fault.seconds)
            return answer
        case FaultKind.CUT if isinstance(answer, Sent):
            return Sent(answer.status, answer.content, cut=True)
        case FaultKind.TRUNCATE if isinstance(answer, Sent):
            return Sent(answer.status, answer.content[: len(answer.content) // 2])
        case _:
            return answer


async def _wait(sim: FlinkSim, arrived: float, patience: float) -> Broken:
    await sim.clock.sleep_until(arrived + min(patience, 3600.0))
    return Broken.SILENT


def _sent(reply: Reply) -> Sent | Broken:
    if reply.broken or reply.response is None:
        return Broken.CUT
    return Sent(reply.response.status, json.dumps(reply.response.body).encode())
