"""A FlinkSavepoint that is being deleted with its data: dispose of them unless they are in use, and let the object go.

Part of `decide_savepoint`. Invariants: the intent is in the status before the disposal; it ends at its deadline.
"""

from __future__ import annotations

from dataclasses import replace

from flinkjob.api.common import (
    SnapshotDeletion,
    duration_seconds,
)
from flinkjob.api.flinksavepoint_spec import FlinkSavepointSpec
from flinkjob.core.actions import (
    RemoveFinalizer,
)
from flinkjob.core.draft import FAST
from flinkjob.core.flinkmodel import (
    normalise_location,
)
from flinkjob.core.model import (
    DisposalPhase,
    Fact,
    NeedFact,
    Needs,
    SavepointDecision,
)
from flinkjob.core.reasons import Reason
from flinkjob.core.savepoint_round import SavepointRound


class DeletionRound(SavepointRound):
    """Deletion with the data."""

    # deletion with its data

    def _delete(self, spec: FlinkSavepointSpec | None) -> SavepointDecision:
        """Dispose of the data unless they are in use, and let the object go, at the deadline in any case."""
        location = self.before.location
        if spec is None or location is None or spec.deletion.policy is SnapshotDeletion.RETAIN:
            return self._let_go()
        deleted = self.meta.deletion_time or self.now
        late = (self.now - deleted).total_seconds() >= duration_seconds(spec.deletion.timeout)
        if normalise_location(location) in self.given.in_use:
            return self._keep(late, f"{location} is in use")
        if not self.before.deleting:
            self.status = replace(self.before, deleting=True)
            self._again(FAST)
            return SavepointDecision(status=self.status, actions=tuple(self.actions), requeue_after=self.requeue)
        observation = self.given.observation
        if Fact.DISPOSAL not in observation.known or observation.disposal is None:
            url = self.before.cluster_url or observation.cluster.url
            raise NeedFact(Needs(fact=Fact.DISPOSAL, url=url, directory=location))
        match observation.disposal.phase:
            case DisposalPhase.DONE:
                self._event(Reason.SnapshotDeleted, location)
                return self._let_go()
            case DisposalPhase.WORKING:
                return self._keep(late, "it is being disposed of")
            case DisposalPhase.FAILED:
                return self._keep(late, observation.disposal.message)

    def _keep(self, late: bool, why: str) -> SavepointDecision:
        if late:
            self._event(Reason.SnapshotKept, f"{self.before.location} stays: {why}", warning=True)
            return self._let_go()
        self._again(5.0)
        return self._done()

    def _let_go(self) -> SavepointDecision:
        self.actions.append(RemoveFinalizer())
        return self._done()
