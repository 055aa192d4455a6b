"""The English that users read (reference, settings, messages, pages): words over which readers stumble are not used."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from deploy.local.environment import REPOSITORY
from flinkjob.api.reasons import Reason
from flinkjob.settings import Settings

STUMBLING = re.compile(r"Absent:|\b(lies|told|spoken to|speaks to|by itself|comes to its own end)\b")


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
    for page in (REPOSITORY / "README.md", *sorted((REPOSITORY / "deploy").glob("*.md"))):
        for number, line in enumerate(page.read_text().splitlines(), 1):
            yield f"{page.relative_to(REPOSITORY)}:{number}", re.sub("`[^`]*`", "", line)


def test_no_reader_stumbles() -> None:
    found = texts() | messages() | dict(pages())
    assert len(found) > 4000
    assert {where: text for where, text in found.items() if STUMBLING.search(text)} == {}


@pytest.mark.parametrize(
    "text", ["Absent: none.", "where it lies", "may not be spoken to", "ends by itself", "was told"]
)
def test_such_a_word_is_found(text: str) -> None:
    assert STUMBLING.search(text)
