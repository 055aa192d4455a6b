"""The values that Flink's answers become: words, places, order of snapshots."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flinkjob.core.flinkmodel import (
    Checkpoint,
    CheckpointKind,
    CheckpointStats,
    CheckpointStatus,
    FlinkJobState,
    JobOverview,
    RunRequest,
    TaskCounts,
    is_below,
    normalise_location,
)
from tests.support.tables import table


def test_only_three_states_are_terminal() -> None:
    terminal = {state for state in FlinkJobState if state.is_terminal}
    assert terminal == {FlinkJobState.FINISHED, FlinkJobState.CANCELED, FlinkJobState.FAILED}


def test_words_of_newer_versions_are_unknown_and_not_terminal() -> None:
    assert FlinkJobState("HIBERNATING") is FlinkJobState.UNKNOWN
    assert not FlinkJobState("HIBERNATING").is_terminal
    assert CheckpointKind("FANCY") is CheckpointKind.UNKNOWN
    assert CheckpointStatus("PAUSED") is CheckpointStatus.UNKNOWN


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("file:/x/y", "file:///x/y"),
        ("file:///x/y/", "file:/x/y"),
        ("/x/y", "file:/x//y"),
        ("file://localhost/x", "file:/x"),
        ("file:/x/./a/../y", "file:/x/y"),
        ("file:/x/y/_metadata", "file:/x/y"),
        ("s3a://bucket/a", "s3://bucket/a"),
        ("S3://Bucket/a", "s3://bucket/a"),
        ("hdfs://nn:8020/a/../../b", "hdfs://nn:8020/b"),
    ],
)
def test_one_place_spelled_in_two_ways(one: str, other: str) -> None:
    assert normalise_location(one) == normalise_location(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("file:/x/y", "file:/x/Y"),
        ("s3://bucket/a", "s3://other/a"),
        ("s3://bucket/a", "file:/bucket/a"),
        ("hdfs://nn/a", "hdfs://nn:8020/a"),
        ("s3://bucket/a%20b", "s3://bucket/a b"),
        ("file:/x/_metadata/y", "file:/x/y"),
    ],
)
def test_two_places(one: str, other: str) -> None:
    assert normalise_location(one) != normalise_location(other)


@given(st.text() | st.from_regex(r"[a-z0-9]{1,4}:/{0,3}([A-Za-z.:]{0,3}/){0,4}[a-z]?", fullmatch=True))
def test_normalising_twice_changes_nothing(location: str) -> None:
    once = normalise_location(location)
    assert normalise_location(once) == once


def test_below_is_strict_and_by_whole_parts() -> None:
    assert is_below("file:/a/b/savepoint-1", "file:///a/b/")
    assert is_below("file:/a/b", "file:///")
    assert not is_below("file:/a/bc", "file:///a/b")
    assert not is_below("file:/a/b", "file:///a/b")
    assert not is_below("file:/a/b/../c", "file:///a/b")


def _snapshot(number: int, kind: CheckpointKind, status: CheckpointStatus = CheckpointStatus.COMPLETED) -> Checkpoint:
    return Checkpoint(checkpoint_id=number, status=status, kind=kind, external_path=f"file:/s/{kind.lower()}/{number}")


def test_snapshots_are_ordered_by_id_wherever_they_are_found() -> None:
    stop = _snapshot(4, CheckpointKind.SYNC_SAVEPOINT)
    plain = _snapshot(5, CheckpointKind.SAVEPOINT)
    old = _snapshot(1, CheckpointKind.CHECKPOINT)
    broken = _snapshot(6, CheckpointKind.CHECKPOINT, CheckpointStatus.FAILED)
    stats = CheckpointStats(latest_savepoint=plain, latest_completed=old, latest_failed=broken, history=(plain, stop))
    assert [each.checkpoint_id for each in stats.snapshots()] == [6, 5, 4, 1]
    assert stats.newest_completed() == plain
    assert stats.newest_completed(CheckpointKind.SYNC_SAVEPOINT) == stop
    assert stats.newest_completed(CheckpointKind.UNKNOWN) is None
    assert stats.below("file:///s/sync_savepoint") == (stop,)


@table(
    ("state", "tasks", "running"),
    "all tasks run",
    (FlinkJobState.RUNNING, TaskCounts(total=2, running=2), True),
    "some tasks run and the others have finished",
    (FlinkJobState.RUNNING, TaskCounts(total=2, running=1, finished=1), True),
    "all tasks are scheduled",
    (FlinkJobState.RUNNING, TaskCounts(total=2, scheduled=2), False),
    "no task is known",
    (FlinkJobState.RUNNING, TaskCounts(), False),
    "all tasks run and the job restarts",
    (FlinkJobState.RESTARTING, TaskCounts(total=2, running=2), False),
)
def test_running_means_all_tasks(state: FlinkJobState, tasks: TaskCounts, running: bool) -> None:
    assert JobOverview(job_id="j", name="n", state=state, tasks=tasks).all_tasks_running is running


def test_secrets_of_a_request_are_not_in_its_text() -> None:
    request = RunRequest(job_id="j", args=("--password", "secret"), flink_configuration={"s3.secret-key": "hidden"})
    assert "secret" not in repr(request)
    assert "hidden" not in repr(request)
