"""The page of what is shown when a job does not run is what the operator says, and says something in each case."""

from __future__ import annotations

import pytest

from tests.support import troubleshooting
from tests.support.troubleshooting import Situation


def test_the_page_is_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert (troubleshooting.main(["--check"]), capsys.readouterr().err) == (0, "")


@pytest.mark.parametrize("situation", list(troubleshooting.situations()), ids=lambda each: each.words)
def test_every_situation_has_a_message_that_is_no_name_of_a_state(situation: Situation) -> None:
    text = troubleshooting.section(situation)
    message = next(line for line in text.splitlines() if line.startswith("> ")).removeprefix("> ")
    assert len(message) > 10
    assert "None" not in message
