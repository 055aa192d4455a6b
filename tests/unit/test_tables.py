"""A table whose rows lost their sentences is refused when it is collected."""

import pytest

from tests.support.tables import table


@pytest.mark.parametrize(
    "rows",
    [("one", 1, "two"), ("one", 1, 2, "two"), ("one", 1, "one", 2)],
    ids=["a sentence without values", "values without a sentence", "a sentence twice"],
)
def test_a_row_is_a_sentence_and_its_values(rows: tuple[object, ...]) -> None:
    with pytest.raises(ValueError, match="sentence"):
        table("value", *rows)
