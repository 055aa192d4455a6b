"""The recorder never waits, never raises, and says each thing once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from flinkjob.kube import events
from flinkjob.kube.errors import KubeUnavailable
from flinkjob.kube.events import EventRecorder
from flinkjob.kube.kinds import ObjectRef
from flinkjob.observability.metrics import Metrics

JOB = ObjectRef(kind="FlinkJob", namespace="apps", name="clicks", uid="u1", resource_version="5")
AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class Sink:
    """Keeps what it is given; waits before that while `open` is not set."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.problem: Exception | None = None
        self.accepts = True
        self.refused = 0

    async def create_event(self, body: Any, /) -> bool:
        await self.open.wait()
        if self.problem:
            self.refused += 1
            raise self.problem
        if self.accepts:
            self.bodies.append(body)
        return self.accepts


class Slow(Sink):
    """Needs a moment for each, and counts how many it is given at once."""

    def __init__(self) -> None:
        super().__init__()
        self.under_way = self.most = 0

    async def create_event(self, body: Any, /) -> bool:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await asyncio.sleep(0)
        self.under_way -= 1
        return await super().create_event(body)


def about(name: str) -> ObjectRef:
    return ObjectRef(kind="FlinkJob", namespace="apps", name=name, uid=f"uid-{name}")


async def wait_for(what: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not what():
            await asyncio.sleep(0.01)


def recorder(sink: Sink, clock: Callable[[], float] = lambda: 0.0) -> EventRecorder:
    return EventRecorder(sink, "flinkjob-operator", "pod-1", clock=clock, now=lambda: AT)


async def test_what_is_written() -> None:
    sink = Sink()
    async with recorder(sink) as posting:
        assert posting.post(JOB, type="Warning", reason="JobFailed", message="one\n  two")
    (body,) = sink.bodies
    assert body["metadata"]["namespace"] == "apps"
    assert body["metadata"]["name"].startswith("clicks.")
    assert body["involvedObject"] == {
        "apiVersion": "flinkjob.dev/v1alpha1",
        "kind": "FlinkJob",
        "namespace": "apps",
        "name": "clicks",
        "uid": "u1",
        "resourceVersion": "5",
    }
    assert (body["type"], body["reason"], body["message"]) == ("Warning", "JobFailed", "one two")
    assert body["source"] == {"component": "flinkjob-operator", "host": "pod-1"}
    assert body["firstTimestamp"] == body["lastTimestamp"] == "2026-01-02T03:04:05Z"


@pytest.mark.behaviour(53)
async def test_the_same_is_said_once_a_minute() -> None:
    sink = Sink()
    now = [0.0]
    async with recorder(sink, lambda: now[0]) as posting:
        assert posting.post(JOB, reason="Running", message="a")
        assert not posting.post(JOB, reason="Running", message="a")
        assert posting.post(JOB, reason="Running", message="b")
        assert posting.post(ObjectRef(kind="FlinkJob", namespace="apps", name="other"), reason="Running", message="a")
        now[0] = 60.0
        assert posting.post(JOB, reason="Running", message="a")
    assert len(sink.bodies) == 4
    assert len({body["metadata"]["name"] for body in sink.bodies}) == 4


@pytest.mark.threat("too-large")
async def test_messages_and_names_are_cut() -> None:
    sink = Sink()
    async with recorder(sink) as posting:
        posting.post(ObjectRef(kind="FlinkJob", namespace="a", name="n" * 253), reason="Running", message="x" * 5000)
    assert len(sink.bodies[0]["message"]) == 1024
    assert len(sink.bodies[0]["metadata"]["name"]) == 253


@pytest.mark.report("events-in-a-storm")
@pytest.mark.behaviour(53)
async def test_a_thousand_jobs_that_start_at_once_lose_none() -> None:
    sink = Slow()
    metrics = Metrics(registry := CollectorRegistry())
    said = {(f"job-{number}", reason) for number in range(1000) for reason in ("Submitted", "Running", "Adopted")}
    async with EventRecorder(sink, "flinkjob-operator", "pod-1", dropped=metrics.events_dropped_total.inc) as posting:
        for name, reason in sorted(said):
            assert posting.post(about(name), reason=reason, message=reason)
        await asyncio.wait_for(posting.flush(), 30)
    assert sorted((body["involvedObject"]["name"], body["reason"]) for body in sink.bodies) == sorted(said)
    assert registry.get_sample_value("flinkjob_events_dropped_total") == 0
    assert 1 < sink.most <= events.SENDERS


async def test_the_events_of_an_object_keep_their_order() -> None:
    sink = Slow()
    async with recorder(sink) as posting:
        for number in range(40):
            posting.post(about(f"job-{number % 3}"), reason="Running", message=str(number))
    for name in range(3):
        told = [int(body["message"]) for body in sink.bodies if body["involvedObject"]["name"] == f"job-{name}"]
        assert told == sorted(told)
        assert len(told) in (13, 14)


async def test_what_was_repeated_is_counted_in_the_next() -> None:
    sink = Sink()
    now = [0.0]
    async with recorder(sink, lambda: now[0]) as posting:
        for at in (0.0, 20.0, 40.0, 61.0):
            now[0] = at
            posting.post(JOB, reason="RestartFailed", message="a")
            await posting.flush()
    assert [body["count"] for body in sink.bodies] == [1, 3]


async def test_what_is_repeated_before_it_was_sent_is_one_event_with_a_count() -> None:
    sink = Sink()
    posting = recorder(sink)
    for _ in range(3):
        posting.post(JOB, reason="RestartFailed", message="a")
    async with posting:
        pass
    assert [body["count"] for body in sink.bodies] == [3]


@pytest.mark.report("events-in-a-storm")
async def test_when_too_many_wait_one_tells_for_many_and_the_rest_is_counted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(events, "QUEUE_SIZE", 1)
    sink = Sink()
    metrics = Metrics(registry := CollectorRegistry())
    posting = EventRecorder(sink, "flinkjob-operator", "pod-1", dropped=metrics.events_dropped_total.inc)
    assert posting.post(JOB, reason="Restarting", message="a")
    assert not posting.post(JOB, reason="Restarting", message="b"), "it is told together with the first"
    assert registry.get_sample_value("flinkjob_events_dropped_total") == 0
    assert not posting.post(JOB, reason="Running", message="c")
    assert not posting.post(JOB, reason="Running", message="d")
    assert registry.get_sample_value("flinkjob_events_dropped_total") == 2
    assert "apps/clicks Running: c" in caplog.text
    async with posting:
        await posting.flush()
        posting.post(JOB, reason="Running", message="e")
        await posting.flush()
        posting.post(JOB, reason="Running", message="f")
    told = [(body["reason"], body["message"], body["count"]) for body in sink.bodies]
    assert told == [("Restarting", "b", 2), ("Running", "e (2 Events before it left out)", 1), ("Running", "f", 1)]


@pytest.mark.fault("api-watch-or-etcd-stuck")
async def test_an_event_waits_while_the_api_server_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "AWAY_PAUSE", (0.01, 0.02))
    sink = Sink()
    async with recorder(sink) as posting:
        sink.problem = KubeUnavailable("api-server", "the API server does not answer")
        posting.post(JOB, reason="Running", message="a")
        posting.post(about("other"), reason="Running", message="b")
        await wait_for(lambda: sink.refused > 4)
        sink.problem = None
    assert {body["message"] for body in sink.bodies} == {"a", "b"}


async def test_an_event_that_is_refused_is_counted() -> None:
    sink = Sink()
    lost: list[None] = []
    async with EventRecorder(sink, "flinkjob-operator", "pod-1", dropped=lambda: lost.append(None)) as posting:
        sink.accepts = False
        posting.post(JOB, reason="Running", message="a")
        await posting.flush()
        sink.accepts = True
        posting.post(JOB, reason="Restarting", message="b")
    assert len(lost) == 1
    assert sink.bodies[-1]["message"] == "b (1 Event before it left out)"


async def test_a_sink_that_breaks_its_promise_does_not_end_it(caplog: pytest.LogCaptureFixture) -> None:
    sink = Sink()
    async with recorder(sink) as posting:
        sink.problem = RuntimeError("boom")
        posting.post(JOB, reason="Running", message="a")
        await asyncio.wait_for(posting.flush(), 5)
        sink.problem = None
        posting.post(JOB, reason="Running", message="b")
    assert [body["message"] for body in sink.bodies] == ["b (1 Event before it left out)"]
    assert "boom" in caplog.text


async def test_the_end_does_not_wait_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    sink = Sink()
    sink.open.clear()
    posting = recorder(sink)
    await posting.__aenter__()
    posting.post(JOB, reason="Running", message="a")
    posting.post(JOB, reason="Running", message="b")
    await asyncio.wait_for(posting.close(0.05), 5)
    assert "2 Events were not sent" in caplog.text
    await posting.close()
