"""What is sent: Flink silently ignores a field it does not know, so every name matters."""

import time
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from flinkjob.core.errors import MESSAGE_LIMIT, Rejected, SubmitRejected, SubmitRejection, Transient, Unreachable
from flinkjob.core.flinkmodel import (
    CheckpointDetails,
    CheckpointKind,
    ClaimMode,
    FlinkJobState,
    RunRequest,
    SavepointFormat,
    TriggeredCheckpoint,
    TriggerState,
)
from flinkjob.core.jobload import JobTimes, SourceLag, VertexTimes
from flinkjob.flink import FlinkClient, wire
from flinkjob.flink.rest import LONG

JOB, TRIGGER = "a" * 32, "b" * 32


class Flink:
    """Remembers requests and answers each alike."""

    def __init__(self, body: Any, status: int = 200) -> None:
        self.requests: list[httpx.Request] = []
        self._answer = (status, body)
        self.client = FlinkClient(httpx.AsyncClient(transport=httpx.MockTransport(self._handle)), "http://flink:8081")

    def _handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return httpx.Response(self._answer[0], json=self._answer[1])

    @property
    def sent(self) -> Any:
        """Body of the last request."""
        return orjson.loads(self.requests[-1].content)

    @property
    def line(self) -> str:
        """Method and path of the last request."""
        return f"{self.requests[-1].method} {self.requests[-1].url.raw_path.decode()}"


@pytest.mark.behaviour(14)
async def test_run_sends_the_names_flink_knows() -> None:
    flink = Flink({"jobid": JOB})
    request = RunRequest(
        job_id=JOB,
        entry_class="a.B",
        args=("--x", "1"),
        parallelism=2,
        savepoint_path="s3://b/x",
        allow_non_restored_state=True,
        claim_mode=ClaimMode.LEGACY,
        flink_configuration={"k": "v"},
    )
    assert await flink.client.run_jar("0_ä b.jar", request) == JOB
    assert flink.line == "POST /jars/0_%C3%A4%20b.jar/run"
    assert flink.sent == {
        "jobId": JOB,
        "entryClass": "a.B",
        "programArgsList": ["--x", "1"],
        "parallelism": 2,
        "savepointPath": "s3://b/x",
        "allowNonRestoredState": True,
        "claimMode": "LEGACY",
        "flinkConfiguration": {"k": "v"},
    }
    await flink.client.run_jar("x.jar", RunRequest(job_id=JOB))
    assert flink.sent == {"jobId": JOB, "allowNonRestoredState": False, "claimMode": "NO_CLAIM"}


async def test_savepoints_have_dashed_names_and_stops_do_not() -> None:
    flink = Flink({"request-id": TRIGGER}, 202)
    await flink.client.trigger_savepoint(JOB, TRIGGER, "s3://b/x", SavepointFormat.NATIVE, cancel_job=True)
    assert flink.line == f"POST /jobs/{JOB}/savepoints"
    assert flink.sent == {
        "triggerId": TRIGGER,
        "target-directory": "s3://b/x",
        "formatType": "NATIVE",
        "cancel-job": True,
    }
    await flink.client.stop_with_savepoint(JOB, TRIGGER, "s3://b/x", drain=True)
    assert flink.line == f"POST /jobs/{JOB}/stop"
    assert flink.sent == {
        "triggerId": TRIGGER,
        "targetDirectory": "s3://b/x",
        "formatType": "CANONICAL",
        "drain": True,
    }
    await flink.client.stop_with_savepoint(JOB, TRIGGER, None)
    assert "targetDirectory" not in flink.sent
    await flink.client.trigger_checkpoint(JOB, TRIGGER, TriggeredCheckpoint.FULL)
    assert flink.sent == {"triggerId": TRIGGER, "checkpointType": "FULL"}


async def test_a_trigger_id_that_flink_did_not_take_is_an_error() -> None:
    flink = Flink({"request-id": "c" * 32}, 202)
    with pytest.raises(Rejected, match="trigger id"):
        await flink.client.trigger_savepoint(JOB, TRIGGER, None)


async def test_an_upload_is_one_part_with_the_wanted_name(tmp_path: Path) -> None:
    flink = Flink({"filename": "C:\\upload\\flink-web-upload\\1_x.jar", "status": "success"})
    jar = tmp_path / "local"
    jar.write_bytes(b"PK content")
    assert await flink.client.upload_jar(jar, "x.jar") == "1_x.jar"
    sent = flink.requests[0]
    assert sent.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert sent.content.count(b"Content-Disposition") == 1
    assert b'filename="x.jar"' in sent.content
    assert b"PK content" in sent.content
    assert int(sent.headers["content-length"]) == len(sent.content)


async def test_a_large_upload_has_more_time(tmp_path: Path) -> None:
    flink = Flink({"filename": "/u/1_x.jar"})
    jar = tmp_path / "local"
    jar.write_bytes(b"x" * 1024 * 1024)
    await flink.client.upload_jar(jar, "x.jar")
    assert flink.requests[0].extensions["timeout"]["write"] == 14.0


async def test_of_an_upload_it_is_said_how_far_it_is(tmp_path: Path) -> None:
    jar, said = tmp_path / "local", list[tuple[int, int]]()
    jar.write_bytes(b"x" * 2**20)
    flink = Flink({"filename": "/u/1_x.jar"})
    await flink.client.upload_jar(jar, "x.jar", sent=lambda sent, size: said.append((sent, size)))
    assert said[0] == (0, 2**20)
    assert said[-1] == (2**20, 2**20)
    assert said == sorted(said)
    assert len(flink.requests[0].content) > 2**20


async def test_a_call_that_runs_main_may_last_but_connects_in_time_and_ends() -> None:
    flink = Flink({"jobid": JOB})
    await flink.client.run_jar("x.jar", RunRequest(job_id=JOB))
    assert flink.requests[0].extensions["timeout"] == {"connect": 10.0, "read": 600.0, "write": 600.0, "pool": 600.0}
    await flink.client.run_jar("x.jar", RunRequest(job_id=JOB), timeout=3)
    assert flink.requests[1].extensions["timeout"]["read"] == flink.requests[1].extensions["timeout"]["connect"] == 3
    await flink.client.delete_jar("x.jar")
    assert [LONG in request.extensions for request in flink.requests] == [True, True, False]


async def test_requirements_are_put_for_every_vertex() -> None:
    flink = Flink({})
    assert await flink.client.set_resource_requirements(JOB, {"v1": 5, "v2": 1})
    assert flink.sent == {
        "v1": {"parallelism": {"lowerBound": 1, "upperBound": 5}},
        "v2": {"parallelism": {"lowerBound": 1, "upperBound": 1}},
    }
    assert [request.method for request in flink.requests] == ["PUT"]


async def test_cancel_asks_for_cancel_and_exceptions_for_few() -> None:
    flink = Flink({}, 202)
    await flink.client.cancel(JOB)
    assert flink.line == f"PATCH /jobs/{JOB}?mode=cancel"
    flink = Flink({"exceptionHistory": {"entries": [{"exceptionName": "a.B", "stacktrace": "a.BException: x"}] * 3}})
    assert len(await flink.client.exceptions(JOB, limit=2)) == 2
    assert flink.line == f"GET /jobs/{JOB}/exceptions?maxExceptions=2"


def _entry(second: int, message: str) -> dict[str, Any]:
    trace = f"java.lang.RuntimeException: {message}\n\tat x.Y.z(Y.java:1)"
    return {"exceptionName": "java.lang.RuntimeException", "stacktrace": trace, "timestamp": second * 1000}


async def test_failures_are_the_newest_one_and_the_times_of_all() -> None:
    entries = [_entry(30, "newest"), _entry(10, "first"), _entry(20, "second")]
    flink = Flink({"exceptionHistory": {"entries": entries}})
    found = await flink.client.failures(JOB)
    assert found is not None
    assert found.newest.root_cause == "RuntimeException: newest"
    assert [each.timestamp() for each in found.times] == [30, 20, 10]
    assert found.restarts is None, "what is no list of metrics does not hide the failures"
    assert [request.url.raw_path.decode() for request in flink.requests] == [
        f"/jobs/{JOB}/exceptions?maxExceptions=20",
        f"/jobs/{JOB}/metrics?get=numRestarts",
    ]
    flink = Flink({"exceptionHistory": {"entries": []}})
    assert await flink.client.failures(JOB) is None
    assert len(flink.requests) == 1, "a job that never failed costs one request"


@pytest.mark.parametrize(
    ("value", "number"), [("7", 7), ("-1", None), ("n/a", None), ("", None), ("²", None), ("9" * 30, None)]
)
def test_a_metric_is_a_number_or_nothing(value: str, number: int | None) -> None:
    assert wire.Metric(id="numRestarts", value=value).number == number


async def test_the_times_of_a_job_are_one_request() -> None:
    known = {"accumulated-busy-time": 701.0, "accumulated-idle-time": 10167, "accumulated-backpressured-time": 3}
    plan = {"nodes": [{"id": "a"}, {"id": "b", "inputs": [{"num": 0, "id": "a"}]}, {"id": "c", "inputs": []}]}
    vertices = [
        {"id": "a", "metrics": known},
        {"id": "b", "metrics": known | {"accumulated-busy-time": "NaN"}},
        {"id": "c"},
    ]
    flink = Flink({"vertices": vertices, "plan": plan})
    found = await flink.client.job_times(JOB)
    assert found == JobTimes({"a": VertexTimes(busy=701.0, idle=10167, backpressured=3)}, ("a", "c"))
    assert [f"{each.method} {each.url.raw_path.decode()}" for each in flink.requests] == [f"GET /jobs/{JOB}"]
    gone = f"org.apache.flink.runtime.rest.NotFoundException: Job {JOB} not found"
    assert await Flink({"errors": [gone]}, 404).client.job_times(JOB) is None


async def test_the_lag_of_a_source_is_asked_by_the_names_that_it_has() -> None:
    names = [
        "Source__x.pendingRecords",
        "Source__x.currentEmitEventTimeLag",
        "busyTimeMsPerSecond",
        "a,b.pendingRecords",
    ]
    flink = Flink([{"id": name} for name in names])
    assert await flink.client.lag_metrics(JOB, TRIGGER) == (names[1], names[0])
    assert flink.line == f"GET /jobs/{JOB}/vertices/{TRIGGER}/subtasks/metrics"
    assert await Flink([]).client.lag_metrics(JOB, TRIGGER) is None
    many = Flink([{"id": f"Source__{n}.pendingRecords"} for n in range(100)])
    assert len(await many.client.lag_metrics(JOB, TRIGGER)) == 16

    flink = Flink([{"id": names[0], "sum": 12.0, "max": 9.0}, {"id": names[1], "sum": 4000.0, "max": 2500.0}])
    assert await flink.client.source_lag(JOB, TRIGGER, names[:2]) == SourceLag(pending=12, seconds=2.5)
    assert "&agg=sum" in flink.line
    unknown = Flink([{"id": names[0], "sum": "NaN", "max": "NaN"}, {"id": names[1], "sum": -2.0, "max": -1.0}])
    assert await unknown.client.source_lag(JOB, TRIGGER, names[:2]) == SourceLag()


async def test_a_huge_text_is_cut_before_it_is_looked_into() -> None:
    """A message of half a megabyte and a stack of causes: the head, and the innermost causes, without a long search."""
    causes = "".join(f"\nCaused by: a.b.CException: cause {n} {'x.' * 300}\n\tat a.b.C(D.java:1)" for n in range(500))
    trace = f"a.b.JobException: {' ' * 200_000}{'a.' * 100_000}{causes}\nCaused by: a.b.RootException: the root\n\tat x"
    begun = time.monotonic()
    failure = wire.Failure(exceptionName="a.b." * 100_000, stacktrace=trace).value()
    assert failure.root_cause.startswith("RootException: the root; it caused CException: cause 499 x.")
    assert len(failure.root_cause) < MESSAGE_LIMIT
    assert max(len(failure.name), len(failure.stacktrace_head)) <= 8192
    assert time.monotonic() - begun < 2.0


@pytest.mark.fault("rest-unknown-fields")
async def test_unknown_words_and_fields_are_tolerated() -> None:
    job = {"jid": JOB, "state": "DREAMING", "start-time": -1, "new": {"field": 1}, "tasks": {"total": 1, "dreaming": 1}}
    (seen,) = await Flink({"jobs": [job], "more": 1}).client.overview_jobs()
    assert seen.state is FlinkJobState.UNKNOWN
    assert seen.start_time is None
    result = await Flink({"status": {"id": "QUEUED"}, "operation": None}).client.savepoint_result(JOB, TRIGGER)
    assert result.state is TriggerState.IN_PROGRESS


async def test_numbers_that_are_not_numbers_are_tolerated() -> None:
    history = [{"id": 3, "status": "COMPLETED", "is_savepoint": True, "state_size": "NaN", "external_path": ""}]
    body = {"counts": {}, "latest": {}, "history": history, "summary": {"state_size": {"p99": "NaN"}}}
    stats = await Flink(body).client.checkpoints(JOB)
    assert stats is not None
    (snapshot,) = stats.history
    assert snapshot.state_bytes is None
    assert snapshot.external_path is None
    assert not snapshot.is_usable
    assert snapshot.kind is CheckpointKind.SAVEPOINT


async def test_high_availability_has_an_old_and_a_new_name() -> None:
    def settings(**more: str) -> list[dict[str, str]]:
        config = {"web.tmpdir": "/tmp/flink-web-86ae5099-0140-4c2f-ac0f-0c97f6fbecd9"} | more
        return [{"key": key.replace("_", "-"), "value": value} for key, value in config.items()]

    async def available(config: list[dict[str, str]]) -> bool:
        return (await Flink(config).client.jobmanager_config()).high_availability

    assert not await available(settings())
    assert not await available(settings(high_availability="NONE"))
    assert await available(settings(high_availability="zookeeper"))
    kubernetes = [{"key": "high-availability.type", "value": "kubernetes"}]
    assert await available(settings() + kubernetes)


async def test_a_process_without_an_incarnation_is_no_answer() -> None:
    for config in ([], [{"key": "web.tmpdir", "value": "/tmp"}]):
        with pytest.raises(Unreachable, match=r"web\.tmpdir"):
            await Flink(config).client.jobmanager_config()


async def test_the_savepoint_of_a_failed_stop_is_reported() -> None:
    trace = (
        "java.util.concurrent.CompletionException: org.apache.flink.runtime.scheduler.stopwithsavepoint."
        "StopWithSavepointStoppingException: A savepoint has been created at: s3://b/savepoint-1-2, but the"
        " corresponding job aa failed during stopping.\n\tat x.Y"
    )
    operation = {"failure-cause": {"class": "x", "stack-trace": trace}}
    result = await Flink({"status": {"id": "COMPLETED"}, "operation": operation}).client.savepoint_result(JOB, TRIGGER)
    assert result.state is TriggerState.FAILED
    assert result.location is None
    assert result.failure_path == "s3://b/savepoint-1-2"
    assert result.failure is not None
    assert result.failure.startswith("StopWithSavepointStoppingException: A savepoint has been created at")


async def test_checkpoints_spell_their_failure_differently() -> None:
    operation = {"failureCause": {"class": "x", "stack-trace": "a.b.CheckpointException: declined\n\tat x"}}
    result = await Flink({"status": {"id": "COMPLETED"}, "operation": operation}).client.checkpoint_result(JOB, TRIGGER)
    assert result.failure == "CheckpointException: declined"


async def test_other_failures_of_a_disposal_are_failures() -> None:
    operation = {"failure-cause": {"class": "x", "stack-trace": "java.io.IOException: permission denied\n\tat x"}}
    result = await Flink({"status": {"id": "COMPLETED"}, "operation": operation}).client.disposal_result(TRIGGER)
    assert (result.state, result.failure) == (TriggerState.FAILED, "IOException: permission denied")


async def test_what_a_snapshot_holds_is_asked_of_the_newest_one() -> None:
    answers: dict[str, Any] = {
        f"/jobs/{JOB}/checkpoints": {
            "counts": {},
            "latest": {"savepoint": {"id": 12, "status": "COMPLETED", "is_savepoint": True}},
            "history": [{"id": number, "status": status} for number, status in ((13, "FAILED"), (11, "COMPLETED"))],
        },
        f"/jobs/{JOB}/checkpoints/details/12": {
            "checkpoint_type": "SAVEPOINT",
            "tasks": {
                "v1": {"state_size": 5, "persisted_data": 0},
                "v2": {"state_size": 0},
                "v3": {"state_size": "NaN"},
            },
        },
    }
    transport = httpx.MockTransport(lambda request: httpx.Response(200, json=answers[request.url.path]))
    client = FlinkClient(httpx.AsyncClient(transport=transport), "http://flink:8081")
    found = await client.newest_details(JOB)
    assert found == CheckpointDetails(vertex_bytes={"v1": 5, "v2": 0, "v3": 0})


async def test_an_unaligned_checkpoint_holds_more_than_state() -> None:
    found = await Flink({"checkpoint_type": "UNALIGNED_CHECKPOINT", "tasks": {}}).client.checkpoint_details(JOB, 7)
    assert found == CheckpointDetails(vertex_bytes={}, aligned=False)


async def test_a_snapshot_is_asked_for_only_where_one_is_complete() -> None:
    flink = Flink({"counts": {}, "latest": {}, "history": [{"id": 3, "status": "IN_PROGRESS"}]})
    assert await flink.client.newest_details(JOB) is None
    assert [request.url.path for request in flink.requests] == [f"/jobs/{JOB}/checkpoints"]


@pytest.mark.parametrize(
    "says",
    [
        "rest.handler.RestHandlerException: Could not find checkpointing statistics for checkpoint 7.",
        f"rest.handler.RestHandlerException: Checkpointing was not enabled for job {JOB}.",
        f"rest.NotFoundException: Job {JOB} not found",
    ],
)
async def test_details_that_flink_has_forgotten_are_none(says: str) -> None:
    flink = Flink({"errors": [f"org.apache.flink.runtime.{says}\n\tat x"]}, 404)
    assert await flink.client.checkpoint_details(JOB, 7) is None
    assert flink.line == f"GET /jobs/{JOB}/checkpoints/details/7"


EVERY_CALL = {
    "overview_jobs": (),
    "job_status": (JOB,),
    "jobmanager_config": (),
    "cluster_config": (),
    "cluster_overview": (),
    "job_user_config": (JOB,),
    "checkpoints": (JOB,),
    "checkpoint_config": (JOB,),
    "checkpoint_details": (JOB, 7),
    "newest_details": (JOB,),
    "vertex_names": (JOB,),
    "exceptions": (JOB,),
    "failures": (JOB,),
    "list_jars": (),
    "upload_jar": (Path(__file__), "x.jar"),
    "delete_jar": ("x.jar",),
    "trigger_savepoint": (JOB, TRIGGER, None),
    "stop_with_savepoint": (JOB, TRIGGER, None),
    "savepoint_result": (JOB, TRIGGER),
    "trigger_checkpoint": (JOB, TRIGGER),
    "checkpoint_result": (JOB, TRIGGER),
    "cancel": (JOB,),
    "dispose_savepoint": ("s3://b/x",),
    "disposal_result": (TRIGGER,),
    "resource_requirements": (JOB,),
    "set_resource_requirements": (JOB, {"v": 2}),
    "running_graph": (JOB,),
    "job_times": (JOB,),
    "lag_metrics": (JOB, TRIGGER),
    "source_lag": (JOB, TRIGGER, ("x.pendingRecords",)),
}
SUBMISSIONS = {name: ("x.jar", RunRequest(job_id=JOB)) for name in ("run_jar", "plan_jar")}


def test_every_call_is_listed() -> None:
    calls = {name for name in dir(FlinkClient) if not name.startswith("_")}
    assert calls == set(EVERY_CALL) | set(SUBMISSIONS)


def test_no_part_of_the_client_hides_a_method_of_another() -> None:
    parts = FlinkClient.__bases__
    names = [name for part in parts for name in vars(part) if callable(getattr(part, name)) and name[:2] != "__"]
    assert sorted(names) == sorted(set(names))
    assert len(parts) == 6


@pytest.mark.parametrize(("name", "arguments"), EVERY_CALL.items(), ids=EVERY_CALL)
async def test_no_call_takes_an_error_for_an_answer(name: str, arguments: tuple[Any, ...]) -> None:
    with pytest.raises(Rejected, match="Bad request"):
        await getattr(Flink({"errors": ["Bad request"]}, 400).client, name)(*arguments)
    with pytest.raises(Transient, match="NullPointerException"):
        await getattr(Flink({"errors": ["java.lang.NullPointerException\n\tat x"]}, 500).client, name)(*arguments)
    with pytest.raises(Unreachable):
        await getattr(Flink({"unexpected": True}, 404).client, name)(*arguments)


@pytest.mark.parametrize(("name", "arguments"), SUBMISSIONS.items(), ids=SUBMISSIONS)
async def test_no_submission_takes_an_error_for_an_answer(name: str, arguments: tuple[Any, ...]) -> None:
    for status in (400, 500):
        call = getattr(Flink({"errors": ["java.lang.NullPointerException\n\tat x"]}, status).client, name)
        with pytest.raises(SubmitRejected, match="NullPointerException") as refused:
            await call(*arguments)
        assert refused.value.kind is SubmitRejection.OTHER
        assert refused.value.code == status
    with pytest.raises(Rejected):
        await getattr(Flink({"errors": []}, 400).client, name)(*arguments)
    with pytest.raises(Unreachable):
        await getattr(Flink({"unexpected": True}, 200).client, name)(*arguments)
