"""The pages: every command can be called, every manifest can be used, every link leads somewhere, in plain English."""

from __future__ import annotations

import ast
import json
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from deploy.local.environment import REPOSITORY
from flinkjob.api.reasons import Reason
from flinkjob.cli.main import program
from flinkjob.cli.manifests import Manifest
from flinkjob.cli.validate import findings
from flinkjob.settings import Settings
from flinkjob.ui.command import ui
from tests.support import pagecommands, pages, reasons
from tests.support.pages import Found

OURS = ("fj", "fsp", "flinkjob", "flinksavepoint")
KUBECTL = {
    "annotate", "apply", "create", "delete", "describe", "explain", "get", "patch", "port-forward", "scale", "wait",
}  # fmt: skip
MADE_BY_READERS = {"clicks.yaml", "flinksessionjob.yaml", "flinkjob.yaml", "flinkjobs.yaml", "flinksavepoints.yaml"}
SHELL = {"set", "export", "pip"}
CHART_VALUES = yaml.safe_load((REPOSITORY / "deploy" / "chart" / "values.yaml").read_text())
COMMANDS = pages.commands()
MANIFESTS = pages.manifests()
FOR_DEVELOPERS = (REPOSITORY / "docs" / "architecture.md", REPOSITORY / "deploy" / "README.md")
LONGEST_SENTENCE = 2 * 126
"""Characters: two lines."""


def test_there_are_many() -> None:
    assert len(COMMANDS) > 120
    assert len(MANIFESTS) > 20
    assert len(pages.PAGES) > 20


def test_the_page_of_reasons_is_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert (reasons.main(["--check"]), capsys.readouterr().err) == (0, "")


def test_every_reason_has_its_section() -> None:
    sections = re.findall(r"^## (\w+)$", reasons.PAGE.read_text(), re.MULTILINE)
    assert sorted(sections) == sorted(map(str, Reason))


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_a_command_can_be_called(command: Found) -> None:
    words = shlex.split(command.text.partition(" > ")[0].partition(" '>' ")[0])
    program, arguments = Path(words[0]).name, words[1:]
    match program:
        case "kubectl" if arguments[0] == "flinkjob":
            plugin(arguments[1:])
        case "kubectl":
            kubectl(arguments)
        case "helm":
            helm(arguments)
        case "make":
            targets = re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
            assert {each for each in arguments if "=" not in each} <= set(targets)
        case "flinkjob-operator":
            flags = {each.removeprefix("--").replace("-", "_") for each in arguments if each.startswith("--")}
            assert flags <= set(Settings.model_fields)
        case _:
            assert program.rstrip(";") in SHELL, program


def test_each_command_is_run_by_a_test_or_has_a_reason() -> None:
    """Both tables are complete, and nothing in them is of a page or a command that there is no more."""
    without = {each.text for each in COMMANDS if each.page not in pagecommands.RUN}
    assert without - pagecommands.NOT_RUN.keys() == set(), "in pages whose commands no test runs"
    assert pagecommands.NOT_RUN.keys() - {each.text for each in COMMANDS} == set()
    assert pagecommands.RUN.keys() - {each.page for each in pagecommands.run()} == set()
    for test in {test for tests in pagecommands.RUN.values() for test in tests.split(", ")}:
        assert (REPOSITORY / "tests" / test).exists(), test
    assert len(pagecommands.run()) > 3 * len(pagecommands.only_checked())


def plugin(arguments: Sequence[str]) -> None:
    """The words are those of a command of the plugin."""
    group: Any = typer.main.get_command(program({"ui": ui}))
    if arguments[0] == "--help":
        return
    command = group.commands[arguments[0]]
    command.make_context(arguments[0], list(arguments[1:]), resilient_parsing=False)


def kubectl(arguments: Sequence[str]) -> None:
    """A known verb, files that are there, and patches that give a usable FlinkJob."""
    rest = list(arguments)
    while rest[0] in ("-n", "--namespace"):
        del rest[:2]
    assert rest[0] in KUBECTL, rest[0]
    for flag in ("-k", "-f", "--patch-file"):
        for path in (rest[at + 1] for at, word in enumerate(rest) if word == flag):
            assert path == "-" or path in MADE_BY_READERS or (REPOSITORY / path).exists(), path
    if rest[0] == "patch" and rest[1] in OURS:
        assert_patch(json.loads(rest[rest.index("-p") + 1]))


def assert_patch(patch: dict[str, Any]) -> None:
    """A merge patch makes a usable FlinkJob of one."""
    body = {
        "apiVersion": "flinkjob.dev/v1alpha1",
        "kind": "FlinkJob",
        "metadata": {"name": "clicks"},
        "spec": {"cluster": {"url": "http://flink:8081"}, "jar": {"uri": "https://repo.example.com/a.jar"}}
        | patch["spec"],
    }
    assert usable(body) == []


def usable(body: dict[str, Any]) -> list[str]:
    """What the models find."""
    return [each.words for each in findings(Manifest(place="page", body=body))]


def helm(arguments: Sequence[str]) -> None:
    """The chart of the repository, and values that it has."""
    assert arguments[0] in ("install", "upgrade", "uninstall")
    assert arguments[0] == "uninstall" or "deploy/chart" in arguments
    for at, word in enumerate(arguments):
        if word == "--set":
            assert_values(arguments[at + 1].partition("=")[0].split("."), CHART_VALUES)


def assert_values(path: Sequence[str], values: Any) -> None:
    """The chart has a value of this path."""
    for name in path:
        assert name in values, path
        values = values[name]


def assert_known(given: Any, known: Any, path: str = "") -> None:
    """All names of a file of values are names of the chart."""
    if isinstance(given, dict) and isinstance(known, dict):
        for name, value in given.items():
            assert name in known, f"{path}{name}"
            assert_known(value, known[name], f"{path}{name}.")


@pytest.mark.parametrize("manifest", MANIFESTS, ids=str)
def test_a_manifest_can_be_used(manifest: Found) -> None:
    for body in pages.documents(manifest):
        if str(body.get("apiVersion", "")).startswith("flinkjob.dev/"):
            assert usable(body) == []
        elif "kind" not in body:
            assert manifest.text.startswith("# values for helm"), "neither a manifest nor values"
            assert_known(body, CHART_VALUES)


@pytest.mark.parametrize("page", pages.PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text()
    for target, anchor in re.findall(r"\]\(([^()\s#:]*)#?([^()\s:]*)\)", text):
        there = (page.parent / target).resolve() if target else page
        assert there.exists(), target
        if anchor and there.suffix == ".md":
            heads = re.findall(r"^#+ (.+)$", there.read_text(), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}, anchor


@pytest.mark.parametrize("page", [page for page in pages.PAGES if page not in FOR_DEVELOPERS], ids=str)
def test_no_sentence_is_longer_than_two_lines(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"\]\([^()]*\)", "]", re.sub(r"^[|>#<!].*$", "\n", text, flags=re.MULTILINE))
    paragraphs = re.split(r"\n\s*\n|\n(?=[-*\d]+\.? )", text)
    sentences = [each for part in paragraphs for each in re.split(r"(?<=[.:;?!])\s+", " ".join(part.split()))]
    assert [each for each in sentences if len(each) > LONGEST_SENTENCE] == []


def test_the_site_has_every_page() -> None:
    """Beside those of docs/ it has pages that are elsewhere in the repository."""
    site = (REPOSITORY / "mkdocs.yml").read_text().partition("\nnav:")[2]
    hook = ast.parse((REPOSITORY / "deploy" / "local" / "docsite.py").read_text())
    named = {ast.unparse(each.target): each.value for each in hook.body if isinstance(each, ast.AnnAssign)}
    elsewhere = ast.literal_eval(ast.unparse(named["PAGES"] or ast.Dict()))
    docs = REPOSITORY / "docs"
    pages_of_docs = [str(page.relative_to(docs)) for page in docs.rglob("*.md")]
    assert sorted(re.findall(r"^ +- (\S+\.md)$", site, re.MULTILINE)) == sorted([*pages_of_docs, *elsewhere.values()])
    assert [source for source in elsewhere if not (REPOSITORY / source).exists()] == []


def test_a_wrong_command_is_found() -> None:
    for wrong in ("kubectl flinkjob rescale clicks", "kubectl flinkjob fly clicks", "kubectl apply -f nowhere.yaml"):
        with pytest.raises((AssertionError, KeyError, typer.TyperException)):
            test_a_command_can_be_called(Found("page", wrong))
    with pytest.raises(AssertionError):
        test_a_command_can_be_called(Found("page", "helm install a deploy/chart --set operator.nothing=1"))
    with pytest.raises(AssertionError):
        assert_patch({"spec": {"parallelismm": 2}})
