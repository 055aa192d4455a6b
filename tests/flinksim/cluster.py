"""`FlinkSim`: a simulated Flink session cluster with one address.

Used by: tests, directly and through `SimTransport` or `serve`. What it does is what was measured on real clusters; the
contract suite holds it to that. Invariants: job ids are remembered for the life of a JobManager process (with high
availability: those of jobs that are not terminal outlive it); every accepted submission is a `RunRecord` in `runs`.
"""

import random
import uuid
from collections import deque

from flinkjob.core.flinkmodel import FlinkJobState
from tests.flinksim.clock import Clock, VirtualClock
from tests.flinksim.events import Events
from tests.flinksim.faults import Faults
from tests.flinksim.javaerrors import JavaError, error
from tests.flinksim.job import SimJob
from tests.flinksim.operations import Operations
from tests.flinksim.program import SimJar, make_jar
from tests.flinksim.settings import SimSettings
from tests.flinksim.snapshots import RunRecord, SnapshotRecord, SnapshotStore

REQUESTS_KEPT = 10_000


class FlinkSim:
    """A simulated cluster.

    Args:
        clock: virtual by default, moved by every wait.
        settings: see `SimSettings`.

    Attributes:
        faults: what goes wrong with requests, see `Faults`.
        runs: every submission that was accepted, oldest first, over all JobManagers.
        store: the snapshots that exist.
        omitted: job ids that the overview leaves out, as when a JobMaster does not answer.
        stop_faults: what the next stop of a job does, see `SimJob.stop`.
        savepoint_failures: the error of the next savepoints or stops of a job.
        requests: the last requests as (method, path).
        slots: of the cluster; change with `set_slots`.
        python: as in `SimSettings`, from now on.
        python_begins: a Python program is begun with at this moment.
    """

    def __init__(self, clock: Clock | None = None, settings: SimSettings | None = None) -> None:
        self.clock = clock or VirtualClock()
        self.settings = settings or SimSettings()
        self.config = self.settings.effective
        self.python = self.settings.python
        self.python_begins = False
        self.events = Events(self.clock.now())
        self.store = SnapshotStore()
        self.faults = Faults()
        self.runs: list[RunRecord] = []
        self.jobs: dict[str, SimJob] = {}
        self.jars: dict[str, SimJar] = {}
        self.used_ids: set[str] = set()
        self.omitted: set[str] = set()
        self.stop_faults: dict[str, str] = {}
        self.savepoint_failures: dict[str, deque[JavaError]] = {}
        self.requests: deque[tuple[str, str]] = deque(maxlen=REQUESTS_KEPT)
        self.slots = self.settings.slots * self.settings.taskmanagers
        self.down_until = self.electing_until = 0.0
        self.process = 0
        self._random = random.Random(self.settings.seed)
        self._new_process()
        self.clock.on_advance(self.events.settle)

    def settle(self) -> None:
        """Let everything happen that is due (a virtual clock does it by itself)."""
        self.events.settle(self.clock.now())

    def unique(self) -> str:
        """Twelve hex digits."""
        return f"{self._random.getrandbits(48):012x}"

    # Jars

    def add_jar(self, content: bytes | None = None, name: str = "demo.jar") -> str:
        """Put a jar on the cluster, as an upload does; returns its id."""
        jar_id = f"{uuid.UUID(int=self._random.getrandbits(128), version=4)}_{name}"
        content = make_jar() if content is None else content
        self.jars[jar_id] = SimJar(id=jar_id, name=name, uploaded=self.events.now, content=content)
        return jar_id

    @property
    def upload_place(self) -> str:
        """The directory of the jars on the JobManager."""
        above = self.config.get("web.upload.dir") or self.temporary_place
        return f"{above}/flink-web-upload"

    @property
    def temporary_place(self) -> str:
        """A directory of this process."""
        return f"/tmp/flink-web-{self.incarnation}"

    def holds(self, path: str) -> bool:
        """Whether a jar is there on the JobManager."""
        directory, _, jar_id = path.rpartition("/")
        return directory == self.upload_place and jar_id in self.jars

    # Jobs

    def job(self, job_id: str) -> SimJob:
        """A job the cluster knows.

        Raises:
            KeyError: it does not.
        """
        self.settle()
        return self.jobs[job_id]

    def live_jobs(self) -> tuple[SimJob, ...]:
        """The jobs that are not terminal."""
        self.settle()
        return tuple(job for job in self.jobs.values() if not job.terminal)

    def runs_of(self, prefix: str) -> tuple[RunRecord, ...]:
        """The submissions whose job id begins with `prefix`, oldest first."""
        return tuple(run for run in self.runs if run.job_id.startswith(prefix))

    @property
    def free_slots(self) -> int:
        """Slots that no job has."""
        return self.slots - sum(job.parallelism for job in self.jobs.values() if job.allocated)

    def set_slots(self, slots: int) -> None:
        """TaskManagers come or go: jobs that no longer fit restart."""
        self.settle()
        self.slots = slots
        for job in tuple(self.jobs.values()):
            if self.free_slots < 0 and job.allocated:
                job.task_failed("org.apache.flink.runtime.jobmaster.JobMasterException", "TaskManager is gone.")
        self.slots_changed()

    def slots_changed(self) -> None:
        """Jobs that wait for slots may get them."""
        for job in tuple(self.jobs.values()):
            job.schedule()

    def job_ended(self, job: SimJob) -> None:
        """A job is terminal: it is kept for a while."""
        ended = [each for each in self.jobs.values() if each.terminal]
        surplus = len(ended) - self.settings.job_capacity
        for old in sorted(ended, key=lambda each: each.ended or 0.0)[: max(0, surplus)]:
            self.jobs.pop(old.job_id, None)
        self.events.after(self.settings.job_expiration, lambda: self._expire(job))

    def _expire(self, job: SimJob) -> None:
        if self.jobs.get(job.job_id) is job:
            del self.jobs[job.job_id]

    def forget_job(self, job_id: str) -> None:
        """Let the store of ended jobs drop a job now; its id stays used."""
        self.settle()
        del self.jobs[job_id]

    def forget_triggers(self, job_id: str | None = None) -> None:
        """Forget results of triggers, as after five minutes."""
        for operations in (self.savepoints, self.checkpoints, self.disposals):
            operations.forget(job_id)

    def fail_savepoints(self, job_id: str, name: str, message: str, times: int = 1) -> None:
        """Let the next savepoints and stops of a job fail at once with a Java exception."""
        planned = self.savepoint_failures.setdefault(job_id, deque())
        planned.extend([error(("java.util.concurrent.CompletionException", message), (name, message))] * times)

    # The JobManager

    def restart_jobmanager(
        self, *, high_availability: bool | None = None, downtime: float = 0.0, election: float = 0.0
    ) -> None:
        """End the JobManager process and start another one.

        Args:
            high_availability: overrides the setting, as if the HA store were lost or there.
            downtime: seconds of refused connections.
            election: seconds of 503 after that (with high availability).
        """
        self.settle()
        recovers = self.settings.high_availability if high_availability is None else high_availability
        live = [job for job in self.jobs.values() if not job.terminal]
        self.events.clear()
        self.jobs.clear()
        self.used_ids.clear()
        if not self.config.get("web.upload.dir"):
            self.jars.clear()
        self._new_process()
        self.down_until = self.events.now + downtime
        self.electing_until = self.down_until + (election if recovers else 0.0)
        for job in live:
            if not recovers:
                job.lost()
                continue
            self.used_ids.add(job.job_id)
            recovered = job.recover()
            self.jobs[job.job_id] = recovered
            self.events.after(downtime + election, recovered.begin)

    def _new_process(self) -> None:
        self.process += 1
        self.python_begins = False
        self.incarnation = str(uuid.UUID(int=self._random.getrandbits(128), version=4))
        duration = self.settings.store_duration
        self.savepoints, self.checkpoints, self.disposals = (Operations(duration) for _ in range(3))
        self.cache: dict[str, tuple[float, dict[str, object]]] = {}

    # What tests ask

    def newest_state(self, prefix: str, *, existing: bool = False) -> SnapshotRecord | None:
        """The newest snapshot of the runs whose job id begins with `prefix`: (run, checkpoint id) decides.

        Args:
            existing: only among those whose files are there.
        """
        made = [snapshot for run in self.runs_of(prefix) for snapshot in run.snapshots]
        if existing:
            made = [snapshot for snapshot in made if self.store.find(snapshot.location) is not None]
        return max(made, key=lambda each: (each.run, each.checkpoint_id), default=None)

    def double_runs(self) -> list[RunRecord]:
        """Submissions that were accepted while another job of their owner was live: there must be none."""
        return [run for run in self.runs if run.live_before]

    def lossy_runs(self) -> list[RunRecord]:
        """Submissions that were started from less than the newest state of their owner."""
        return [run for run in self.runs if run.loses_state]

    def states(self, prefix: str = "") -> dict[str, FlinkJobState]:
        """State of each known job by id."""
        self.settle()
        return {job_id: job.state for job_id, job in self.jobs.items() if job_id.startswith(prefix)}
