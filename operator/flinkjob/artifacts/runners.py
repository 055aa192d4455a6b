"""The SQL runners that this operator has: `sql-runner-1.jar` and later ones in the directory of `--runner-dir`.

Older ones stay beside the newest, so that a job that is started again, or taken back, gets the one that it ran with.
"""

from __future__ import annotations

import re
from pathlib import Path

from flinkjob.core.errors import Invalid

_NAME = re.compile(r"sql-runner-([0-9]{1,6})\.jar")


class Runners:
    """Finds runners; the directory is read at each question."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def newest(self) -> int:
        """The version that new runs get.

        Raises:
            Invalid: there is none.
        """
        found = [int(match[1]) for path in self._listed() if (match := _NAME.fullmatch(path.name))]
        if not found:
            raise Invalid(f"sql: this operator has no SQL runner in {self._directory} (--runner-dir)")
        return max(found)

    def like(self, version: int | None) -> int:
        """This version where there is one, else the newest. Raises as `newest` does."""
        return version if version is not None and self.path(version).is_file() else self.newest()

    def path(self, version: int) -> Path:
        """Where a version is."""
        return self._directory / f"sql-runner-{version}.jar"

    def _listed(self) -> list[Path]:
        return list(self._directory.iterdir()) if self._directory.is_dir() else []
