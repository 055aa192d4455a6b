"""Which runner runs a query."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from flinkjob.cli.errors import WrongUsage
from flinkjob.cli.query import runner_in


def test_the_newest_version_runs_whatever_its_file_time(tmp_path: Path) -> None:
    for version, time in ((1, 300), (2, 100), (10, 200)):
        (tmp_path / f"sql-runner-{version}.jar").touch()
        os.utime(tmp_path / f"sql-runner-{version}.jar", (time, time))
    (tmp_path / "python-runner-11.py").touch()
    assert runner_in(tmp_path).name == "sql-runner-10.jar"


@pytest.mark.parametrize("there", [True, False])
def test_a_directory_without_one_is_named(tmp_path: Path, there: bool) -> None:
    directory = tmp_path if there else tmp_path / "none"
    with pytest.raises(WrongUsage, match=r"there is no sql-runner-\*\.jar in .*--runner-dir or FLINKJOB_RUNNER_DIR"):
        runner_in(directory)


def test_none_is_named() -> None:
    with pytest.raises(WrongUsage, match="no SQL runner is named: --runner-dir"):
        runner_in(None)
