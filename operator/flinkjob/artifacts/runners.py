"""The runners that this operator has, in the directory of `--runner-dir`: `sql-runner-1.jar` and `python-runner-1.py`, and
later versions.

Older ones stay beside the newest, so that a job that is started again, or taken back, gets the one that it ran with.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from flinkjob.core.errors import Invalid
from flinkjob.core.program import RunnerSort

_NAMES: Final = {
    RunnerSort.SQL: re.compile(r"sql-runner-([0-9]{1,6})\.jar"),
    RunnerSort.PYTHON: re.compile(r"python-runner-([0-9]{1,6})\.py"),
}
_ENDS: Final = {RunnerSort.SQL: ".jar", RunnerSort.PYTHON: ".py"}
_TITLES: Final = {RunnerSort.SQL: "SQL", RunnerSort.PYTHON: "Python"}


class Runners:
    """Finds runners; the directory is read at each question."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def newest(self, sort: RunnerSort) -> int:
        """The version that new runs get.

        Raises:
            Invalid: there is none.
        """
        found = [int(match[1]) for path in self._listed() if (match := _NAMES[sort].fullmatch(path.name))]
        if not found:
            text = f"{sort}: this operator has no {_TITLES[sort]} runner in {self._directory} (--runner-dir)"
            raise Invalid(text)
        return max(found)

    def like(self, sort: RunnerSort, version: int | None) -> int:
        """This version where there is one, else the newest. Raises as `newest` does."""
        return version if version is not None and self.path(sort, version).is_file() else self.newest(sort)

    def path(self, sort: RunnerSort, version: int) -> Path:
        """Where a version is."""
        return self._directory / f"{sort}-runner-{version}{_ENDS[sort]}"

    def _listed(self) -> list[Path]:
        return list(self._directory.iterdir()) if self._directory.is_dir() else []
