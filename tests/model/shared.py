"""Two replicas that share the clusters out, in the world of the model: one has `flink-a`, the other `flink-b`.

Used by `test_shared.py`. Each hears of changes in their order but late, and not at the same time as the other.
"""

from __future__ import annotations

import random
from typing import Any

from flinkjob.core.shards import shard_of
from flinkjob.kube.kinds import Kind
from tests.model.machine import Machine
from tests.model.memorykube import Object
from tests.model.plant import HOSTS, OperatorInstance, Plant

SHARDS = len(HOSTS)
LATEST = 0.4
"""Seconds after which each change has been heard of."""


class SharedPlant(Plant):
    """The world; `operator` is the replica that dies or is restarted next, they take turns."""

    def __init__(self, *args: Any, **fields: Any) -> None:
        self._heard: dict[int, float] = {}
        self._shards = [shard_of(f"http://{host}.ns.svc", SHARDS) for host in HOSTS]
        assert sorted(self._shards) == list(range(SHARDS))
        self._next = self._shards[0]
        super().__init__(*args, **fields)
        self._next = self._shards[1]
        self.other = self.run(self._make())

    async def _make(self) -> OperatorInstance:
        return OperatorInstance(self, shards=SHARDS, mine=frozenset({self._next}))

    def _tell(self, event: str, kind: Kind, obj: Object) -> None:
        for one in self.hearing:
            now = self.loop.time()
            due = self._heard[id(one)] = max(self._heard.get(id(one), 0.0), now + random.uniform(0, LATEST))
            self.loop.call_at(due, one.hear, event, kind, obj)

    def pass_time(self, seconds: float, *, revive: bool = True) -> None:
        super().pass_time(seconds, revive=revive)
        if revive and self.other.faults.dead:
            self._turn()
            self.restart()

    def restart(self) -> None:
        (self._next,) = self.operator.sharing._mine()
        super().restart()
        self._turn()

    def _turn(self) -> None:
        self.operator, self.other = self.other, self.operator

    def close(self) -> None:
        super().close()
        self.run(self.other.kill())


class SharedMachine(Machine):
    """The same people, clusters and deaths, with two replicas."""

    PLANT = SharedPlant
