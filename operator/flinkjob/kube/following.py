"""What a person reads again and again, by watches instead of requests: for the commands with `-w`.

Invariant: whoever may read an object but neither list nor watch it sees it all the same, by a request each time.
"""

from __future__ import annotations

from typing import Any

from flinkjob.kube.errors import Forbidden, Gone
from flinkjob.kube.kinds import Kind
from flinkjob.kube.user import UserClient
from flinkjob.kube.watching import Followed

NOT_FOUND = 404


class FollowingClient(UserClient):
    """The client of a person, whose connection it shares; its reads are of objects as they are now."""

    def __init__(self, of: UserClient) -> None:
        super().__init__(of._api, of.namespace)
        self._of = of
        self._known: dict[tuple[str, str | None, str], Followed[dict[str, Any]]] = {}

    async def get(self, kind: Kind, namespace: str, name: str) -> dict[str, Any]:
        """As `UserClient.get`."""
        try:
            found = await self.all(kind, namespace, f"metadata.name={name}")
        except Forbidden:
            return await super().get(kind, namespace, name)
        if not found:
            raise Gone(NOT_FOUND, f"get {kind.plural} {namespace}/{name}: not found")
        return found[0]

    async def all(self, kind: Kind, namespace: str | None, fields: str = "") -> list[dict[str, Any]]:
        """As `UserClient.all`."""
        key = (kind.plural, namespace, fields)
        if key not in self._known:
            self._known[key] = self._of.follow(kind, namespace, dict, fields)
        return await self._known[key].now()

    async def events(self, namespace: str, name: str | None) -> list[dict[str, Any]]:
        """As `UserClient.events`."""
        key = ("events", namespace, name or "")
        if key not in self._known:
            self._known[key] = self._of.follow_events(namespace, name)
        return await self._known[key].now()
