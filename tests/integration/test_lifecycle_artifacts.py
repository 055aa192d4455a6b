"""Jars: fetched over HTTP or from a directory, checked, uploaded once, shared, and removed when nobody needs them."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest

from tests.support.integration import FileServer, Lab, build_demo_jar, condition, submission, wait_until

pytestmark = [pytest.mark.kube, pytest.mark.flink]


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def jars_named(lab: Lab, content: str) -> list[str]:
    return [jar["id"] for jar in lab.jars() if content in jar["name"]]


@pytest.mark.every_flink
def test_over_http_with_a_pinned_digest(lab: Lab, web: FileServer) -> None:
    shutil.copyfile(lab.jar, web.directory / "job.jar")
    lab.start("digest-pinned", jar={"uri": f"{web.url}/job.jar", "sha256": digest(lab.jar)})
    assert submission(lab.get("digest-pinned"))["artifactDigest"] == digest(lab.jar)


def test_a_moved_jar_of_the_same_content_touches_nothing_more_than_it_must(lab: Lab, web: FileServer) -> None:
    shutil.copyfile(lab.jar, web.directory / "a.jar")
    lab.start("moved-jar", jar={"uri": f"{web.url}/a.jar"})
    name = submission(lab.get("moved-jar"))["jarId"].partition("_")[2]
    assert digest(lab.jar) in name
    assert len(jars_named(lab, name)) == 1, "the same content is uploaded once by one operator"


@pytest.mark.behaviour(8, 12)
def test_two_jobs_share_a_jar_that_goes_with_the_last(lab: Lab, tmp_path: Path) -> None:
    jar = tmp_path / "shared.jar"
    shutil.copyfile(build_demo_jar(lab.flink.version, variant="shared by two"), jar)
    content = digest(jar)
    for name in ("share-a", "share-b"):
        lab.start(name, jar={"uri": f"file://{jar}"}, deletion={"policy": "Cancel"})
    assert len(jars_named(lab, content)) == 1
    lab.delete("share-a")
    lab.gone("share-a")
    assert len(jars_named(lab, content)) == 1, "share-b needs it"
    lab.delete("share-b")
    lab.gone("share-b")
    wait_until(lambda: not jars_named(lab, content), timeout=120, what="jar removed")


@pytest.mark.behaviour(12)
def test_the_old_jar_goes_after_an_upgrade(lab: Lab, tmp_path: Path) -> None:
    old = build_demo_jar(lab.flink.version, variant="old")
    manifest = lab.start("renewed", jar={"uri": f"file://{old}"})
    lab.edit(manifest, jar={"uri": f"file://{lab.jar}"})
    lab.running("renewed", 2)
    wait_until(lambda: not jars_named(lab, digest(old)), timeout=120, what="jar removed")


@pytest.mark.fault("flink-jar-deleted")
def test_a_jar_deleted_by_hand_is_uploaded_again(lab: Lab) -> None:
    jar = build_demo_jar(lab.flink.version, variant="deleted by hand")
    manifest = lab.start("wiped", jar={"uri": f"file://{jar}"})
    manifest = lab.edit(manifest, state="Suspended")
    lab.phase("wiped", "Suspended")
    with lab.flink.http() as http:
        for jar_id in jars_named(lab, digest(jar)):
            http.delete(f"/jars/{jar_id}").raise_for_status()
    lab.edit(manifest, state="Running")
    lab.running("wiped", 2)


@pytest.mark.behaviour(16)
@pytest.mark.invariant(13)
@pytest.mark.fault("artifact-missing-or-wrong")
@pytest.mark.parametrize(
    ("name", "jar", "words"),
    [
        ("mismatch", {"uri": "{http}/job.jar", "sha256": "a" * 64}, "not aaaa"),
        ("missing", {"uri": "{http}/none.jar"}, "404"),
        ("outside", {"uri": "file:///etc/hostname"}, "not below"),
        ("nofile", {"uri": "file://{tmp}/none.jar"}, "none.jar"),
        ("text", {"uri": "{http}/text.jar"}, "not"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isalpha() else "",
)
def test_a_jar_that_cannot_be_had(
    lab: Lab, web: FileServer, tmp_path: Path, name: str, jar: dict[str, str], words: str
) -> None:
    shutil.copyfile(lab.jar, web.directory / "job.jar")
    (web.directory / "text.jar").write_text("no archive")
    uri = jar["uri"].format(http=web.url, tmp=tmp_path)
    manifest = lab.job(f"jar-{name}", jar=jar | {"uri": uri})
    lab.apply(manifest)
    found = lab.stalled(f"jar-{name}", "ArtifactFailed")
    message = condition(found, "Stalled")["message"]
    assert message.startswith("jar: ")
    assert words in message
    assert "\n" not in message
    assert lab.flink_jobs(f"jar-{name}") == []
    lab.edit(manifest, jar={"uri": f"file://{lab.jar}"})
    lab.running(f"jar-{name}", 1)


def test_a_server_that_comes_back(lab: Lab, web: FileServer) -> None:
    shutil.copyfile(lab.jar, web.directory / "job.jar")
    web.stop()
    lab.apply(lab.job("patient", jar={"uri": f"{web.url}/job.jar"}))
    found = lab.wait("patient", lambda job: job["status"].get("plan", {}).get("reason") == "ArtifactFailed", "retrying")
    assert condition(found, "Reconciling")["status"] == "True"
    assert condition(found, "Stalled")["status"] == "False"
    web.start()
    lab.running("patient", 1)
