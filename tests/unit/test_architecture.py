"""docs/architecture.md names files that exist, words of the code, and every entrance of the core; no module is long."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[2]
OPERATOR = ROOT / "operator" / "flinkjob"
PAGE = ROOT / "docs" / "architecture.md"
CORE = OPERATOR / "core"
_PATH = re.compile(r"[\w.-]+(/[\w.-]+)*/?")
_FILE = re.compile(r".*(/.*|\.(py|md|toml|yaml|json))")
_NAME = re.compile(r"[A-Za-z_][\w.]*")


def quoted(text: str) -> set[str]:
    """What stands in backticks, without what stands in pictures."""
    return set(re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL)))


def paths(text: str) -> set[str]:
    """The paths among what is quoted."""
    return {each for each in quoted(text) if _PATH.fullmatch(each) and _FILE.fullmatch(each)}


def pictured(text: str) -> set[str]:
    """The files and folders in the pictures."""
    pictures = "".join(re.findall(r"```mermaid\n(.*?)```", text, flags=re.DOTALL))
    return set(re.findall(r"\b[\w/]+(?:\.py\b|/(?=[\s\"<]))", pictures))


def missing(named: Iterable[str], *below: Path) -> list[str]:
    """Those of the paths that none of these folders has."""
    return sorted(each for each in named if not any((folder / each).exists() for folder in below))


def test_every_path_exists() -> None:
    text = PAGE.read_text()
    assert len(paths(text)) > 60
    assert missing(paths(text), OPERATOR, ROOT) == []
    assert len(pictured(text)) > 15
    assert missing(pictured(text), OPERATOR, CORE) == []
    assert missing(re.findall(r"\]\(([^)#]+)", text), PAGE.parent) == []


def test_every_name_is_a_word_of_the_code() -> None:
    files = [*OPERATOR.rglob("*.py"), *(ROOT / "tests").rglob("*.py"), *(ROOT / "crds").glob("*.yaml")]
    words = {word for file in files if file != Path(__file__) for word in re.findall(r"\w+", file.read_text())}
    text = PAGE.read_text()
    names = {each for each in quoted(text) - paths(text) if _NAME.fullmatch(each)}
    assert len(names) > 20
    assert sorted(each for each in names if each.rpartition(".")[2] not in words) == []


def test_no_part_of_the_command_line_is_left_out() -> None:
    package = OPERATOR / "cli"
    parts = {each.stem for each in package.glob("*.py")} | {each.parent.name for each in package.glob("*/__init__.py")}
    listed = set(re.findall(r"\w+", (package / "__init__.py").read_text()))
    assert parts - {"__init__"} - listed == set()


def test_no_entrance_of_the_core_is_left_out() -> None:
    named = paths(PAGE.read_text())
    modules = [each.name for each in CORE.glob("*.py") if each.name != "__init__.py"]
    folders = [each.parent.name for each in CORE.glob("*/__init__.py")]
    assert sorted(each for each in modules if f"core/{each}" not in named) == []
    assert sorted(each for each in folders if not any(path.startswith(f"core/{each}/") for path in named)) == []


def longer_than(lines: int, *files: Path) -> list[str]:
    """The files that have more lines."""
    return sorted(file.name for file in files if len(file.read_text().splitlines()) > lines)


def test_no_module_has_more_than_400_lines() -> None:
    modules = list(OPERATOR.rglob("*.py"))
    assert len(modules) > 100
    assert longer_than(400, *modules) == []
    assert longer_than(20, Path(__file__)) == [Path(__file__).name]


def test_a_path_that_is_gone_is_found(tmp_path: Path) -> None:
    text = "`core/gone.py` and `core/`, `draft.wait`, `POST /jobs/:id/stop`, `make crds`\n```mermaid\nx[here/old.py]\n```\n"
    (tmp_path / "core").mkdir()
    assert paths(text) == {"core/gone.py", "core/"}
    assert missing(paths(text), tmp_path) == ["core/gone.py"]
    assert missing(pictured(text), tmp_path) == ["here/old.py"]
