"""Servers that refuse what a Secret says: they are asked once more where it says something else by now.

Used by `artifacts.fetch` and `runtime.storeaccess`. Invariant: what was refused is not sent a second time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from flinkjob.core.errors import FlinkJobError

DENIED: Final = frozenset({401, 403})
"""HTTP statuses by which a server refuses credentials."""

Given = TypeVar("Given")
Made = TypeVar("Made")


async def ask_again_if_denied(
    given_of: Callable[[bool], Awaitable[Given]],
    ask: Callable[[Given], Awaitable[Made]],
    is_denied: Callable[[FlinkJobError], bool],
) -> Made:
    """What is asked for with credentials.

    Args:
        given_of: makes what goes by Secrets; given True, it reads them again unless that was a moment ago.

    Raises:
        FlinkJobError: as `given_of` and `ask` do.
    """
    given = await given_of(False)
    try:
        return await ask(given)
    except FlinkJobError as error:
        if not is_denied(error):
            raise
        again = await given_of(True)
        if again == given:
            raise
        return await ask(again)
