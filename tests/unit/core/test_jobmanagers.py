"""Whether one JobManager answers at an address, and what its configuration says."""

from __future__ import annotations

from typing import Any

import pytest

from flinkjob.core.jobmanagers import FLIP_MEMORY, MOST, JobManagers, configured


def test_an_earlier_jobmanager_that_answers_again_shares_the_address_for_a_while() -> None:
    found = JobManagers()
    for now, process, several in ((0, "a", False), (1, "a", False), (2, "b", False), (3, "a", True), (4, "a", True)):
        found = found.after(process, now)
        assert found.are_several(now) == several
    assert not found.are_several(3 + FLIP_MEMORY)


def test_an_address_that_always_names_another_process_fills_no_memory() -> None:
    found = JobManagers()
    for number in range(3 * MOST):
        found = found.after(str(number), number)
    assert len(found.earlier) == MOST
    assert not found.are_several(3 * MOST)


@pytest.mark.parametrize(
    ("config", "field", "value"),
    [
        ({"state.savepoints.dir": "file:///s"}, "savepoint_directory", "file:///s"),
        ({"execution.checkpointing.savepoint-dir": "a", "state.savepoints.dir": "b"}, "savepoint_directory", "a"),
        ({"state.checkpoints.dir": "file:///c"}, "checkpoint_directory", "file:///c"),
        ({}, "savepoint_directory", None),
        ({"cluster.intercept-user-system-exit": "THROW"}, "intercepts_exit", True),
        ({"cluster.intercept-user-system-exit": "DISABLED"}, "intercepts_exit", False),
        ({}, "intercepts_exit", False),
        ({"web.upload.dir": "/u"}, "keeps_uploads", True),
        ({}, "keeps_uploads", False),
        ({"web.upload.dir": "/u", "web.tmpdir": "/t"}, "upload_directory", "/u/flink-web-upload"),
        ({"web.tmpdir": "/t"}, "upload_directory", "/t/flink-web-upload"),
    ],
)
def test_what_the_configuration_says(config: dict[str, str], field: str, value: Any) -> None:
    assert configured(config)[field] == value
