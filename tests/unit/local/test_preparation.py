"""What is prepared once is prepared by one process only, and what is missing is named in one line."""

import multiprocessing
from pathlib import Path

import pytest

from deploy.local.audit import audit_events
from deploy.local.cache import cached
from deploy.local.flinkdist import full_version
from deploy.local.ports import free_port
from deploy.local.prerequisites import MissingPrerequisite, require
from deploy.local.progress import StepFailed, run_step


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def _make_entry(journal: Path) -> None:
    def make(target: Path) -> None:
        with journal.open("a") as file:
            file.write("made\n")
        target.write_text("content")

    assert cached("group/entry", make).read_text() == "content"


def test_an_entry_is_made_once_by_many_processes(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_make_entry, args=(tmp_path / "journal",)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert (tmp_path / "journal").read_text() == "made\n"


def test_a_failed_entry_leaves_nothing_behind() -> None:
    def fail(target: Path) -> None:
        target.write_text("half")
        raise StepFailed("broken")

    with pytest.raises(StepFailed):
        cached("group/entry", fail)
    with pytest.raises(StepFailed):
        cached("group/entry", fail)


def test_a_missing_program_is_named_with_its_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(MissingPrerequisite) as caught:
        require("mvn", "why")
    assert str(caught.value) == "mvn is missing (why): sudo apt-get install -y maven"


def test_a_failed_step_tells_the_end_of_its_output() -> None:
    with pytest.raises(StepFailed, match=r"look: exit code 3\nnothing there"):
        run_step("look", ["sh", "-c", "echo nothing there; exit 3"])


def test_versions_may_be_given_without_the_patch_number() -> None:
    assert full_version("1.20") == "1.20.5"
    assert full_version("2.3.0") == "2.3.0"
    with pytest.raises(ValueError, match=r"Flink 1\.17 is not one of 1\.20\.5, "):
        full_version("1.17")


def test_ports_are_never_given_twice() -> None:
    ports = [free_port() for _ in range(50)]
    assert len(set(ports)) == 50


def test_an_incomplete_line_of_the_audit_log_is_left_out(tmp_path: Path) -> None:
    line = (
        '{"requestReceivedTimestamp":"2026-01-02T03:04:05.678901Z","user":{"username":"bob"},"verb":"patch",'
        '"objectRef":{"resource":"flinkjobs","subresource":"status","namespace":"n","name":"j"},'
        '"responseStatus":{"code":409},"requestURI":"/x","userAgent":"a"}'
    )
    (tmp_path / "audit.log").write_text(f"{line}\n{line[:40]}")
    (event,) = audit_events(tmp_path / "audit.log")
    assert (event.user, event.verb, event.resource, event.code) == ("bob", "patch", "flinkjobs/status", 409)
    assert (event.namespace, event.name, event.time.year) == ("n", "j", 2026)
