"""Flags beat the environment, wrong values are one line each, and help can be read."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from flinkjob.settings import PROGRAM, Settings, load


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"FLINKJOB_{name.upper()}", raising=False)


def test_defaults() -> None:
    settings = load([])
    assert settings.namespaces == ()
    assert settings.identity == "default"
    assert (settings.poll_fast_ms, settings.poll_slow_ms, settings.workers) == (200, 2000, 64)
    assert settings.kubeconfig is None
    with pytest.raises(ValidationError):
        settings.workers = 3  # type: ignore[misc]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--namespaces", "a,b", "--artifact-dirs", "/jars,/more"],
        ["--namespaces", "a", "--namespaces", "b,a", "--artifact-dirs=/jars, /more"],
    ],
)
def test_lists(arguments: list[str]) -> None:
    settings = load(arguments)
    assert settings.namespaces == ("a", "b")
    assert settings.artifact_dirs == (Path("/jars"), Path("/more"))


def test_flags_beat_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLINKJOB_NAMESPACES", "a,b")
    monkeypatch.setenv("FLINKJOB_WORKERS", "3")
    monkeypatch.setenv("FLINKJOB_LOG_LEVEL", "debug")
    monkeypatch.setenv("FLINKJOB_KUBECONFIG", "")
    settings = load(["--workers", "4", "--kubeconfig", "/etc/kubeconfig"])
    assert (settings.namespaces, settings.workers, settings.log_level) == (("a", "b"), 4, "DEBUG")
    assert settings.kubeconfig == Path("/etc/kubeconfig")
    assert load([]).kubeconfig is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--workers", "0"], "--workers (or FLINKJOB_WORKERS): Input should be greater than or equal to 1, got '0'"),
        (["--log-format", "xml"], "--log-format (or FLINKJOB_LOG_FORMAT): Input should be 'json' or 'text', got 'xml'"),
        (["--namespaces", "a,B_"], "'B_' is not a DNS label"),
        (["--identity", "a.b"], "'a.b' is not a DNS label"),
        (["--cache-dir", "jars"], "'jars' is not an absolute path"),
        (["--poll-fast-ms", "5000"], "--poll-slow-ms must not be smaller than --poll-fast-ms"),
        (["--max-cache-mb", "10"], "--max-cache-mb must not be smaller than --max-artifact-mb"),
        (["--health-port", "http"], "--health-port (or FLINKJOB_HEALTH_PORT): Input should be a valid integer"),
        (["--allowed-hosts", "a.example,10.0.0.1/8"], "'10.0.0.1/8' is no address, network, host or *.domain"),
        (
            ["--shards", "2", "--lease-namespace", "a", "--identity", "x" * 46],
            "flinkjob-operator: --shards needs an --identity of at most 45 characters",
        ),
        (["--nope"], "unrecognized arguments: --nope"),
    ],
)
def test_wrong_values_exit_with_2(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        load(arguments)
    assert exit_.value.code == 2
    assert message in capsys.readouterr().err


def test_an_identity_may_be_as_long_as_the_label_of_its_leases() -> None:
    longest = "x" * 45
    shared = load(["--shards", "2", "--lease-namespace", "a", "--identity", longest])
    assert len(f"{PROGRAM}-{shared.identity}") == 63
    assert load(["--lease-namespace", "a", "--identity", "x" * 63]).shards == 1


def test_every_wrong_value_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        load(["--workers", "0", "--health-port", "-1"])
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 2
    assert all(line.startswith("flinkjob-operator: --") for line in error.splitlines())


def test_help(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    with pytest.raises(SystemExit) as exit_:
        load(["--help"])
    assert exit_.value.code == 0
    text = capsys.readouterr().out
    for name in Settings.model_fields:
        assert ("--" + name.replace("_", "-") in text) == (name != "fault_kill_at")
    assert "FLINKJOB_" in text
    assert "tuple" not in text


def test_what_is_logged_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load([]).shown()["health_port"] == 8080
    assert "fault_kill_at" not in load([]).shown()
    monkeypatch.setenv("FLINKJOB_FAULT_KILL_AT", "submit-sent")
    assert load([]).fault_kill_at == "submit-sent"
    assert load([]).shown()["fault_kill_at"] == "submit-sent"
