"""Leases as values, what is written to one, and for how long the Leases of others were seen unchanged.

Used by `leader` and `membership`. Invariant: of two processes' clocks neither is compared with the other, only this process's
own monotonic clock is read.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

LEASE_SECONDS = 15
FOR_EVER = 2**31 - 1
"""Seconds: such a Lease is no longer renewed, and nobody takes it because of its age."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A Lease as it was read; `holder` is empty where it is nobody's, `duration` in seconds."""

    name: str
    holder: str
    version: str
    duration: float
    acquired: str | None
    transitions: int

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Self:
        """From JSON."""
        meta, spec = raw["metadata"], raw.get("spec") or {}
        return cls(
            name=meta["name"],
            holder=str(spec.get("holderIdentity") or ""),
            version=str(meta.get("resourceVersion")),
            duration=float(spec.get("leaseDurationSeconds") or LEASE_SECONDS),
            acquired=spec.get("acquireTime"),
            transitions=int(spec.get("leaseTransitions") or 0),
        )


def body_of(
    namespace: str,
    name: str,
    before: Lease | None,
    *,
    holder: str,
    seconds: int,
    labels: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """What replaces a Lease, unless it was changed meanwhile; None: what creates it."""
    now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    same = before is not None and before.holder == holder
    taken = before is not None and not same and bool(holder)
    spec = {
        "holderIdentity": holder,
        "leaseDurationSeconds": seconds,
        "renewTime": now,
        "acquireTime": before.acquired if before is not None and same and before.acquired else now,
        "leaseTransitions": (before.transitions if before is not None else 0) + taken,
    }
    metadata: dict[str, Any] = {"namespace": namespace, "name": name}
    if labels:
        metadata["labels"] = dict(labels)
    if before is not None:
        metadata["resourceVersion"] = before.version
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}


class Sightings:
    """Since when each Lease of others was seen unchanged."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[Lease, float]] = {}

    def see(self, lease: Lease) -> bool:
        """Note how it is now; whether that is news."""
        before = self._seen.get(lease.name)
        is_news = before is None or before[0].version != lease.version
        if is_news:
            self._seen[lease.name] = (lease, time.monotonic())
        return is_news

    def given_up(self, lease: Lease) -> bool:
        """Whether this very version has been there for its whole duration."""
        before = self._seen.get(lease.name)
        return before is not None and before[0].version == lease.version and self._left(*before) <= 0

    def left(self) -> Iterable[float]:
        """In how many seconds each of them counts as given up that does not yet."""
        return [left for seen in self._seen.values() if seen[0].holder and (left := self._left(*seen)) > 0]

    def _left(self, lease: Lease, since: float) -> float:
        return since + lease.duration - time.monotonic()
