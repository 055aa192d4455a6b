"""Numbers of single FlinkJobs: what is known, for as many as are asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from flinkjob.api.codec import FlinkJob
from flinkjob.api.enums import Phase, RunResult
from flinkjob.api.flinkjob_status import (
    CheckpointInfo,
    FlinkJobStatus,
    HistoryEntry,
    ObservedJob,
    RunEnd,
    SavepointInfo,
)
from flinkjob.core.jobload import JobLoad, SourceLag
from flinkjob.core.units import bytes_of, readable_size
from flinkjob.observability.eachjob import EachJob
from tests.support.inputs import NAME, NAMESPACE, NOW, ago, job, run

JOB_ID = "a" * 32
KNOWN = FlinkJobStatus(
    phase=Phase.RUNNING,
    submission=run(2, job_id=JOB_ID, started_time=ago(90)),
    job=ObservedJob(restarts=3),
    parallelism=4,
    last_checkpoint=CheckpointInfo(time=ago(500), size="1.5Mi", duration_ms=250),
    last_savepoint=SavepointInfo(time=ago(700)),
    history=(HistoryEntry(number=1, ended=ago(91), downtime="1.4s"),),
)


BUSY = JobLoad(busy=0.75, backpressured=0.25, lag=SourceLag(pending=12, seconds=3.5))


def _numbers(*jobs: FlinkJob, most: int = 10, load: JobLoad | None = None) -> dict[tuple[str, ...], float]:
    """All samples: the name without its prefix, and its labels but the names of the usual job."""
    registry = CollectorRegistry()
    registry.register(EachJob(lambda: jobs, lambda: {JOB_ID: ago(20)}, lambda _: load, lambda: NOW, most=most))
    samples = [sample for family in registry.collect() for sample in family.samples]
    return {(each.name.removeprefix("flinkjob_job_"), *_labels(each.labels)): each.value for each in samples}


def _labels(labels: dict[str, str]) -> list[str]:
    return [value for value in labels.values() if value not in (NAMESPACE, NAME)]


def test_all_that_is_known_of_a_job() -> None:
    assert _numbers(job(status=KNOWN)) == {
        ("left_out",): 0,
        ("phase", "Running"): 1,
        ("uptime_seconds",): 90,
        ("parallelism",): 4,
        ("restarts",): 3,
        ("checkpoint_age_seconds",): 20,
        ("checkpoint_duration_seconds",): 0.25,
        ("checkpoint_size_bytes",): 1.5 * 1024**2,
        ("savepoint_age_seconds",): 700,
        ("downtime_seconds",): 1.4,
    }


@pytest.mark.parametrize(
    ("status", "numbers"),
    [
        (FlinkJobStatus(), {("phase", "Pending"): 1}),
        (
            replace(
                KNOWN,
                phase=Phase.SUSPENDED,
                submission=replace(KNOWN.submission or run(), end=RunEnd(result=RunResult.STOPPED)),
                job=None,
            ),
            {("phase", "Suspended"): 1, ("savepoint_age_seconds",): 700},
        ),
        (
            replace(KNOWN, phase=Phase.HELD, submission=run(3, seen=False, rejected=True), job=None),
            {("phase", "Held"): 1, ("savepoint_age_seconds",): 700},
        ),
    ],
    ids=["new", "suspended", "refused"],
)
def test_what_is_not_known_has_no_number(status: FlinkJobStatus, numbers: dict[tuple[str, ...], float]) -> None:
    found = _numbers(job(status=status))
    assert numbers.items() <= found.items()
    assert not {"uptime_seconds", "restarts", "checkpoint_age_seconds"} & {name for name, *_ in found}


def test_the_load_of_a_run_as_far_as_it_is_known() -> None:
    known = _numbers(job(status=KNOWN), load=BUSY)
    names = ("busy_ratio", "busy_tasks", "backpressured_ratio", "pending_records", "source_lag_seconds")
    assert [known[(name,)] for name in names] == [0.75, 3, 0.25, 12, 3.5]
    assert not set(names) & {name for name, *_ in _numbers(job(status=KNOWN), load=JobLoad())}
    ended = replace(KNOWN, submission=replace(KNOWN.submission or run(), end=RunEnd(result=RunResult.STOPPED)))
    assert not set(names) & {name for name, *_ in _numbers(job(status=ended), load=BUSY)}


def test_only_those_within_the_limit_are_asked_about() -> None:
    asked: list[str] = []

    def load(one: FlinkJob) -> None:
        asked.append(one.meta.name)

    one: Any = job(status=KNOWN)
    jobs = [replace(one, meta=replace(one.meta, name=name)) for name in "dbac"]
    list(EachJob(lambda: jobs, dict, load, lambda: NOW, most=2).collect())
    assert asked == ["a", "b"]


def test_those_beyond_the_limit_are_counted() -> None:
    def named(name: str) -> FlinkJob:
        one: Any = job(status=KNOWN)
        return replace(one, meta=replace(one.meta, name=name))

    found = _numbers(*map(named, ("d", "b", "a", "c")), most=2)
    assert found[("left_out",)] == 2
    assert {key[1] for key in found if key[0] == "restarts"} == {"a", "b"}


@given(st.integers(min_value=0, max_value=2**50))
def test_a_size_is_read_as_it_was_written(count: int) -> None:
    found = bytes_of(readable_size(count))
    assert found is not None
    assert found == pytest.approx(count, rel=0.06, abs=0.5)


@pytest.mark.parametrize("text", ["", "Mi", "1.2.3Mi", "-1Ki", "1Xi", "1e3", "1MiB", "\u0663"])
def test_what_is_no_size_is_none(text: str) -> None:
    assert bytes_of(text) is None
