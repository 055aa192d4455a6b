"""Tables of cases that read as sentences."""

from __future__ import annotations

import pytest


def table(names: str | tuple[str, ...], *rows: object) -> pytest.MarkDecorator:
    """`pytest.mark.parametrize` whose rows are sentences, each followed by its values.

    A sentence says what is the case and what becomes of it; it is the id of the row. Raises ValueError where a row lacks one.
    """
    sentences, values = rows[::2], rows[1::2]
    if len(sentences) != len(values) or len(set(sentences)) != len(sentences):
        raise ValueError("each row is a sentence of its own and its values")
    ids = [sentence for sentence in sentences if isinstance(sentence, str)]
    if len(ids) != len(sentences):
        raise ValueError(f"a sentence was expected: {sentences}")
    return pytest.mark.parametrize(names, values, ids=ids)
