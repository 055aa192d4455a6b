"""What the operator is in the middle of when it is killed: one story for each sort of work.

Used by `test_crash.py`. A story is prepared by an operator that lives, then acted with one that kills itself at a fault
point and is started again. `effects` lists which effects it surely has, and how often at least, from its act on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.local.processes import wait_until
from deploy.local.pyflink import pyflink_python
from flinkjob.core.identity import Owner, job_id
from flinkjob.runtime.faults import Effect
from tests.support.byhand import run_by_hand
from tests.support.lab import Lab, submission

NAME = "job"
SCRIPT = (
    "CREATE TABLE a (x INT) WITH ('connector' = 'datagen', 'rows-per-second' = '10'); "
    "CREATE TABLE b WITH ('connector' = 'blackhole') LIKE a (EXCLUDING ALL); INSERT INTO b SELECT x FROM a"
)
PYTHON = f"""
from pyflink.table import EnvironmentSettings, TableEnvironment
table = TableEnvironment.create(EnvironmentSettings.in_streaming_mode())
for statement in {SCRIPT!r}.split("; "):
    table.execute_sql(statement)
"""
SAVED = "saved"
DEADLINE = 90.0


@dataclass(frozen=True, kw_only=True)
class Story:
    """One sort of work.

    Attributes:
        prepare: what is there before.
        act: what the user does.
        settle: waits until the work is done.
        runs: how many Flink jobs there ever are.
        snapshots: how many savepoints lie in the job's directory at the end; None where time decides.
        counts: whether the exactly-once counter is checked.
        fresh: how often the job's tasks started without state.
        live: how many jobs live at the end.
        adaptive: whether it needs a cluster with the adaptive scheduler.
    """

    prepare: Callable[[Lab], None]
    act: Callable[[Lab], None]
    settle: Callable[[Lab], None]
    effects: Mapping[Effect, int]
    runs: int = 1
    snapshots: int | None = 0
    counts: bool = True
    fresh: int = 1
    live: int = 1
    adaptive: bool = False


def manifest(lab: Lab, **spec: Any) -> dict[str, Any]:
    """The FlinkJob of all stories."""
    jar = lab.directory / "first.jar"
    if not jar.exists():
        lab.own_jar("first")
    return lab.job(NAME, **{"jar": {"uri": f"file://{jar}"}, **spec})


def nothing(lab: Lab) -> None:
    """Before a story that starts with nothing."""
    manifest(lab)


def running(**spec: Any) -> Callable[[Lab], None]:
    """Before a story that starts with a running job that has a checkpoint."""

    def prepare(lab: Lab) -> None:
        lab.apply(manifest(lab, **spec))
        lab.checkpointed(submission(lab.running(NAME))["jobId"])
        lab.wait(NAME, lambda job: "lastCheckpoint" in job["status"], "with its first checkpoint noted")

    return prepare


def suspended(lab: Lab) -> None:
    """Before a resume."""
    running()(lab)
    lab.kube.apply(manifest(lab, state="Suspended"))
    lab.phase(NAME, "Suspended")
    lab.wait(NAME, lambda job: "finalizers" not in job["metadata"], "let go")


def apply(**spec: Any) -> Callable[[Lab], None]:
    """The user applies the job with this spec."""
    return lambda lab: void(lab.apply(manifest(lab, **spec)))


def apply_new_jar(lab: Lab) -> None:
    """The user applies a new version of the program."""
    lab.apply(manifest(lab, jar={"uri": f"file://{lab.own_jar('second')}"}))


def apply_script(lab: Lab) -> None:
    """The user applies a SQL job, which no other job's jar is of."""
    wanted = manifest(lab, sql={"script": f"{SCRIPT}; -- {lab.directory}"})
    lab.apply(wanted | {"spec": {key: value for key, value in wanted["spec"].items() if key not in ("jar", "args")}})


def apply_python(lab: Lab) -> None:
    """The user applies a Python job with requirements; without functions in Python, whose worker could end a TaskManager."""
    python = {
        "file": "job.py",
        "files": [{"name": "job.py", "text": f"{PYTHON}# {lab.directory}"}],
        "requirements": {"text": f"# {lab.directory}"},
        "executable": str(pyflink_python(lab.flink.version)),
    }
    wanted = manifest(lab, python=python)
    lab.apply(wanted | {"spec": {key: value for key, value in wanted["spec"].items() if key not in ("jar", "args")}})


def ask(**spec: Any) -> Callable[[Lab], None]:
    """The user applies a FlinkSavepoint."""
    return lambda lab: void(lab.apply(lab.savepoint(SAVED, NAME, **spec)))


def by_hand(lab: Lab) -> None:
    """Before a story about a job whose FlinkJob is gone."""
    mark = f"flinkjob.dev/owner:{lab.operator.identity}/{lab.namespace}/{NAME}"
    marked = f"{mark},flinkjob.dev/uid:gone,flinkjob.dev/submission:1"
    run_by_hand(lab, "--rate", "100", with_id=somebodys(lab), mark=marked)


def somebodys(lab: Lab) -> str:
    """The id of that job."""
    return job_id(Owner(lab.operator.identity, lab.namespace, NAME), "gone", 1)


def ask_by_id(mode: str) -> Callable[[Lab], None]:
    """The user applies a FlinkSavepoint of that job."""

    def act(lab: Lab) -> None:
        where = {"directory": lab.savepoint_directory(NAME)}
        lab.apply(lab.target(SAVED, somebodys(lab), mode=mode, **where))

    return act


def saved(lab: Lab) -> None:
    """Before the deletion of a savepoint with its data."""
    running()(lab)
    lab.apply(lab.savepoint(SAVED, NAME, deletion={"policy": "Delete"}))
    completed(lab)


def delete_saved(lab: Lab) -> None:
    """The user deletes the FlinkSavepoint."""
    lab.delete(SAVED, "FlinkSavepoint")


def saved_gone(lab: Lab) -> None:
    """The FlinkSavepoint is gone."""
    lab.kube.wait_gone("FlinkSavepoint", lab.namespace, SAVED, deadline=DEADLINE)


def delete(lab: Lab) -> None:
    """The user deletes the job."""
    lab.delete(NAME)


def runs(number: int) -> Callable[[Lab], None]:
    """The job runs as this submission."""
    return lambda lab: void(lab.running(NAME, number, deadline=DEADLINE))


def rests(phase: str) -> Callable[[Lab], None]:
    """The job is in a phase, and nothing holds its object."""

    def settle(lab: Lab) -> None:
        lab.phase(NAME, phase, deadline=DEADLINE)
        lab.wait(NAME, lambda job: "finalizers" not in job["metadata"], "let go")

    return settle


def completed(lab: Lab) -> None:
    """The FlinkSavepoint is complete, says where, and carries its result."""

    def good(found: dict[str, Any]) -> bool:
        status = found.get("status", {})
        marked = "flinkjob.dev/result" in found["metadata"].get("annotations", {})
        return bool(status.get("phase") == "Completed" and status.get("location") and marked)

    lab.kube.wait_for("FlinkSavepoint", lab.namespace, SAVED, good, what="complete and marked", deadline=DEADLINE)


def held(lab: Lab) -> None:
    """The FlinkSavepoint is complete and holds the job down."""
    completed(lab)
    lab.stalled(NAME, "SavepointStop", deadline=DEADLINE)


def gone(lab: Lab) -> None:
    """The object is gone, and its jar."""
    lab.gone(NAME, deadline=DEADLINE)


def periodic(lab: Lab, **retention: Any) -> dict[str, Any]:
    """Savepoints of the operator's own accord, one each second."""
    return {"directory": lab.savepoint_directory(NAME), "interval": "1s", **retention}


def taken_once(lab: Lab) -> None:
    """A periodic savepoint is complete, and none of them was taken twice."""
    wait_until(lambda: complete(lab), timeout=DEADLINE, what="a periodic savepoint")
    lab.kube.apply(manifest(lab, savepoints=periodic(lab, suspend=True)))

    def none_twice() -> bool:
        return len(lab.savepoints_on_disk(NAME)) == len(complete(lab)) == len(lab.savepoints_of(NAME))

    wait_until(none_twice, timeout=DEADLINE, what="all complete, and as many on the disk")


def complete(lab: Lab) -> list[dict[str, Any]]:
    """The completed FlinkSavepoints of the job."""
    return [each for each in lab.savepoints_of(NAME) if each.get("status", {}).get("phase") == "Completed"]


def oldest_gone(lab: Lab) -> None:
    """A periodic savepoint was deleted with its data, and the newest is still there."""
    seen: dict[str, Path] = {}

    def attempt() -> bool:
        now = {each["metadata"]["name"]: each["status"]["location"] for each in complete(lab)}
        seen.update({name: Path(location.removeprefix("file:")) for name, location in now.items()})
        names = {each["metadata"]["name"] for each in lab.savepoints_of(NAME)}
        return any(name not in names and not path.exists() for name, path in seen.items())

    wait_until(attempt, timeout=DEADLINE, what="an old savepoint gone")
    assert complete(lab)


def rescaled(lab: Lab) -> None:
    """The same run goes on with its new parallelism."""
    lab.wait(NAME, lambda job: submission(job).get("parallelism") == 2, "at parallelism 2", DEADLINE)
    lab.runs_with(submission(lab.running(NAME, 1, deadline=DEADLINE))["jobId"], 2, 2)


IN_FILES = {"execution.checkpointing.data-inline-threshold": "0"}
"""Flink writes even the smallest state into files of its own, beside `_metadata`."""


def copies(lab: Lab) -> Path:
    """Where copies of snapshots go."""
    return lab.directory / "copies"


def copy(name: str, mode: str = "Trigger", **retention: Any) -> Callable[[Lab], None]:
    """The user applies a FlinkSavepoint that is copied."""

    def act(lab: Lab) -> None:
        sync = {"uri": f"file://{copies(lab)}"} | ({"retention": retention} if retention else {})
        lab.apply(lab.savepoint(name, NAME, mode=mode, syncTo=sync))

    return act


def copied(name: str, number: int) -> Callable[[Lab], None]:
    """The newest copy has this number, it is the only one that readers see, and it is whole."""

    def settle(lab: Lab) -> None:
        status = lab.savepoint_phase(name, "Completed", deadline=DEADLINE)["status"]
        assert status["sync"]["sequenceNumber"] == number
        (root,) = {path.parent for path in copies(lab).rglob("latest.json")}
        assert json.loads((root / "latest.json").read_bytes())["sequenceNumber"] == number
        (made,) = root.glob("*/manifest.json")
        for file in json.loads(made.read_bytes())["files"]:
            assert (made.parent / file["name"]).stat().st_size == file["size"]

    return settle


def copied_before(lab: Lab) -> None:
    """Before a copy that makes an older one superfluous."""
    running(flinkConfiguration=IN_FILES)(lab)
    copy("older")(lab)
    copied("older", 1)(lab)


def copied_always(lab: Lab, **more: Any) -> dict[str, Any]:
    """The part of a spec that has every savepoint of the job copied."""
    return {"directory": lab.savepoint_directory(NAME), "syncTo": {"uri": f"file://{copies(lab)}"}, **more}


def running_and_copied(lab: Lab) -> None:
    """Before a savepoint that is copied since its FlinkJob says so."""
    running(savepoints=copied_always(lab), flinkConfiguration=IN_FILES)(lab)


def copied_by_job(lab: Lab) -> None:
    """The savepoint was copied once, and the FlinkJob says so."""
    job = lab.wait(NAME, lambda found: "lastSuccess" in found["status"].get("sync", {}), "a copy", DEADLINE)
    assert job["status"]["sync"]["lastSuccess"].items() >= {"name": SAVED, "sequenceNumber": 1}.items()
    copied(SAVED, 1)(lab)


def gone_but_copied(lab: Lab) -> None:
    """The object is gone, and its last savepoint was copied."""
    lab.gone(NAME, deadline=DEADLINE)
    (last,) = lab.savepoints_of(NAME)
    copied(last["metadata"]["name"], 1)(lab)


def only_a_copy(lab: Lab) -> None:
    """Before a start from a copy, which is all that is left of the job."""
    running(flinkConfiguration=IN_FILES)(lab)
    copy("older", "Stop")(lab)
    copied("older", 1)(lab)
    lab.delete(NAME)
    lab.gone(NAME)


def apply_with_copies(lab: Lab) -> None:
    """The user applies the job, which shall start from the copy."""
    copied_to = {"strategy": "Custom", "copies": [{"uri": f"file://{copies(lab)}"}]}
    lab.apply(manifest(lab, initialState=copied_to))


def runs_from_copy(lab: Lab) -> None:
    """The job runs, started from the copy."""
    found = lab.running(NAME, 1, deadline=DEADLINE)
    assert submission(found)["restoredCopy"]["sequenceNumber"] == 1


def void(_: object) -> None:
    """Nothing, whatever was returned."""


STOPPING = {Effect.JOB_STATUS: 2, Effect.STOP: 1, Effect.RECORD: 1, Effect.SAVEPOINT_STATUS: 1}
STORIES: Mapping[str, Story] = {
    "submit": Story(
        prepare=nothing,
        act=apply(),
        settle=runs(1),
        effects={Effect.FINALIZER_ADD: 1, Effect.REVISION: 1, Effect.JOB_STATUS: 3, Effect.UPLOAD: 1, Effect.RUN: 1},
    ),
    "submit-sql": Story(
        prepare=nothing,
        act=apply_script,
        settle=runs(1),
        effects={Effect.FINALIZER_ADD: 1, Effect.REVISION: 1, Effect.JOB_STATUS: 3, Effect.UPLOAD: 1, Effect.RUN: 1},
        counts=False,
    ),
    "submit-python": Story(
        prepare=nothing,
        act=apply_python,
        settle=runs(1),
        effects={Effect.FINALIZER_ADD: 1, Effect.REVISION: 1, Effect.JOB_STATUS: 3, Effect.UPLOAD: 2, Effect.RUN: 1},
        counts=False,
    ),
    "upgrade": Story(
        prepare=running(),
        act=apply_new_jar,
        settle=runs(2),
        effects={
            **STOPPING,
            Effect.JOB_STATUS: 4,
            Effect.UPLOAD: 1,
            Effect.REVISION: 1,
            Effect.RUN: 1,
            Effect.DISCARD: 1,
        },
        runs=2,
        snapshots=1,
    ),
    "upgrade-last-state": Story(
        prepare=running(upgrade={"strategy": "LastState"}),
        act=apply(upgrade={"strategy": "LastState"}, restartNonce=1),
        settle=runs(2),
        effects={Effect.JOB_STATUS: 3, Effect.CANCEL: 1, Effect.RUN: 1},
        runs=2,
    ),
    "suspend": Story(
        prepare=running(),
        act=apply(state="Suspended"),
        settle=rests("Suspended"),
        effects={**STOPPING, Effect.FINALIZER_REMOVE: 1},
        snapshots=1,
        live=0,
    ),
    "resume": Story(
        prepare=suspended,
        act=apply(),
        settle=runs(2),
        effects={Effect.FINALIZER_ADD: 1, Effect.JOB_STATUS: 2, Effect.RUN: 1},
        runs=2,
        snapshots=1,
    ),
    "savepoint": Story(
        prepare=running(),
        act=ask(),
        settle=completed,
        effects={Effect.SAVEPOINT_STATUS: 2, Effect.SAVEPOINT: 1, Effect.RESULT_MARK: 1},
        snapshots=1,
    ),
    "checkpoint": Story(
        prepare=running(),
        act=ask(type="Checkpoint", checkpointType="Full"),
        settle=completed,
        effects={Effect.CHECKPOINT: 1, Effect.SAVEPOINT_STATUS: 1},
        counts=False,
    ),
    "stop-savepoint": Story(
        prepare=running(),
        act=ask(mode="Stop"),
        settle=held,
        effects={Effect.SAVEPOINT_STATUS: 2, Effect.JOB_STATUS: 2, Effect.STOP: 1, Effect.RESULT_MARK: 1},
        snapshots=1,
        live=0,
    ),
    "cancel-savepoint": Story(
        prepare=running(),
        act=ask(mode="Cancel"),
        settle=held,
        effects={Effect.SAVEPOINT: 1},
        snapshots=1,
        live=0,
    ),
    "target-stop": Story(
        prepare=by_hand,
        act=ask_by_id("Stop"),
        settle=completed,
        effects={Effect.SAVEPOINT_STATUS: 2, Effect.STOP: 1, Effect.RESULT_MARK: 1},
        snapshots=1,
        counts=False,
        live=0,
    ),
    "target-cancel": Story(
        prepare=by_hand,
        act=ask_by_id("Cancel"),
        settle=completed,
        effects={Effect.SAVEPOINT_STATUS: 2, Effect.SAVEPOINT: 1},
        snapshots=1,
        counts=False,
        live=0,
    ),
    "delete-savepoint": Story(
        prepare=saved,
        act=delete_saved,
        settle=saved_gone,
        effects={Effect.SAVEPOINT_STATUS: 1, Effect.DISPOSE: 1, Effect.FINALIZER_REMOVE: 1},
    ),
    "delete": Story(
        prepare=running(),
        act=delete,
        settle=gone,
        effects={**STOPPING, Effect.FINALIZER_REMOVE: 1, Effect.DISCARD: 1},
        snapshots=1,
        live=0,
    ),
    "delete-by-cancel": Story(
        prepare=running(deletion={"policy": "Cancel"}),
        act=delete,
        settle=gone,
        effects={Effect.CANCEL: 1, Effect.FINALIZER_REMOVE: 1},
        live=0,
    ),
    "copy": Story(
        prepare=running(flinkConfiguration=IN_FILES),
        act=copy(SAVED),
        settle=copied(SAVED, 1),
        effects={
            Effect.SYNC_OWNER: 1,
            Effect.SYNC_RESERVE: 1,
            Effect.SYNC_DATA: 1,
            Effect.SYNC_JOURNAL: 1,
            Effect.SYNC_METADATA: 1,
            Effect.SYNC_MANIFEST: 1,
            Effect.SYNC_LATEST: 1,
        },
        snapshots=1,
    ),
    "copy-retention": Story(
        prepare=copied_before,
        act=copy(SAVED, minCount=1, minAge="1ms"),
        settle=copied(SAVED, 2),
        effects={Effect.SYNC_PRUNE: 1},
        snapshots=2,
    ),
    "copy-by-job": Story(
        prepare=running_and_copied,
        act=ask(),
        settle=copied_by_job,
        effects={Effect.SAVEPOINT_STATUS: 4, Effect.SYNC_DATA: 1, Effect.SYNC_LATEST: 1},
        snapshots=1,
    ),
    "delete-copied": Story(
        prepare=running_and_copied,
        act=delete,
        settle=gone_but_copied,
        effects={Effect.RECORD: 1, Effect.SYNC_MANIFEST: 1},
        snapshots=1,
        live=0,
    ),
    "start-from-copy": Story(
        prepare=only_a_copy,
        act=apply_with_copies,
        settle=runs_from_copy,
        effects={Effect.JOB_STATUS: 2, Effect.RUN: 1},
        runs=2,
        snapshots=1,
    ),
    "periodic": Story(
        prepare=running(),
        act=lambda lab: void(lab.apply(manifest(lab, savepoints=periodic(lab)))),
        settle=taken_once,
        effects={Effect.SAVEPOINT_CREATE: 1, Effect.SAVEPOINT: 1},
        snapshots=None,
    ),
    "retention": Story(
        prepare=running(),
        act=lambda lab: void(
            lab.apply(manifest(lab, savepoints=periodic(lab, retention={"minCount": 1, "minAge": "1s"})))
        ),
        settle=oldest_gone,
        effects={Effect.FINALIZER_ADD: 1, Effect.SAVEPOINT_DELETE: 1, Effect.DISPOSE: 1, Effect.FINALIZER_REMOVE: 1},
        snapshots=None,
    ),
    "time-to-live": Story(
        prepare=nothing,
        act=lambda lab: void(
            lab.apply(manifest(lab, args=["--count", "50", "--rate", "0"], ttlSecondsAfterFinished=1))
        ),
        settle=gone,
        effects={Effect.RESULT_MARK: 1, Effect.OBJECT_DELETE: 1},
        counts=False,
        live=0,
    ),
    "rescale": Story(
        prepare=running(),
        act=apply(parallelism=2),
        settle=rescaled,
        effects={Effect.JOB_STATUS: 2, Effect.RESCALE: 1},
        fresh=1,
        adaptive=True,
    ),
}
