"""How commands are called and how they end: help, one line for an error, exit codes, what kubectl completes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from flinkjob import plugin
from flinkjob.cli import main
from flinkjob.cli.completing import SCRIPT, candidates
from flinkjob.kube.kubecontext import KubeContext

ROOT = Path(__file__).parents[3]


def test_every_command_says_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    for name in main.COMMANDS:
        assert main.run([name, "--help"]) == 0
        shown = capsys.readouterr().out
        assert shown.startswith(f"Usage: kubectl flinkjob {name} ")
        assert len(shown.splitlines()[2]) > 20


def test_without_a_command_there_is_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run([]) == 0
    shown = capsys.readouterr().out
    assert all(f"  {name} " in shown for name in main.COMMANDS)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nope"], "Error: No such command 'nope'. See kubectl flinkjob --help"),
        (["get", "--nope"], "Error: No such option: --nope See kubectl flinkjob get --help"),
        (["rescale", "clicks"], "Error: Missing argument 'N'. See kubectl flinkjob rescale --help"),
        (["get", "-o", "\x1b[31m"], "Error: Invalid value for '--output' / '-o': Value error, '\\x1b[31m' is"),
    ],
)
def test_a_wrong_call_is_one_line(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(arguments) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(words)
    assert line.isprintable()


def test_without_a_cluster_it_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    assert main.run(["status", "clicks"]) == 1
    assert capsys.readouterr().err == f"Error: no cluster is named: there is no kubeconfig {tmp_path / 'none'}\n"


def test_without_its_extra_the_script_says_what_to_install() -> None:
    code = "import sys; sys.modules['typer'] = None; from flinkjob import plugin; plugin.main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "kubectl-flinkjob: not installed as a whole: pip install 'flinkjob-operator[cli]'\n"
    assert plugin.main is not None


def test_the_words_and_options_of_every_command_are_completed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["__complete", "res"]) == 0
    *found, end = capsys.readouterr().out.splitlines()
    assert [each.split("\t")[0] for each in found] == ["resume", "restart", "rescale"]
    assert end == ":4"
    assert main.run(["__complete", "suspend", "clicks", "--ti"]) == 0
    assert re.match(r"--timeout\tHow long", capsys.readouterr().out)
    assert main.run(["__complete", "get", "-o", "j"]) == 0
    assert capsys.readouterr().out == "json\n:4\n"
    assert main.run(["__complete", "validate", "-f", ""]) == 0
    assert capsys.readouterr().out == ":0\n"
    assert main.run(["__complete", "explain", "Crash"]) == 0
    assert capsys.readouterr().out == "CrashLooping\n:4\n"


def test_commands_and_options_are_completed_without_the_clients() -> None:
    """Their imports take most of the time of a start, and somebody is typing."""
    code = "from flinkjob.cli import main; import sys; main.run(['__complete', 'get', '--out']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    *found, end, modules = done.stdout.splitlines()
    assert ([each.split("\t")[0] for each in found], end) == (["--output"], ":4")
    assert {"kubernetes", "aiohttp", "httpx", "flinkjob.kube.user"}.isdisjoint(modules.split())


def test_names_are_completed_of_the_cluster_that_is_named() -> None:
    asked: list[KubeContext] = []

    def names(chosen: KubeContext) -> list[str]:
        asked.append(chosen)
        return ["clicks", "orders"]

    commands = {"status": ("", {"--namespace=": "", "-n=": ""})}
    words = ["status", "-n", "shop", "--context=prod", "--kubeconfig", "/k", "cl"]
    assert candidates(words, commands, names) == ["clicks", ":4"]
    assert asked == [KubeContext(namespace="shop", context="prod", kubeconfig=Path("/k"))]
    assert candidates(["status", "-n", ""], commands, names) == [":4"]
    assert candidates(["unknown", ""], commands, names) == [":4"]


def test_the_program_that_kubectl_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["completion"]) == 0
    assert capsys.readouterr().out == SCRIPT
    assert SCRIPT.splitlines()[0] == "#!/bin/sh"
