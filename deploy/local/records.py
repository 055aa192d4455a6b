"""Reads what the demo job wrote into its `--out` directory and proves that nothing was lost or counted twice.

A committed record is a line `number count` in `records/part-*`; files that a checkpoint has not committed yet start
with a dot. The sequence is written in 16 lanes (number modulo 16), each in order, so what is committed of a lane must be a
prefix of it; and the keyed state must have counted number n as the (n / 16 + 1)-th of its lane.
"""

import collections
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LANES = 16
_START = re.compile(
    r"(?:started fresh|restored position=(?P<position>\d+) checkpoint=(?P<checkpoint>\d+))"
    r" job=(?P<job>[0-9a-f]{32}) attempt=(?P<attempt>\d+) parallelism=(?P<parallelism>\d+)"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """The outcome of `check_exactly_once`.

    Attributes:
        total: committed records.
        highest: the highest committed number, -1 when there is none.
        missing: numbers that should have been committed and were not (at most 100 of them).
        doubled: numbers that were committed more than once (at most 100 of them).
        wrong_counts: numbers whose keyed state was not the expected one (at most 100 of them).
    """

    total: int
    highest: int
    missing: tuple[int, ...] = ()
    doubled: tuple[int, ...] = ()
    wrong_counts: tuple[int, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every record is there once, with the right state."""
        return not (self.missing or self.doubled or self.wrong_counts)


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """One start of the job's tasks.

    Attributes:
        position: records counted in the restored state; None when it started fresh.
        checkpoint: number of the restored checkpoint or savepoint; None when it started fresh.
        job: Flink job id.
        attempt: 0 at the first start of that job, then the number of restarts by Flink.
        parallelism: of the counting operator.
    """

    position: int | None
    checkpoint: int | None
    job: str
    attempt: int
    parallelism: int

    @property
    def fresh(self) -> bool:
        """Whether it started without state."""
        return self.position is None


def _lines(out_dir: Path) -> Iterator[tuple[int, int]]:
    for part in sorted((out_dir / "records").glob("part-*")):
        for line in part.read_text().splitlines():
            number, count = line.split()
            yield int(number), int(count)


def committed_records(out_dir: Path) -> list[int]:
    """All committed numbers, sorted, doubled ones as often as they were committed."""
    return sorted(number for number, _ in _lines(out_dir))


def check_exactly_once(out_dir: Path, upto: int | None = None) -> Summary:
    """Compares the committed records with the sequence.

    Args:
        out_dir: the job's `--out`.
        upto: numbers 0 … upto - 1 must be there and no others (a bounded job that has ended); by default each lane must
            be a prefix (a job that runs or was stopped).
    """
    seen: collections.Counter[int] = collections.Counter()
    wrong = []
    for number, count in _lines(out_dir):
        seen[number] += 1
        if count != number // LANES + 1:
            wrong.append(number)
    if upto is not None:
        expected = set(range(upto))
        unexpected = [number for number in seen if number >= upto]
    else:
        ends = {number % LANES: number for number in sorted(seen)}
        expected = {number for lane, end in ends.items() for number in range(lane, end + 1, LANES)}
        unexpected = []
    doubled = [number for number, times in seen.items() if times > 1]
    return Summary(
        total=seen.total(),
        highest=max(seen, default=-1),
        missing=tuple(sorted(expected - seen.keys())[:100]),
        doubled=tuple(sorted(doubled + unexpected)[:100]),
        wrong_counts=tuple(sorted(wrong)[:100]),
    )


def restores(out_dir: Path) -> list[Start]:
    """Every start of the job's tasks, oldest first."""
    log = out_dir / "restores.log"
    return [_start(line) for line in log.read_text().splitlines()] if log.exists() else []


def _start(line: str) -> Start:
    found = _START.fullmatch(line)
    if not found:
        raise ValueError(f"not a line of restores.log: {line}")
    position, checkpoint = found["position"], found["checkpoint"]
    return Start(
        position=None if position is None else int(position),
        checkpoint=None if checkpoint is None else int(checkpoint),
        job=found["job"],
        attempt=int(found["attempt"]),
        parallelism=int(found["parallelism"]),
    )
