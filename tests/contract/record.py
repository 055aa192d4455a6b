"""Records answers of real Flink for the unit tests: `python -m tests.contract.record [version …]`.

Writes `tests/data/flink/<version>/<name>.json`: request, status, body. Directories of the cluster become `/flink`, and of
each stack trace only the first frames are kept, and those by which the operator tells what failed; nothing else is changed.
All pinned versions by default.
"""

import json
import re
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from deploy.local.demojob import demo_jar
from deploy.local.flink import FlinkCluster
from deploy.local.flinkdist import DIGESTS
from flinkjob.flink import phrases

DATA = Path(__file__).parents[1] / "data" / "flink"
_FRAMES = 2
_TOLD_BY = (phrases.READING_METADATA.text, *(one.text for one in phrases.RESTORING if isinstance(one, phrases.Frame)))
_FRAME = re.compile(r"(?:\tat [^\n]*\n?)+")
_CONFIG = {"web.refresh-interval": "200", "execution.checkpointing.data-inline-threshold": "0"}
_PRIVATE = ("env.", "java.", "blob.", "jobmanager.memory", "taskmanager.memory")


class Recorder:
    """Asks a cluster and writes what it says."""

    def __init__(self, cluster: FlinkCluster, http: httpx.Client) -> None:
        self._http = http
        self.directory = self._private = str(cluster.directory)
        self._target = DATA / cluster.version
        self._target.mkdir(parents=True, exist_ok=True)
        self.savepoints = f"{cluster.state}/recorded"

    def ask(self, name: str | None, method: str, path: str, **fields: Any) -> Any:
        """Send a request; with a name, write the answer; returns the body."""
        answer = self._http.request(method, path, **fields)
        body = answer.json()
        if name is not None:
            record = {"request": f"{method} {path}", "status": answer.status_code, "body": body}
            text = json.dumps(_shortened(record), indent=1, ensure_ascii=False)
            (self._target / f"{name}.json").write_text(text.replace(self._private, "/flink") + "\n")
        return body

    def until(self, method: str, path: str, done: Callable[[Any], bool]) -> None:
        """Poll until an answer is right.

        Raises:
            TimeoutError: it never was.
        """
        end = time.monotonic() + 60
        while not done(self.ask(None, method, path)):
            if time.monotonic() > end:
                raise TimeoutError(path)


def _shortened(value: Any) -> Any:
    if isinstance(value, str):
        return _FRAME.sub(lambda match: "".join(_kept(match.group().splitlines(keepends=True))), value)
    if isinstance(value, dict):
        return {key: "" if key == "serialized-throwable" else _shortened(each) for key, each in value.items()}
    if isinstance(value, list):
        settings = [each for each in value if not (isinstance(each, dict) and _is_private(each.get("key")))]
        return [_shortened(each) for each in settings]
    return value


def _kept(frames: list[str]) -> list[str]:
    return frames[:_FRAMES] + [frame for frame in frames[_FRAMES:] if any(told in frame for told in _TOLD_BY)]


def _is_private(key: object) -> bool:
    """Options that describe the machine rather than Flink."""
    return isinstance(key, str) and key.startswith(_PRIVATE)


def record(recorder: Recorder, jar: Path) -> None:
    """The whole scenario, in an order that makes every answer appear."""
    ask = recorder.ask
    with jar.open("rb") as content:
        uploaded = ask("jars-upload", "POST", "/jars/upload", files={"jarfile": ("demo.jar", content)})
    jar_id = uploaded["filename"].rsplit("/", 1)[1]
    ask("jars", "GET", "/jars")
    ask("config", "GET", "/config")
    ask("jobmanager-config", "GET", "/jobmanager/config")
    _record_refusals(recorder, jar_id)
    job = _run(recorder, jar_id, "run", marks="flinkjob.owner:ns/name/uid,x:y")
    recorder.until("GET", "/jobs/overview", lambda body: _runs(body, job))
    ask("run-duplicate", "POST", f"/jars/{jar_id}/run", json={"jobId": job})
    ask("overview", "GET", "/overview")
    ask("jobs-overview", "GET", "/jobs/overview")
    ask("job", "GET", f"/jobs/{job}")
    ask("job-status", "GET", f"/jobs/{job}/status")
    ask("job-config", "GET", f"/jobs/{job}/config")
    ask("checkpoints-config", "GET", f"/jobs/{job}/checkpoints/config")
    ask("resource-requirements-default", "GET", f"/jobs/{job}/resource-requirements")
    _record_unknown(recorder, job)
    _record_snapshots(recorder, jar_id, job)
    ask("cancel-finished", "PATCH", f"/jobs/{job}?mode=cancel")
    ask("cancel-unknown", "PATCH", f"/jobs/{uuid.uuid4().hex}?mode=cancel")
    other = _run(recorder, jar_id)
    ask("cancel", "PATCH", f"/jobs/{other}?mode=cancel")
    failing = _run(recorder, jar_id, None, "--fail-after", "5", "--restart", "none")
    recorder.until("GET", f"/jobs/{failing}/status", lambda body: body.get("status") == "FAILED")
    ask("exceptions", "GET", f"/jobs/{failing}/exceptions?maxExceptions=1")
    ask("jars-delete", "DELETE", f"/jars/{jar_id}")
    ask("jars-delete-unknown", "DELETE", f"/jars/{jar_id}")


def _run(recorder: Recorder, jar_id: str, name: str | None = None, *arguments: str, marks: str = "") -> str:
    configuration = {"pipeline.global-job-parameters": marks} if marks else {}
    body = {"jobId": uuid.uuid4().hex, "programArgsList": list(arguments), "flinkConfiguration": configuration}
    return str(recorder.ask(name, "POST", f"/jars/{jar_id}/run", json=body)["jobid"])


def _runs(body: Any, job: str) -> bool:
    found = next(each for each in body["jobs"] if each["jid"] == job)
    return bool(found["tasks"]["total"]) and found["tasks"]["running"] == found["tasks"]["total"]


def _record_refusals(recorder: Recorder, jar_id: str) -> None:
    refusals: dict[str, tuple[str, dict[str, Any]]] = {
        "run-main-throws": (jar_id, {"programArgsList": ["--main-throw", "no such topic"]}),
        "run-no-job": (jar_id, {"programArgsList": ["--no-execute", "true"]}),
        "run-two-jobs": (jar_id, {"programArgsList": ["--executes", "2"]}),
        "run-throws-after": (jar_id, {"programArgsList": ["--throw-after-execute", "too late"]}),
        "run-exit": (jar_id, {"programArgsList": ["--exit", "3"]}),
        "run-no-class": (jar_id, {"entryClass": "no.Such"}),
        "run-no-jar": ("0_no.jar", {}),
        "run-no-snapshot": (jar_id, {"savepointPath": f"{recorder.savepoints}/nothing"}),
        "run-no-file-system": (jar_id, {"savepointPath": "gopher://host/x"}),
        "run-bad-option": (jar_id, {"flinkConfiguration": {"execution.checkpointing.interval": "abc"}}),
        "run-bad-parallelism": (jar_id, {"parallelism": 0}),
        "run-bad-id": (jar_id, {"jobId": "xyz"}),
    }
    for name, (jar, body) in refusals.items():
        recorder.ask(name, "POST", f"/jars/{jar}/run", json={"jobId": uuid.uuid4().hex} | body)
    with tempfile.TemporaryDirectory() as directory:
        broken = Path(directory, "broken.jar")
        broken.write_bytes(b"no zip")
        with broken.open("rb") as content:
            uploaded = recorder.ask(None, "POST", "/jars/upload", files={"jarfile": ("broken.jar", content)})
    recorder.ask("run-no-zip", "POST", f"/jars/{uploaded['filename'].rsplit('/', 1)[1]}/run", json={})
    recorder.ask("plan", "POST", f"/jars/{jar_id}/plan", json={"programArgsList": ["--name", "planned"]})


def _record_unknown(recorder: Recorder, job: str) -> None:
    unknown = uuid.uuid4().hex
    for name, path in {
        "job-status-unknown": f"/jobs/{unknown}/status",
        "job-unknown": f"/jobs/{unknown}",
        "job-config-unknown": f"/jobs/{unknown}/config",
        "checkpoints-unknown": f"/jobs/{unknown}/checkpoints",
        "checkpoints-config-unknown": f"/jobs/{unknown}/checkpoints/config",
        "exceptions-unknown": f"/jobs/{unknown}/exceptions",
        "resource-requirements-unknown": f"/jobs/{unknown}/resource-requirements",
        "savepoint-forgotten": f"/jobs/{job}/savepoints/{unknown}",
        "checkpoint-forgotten": f"/jobs/{job}/checkpoints/{unknown}",
        "disposal-forgotten": f"/savepoint-disposal/{unknown}",
        "route-unknown": "/no/such/route",
    }.items():
        recorder.ask(name, "GET", path)


def _record_snapshots(recorder: Recorder, jar_id: str, job: str) -> None:
    ask, directory = recorder.ask, recorder.savepoints

    def trigger(name: str | None, path: str, **body: Any) -> str:
        return str(ask(name, "POST", path, json=body | {"triggerId": uuid.uuid4().hex})["request-id"])

    def finished(name: str, path: str) -> Any:
        recorder.until("GET", path, lambda body: body["status"]["id"] == "COMPLETED")
        return ask(name, "GET", path)

    slow = _run(recorder, jar_id, None, "--snapshot-ms", "500")
    recorder.until("GET", "/jobs/overview", lambda body: _runs(body, slow))
    started = trigger("savepoint", f"/jobs/{slow}/savepoints", **{"target-directory": directory})
    ask("savepoint-in-progress", "GET", f"/jobs/{slow}/savepoints/{started}")
    path = f"/jobs/{slow}/savepoints/{started}"
    location = finished("savepoint-completed", path)["operation"]["location"]
    failing = trigger(None, f"/jobs/{slow}/savepoints", **{"target-directory": "file:///proc/nope"})
    finished("savepoint-failed", f"/jobs/{slow}/savepoints/{failing}")
    first = trigger(None, f"/jobs/{slow}/stop", targetDirectory=directory)
    second = trigger(None, f"/jobs/{slow}/stop", targetDirectory=directory)
    finished("stop-suspended", f"/jobs/{slow}/savepoints/{first}")
    recorder.until("GET", f"/jobs/{slow}/savepoints/{second}", lambda body: body["status"]["id"] == "COMPLETED")
    ask(None, "PATCH", f"/jobs/{slow}?mode=cancel")
    made = trigger("checkpoint", f"/jobs/{job}/checkpoints", checkpointType="FULL")
    number = finished("checkpoint-completed", f"/jobs/{job}/checkpoints/{made}")["operation"]["checkpointId"]
    _record_details(recorder, job, number)
    unknown = uuid.uuid4().hex
    missing = trigger(None, f"/jobs/{unknown}/checkpoints")
    finished("checkpoint-failed", f"/jobs/{unknown}/checkpoints/{missing}")
    stopped = trigger("stop", f"/jobs/{job}/stop", targetDirectory=directory, drain=False)
    finished("stop-completed", f"/jobs/{job}/savepoints/{stopped}")
    recorder.until("GET", f"/jobs/{job}/checkpoints", lambda body: body["latest"]["savepoint"] is not None)
    ask("checkpoints", "GET", f"/jobs/{job}/checkpoints")
    late = trigger(None, f"/jobs/{job}/stop", targetDirectory=directory)
    finished("stop-not-found", f"/jobs/{job}/savepoints/{late}")
    body = {"jobId": uuid.uuid4().hex, "savepointPath": location, "programArgsList": ["--uid", "another"]}
    ask("run-not-mapped", "POST", f"/jars/{jar_id}/run", json=body)
    _record_restores(recorder, jar_id, location)
    for name in ("disposal-completed", "disposal-missing"):
        request = ask(None, "POST", "/savepoint-disposal", json={"savepoint-path": location})["request-id"]
        finished(name, f"/savepoint-disposal/{request}")


def _record_details(recorder: Recorder, job: str, number: int) -> None:
    """What a checkpoint holds, once statistics show it, and one that is not there."""
    path = f"/jobs/{job}/checkpoints/details"
    recorder.until("GET", f"{path}/{number}", lambda body: body.get("status") == "COMPLETED")
    recorder.ask("checkpoint-details", "GET", f"{path}/{number}")
    recorder.ask("checkpoint-details-unknown", "GET", f"{path}/123456")


def _record_restores(recorder: Recorder, jar_id: str, location: str) -> None:
    """Snapshots that no job can start from: at once, and where its tasks read them."""
    directory = Path(recorder.directory)

    def place(name: str, metadata: bytes | None) -> str:
        target = directory / name
        target.mkdir()
        if metadata is not None:
            (target / "_metadata").write_bytes(metadata)
        return f"file://{target}"

    whole = Path(location.removeprefix("file:"), "_metadata").read_bytes()
    unusable = {
        "run-no-metadata": (place("no-metadata", None), []),
        "run-no-magic": (place("no-magic", b"no snapshot at all"), []),
        "run-cut-metadata": (place("cut-metadata", whole[:-30]), []),
        "run-max-parallelism": (location, ["--max-parallelism", "64"]),
    }
    for name, (path, arguments) in unusable.items():
        body = {"jobId": uuid.uuid4().hex, "savepointPath": path, "programArgsList": arguments}
        recorder.ask(name, "POST", f"/jars/{jar_id}/run", json=body)
    recorder.ask(
        "exceptions-no-metadata", "GET", f"/jobs/{_failed(recorder, jar_id, unusable)}/exceptions?maxExceptions=1"
    )
    backend = {"state.backend.type": "rocksdb", "execution.checkpointing.interval": "200ms"}
    kept = {"execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION"}
    other = _retained(recorder, jar_id, backend | kept)
    _record_failure(recorder, "exceptions-other-backend", jar_id, other)
    gone = _retained(recorder, jar_id, {"execution.checkpointing.interval": "200ms"} | kept)
    for file in Path(gone.removeprefix("file:")).iterdir():
        if file.name != "_metadata":
            file.unlink()
    _record_failure(recorder, "exceptions-files-gone", jar_id, gone)


def _failed(recorder: Recorder, jar_id: str, unusable: dict[str, tuple[str, list[str]]]) -> str:
    job = uuid.uuid4().hex
    body = {"jobId": job, "savepointPath": unusable["run-no-metadata"][0]}
    recorder.ask(None, "POST", f"/jars/{jar_id}/run", json=body)
    return job


def _retained(recorder: Recorder, jar_id: str, configuration: dict[str, str]) -> str:
    """The last checkpoint of a job that was cancelled."""
    job = uuid.uuid4().hex
    recorder.ask(None, "POST", f"/jars/{jar_id}/run", json={"jobId": job, "flinkConfiguration": configuration})
    path = f"/jobs/{job}/checkpoints"
    recorder.until("GET", path, lambda body: (body.get("latest") or {}).get("completed") is not None)
    recorder.ask(None, "PATCH", f"/jobs/{job}?mode=cancel")
    recorder.until("GET", f"/jobs/{job}/status", lambda body: body.get("status") == "CANCELED")
    time.sleep(1)  # the statistics are cached
    return str(recorder.ask(None, "GET", path)["latest"]["completed"]["external_path"])


def _record_failure(recorder: Recorder, name: str, jar_id: str, location: str) -> None:
    job = uuid.uuid4().hex
    arguments = ["--restart", "none"]
    configuration = {"state.backend.type": "hashmap"}
    body = {
        "jobId": job,
        "savepointPath": location,
        "programArgsList": arguments,
        "flinkConfiguration": configuration,
    }
    recorder.ask(None, "POST", f"/jars/{jar_id}/run", json=body)
    recorder.until("GET", f"/jobs/{job}/status", lambda body: body.get("status") == "FAILED")
    recorder.ask(name, "GET", f"/jobs/{job}/exceptions?maxExceptions=1")


def main(versions: list[str]) -> None:
    """Record the versions."""
    for version in versions or list(DIGESTS):
        with (
            tempfile.TemporaryDirectory() as directory,
            FlinkCluster(Path(directory), version=version, config=_CONFIG) as cluster,
            cluster.http() as http,
        ):
            record(Recorder(cluster, http), demo_jar(cluster.version))
        print(f"Flink {cluster.version}: {len(list((DATA / cluster.version).iterdir()))} answers")


if __name__ == "__main__":
    main(sys.argv[1:])
