"""Lists of the API server, page by page.

Used by `client` and `user`. Invariant: a list begins again that the API server can no longer continue (410, after minutes).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

from flinkjob.kube.connection import Connection
from flinkjob.kube.errors import Gone, KubeRejected

PAGE_SIZE: Final = 500
LIST_RESTARTS: Final = 3
_EXPIRED: Final = 410


async def pages(
    api: Connection, resource: str, path: str, *, subject: str, selection: Mapping[str, str] | None = None
) -> AsyncIterator[list[dict[str, Any]] | None]:
    """All pages; None where all begins again.

    Args:
        selection: parameters of the query that say which objects are meant.

    Raises:
        KubeRejected: the list had to begin again too often.
    """
    for _ in range(LIST_RESTARTS):
        query = {"limit": str(PAGE_SIZE), **(selection or {})}
        try:
            while True:
                page = await api.request("list", resource, path, subject=subject, query=query)
                yield page.get("items") or []
                token = (page.get("metadata") or {}).get("continue")
                if not token:
                    return
                query["continue"] = token
        except Gone as gone:
            if gone.code != _EXPIRED:
                raise
        yield None
    raise KubeRejected(_EXPIRED, f"list {resource} {subject}: the list changes faster than it can be read")


async def items(
    api: Connection, resource: str, path: str, *, subject: str, selection: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    """The objects of all pages together. Raises as `pages` does."""
    found: list[dict[str, Any]] = []
    async for page in pages(api, resource, path, subject=subject, selection=selection):
        found = found + page if page is not None else []
    return found
