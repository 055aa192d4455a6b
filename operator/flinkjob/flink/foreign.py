"""Texts that programs and libraries write, of any length: cut before anything looks into them.

Used by `wire` for messages and stack traces. Invariant: the cut itself costs one pass, whatever the text.
"""

from typing import Annotated, Any

from pydantic import BeforeValidator

MOST_CHARACTERS = 8192
"""The longest text that is looked into."""


def _cut(value: Any) -> Any:
    """The beginning of a long text and its innermost cause, found without a regular expression."""
    if not isinstance(value, str) or len(value) <= MOST_CHARACTERS:
        return value
    half = MOST_CHARACTERS // 2
    innermost = max(value.rfind("\nCaused by: "), half)
    return f"{value[:half]}{value[innermost : innermost + half]}"


Foreign = Annotated[str, BeforeValidator(_cut)]
"""A text of somebody else, at most `MOST_CHARACTERS` long."""
