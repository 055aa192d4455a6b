"""What the audit makes of the answers of pip-audit, and that its tools are pinned by digest."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from deploy.local.supplychain import RUNTIME, TOOLS, verdict

GOOD = {"name": "good", "version": "1.0", "vulns": []}
BAD = {"name": "bad", "version": "1.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["1.1"]}]}
UNKNOWN = {"name": "unknown", "skip_reason": "not found"}


def test_nothing_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert verdict([dict(GOOD)]) == 0
    assert "1 dependencies audited, 0 known" in capsys.readouterr().err


def test_a_vulnerability_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert verdict([dict(GOOD), dict(BAD)]) == 1
    assert "bad 1.0: PYSEC-1, fixed in 1.1" in capsys.readouterr().out


def test_what_could_not_be_looked_up_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert verdict([dict(UNKNOWN), dict(GOOD)]) == 0
    assert "NOT AUDITED, unknown to the database that was asked: 1 of 2" in capsys.readouterr().err


@pytest.mark.parametrize("lock", [RUNTIME, TOOLS], ids=lambda path: path.name)
def test_every_version_is_pinned_by_digest(lock: Path) -> None:
    entries = re.split(r"\n(?=[a-z0-9])", lock.read_text().strip())
    assert len(entries) > 20
    assert [entry.splitlines()[0] for entry in entries if "==" not in entry or "--hash=sha256:" not in entry] == []
