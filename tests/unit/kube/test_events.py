"""The recorder never waits, never raises, and says each thing once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from flinkjob.kube import events
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

    async def create_event(self, body: Any, /) -> bool:
        await self.open.wait()
        if self.problem:
            raise self.problem
        self.bodies.append(body)
        return True


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


async def test_a_full_queue_drops_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(events, "QUEUE_SIZE", 1)
    sink = Sink()
    metrics = Metrics(registry := CollectorRegistry())
    posting = EventRecorder(sink, "flinkjob-operator", "pod-1", dropped=metrics.events_dropped_total.inc)
    assert posting.post(JOB, reason="Running", message="a")
    assert registry.get_sample_value("flinkjob_events_dropped_total") == 0
    assert not posting.post(JOB, reason="Running", message="b")
    assert registry.get_sample_value("flinkjob_events_dropped_total") == 1
    assert "apps/clicks Running: b" in caplog.text


async def test_a_sink_that_breaks_its_promise_does_not_end_it(caplog: pytest.LogCaptureFixture) -> None:
    sink = Sink()
    async with recorder(sink) as posting:
        sink.problem = RuntimeError("boom")
        posting.post(JOB, reason="Running", message="a")
        await asyncio.wait_for(posting.flush(), 5)
        sink.problem = None
        posting.post(JOB, reason="Running", message="b")
    assert [body["message"] for body in sink.bodies] == ["b"]
    assert "boom" in caplog.text


async def test_the_end_does_not_wait_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    sink = Sink()
    sink.open.clear()
    posting = recorder(sink)
    await posting.__aenter__()
    posting.post(JOB, reason="Running", message="a")
    posting.post(JOB, reason="Running", message="b")
    await asyncio.wait_for(posting.close(0.05), 5)
    assert "1 events were not sent" in caplog.text or "2 events were not sent" in caplog.text
    await posting.close()
