"""A simulated Flink session cluster for tests: same answers, faults at will, time that the test moves.

sim = FlinkSim()                                            # virtual time, moved by every wait
http = httpx.AsyncClient(transport=SimTransport(sim))       # or: async with serve(FlinkSim(RealClock())) as url
client = FlinkClient(http, "http://flink:8081")
sim.faults.add(FaultKind.LOSE, "/jars/.*/run")              # the job starts, the answer is lost
sim.restart_jobmanager()                                    # all jobs are gone
assert sim.runs[1].restored_from == sim.runs[0].newest_snapshot
"""

from tests.flinksim.clock import Clock, RealClock, VirtualClock
from tests.flinksim.cluster import FlinkSim
from tests.flinksim.faults import Fault, FaultKind
from tests.flinksim.job import SimJob
from tests.flinksim.program import make_jar
from tests.flinksim.server import serve
from tests.flinksim.settings import SimSettings
from tests.flinksim.snapshots import Damage, RunRecord, SnapshotRecord
from tests.flinksim.transport import SimTransport

__all__ = [
    "Clock",
    "Damage",
    "Fault",
    "FaultKind",
    "FlinkSim",
    "RealClock",
    "RunRecord",
    "SimJob",
    "SimSettings",
    "SimTransport",
    "SnapshotRecord",
    "VirtualClock",
    "make_jar",
    "serve",
]
