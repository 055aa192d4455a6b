"""Pages of `docs/` that are made from other files: written by `make generated`, compared with `--check`."""

from __future__ import annotations

import sys
from pathlib import Path


def write_or_check(path: Path, wanted: str, arguments: list[str]) -> int:
    """Writes the page, or with `--check` says whether it is up to date; returns the exit code."""
    if "--check" not in arguments:
        path.write_text(wanted, encoding="utf-8")
        return 0
    if path.exists() and path.read_text(encoding="utf-8") == wanted:
        return 0
    print(f"stale: {path}; run `make generated`", file=sys.stderr)
    return 1
