"""The state machine: what people, clusters and the operator's own death can do, and what must hold whatever they do.

Used by `test_model.py`, `test_planted.py` and `make soak`. The invariants are those of the design: one job, no state lost,
intent first, not knowing is not a state, ended is latched, fixed point, deletion ends, and in the end what was wanted.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from flinkjob.core.flinkmodel import FlinkJobState
from flinkjob.kube.kinds import Kind
from tests.flinksim import Damage, FaultKind, SimJob
from tests.model.memorykube import Object
from tests.model.plant import NEEDED, Plant, plant

NAMES = ("a", "b")
QUIET_SECONDS = 900.0
"""In so long without faults everything must be as it was wanted, or say why not."""
MOST_RUNS = 5 * len(NAMES)
"""So many runs at most are started in that time, two of them for what is not known to be in vain."""
PATHS = {
    "run": "/jars/.*/run",
    "upload": "/jars/upload",
    "jars": "/jars",
    "stop": "/jobs/.*/stop",
    "savepoints": "/jobs/.*/savepoints.*",
    "overview": "/jobs/overview",
    "status": "/jobs/.*/status",
    "checkpoints": "/jobs/.*/checkpoints.*",
    "config": "/jobmanager/config",
    "cancel": "/jobs/[0-9a-f]{32}",
    "anything": ".*",
}

FIRST: Object = {
    "cluster": {"url": "http://flink-a"},
    "checkpoint": {"interval": "2s"},
    "restart": {"initialDelay": "1s", "maxDelay": "20s"},
}
SCRIPT = "CREATE TABLE clicks (id INT) WITH ('connector' = 'datagen', 'rows-per-second' = '1');\n{}"
COUNT = "INSERT INTO counts SELECT id, COUNT(*) FROM {} GROUP BY {}"


def _python(lines: str) -> Object:
    """A program with a file beside it."""
    files = [{"name": "job.py", "text": lines}, {"name": "words.py", "text": "WORD = 1"}]
    return {"file": "job.py", "files": files, "requirements": {"text": NEEDED}}


PROGRAMS: dict[str, dict[str, Object]] = {
    "sql": {
        "v1": {"script": SCRIPT.format(COUNT.format("clicks", "id"))},
        "v2": {"script": SCRIPT.format(COUNT.format("clicks", "id")).replace("'1'", "'2'")},
        "other": {"script": SCRIPT.format(COUNT.format("clicks", "page"))},
        "wrong": {"script": SCRIPT.format(COUNT.format("nosuch", "id"))},
        "unclosed": {"script": SCRIPT.format("INSERT INTO a SELECT 'b")},
        "idle": {"script": SCRIPT.format("SHOW TABLES")},
    },
    "python": {
        "v1": _python("rate = 1\nkey_by(id)"),
        "v2": _python("rate = 2\nkey_by(id)"),
        "other": _python("rate = 2\nkey_by(page)"),
        "throws": _python("raise ValueError('no')"),
        "exits": _python("sys.exit(3)"),
        "lacks": _python("import nosuch"),
    },
}

TEXTS = {kind: (*("v1", "v2") * 3, *programs) for kind, programs in PROGRAMS.items()}
"""The names of the programs of a kind, most often those that run, and that go on with the state of each other."""

names = st.sampled_from(NAMES)
strategies = st.sampled_from(("Savepoint", "LastState"))


class Machine(RuleBasedStateMachine):
    """FlinkJobs `a` and `b` on two simulated clusters."""

    PLANT: type[Plant] = Plant

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.world: Plant
        self.specs: dict[str, Object] = {}
        self.savepoints = 0

    @initialize(high_availability=st.booleans(), compiles=st.booleans())
    def begin(self, high_availability: bool, compiles: bool) -> None:
        """Programs are compiled before an upgrade where the clusters keep a `System.exit` from ending them."""
        directory = Path(self.stack.enter_context(tempfile.TemporaryDirectory()))
        self.world = self.stack.enter_context(plant(directory, high_availability=high_availability, of=self.PLANT))
        first, second = self.world.sims.values()
        second.store, second.runs = first.store, first.runs  # one shared file system, one history
        for sim in (first, second) if compiles else ():
            sim.config["cluster.intercept-user-system-exit"] = "THROW"

    def teardown(self) -> None:
        try:
            if hasattr(self, "world"):
                self.settle()
        finally:
            self.stack.close()

    # people

    @rule(name=names, jar=st.sampled_from(("v1", "v2", "missing")), rate=st.integers(1, 3), strategy=strategies)
    def apply(self, name: str, jar: str, rate: int, strategy: str) -> None:
        """Create a FlinkJob, or change what runs; the fastest program erases the owner mark."""
        if name not in self.specs and self.world.job(name) is not None:
            return  # still being deleted: what is applied now goes with it
        spec = {key: value for key, value in self.specs.get(name, FIRST).items() if key not in PROGRAMS}
        upgrade = {"strategy": strategy}
        args = ["--rate", str(rate), *(["--own-parameters", "mine"] if rate == 3 else [])]
        self._apply(name, spec | {"jar": {"uri": f"http://jars/{jar}.jar"}, "args": args, "upgrade": upgrade})

    @rule(name=names, kind=st.sampled_from(("sql", "python", "as before")), text=st.data(), strategy=strategies)
    def apply_a_program(self, name: str, kind: str, text: st.DataObject, strategy: str) -> None:
        """The same with a SQL script or a Python program, some of which cannot run, or have other state."""
        if name not in self.specs and self.world.job(name) is not None:
            return
        before = self.specs.get(name, FIRST)
        if kind == "as before":
            kind = next((each for each in PROGRAMS if each in before), "python")
        program = PROGRAMS[kind][text.draw(st.sampled_from(TEXTS[kind]))]
        spec = {key: value for key, value in before.items() if key not in ("args", "jar", *PROGRAMS)}
        self._apply(name, spec | {kind: program, "upgrade": {"strategy": strategy}})

    @precondition(lambda self: self.specs)
    @rule(data=st.data(), state=st.sampled_from(("Running", "Suspended", "Cancelled", "Running")))
    def wish(self, data: st.DataObject, state: str) -> None:
        """Change `state`."""
        self._edit(data, state=state)

    @precondition(lambda self: self.specs)
    @rule(data=st.data(), parallelism=st.integers(1, 4))
    def scale(self, data: st.DataObject, parallelism: int) -> None:
        """Change `parallelism`, as an autoscaler does."""
        self._edit(data, parallelism=parallelism)

    @precondition(lambda self: self.specs)
    @rule(data=st.data(), seconds=st.integers(60, 600))
    def edit_a_live_field(self, data: st.DataObject, seconds: int) -> None:
        """Change something that does not touch the job."""
        self._edit(data, savepoints={"timeout": f"{seconds}s"})

    @precondition(lambda self: self.specs)
    @rule(data=st.data(), nonce=st.integers(1, 3))
    def restart_or_redeploy(self, data: st.DataObject, nonce: int) -> None:
        self._edit(data, restartNonce=nonce)

    @precondition(lambda self: self.specs)
    @rule(data=st.data(), host=st.sampled_from(("flink-a", "flink-b")))
    def move(self, data: st.DataObject, host: str) -> None:
        """Change the address (of a job whose status is not lost: else nobody can know where it is)."""
        name = data.draw(st.sampled_from(sorted(self.specs)))
        known = ((self.world.job(name) or {}).get("status") or {}).get("submission") is not None
        if known or not self.world.live(name):
            self._apply(name, self.specs[name] | {"cluster": {"url": f"http://{host}"}})

    @precondition(lambda self: self.specs)
    @rule(data=st.data(), policy=st.sampled_from(("Savepoint", "Cancel")))
    def delete(self, data: st.DataObject, policy: str) -> None:
        name = data.draw(st.sampled_from(sorted(self.specs)))
        self._apply(name, self.specs[name] | {"deletion": {"policy": policy}})
        self.world.kube.delete(Kind.FLINK_JOB, name)
        del self.specs[name]
        self._soon()

    @precondition(lambda self: self.specs)
    @rule(data=st.data())
    def lose_the_status(self, data: st.DataObject) -> None:
        """A restore from a backup drops the status of a job that runs where its spec says (else nobody can know where)."""
        name = data.draw(st.sampled_from(sorted(self.specs)))
        status = (self.world.job(name) or {}).get("status", {})
        at_home = status.get("submission", {}).get("clusterUrl") == f"{self.specs[name]['cluster']['url']}.ns.svc"
        if (
            status.get("phase") == "Running"
            and at_home
            and "operation" not in status
            and len(self.world.live(name)) == 1
        ):
            job = self.world.job(name)
            assert job is not None
            self.world.witness.wiped(job["metadata"]["uid"])
            self.world.kube.wipe_status(Kind.FLINK_JOB, name)
            self._soon()

    @rule(
        name=names,
        mode=st.sampled_from(("Trigger", "Stop", "Cancel")),
        kind=st.sampled_from(("Savepoint", "Checkpoint")),
    )
    def ask_for_savepoint(self, name: str, mode: str, kind: str) -> None:
        self.savepoints += 1
        spec: Object = {"jobRef": {"name": name}, "mode": mode, "timeout": "60s"}
        if kind == "Checkpoint" and mode == "Trigger":
            spec["type"] = "Checkpoint"
        self.world.kube.apply(Kind.FLINK_SAVEPOINT, f"{name}-sp-{self.savepoints}", spec)
        self._soon()

    # clusters

    @rule(
        host=st.sampled_from(("flink-a", "flink-b")),
        kind=st.sampled_from([kind for kind in FaultKind if kind not in (FaultKind.DELAY,)]),
        path=st.sampled_from(sorted(PATHS)),
        times=st.integers(1, 4),
    )
    def network(self, host: str, kind: FaultKind, path: str, times: int) -> None:
        """Requests go wrong."""
        self.world.sims[host].faults.add(kind, PATHS[path], times=times)
        self._soon()

    @rule(host=st.sampled_from(("flink-a", "flink-b")), downtime=st.sampled_from((0.0, 3.0, 20.0)))
    def restart_jobmanager(self, host: str, downtime: float) -> None:
        self.world.sims[host].restart_jobmanager(downtime=downtime, election=2.0)
        self._soon()

    @rule(
        data=st.data(),
        how=st.sampled_from(
            ("fail", "cancel", "newer_checkpoint", "stop_restarts", "stop_fails", "stop_hangs", "savepoint")
        ),
    )
    def to_a_job(self, data: st.DataObject, how: str) -> None:
        """Something happens to a running Flink job."""
        jobs = [
            job for sim in self.world.sims.values() for job in sim.live_jobs() if job.state is FlinkJobState.RUNNING
        ]
        if not jobs:
            return
        job: SimJob = jobs[data.draw(st.integers(0, len(jobs) - 1))]
        sim = next(sim for sim in self.world.sims.values() if job.job_id in sim.jobs)
        match how:
            case "fail":
                job.fail()
            case "cancel":
                job.cancel()
            case "newer_checkpoint":
                job.newer_checkpoint()
            case "stop_restarts" | "stop_fails" | "stop_hangs":
                sim.stop_faults[job.job_id] = how.removeprefix("stop_")
            case _:
                sim.fail_savepoints(job.job_id, "java.io.IOException", "No space left on device")
        self._soon()

    @precondition(lambda self: self.specs)
    @rule(data=st.data(), how=st.sampled_from(Damage))
    def damage(self, data: st.DataObject, how: Damage) -> None:
        """What a job that is down would start from is damaged: no restore of it can succeed any more."""
        name = data.draw(st.sampled_from(sorted(self.specs)))
        end = (((self.world.job(name) or {}).get("status") or {}).get("submission") or {}).get("end") or {}
        if end.get("snapshot") and not self.world.live(name):
            next(iter(self.world.sims.values())).store.damage(end["snapshot"], how)
        self._soon()

    @rule(host=st.sampled_from(("flink-a", "flink-b")), what=st.sampled_from(("triggers", "jars", "ended")))
    def forget(self, host: str, what: str) -> None:
        """The cluster forgets results, jars or ended jobs."""
        sim = self.world.sims[host]
        match what:
            case "triggers":
                sim.forget_triggers()
            case "jars":
                sim.jars.clear()
            case _:
                for job_id in [job.job_id for job in sim.jobs.values() if job.terminal]:
                    sim.forget_job(job_id)
        self._soon()

    @rule(host=st.sampled_from(("flink-a", "flink-b")), python=st.sampled_from((True, True, True, False)))
    def image(self, host: str, python: bool) -> None:
        """The cluster's image has Python, or not."""
        self.world.sims[host].python = "python" if python else ""
        self._soon()

    @rule(data=st.data())
    def omit(self, data: st.DataObject) -> None:
        """A JobMaster does not answer, so the overview leaves its job out for a while."""
        for sim in self.world.sims.values():
            sim.omitted.clear()
            running = [job.job_id for job in sim.live_jobs()]
            hide = data.draw(st.booleans())
            if running and hide:
                sim.omitted.add(running[0])
        self._soon()

    # the operator

    @rule(effects=st.integers(0, 6))
    def crash(self, effects: int) -> None:
        """The operator dies at one of its next effects."""
        self.world.operator.faults.countdown = effects
        self._soon()

    @rule()
    def restart(self) -> None:
        self.world.restart()
        self._soon()

    @rule(mounted=st.booleans())
    def volume(self, mounted: bool) -> None:
        """The volume with the checkpoints can be read, or not."""
        self.world.disk.mounted = mounted

    # time

    @rule(seconds=st.sampled_from((0.3, 1.0, 3.0, 8.0)))
    def wait(self, seconds: float) -> None:
        self.world.pass_time(seconds)

    @rule()
    def sleep_long(self) -> None:
        self.world.pass_time(90)

    # what must hold

    @invariant()
    def one_job(self) -> None:
        if not hasattr(self, "world"):
            return
        for sim in self.world.sims.values():
            assert not sim.double_runs(), f"submitted beside a live job: {sim.double_runs()}"
        for name in NAMES:
            live = self.world.live(name)
            assert len(live) <= 1, f"{name} has {len(live)} live jobs: {live}"

    @invariant()
    def nothing_was_witnessed(self) -> None:
        """State lost, effects without an intent, an end that changed, two savepoints for one attempt."""
        if hasattr(self, "world"):
            self.world.witness.check()

    @invariant()
    def statuses_are_sane(self) -> None:
        if not hasattr(self, "world"):
            return
        for _, obj in self.world.kube.everything():
            conditions = {c["type"]: c["status"] for c in obj.get("status", {}).get("conditions", [])}
            assert not (conditions.get("Reconciling") == conditions.get("Stalled") == "True"), obj["status"]

    def settle(self) -> None:
        """Without faults everything comes to rest as it was wanted, or says why not; and then nothing is written."""
        for sim in self.world.sims.values():
            sim.faults.clear()
            sim.omitted.clear()
            sim.stop_faults.clear()
            sim.savepoint_failures.clear()
        for one in self.world.hearing:
            one.faults.countdown = None
        runs = self._runs()
        self.world.pass_time(QUIET_SECONDS)
        assert self._runs() - runs <= MOST_RUNS, "what cannot succeed is repeated"
        self.one_job()
        self.world.witness.check()
        for name in NAMES:
            self._as_wanted(name)
        for kind, obj in self.world.kube.everything():
            if kind is Kind.FLINK_SAVEPOINT:
                assert obj["status"]["phase"] in ("Completed", "Failed"), obj
        before = self.world.kube.status_writes
        self.world.pass_time(60)
        assert self.world.kube.status_writes - before <= len(NAMES), "something is written although nothing changes"

    def _runs(self) -> int:
        return len(next(iter(self.world.sims.values())).runs)

    def _as_wanted(self, name: str) -> None:
        job, live = self.world.job(name), self.world.live(name)
        spec = self.specs.get(name)
        if spec is None:
            assert job is None, f"{name} is still being deleted: {job}"
            return
        assert job is not None
        status = job["status"]
        stalled = any(c["type"] == "Stalled" and c["status"] == "True" for c in status["conditions"])
        assert status["observedGeneration"] == job["metadata"]["generation"]
        wanted = spec.get("state", "Running")
        if stalled:
            assert status["plan"]["message"], status
        elif wanted == "Running":
            assert status["phase"] == "Running", status
            assert len(live) == 1
        else:
            assert status["phase"] == wanted, status
            assert live == []

    # helpers

    def _apply(self, name: str, spec: Object) -> None:
        self.specs[name] = spec
        self.world.kube.apply(Kind.FLINK_JOB, name, spec)
        self._soon()

    def _edit(self, data: st.DataObject, **changes: Any) -> None:
        name = data.draw(st.sampled_from(sorted(self.specs)))
        self._apply(name, self.specs[name] | changes)

    def _soon(self) -> None:
        self.world.pass_time(0.3)
