"""What the audit makes of the answers of pip-audit, that all that is built from is pinned by digest, and the provenance."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from deploy.local.provenance import differences, sources, statement
from deploy.local.supplychain import RUNTIME, TOOLS, verdict

REPOSITORY = Path(__file__).parents[3]

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


def test_every_image_that_the_build_begins_with_is_pinned_by_digest() -> None:
    text = (REPOSITORY / "Dockerfile").read_text()
    images = dict(re.findall(r"^ARG (\w+_IMAGE)=(.+)$", text, re.MULTILINE))
    assert images.keys() == {"BASE_IMAGE", "JDK_IMAGE", "FLINK_IMAGE"}
    unpinned = [
        image
        for image in images.values()
        if not re.fullmatch(r"docker\.io/[a-z/-]+:[\w.-]+@sha256:[0-9a-f]{64}", image)
    ]
    assert not unpinned
    stages = re.findall(r"^FROM (\S+)(?: AS (\S+))?$", text, re.MULTILINE)
    assert {image for image, _ in stages} == {"${" + name + "}" for name in images} | {"scratch", "${RUNNER}"}
    assert re.findall(r"^COPY --from=runner (.+)$", text, re.MULTILINE) == ["/opt/runner /opt/flinkjob/runner"]


def test_the_provenance_names_the_image_and_all_that_it_was_made_of() -> None:
    read = sources()
    assert read.keys() >= {"Dockerfile", "requirements.lock", "operator/flinkjob/app.py"}
    said = statement(("a" * 64 + ".json", "b" * 64 + ".tar"), read, "c" * 64, ("5", "d" * 40))
    assert [each["digest"]["sha256"] for each in said["subject"]] == ["a" * 64, "b" * 64]
    made = said["predicate"]["buildDefinition"]["resolvedDependencies"]
    assert {"uri": "file:base.tar", "digest": {"sha256": "c" * 64}} in made
    assert {"uri": "git+file:.", "digest": {"gitCommit": "d" * 40}} in made
    assert len(made) == len(read) + 2


def test_another_image_or_another_source_is_not_what_the_provenance_says() -> None:
    said = statement(("a.json",), {"Dockerfile": "1"}, "2", ("5", "6"))
    assert differences(said, statement(("a.json",), {"Dockerfile": "1"}, "2", ("5", "6"))) == []
    assert differences(said, statement(("b.json",), {"Dockerfile": "1"}, "2", ("5", "6"))) == [
        "localhost/flinkjob-operator/a.json",
        "localhost/flinkjob-operator/b.json",
    ]
    assert differences(said, statement(("a.json",), {"Dockerfile": "7"}, "2", ("5", "6"))) == ["file:Dockerfile"]
    assert differences(said, statement(("a.json",), {"Dockerfile": "1"}, "8", ("5", "6"))) == ["file:base.tar"]
