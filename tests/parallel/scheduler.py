"""Hands the groups to the workers: the longest first, and to a worker that has already started what the group needs."""

from __future__ import annotations

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

from tests.parallel.groups import group_of, needs_of, seconds_of

START_SECONDS = 60.0
"""What it costs to start one of the things in `needs_of` a second time, beside everything else."""


class GroupScheduling(LoadScopeScheduling):
    """One queue of groups for all workers."""

    def __init__(self, config: pytest.Config, log: Producer) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False
        self._started: dict[WorkerController, set[str]] = {}

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)

    def _assign_work_unit(self, node: WorkerController) -> None:
        chosen = self._choose(node)
        self._started.setdefault(node, set()).update(needs_of(chosen))
        self.workqueue.move_to_end(chosen, last=False)
        super()._assign_work_unit(node)

    def _choose(self, node: WorkerController) -> str:
        """The longest group, less what has to be started for it although another worker has it."""
        here = self._started.get(node, set())
        elsewhere = set().union(*(things for worker, things in self._started.items() if worker is not node))

        def worth(group: str) -> float:
            again = (needs_of(group) - here) & elsewhere
            return seconds_of(group, len(self.workqueue[group])) - START_SECONDS * len(again)

        return max(self.workqueue, key=worth)
