"""The English of reference, settings, messages, pages and comments of the code: no words over which readers stumble."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator

import pytest

from deploy.local.environment import REPOSITORY
from flinkjob.api.reasons import Reason
from flinkjob.settings import Settings

STUMBLING = re.compile(r"Absent:|\b(lies|told|spoken to|speaks to|by itself|comes to its own end)\b")


IN_COMMENTS = re.compile(r"\b(lies?|told|tells?|spoken to|speaks? to|by itself|lets? go)\b", re.IGNORECASE)
"""Words of another meaning for each reader, which docstrings and comments do without too."""


def texts() -> dict[str, str]:
    """Every line of the reference, description of a setting and explanation of a reason, by where it stands."""
    reference = (REPOSITORY / "crds" / "README.md").read_text().splitlines()
    lines = {f"crds/README.md:{number}": line for number, line in enumerate(reference, 1)}
    settings = {f"--{name}": field.description or "" for name, field in Settings.model_fields.items()}
    return lines | settings | {str(reason): reason.explanation for reason in Reason}


def messages() -> dict[str, str]:
    """Every text in the operator's code that is no docstring."""
    found = {}
    for path in sorted((REPOSITORY / "operator").rglob("*.py")):
        tree = ast.parse(path.read_text())
        docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
                found[f"{path.relative_to(REPOSITORY)}:{node.lineno}:{node.col_offset}"] = node.value
    return found


def pages() -> Iterator[tuple[str, str]]:
    """Every line of the pages that a person reads on the way to a running operator."""
    folders = [*(REPOSITORY / "deploy").glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")]
    for page in (REPOSITORY / "README.md", *sorted(folders)):
        for number, line in enumerate(page.read_text().splitlines(), 1):
            yield f"{page.relative_to(REPOSITORY)}:{number}", re.sub("`[^`]*`", "", line)


def comments() -> dict[str, str]:
    """Every docstring and comment of the operator's code, without what it quotes."""
    found = {}
    for path in sorted((REPOSITORY / "operator").rglob("*.py")):
        for token in tokenize.generate_tokens(io.StringIO(path.read_text()).readline):
            is_docstring = token.type == tokenize.STRING and token.string.startswith('"""')
            if is_docstring or token.type == tokenize.COMMENT:
                text = re.sub("`[^`]*`", "", token.string)
                found[f"{path.relative_to(REPOSITORY)}:{token.start[0]}:{token.start[1]}"] = text
    return found


def test_no_reader_of_the_code_stumbles() -> None:
    found = comments()
    assert len(found) > 1500
    assert {where: text for where, text in found.items() if IN_COMMENTS.search(text)} == {}


@pytest.mark.parametrize("text", ["what lies there", "it is told", "lets it go, by itself", "Let go.", "speaks to it"])
def test_such_a_word_is_found_in_a_comment(text: str) -> None:
    assert IN_COMMENTS.search(text)


def test_no_reader_stumbles() -> None:
    found = texts() | messages() | dict(pages())
    assert len(found) > 4000
    assert {where: text for where, text in found.items() if STUMBLING.search(text)} == {}


@pytest.mark.parametrize(
    "text", ["Absent: none.", "where it lies", "may not be spoken to", "ends by itself", "was told"]
)
def test_such_a_word_is_found(text: str) -> None:
    assert STUMBLING.search(text)
