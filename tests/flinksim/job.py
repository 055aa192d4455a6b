"""One simulated job: its states, its counter, restarts, savepoints and stops.

Used by: `cluster.py` makes it; tests let it fail, finish or be cancelled by hand. Invariants: events of an earlier
execution attempt do nothing; the counter goes back to the last checkpoint at every restart; every way of ending is recorded
in the run.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from flinkjob.core.flinkmodel import CheckpointKind, FlinkJobState, normalise_location
from tests.flinksim import javaerrors
from tests.flinksim.checkpointing import Checkpointing, Done, Entry
from tests.flinksim.javaerrors import JavaError
from tests.flinksim.program import Program
from tests.flinksim.settings import CHECKPOINTS, INTERVAL, RETENTION, duration
from tests.flinksim.snapshots import RunRecord

if TYPE_CHECKING:
    from tests.flinksim.cluster import FlinkSim

State = FlinkJobState
_TOO_MANY = (
    "Exceeded checkpoint tolerable failure threshold. The latest checkpoint failed due to Checkpoint expired before"
    " completing., view the Checkpoint History tab or the Job Manager log to find out why continuous checkpoints failed."
)


class SimJob:
    """A job on the simulated cluster."""

    def __init__(
        self, sim: "FlinkSim", run: RunRecord, program: Program, *, claim: str = "NO_CLAIM", first_checkpoint: int = 1
    ) -> None:
        self._sim = sim
        self.events, self.store, self.settings, self.unique = sim.events, sim.store, sim.settings, sim.unique
        self.run, self.program, self.job_id = run, program, run.job_id
        self.config = sim.config | run.configuration
        self.parallelism = self.wanted_parallelism = run.parallelism
        self.claim = claim
        self.start = self.modified = self.events.now
        self.ended: float | None = None
        self.metrics_fetched = False
        self.state = State.INITIALIZING
        self.state_times = {State.INITIALIZING: self.events.now}
        self.tasks_running = self.allocated = False
        self.last_checkpoint = run.restored_from
        self.restored = run.restored_from
        self.exceptions: list[tuple[float, JavaError]] = []
        self.restarts = 0
        self.last_rescale = self.events.now
        self.checkpointing = Checkpointing(self, first_checkpoint)
        self._base = run.restored_from.counter if run.restored_from else 0
        self._since = 0.0
        self._attempt = 0
        self._stop: Entry | None = None
        self._stop_fault: str | None = None

    # What can be seen

    @property
    def terminal(self) -> bool:
        """True when the job has ended for good."""
        return self.state.is_terminal

    @property
    def counter(self) -> int:
        """Records counted so far in the lineage."""
        if not self.tasks_running:
            return self._base
        counted = self._base + int(self.program.rate * (self.events.now - self._since) + 1e-6)
        return counted if self.program.count is None else min(counted, max(self.program.count, self._base))

    @property
    def checkpoint_interval(self) -> float | None:
        """Seconds between periodic checkpoints; None: none are made."""
        return duration(self.config[INTERVAL]) or None if INTERVAL in self.config else None

    # Starting

    def begin(self) -> None:
        """The JobMaster is initialised; tasks will be deployed."""
        self._later(0.015, self._running)

    def _running(self) -> None:
        adaptive = self.settings.scheduler == "Adaptive"
        if adaptive and self._sim.free_slots < self.parallelism:
            self._become(State.CREATED)
            self._later(10.0, self._take_what_is_there)
            return
        self._become(State.RUNNING)
        self.schedule()

    def _take_what_is_there(self) -> None:
        free = self._sim.free_slots
        if free < 1:
            self._later(1.0, self._take_what_is_there)
            return
        self.parallelism = min(self.wanted_parallelism, free)
        self._become(State.RUNNING)
        self.schedule()

    def schedule(self) -> None:
        """Take slots when there are enough."""
        if self.state is State.RUNNING and not self.allocated and self._sim.free_slots >= self.parallelism:
            self.allocated = True
            self._later(self.settings.deploy_seconds + self.program.open_seconds, self._tasks_up)

    def _tasks_up(self) -> None:
        origin = self.last_checkpoint
        if origin is not None and (how := self.store.damage_of(origin.location)) is not None:
            restart = self._may_restart()
            suppressed = () if restart else (javaerrors.SUPPRESSED,)
            failure = javaerrors.error(*suppressed, *javaerrors.damaged(normalise_location(origin.location), how))
            self._fail(failure, restart=restart)
            return
        self.tasks_running = True
        self._since = self.modified = self.events.now
        interval = self.checkpoint_interval
        if interval:
            self._later(0.1 if self.settings.first_checkpoint_at_once else interval * 0.9, self._periodic)
        if self.program.count is not None:
            self._later(max(0.0, (self.program.count - self._base) / self.program.rate), self.finish)
        if self.program.fails:
            assert self.program.fail_after is not None
            self._later(self.program.fail_after / self.program.rate, self._fail_on_purpose)

    def _fail_on_purpose(self) -> None:
        self.task_failed("java.lang.IllegalStateException", f"fails on purpose after {self.program.fail_after} records")

    def _periodic(self) -> None:
        if self._stop is None and not self.checkpointing.pending:
            self.checkpoint()
        interval = self.checkpoint_interval
        if interval:
            self._later(interval, self._periodic)

    # Snapshots

    def checkpoint(self, done: Done = lambda _: None) -> Entry:
        """Start a checkpoint now (also by hand)."""
        return self.checkpointing.begin(CheckpointKind.CHECKPOINT, self.config[CHECKPOINTS], done)

    def savepoint(self, directory: str, format: str, done: Done, *, cancel: bool = False) -> None:
        """Start a savepoint; with `cancel` the job is cancelled after it."""

        def made(entry: Entry) -> None:
            done(entry)
            if cancel and entry.status == "COMPLETED":
                self.cancel()

        self.checkpointing.begin(CheckpointKind.SAVEPOINT, directory, made, format=format)

    def stop(self, directory: str, format: str, done: Done, *, fault: str | None = None) -> None:
        """Stop with a savepoint; another stop under way fails, see `SimSettings.second_stop`.

        Args:
            fault: `restarts` or `fails`: the savepoint is made but the job does not finish; `hangs`: a snapshot that began
                later overtook it on its way to the tasks, so they leave it out.
        """
        first = self._stop
        if first is None:
            for entry in tuple(self.checkpointing.pending):
                self.checkpointing.fail(entry, javaerrors.suspending())
        made, hangs = self._stopped(done), fault == "hangs"
        entry = self.checkpointing.begin(CheckpointKind.SYNC_SAVEPOINT, directory, made, format=format, hangs=hangs)
        self._stop_fault = fault
        if first is None:
            self._stop = entry
        elif self.settings.second_stop == "second-wins":
            self._stop = entry
            self.checkpointing.fail(first, javaerrors.suspending())
        else:
            self._fail(javaerrors.suspending(), restart=True)

    def _stopped(self, done: Done) -> Done:
        def made(entry: Entry) -> None:
            if entry.status != "COMPLETED":
                done(entry)
                return
            if self._stop_fault is not None:
                entry.failure = javaerrors.stopped_badly(self.job_id, entry.location)
                done(entry)
                self._stop = None
                self._fail(entry.failure, restart=self._stop_fault == "restarts")
                return
            self._base, self.tasks_running = entry.counter, False
            for other in tuple(self.checkpointing.pending):
                self.checkpointing.complete(other)
            self._finish()
            done(entry)

        return made

    def snapshot_expired(self, entry: Entry) -> None:
        """A stop or a checkpoint took too long, which fails the tasks."""
        self.task_failed(javaerrors.RUNTIME, "Stop-with-savepoint failed." if entry is self._stop else _TOO_MANY)

    def newer_checkpoint(self) -> None:
        """A claimed snapshot is deleted once there is a newer one."""
        origin = self.run.restored_from
        if self.claim == "CLAIM" and origin is not None:
            self.store.delete(origin.location)

    # Ending

    def finish(self) -> None:
        """The sources ended; snapshots under way are completed."""
        if self.terminal:
            return
        self._base, self.tasks_running = self.counter, False
        for entry in tuple(self.checkpointing.pending):
            if entry in self.checkpointing.pending:
                self.checkpointing.complete(entry)
        if not self.terminal:
            self._finish()

    def _finish(self) -> None:
        self.checkpointing.discard_checkpoints()
        self._end(State.FINISHED)

    def cancel(self) -> None:
        """Somebody cancels the job."""
        if self.terminal or self.state is State.CANCELLING:
            return
        self._become(State.CANCELLING)
        self._base, self.tasks_running = self.counter, False
        self._attempt += 1
        self.checkpointing.abort()
        self._later(self.settings.cancel_seconds, self._cancelled)

    def _cancelled(self) -> None:
        if self.config.get(RETENTION) != "RETAIN_ON_CANCELLATION":
            self.checkpointing.discard_checkpoints()
        self._end(State.CANCELED)

    def task_failed(self, name: str, message: str) -> None:
        """A task throws; the restart strategy decides."""
        restart = self._may_restart()
        suppressed = () if restart else (javaerrors.SUPPRESSED,)
        self._fail(javaerrors.error(*suppressed, (name, message)), restart=restart)

    def fail(self, message: str = "failed by hand") -> None:
        """The job fails for good."""
        self._fail(javaerrors.error(javaerrors.SUPPRESSED, ("java.lang.RuntimeException", message)), restart=False)

    def initialisation_failed(self, failure: JavaError) -> None:
        """The JobMaster could not be started: the id is used up."""
        self.exceptions.insert(0, (self.events.now, failure))
        self._end(State.FAILED)

    def _may_restart(self) -> bool:
        strategy = self.program.restart
        if strategy is None:
            return self.checkpoint_interval is not None
        return strategy != "none" and self.restarts < int(strategy)

    def _fail(self, failure: JavaError, *, restart: bool) -> None:
        if self.terminal:
            return
        self.exceptions.insert(0, (self.events.now, failure))
        self._base, self.tasks_running, self._stop = self.counter, False, None
        self._attempt += 1
        self.checkpointing.abort()
        if not restart:
            if self.config.get(RETENTION) == "NO_EXTERNALIZED_CHECKPOINTS":
                self.checkpointing.discard_checkpoints()
            self._end(State.FAILED)
            return
        self.restarts += 1
        self._restart(self.settings.restart_seconds)

    def _restart(self, seconds: float) -> None:
        self._become(State.RESTARTING)
        self._release()
        self._later(seconds, self._restore)

    def _restore(self) -> None:
        self.restored = self.last_checkpoint
        self.run.restores.append(self.last_checkpoint)
        self._base = self.last_checkpoint.counter if self.last_checkpoint else 0
        self._running()

    def rescale(self, parallelism: int) -> None:
        """The adaptive scheduler changes the parallelism, from a checkpoint taken for it."""
        if self.state is not State.RUNNING or parallelism == self.parallelism:
            return
        for entry in tuple(self.checkpointing.pending):
            self.checkpointing.fail(entry, javaerrors.suspending())
        if self.checkpoint_interval:
            self.checkpointing.complete(self.checkpoint())
        self._base, self.tasks_running = self.counter, False
        self.parallelism = parallelism
        self.last_rescale = self.events.now
        self._attempt += 1
        self._restart(0.4)

    def lost(self) -> None:
        """The JobManager is gone and nobody takes the job over."""
        self._attempt += 1
        self.run.ended, self.run.counter = "LOST", self.counter

    def recover(self) -> "SimJob":
        """The job as another JobManager takes it over: statistics start afresh, ids go on."""
        job = SimJob(self._sim, self.run, self.program, claim=self.claim, first_checkpoint=self.checkpointing.next_id)
        self._attempt += 1
        job.last_checkpoint = job.restored = self.last_checkpoint
        job._base = self.last_checkpoint.counter if self.last_checkpoint else 0
        job.parallelism, job.wanted_parallelism = self.parallelism, self.wanted_parallelism
        self.run.restores.append(self.last_checkpoint)
        return job

    # Inside

    def _end(self, state: FlinkJobState) -> None:
        self._attempt += 1
        self._base, self.tasks_running = self.counter, False
        self._become(state)
        self.ended = self.events.now
        self.run.ended, self.run.counter = str(state), self._base
        self._release()
        self._sim.job_ended(self)

    def _release(self) -> None:
        self.allocated = False
        self._sim.slots_changed()

    def _become(self, state: FlinkJobState) -> None:
        self.state, self.modified = state, self.events.now
        self.state_times[state] = self.events.now

    def _later(self, seconds: float, action: Callable[[], None]) -> None:
        attempt = self._attempt

        def happen() -> None:
            if attempt == self._attempt:
                action()

        self.events.after(seconds, happen)
