"""Lists of the API server, page by page, and watches of what they list.

Used by `client` and `user`. Invariant: a list begins again that the API server can no longer continue (410, after minutes).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from flinkjob.kube.connection import Connection
from flinkjob.kube.errors import EXPIRED, Gone, KubeRejected

PAGE_SIZE: Final = 500
LIST_RESTARTS: Final = 3
WATCH_SECONDS: Final = 290
"""After which the API server ends a watch, which then begins again where it was."""
SILENT_SECONDS: Final = 90.0
"""So long may a watch be silent; the API server says each minute that it is still there."""
MOST_LINE: Final = 4 * 1024 * 1024
"""Bytes of an object in a watch; etcd takes less than half of it."""


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list.

    Attributes:
        version: of the whole list, from which a watch can go on.
    """

    items: list[dict[str, Any]]
    version: str


async def pages(
    api: Connection, resource: str, path: str, *, subject: str, selection: Mapping[str, str] | None = None
) -> AsyncIterator[Page | None]:
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
                meta = page.get("metadata") or {}
                yield Page(page.get("items") or [], str(meta.get("resourceVersion") or ""))
                token = meta.get("continue")
                if not token:
                    return
                query["continue"] = token
        except Gone as gone:
            if gone.code != EXPIRED:
                raise
        yield None
    raise KubeRejected(EXPIRED, f"list {resource} {subject}: the list changes faster than it can be read")


async def items(
    api: Connection, resource: str, path: str, *, subject: str, selection: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    """The objects of all pages together. Raises as `pages` does."""
    found: list[dict[str, Any]] = []
    async for page in pages(api, resource, path, subject=subject, selection=selection):
        found = found + page.items if page is not None else []
    return found


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What is listed or watched.

    Attributes:
        selection: parameters of the query that say which objects are meant.
    """

    resource: str
    path: str
    subject: str
    selection: Mapping[str, str] = field(default_factory=dict)

    async def items(self, api: Connection) -> list[dict[str, Any]]:
        """See `items`."""
        return await items(api, self.resource, self.path, subject=self.subject, selection=self.selection)

    def pages(self, api: Connection) -> AsyncIterator[Page | None]:
        """See `pages`."""
        return pages(api, self.resource, self.path, subject=self.subject, selection=self.selection)

    def watch(self, api: Connection) -> Callable[[str], AsyncGenerator[bytes, None]]:
        """Begins a watch at a version of the list, see `Connection.lines`."""
        query = {"watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": str(WATCH_SECONDS), **self.selection}

        def begin(version: str) -> AsyncGenerator[bytes, None]:
            at = {**query, "resourceVersion": version}
            return api.lines(
                self.resource, self.path, subject=self.subject, query=at, silence=SILENT_SECONDS, most=MOST_LINE
            )

        return begin
