"""What the pages for users say that can be run or applied: code blocks, their commands, and manifests in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from deploy.local.environment import REPOSITORY

PAGES = (REPOSITORY / "README.md", REPOSITORY / "deploy" / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md")))
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_HEREDOC = re.compile(r"^(.*?) ?<<END\n(.*?)^END\n", re.MULTILINE | re.DOTALL)
_STEP = re.compile(r"^.+<<END\n(?s:.*?)^END\n|^.+\n", re.MULTILINE)
_PLACES = {
    "$OTHER_FLINK_URL": "http://flink:8081",
    "$FLINK_URL": "http://flink:8081",
    "$DEMO_JAR_URL": "https://repo.example.com/demo.jar",
    "$KUBECTL ": "kubectl ",
    "$HELM ": "helm ",
}


@dataclass(frozen=True)
class Found:
    """A command or a manifest, and the page that has it."""

    page: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}: {self.text.splitlines()[0][:80]}"


def blocks() -> Iterator[tuple[str, str, str]]:
    """Page, language and text of each code block."""
    for page in PAGES:
        for language, text in _BLOCK.findall(page.read_text(encoding="utf-8")):
            yield str(page.relative_to(REPOSITORY)), language, text


def commands() -> list[Found]:
    """Every line of a block of commands, without comments; a manifest on the standard input is left out."""
    found = []
    for page, language, text in blocks():
        if language in ("", "console") and not _is_output(text):
            lines = _HEREDOC.sub(r"\1\n", text).splitlines()
            found += [Found(page, words) for words in map(known, lines) if words]
    return found


def known(step: str) -> str:
    """A command of a page in the words of `commands`; "" for a comment."""
    line = _usual(_HEREDOC.sub(r"\1\n", step + "\n")).splitlines()[0]
    return shlex.join(shlex.split(line.removeprefix("$ "), comments=True))


def steps(page: Path) -> dict[str, list[str]]:
    """The commands of each section of a page, as they stand there; what is given to one on the standard input is with it."""
    found: dict[str, list[str]] = {}
    for section in page.read_text(encoding="utf-8").split("\n## ")[1:]:
        blocks = [text for language, text in _BLOCK.findall(section) if language == ""]
        found[section.partition("\n")[0]] = [step.rstrip() for text in blocks for step in _STEP.findall(text)]
    return found


def reading(page: str) -> Iterator[tuple[str, str, str]]:
    """What a reader of a page comes to: section, "yaml" or "command", and the manifest or the command as it stands there."""
    section = ""
    for head, language, text in re.findall(
        rf"^## ([^\n]+)\n|{_BLOCK.pattern}", (REPOSITORY / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    ):
        section = head or section
        if language == "yaml":
            yield section, "yaml", text
        elif text and language in ("", "console") and not _is_output(text):
            steps = (step.strip().removeprefix("$ ") for step in _STEP.findall(text))
            yield from ((section, "command", step) for step in steps if step)


def manifests() -> list[Found]:
    """Every manifest: a block of YAML, or the standard input of a command."""
    found = []
    for page, language, text in blocks():
        texts = [text] if language == "yaml" else [body for _, body in _HEREDOC.findall(_usual(text))]
        found += [Found(page, each) for each in texts]
    return found


def documents(found: Found) -> list[dict[str, Any]]:
    """The objects of a manifest."""
    return [each for each in yaml.safe_load_all(found.text) if each]


def _usual(text: str) -> str:
    for old, new in _PLACES.items():
        text = text.replace(old, new)
    return text


def _is_output(text: str) -> bool:
    """A screen that a command prints, which begins with no command."""
    first = text.lstrip().split(maxsplit=2)
    return first[0].startswith("shop/") or (first[0] == "$" and "NAME " in text)
