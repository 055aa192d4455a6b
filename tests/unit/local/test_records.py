"""The judge of the demo job's output finds what is lost, doubled or counted from the wrong state."""

from pathlib import Path

import pytest

from deploy.local.records import LANES, Start, Summary, check_exactly_once, committed_records, restores

JOB = "0123456789abcdef0123456789abcdef"


def write(out: Path, name: str, numbers: list[int], shift: int = 0) -> None:
    (out / "records").mkdir(exist_ok=True)
    lines = (f"{number} {number // LANES + 1 + shift}\n" for number in numbers)
    (out / "records" / name).write_text("".join(lines))


def test_nothing_written_is_an_empty_prefix(tmp_path: Path) -> None:
    assert check_exactly_once(tmp_path) == Summary(total=0, highest=-1)
    assert restores(tmp_path) == []


def test_every_lane_may_have_another_length(tmp_path: Path) -> None:
    write(tmp_path, "part-a-0", [0, 16, 32, 1])
    write(tmp_path, "part-b-0", [17, 2])
    assert check_exactly_once(tmp_path) == Summary(total=6, highest=32)
    assert committed_records(tmp_path) == [0, 1, 2, 16, 17, 32]


def test_files_that_are_not_committed_do_not_count(tmp_path: Path) -> None:
    write(tmp_path, "part-a-0", [0])
    write(tmp_path, ".part-a-1.inprogress.1", [1])
    assert committed_records(tmp_path) == [0]


def test_a_gap_in_a_lane_is_missing(tmp_path: Path) -> None:
    write(tmp_path, "part-a-0", [0, 32])
    summary = check_exactly_once(tmp_path)
    assert summary.missing == (16,)
    assert not summary.ok


def test_a_record_in_two_files_is_doubled(tmp_path: Path) -> None:
    write(tmp_path, "part-a-0", [0, 16])
    write(tmp_path, "part-b-0", [16])
    assert check_exactly_once(tmp_path).doubled == (16,)


def test_a_lost_state_gives_wrong_counts(tmp_path: Path) -> None:
    write(tmp_path, "part-a-0", [0])
    write(tmp_path, "part-b-0", [16], shift=-1)
    assert check_exactly_once(tmp_path).wrong_counts == (16,)


def test_a_bounded_job_must_be_whole(tmp_path: Path) -> None:
    write(tmp_path, "part-a-0", [0, 1, 2])
    assert check_exactly_once(tmp_path, upto=3).ok
    assert check_exactly_once(tmp_path, upto=4).missing == (3,)
    assert check_exactly_once(tmp_path, upto=2).doubled == (2,)


def test_starts_are_read_in_order(tmp_path: Path) -> None:
    (tmp_path / "restores.log").write_text(
        f"started fresh job={JOB} attempt=0 parallelism=2\n"
        f"restored position=42 checkpoint=7 job={JOB} attempt=1 parallelism=3\n"
    )
    first, second = restores(tmp_path)
    assert first.fresh
    assert second == Start(position=42, checkpoint=7, job=JOB, attempt=1, parallelism=3)


def test_a_broken_line_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "restores.log").write_text("something else\n")
    with pytest.raises(ValueError, match="something else"):
        restores(tmp_path)
