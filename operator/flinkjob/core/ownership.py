"""May this object act on that Flink job? One answer for `target`, for adoption, and for a job that only the status names.

What speaks, the strongest first: a FlinkJob that claims the job, the owner mark, the job's id. A program can erase the mark
and cannot change the id. Used by the job and savepoint decisions, and by the scan for jobs that belong to no FlinkJob.
Invariant: a job of which something says that it is another's is refused, whatever else is said for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from flinkjob.core.identity import Mark, Owner, is_chosen_by, name_in

Name = tuple[str, str]
"""Namespace and name of a FlinkJob."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What is known of the owner of a Flink job.

    Attributes:
        mark: the owner mark in its configuration; None where it has none, or its program has erased it.
        claims: the FlinkJobs, as namespace/name, whose job it is by its id or by their status; not the one that asks.
        unmarked: whether a job that no operator started may be acted on.
    """

    mark: Mark | None
    claims: tuple[str, ...] = ()
    unmarked: bool = False


def refusal(job_id: str, asks: Owner, evidence: Evidence, *, any_name: bool = False) -> str:
    """Why an object may not act on a job, to follow "job x "; "" where it may.

    Args:
        asks: the FlinkJob that asks.
        any_name: a FlinkSavepoint asks, which may act on the jobs of every FlinkJob of its namespace.
    """

    def asked_by(owner: Owner) -> bool:
        same = (owner.identity, owner.namespace) == (asks.identity, asks.namespace)
        return same and (any_name or owner.name == asks.name)

    claims = [Owner(asks.identity, *claim.split("/", 1)) for claim in evidence.claims]
    if other := next((claim for claim in claims if not asked_by(claim)), None):
        return f"belongs to FlinkJob {other.namespace}/{other.name}"
    mark = evidence.mark
    if mark is not None and not asked_by(mark.of):
        return f"belongs to {mark.owner}"
    owners = [*claims, *([mark.of] if mark is not None else []), *([] if any_name else [asks])]
    if any(owner.owns(job_id) for owner in owners):
        return ""
    if name_in(job_id) is not None:
        return "was started by a flinkjob-operator, as its id shows, and nothing shows for whom"
    if mark is not None or evidence.unmarked:
        return ""
    return "was started by no operator, and this one may not act on such jobs (setting allow-unmarked-jobs)"


def claims(shown: Name | None, holders: Mapping[Name, datetime | None], asks: Name | None) -> tuple[str, ...]:
    """The FlinkJobs whose a Flink job is, as namespace/name: by its id or, the oldest first, by their status.

    An id is given to one job only, so that the addresses of its cluster, which has several, are not asked.

    Args:
        shown: the FlinkJob that the id of the job shows.
        holders: those whose status has the job, and when they were created.
        asks: the FlinkJob that asks; younger claims of others are not heard then, since its own status has one.
    """
    by_status = sorted(holders, key=lambda each: (created.timestamp() if (created := holders[each]) else 0.0, each))
    if asks in by_status:
        by_status = by_status[: by_status.index(asks)]
    found = dict.fromkeys([*([shown] if shown is not None else []), *by_status])
    return tuple("/".join(name) for name in found if name != asks)


def is_orphaned(identity: str, job_id: str, mark: Mark | None, *, exists: Callable[[Owner], bool], shown: bool) -> bool:
    """Whether the operator with this identity started a job for a FlinkJob that does not exist.

    Args:
        exists: whether a FlinkJob exists.
        shown: whether a FlinkJob exists that the job's id shows; it counts for a job without a mark.
    """
    if mark is not None:
        return mark.of.identity == identity and not exists(mark.of)
    return is_chosen_by(identity, job_id) and not shown
