"""The English of the reference and of the operator's settings: words over which readers stumble are not used."""

from __future__ import annotations

import re

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


def test_no_reader_stumbles() -> None:
    found = texts()
    assert len(found) > 1000
    assert {where: text for where, text in found.items() if STUMBLING.search(text)} == {}


@pytest.mark.parametrize(
    "text", ["Absent: none.", "where it lies", "may not be spoken to", "ends by itself", "was told"]
)
def test_such_a_word_is_found(text: str) -> None:
    assert STUMBLING.search(text)
