"""What is known of the jobs of an overview spares work and changes nothing."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from flinkjob.core.flinkmodel import JobOverview
from flinkjob.flink import wire
from flinkjob.flink.knownjobs import _READ, KnownJobs
from flinkjob.flink.values import Many

JOBS = TypeAdapter(Many[wire.Job])
TASKS = st.fixed_dictionaries({"total": st.integers(0, 2), "running": st.integers(0, 2)})
ENTRIES = st.fixed_dictionaries(
    {
        "jid": st.sampled_from(["a" * 32, "b" * 32]),
        "name": st.sampled_from(["one", "two"]),
        "state": st.sampled_from(["RUNNING", "FAILED"]),
        "start-time": st.sampled_from([1, 2]),
        "end-time": st.sampled_from([-1, 3]),
        "last-modification": st.sampled_from([1, 2]),
        "schedulerType": st.sampled_from(["Default", "Adaptive"]),
        "duration": st.integers(0, 9),
        "tasks": TASKS,
    }
)


class Parser:
    """Understands entries, and counts them."""

    def __init__(self) -> None:
        self.parsed = 0

    def __call__(self, entries: Sequence[Any]) -> list[JobOverview]:
        self.parsed += len(entries)
        return [job.value() for job in JOBS.validate_python(entries)]


def look(known: KnownJobs, entries: Sequence[Any], parser: Parser) -> list[JobOverview]:
    known.begin()
    found = known.understand(entries, parser)
    known.end()
    return found


def test_it_looks_at_all_that_is_read() -> None:
    assert {field.alias or name for name, field in wire.Job.model_fields.items()} == set(_READ)


@given(st.lists(st.lists(ENTRIES, max_size=3), max_size=5))
def test_what_is_found_is_what_the_entries_say(overviews: list[list[dict[str, Any]]]) -> None:
    known = KnownJobs()
    for entries in overviews:
        assert look(known, entries, Parser()) == Parser()(entries)


def test_only_what_changed_is_understood_anew() -> None:
    known, parser = KnownJobs(), Parser()
    entries = [
        {"jid": f"{number:032x}", "state": "RUNNING", "tasks": {"total": 1}, "duration": 1} for number in range(9)
    ]
    before = look(known, entries, parser)
    later = [entry | {"duration": 2} for entry in entries]
    later[4] = later[4] | {"tasks": {"total": 2}}
    after = look(known, later, parser)
    assert parser.parsed == 10
    assert [at for at, (old, new) in enumerate(zip(before, after, strict=True)) if old is not new] == [4]
    look(known, [], parser)
    look(known, entries, parser)
    assert parser.parsed == 19, "what an overview does not have is forgotten"


def test_an_overview_that_cannot_be_understood_leaves_what_is_known() -> None:
    known, parser = KnownJobs(), Parser()
    good = {"jid": "a" * 32, "state": "RUNNING"}
    look(known, [good], parser)
    with pytest.raises(ValidationError):
        look(known, [good, {"jid": 3}, "x"], parser)
    look(known, [good], parser)
    assert parser.parsed == 3


def test_what_is_kept_of_a_job_takes_little_memory() -> None:
    """What orjson gives out takes 4 KiB, however short it is: 80 MiB here."""
    known, number = KnownJobs(), 20_000
    job = Parser()([{"jid": "a" * 32, "state": "RUNNING", "tasks": {"total": 1}}])[0]
    entries = [{"jid": f"{each:032x}", "state": "RUNNING", "tasks": {"total": 1}} for each in range(number)]
    jobs = [replace(job, job_id=entry["jid"]) for entry in entries]
    before = resident()
    known.begin()
    known.understand(entries, lambda _: jobs)
    assert resident() - before < 25 * 2**20


def resident() -> int:
    """Bytes that this process has in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
