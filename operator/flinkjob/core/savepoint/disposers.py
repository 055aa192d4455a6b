"""Which clusters may dispose of the data of a FlinkSavepoint, and what their answers prove."""

from __future__ import annotations

from flinkjob.core.addresses import addresses
from flinkjob.core.facts import Accessible, Address, JobsOfNamespace
from flinkjob.core.flinkmodel import TriggerResult, TriggerState, is_local
from flinkjob.core.savepoint.draft import SavepointDraft
from flinkjob.core.seen import DisposalPhase, DisposalSeen

MOST = 5
"""How many clusters are asked to dispose of one snapshot."""


def disposers(draft: SavepointDraft, location: str) -> tuple[str, ...]:
    """Addresses, the most suitable first: the cluster that made the data, the job's, then others of the namespace.

    What is on a local path is left to the first two, which see the same files. Where the first one is comes from a mark that
    people can write: like all others it must be one that the namespace may connect to.
    """
    spec, job = draft.spec, draft.given.job
    found = [Address(draft.before.cluster_url or "")]
    if spec is not None and spec.target is not None:
        cluster = spec.target.cluster.as_cluster()
        found.append(Address(cluster.address(draft.meta.namespace), cluster))
    if job is not None:
        found += map(Address, addresses(job))
    if not is_local(location):
        others = draft.need(JobsOfNamespace())
        found += [Address(addresses(one)[1], one.spec.cluster if one.spec is not None else None) for one in others]
    return draft.need(Accessible(tuple(found), most=MOST))


def outcome(result: TriggerResult, location: str, *, first: bool) -> DisposalSeen:
    """What the end of a disposal proves. That data are missing is believed of a cluster that would see them.

    Args:
        first: whether this cluster was asked before all others.
    """
    if result.missing and is_local(location) and not first:
        return DisposalSeen(phase=DisposalPhase.FAILED, message="it does not find it, but others may")
    if result.state is TriggerState.COMPLETED:
        return DisposalSeen(phase=DisposalPhase.DONE)
    return DisposalSeen(phase=DisposalPhase.FAILED, message=result.failure or "Flink has forgotten the disposal")
