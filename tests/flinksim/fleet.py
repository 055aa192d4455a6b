"""Many simulated clusters in one process, for operators that run as processes of their own.

`python -m tests.flinksim.fleet CLUSTERS SLOTS FILE`: writes the addresses of the clusters and of the control port to FILE.
Used by `tests/support/simfleet.py`. At the control port: `GET /counts`, `GET /running`, `POST /silence/N`, `POST /wake/N`.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from aiohttp import web

from flinkjob.core.flinkmodel import FlinkJobState
from tests.flinksim.clock import RealClock
from tests.flinksim.cluster import FlinkSim
from tests.flinksim.faults import FaultKind
from tests.flinksim.request import Request
from tests.flinksim.server import serve
from tests.flinksim.settings import SimSettings

_ID = re.compile(r"/[0-9a-f]{32}(?=/|$)")
_JAR = re.compile(r"/jars/[^/]*\.jar(?=/|$)")


class Fleet:
    """The clusters, and what was asked of them so far."""

    def __init__(self, clusters: int, slots: int) -> None:
        settings = [SimSettings(slots=slots, seed=number) for number in range(clusters)]
        self.sims = [FlinkSim(RealClock(), each) for each in settings]
        for sim in self.sims:
            sim.store = self.sims[0].store  # one shared file system
        self._requests: Counter[str] = Counter()
        self._bytes = 0

    def note(self, request: Request, size: int) -> None:
        """Counts a request and the bytes of its answer."""
        path = _JAR.sub("/jars/:jar", _ID.sub("/:id", request.path))
        self._requests[f"{request.method} {path}"] += 1
        self._bytes += size

    async def counts(self, _: web.Request) -> web.Response:
        """Requests by method and path, and the bytes of all answers, since the start."""
        return web.json_response({"requests": self._requests, "bytes": self._bytes})

    async def running(self, _: web.Request) -> web.Response:
        """How many jobs run with all their tasks."""
        jobs = [job for sim in self.sims for job in sim.live_jobs()]
        return web.json_response(sum(job.state is FlinkJobState.RUNNING and job.tasks_running for job in jobs))

    async def silence(self, request: web.Request) -> web.Response:
        """A cluster takes requests and never answers."""
        self.sims[int(request.match_info["number"])].faults.add(FaultKind.HANG_BEFORE, times=None)
        return web.json_response({})

    async def wake(self, request: web.Request) -> web.Response:
        """A cluster works again."""
        self.sims[int(request.match_info["number"])].faults.clear()
        return web.json_response({})


async def main(clusters: int, slots: int, file: Path) -> None:
    """Serves until the process ends."""
    fleet = Fleet(clusters, slots)
    app = web.Application()
    app.router.add_get("/counts", fleet.counts)
    app.router.add_get("/running", fleet.running)
    app.router.add_post("/silence/{number}", fleet.silence)
    app.router.add_post("/wake/{number}", fleet.wake)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with AsyncExitStack() as stack:
        urls: Sequence[str] = [await stack.enter_async_context(serve(sim, note=fleet.note)) for sim in fleet.sims]
        written = file.with_suffix(".new")
        written.write_text(json.dumps({"clusters": urls, "control": f"http://127.0.0.1:{runner.addresses[0][1]}"}))
        written.rename(file)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])))
