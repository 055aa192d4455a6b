"""Finds the Flink jobs of an object by asking for them one by one, where the overview of the cluster does not say it.

Used by the observer; nothing here decides whose a job is.
"""

from __future__ import annotations

import asyncio

from flinkjob.core.identity import Owner, earlier_job_id, job_id
from flinkjob.core.model import Observation
from flinkjob.core.seen import MarkedJob
from flinkjob.flink.client import FlinkClient
from flinkjob.runtime.cluster import Cluster

UNLISTED_RUNS = 50
"""So many runs of an object without a status are asked for by id."""
ASKED_AT_ONCE = 8
"""So many of them are asked for at the same time."""


async def unlisted_job(client: FlinkClient, owner: Owner, uid: str) -> str | None:
    """A live job with an id of one of the object's first runs, asked for by these ids."""
    ids = [form(owner, uid, run) for run in range(1, UNLISTED_RUNS + 1) for form in (job_id, earlier_job_id)]
    for at in range(0, len(ids), ASKED_AT_ONCE):
        some = ids[at : at + ASKED_AT_ONCE]
        states = await asyncio.gather(*map(client.job_status, some))
        live = (one for one, state in zip(some, states, strict=True) if state is not None and not state.is_terminal)
        if (found := next(live, None)) is not None:
            return found
    return None


async def marked_jobs(cluster: Cluster, observation: Observation) -> tuple[MarkedJob, ...]:
    """The jobs that may be the object's, with their owner marks."""
    jobs = (*observation.owned_jobs, *filter(None, (observation.adoption_candidate,)))
    return tuple([MarkedJob(overview=job, mark=await cluster.mark(job.job_id)) for job in jobs])
