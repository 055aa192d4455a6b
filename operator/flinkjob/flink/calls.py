"""Base of the client's parts: what they have in common, a connection.

Used by: `cluster`, `jars`, `jobs`, `loads`, `snapshots`, `rescale`. Invariant: parts keep no state.
"""

from urllib.parse import quote

from flinkjob.flink.rest import SMALL_BYTES, Answer, FlinkRest


class Calls:
    """A part of the client."""

    def __init__(self, rest: FlinkRest) -> None:
        self._rest = rest

    async def _get(self, path: str, *, limit: int = SMALL_BYTES, **params: str | int) -> Answer:
        """
        Args:
            limit: longest answer, in bytes.
        """
        return await self._rest.call("GET", path, params=params or None, timeout=self._rest.timeout, limit=limit)

    async def _post(self, path: str, json: dict[str, object]) -> Answer:
        return await self._rest.call("POST", path, json=json, timeout=self._rest.timeout)


def segment(text: str) -> str:
    """One part of a path, quoted: file names may hold anything."""
    return quote(text, safe="")
