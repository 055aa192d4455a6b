"""Whether a Flink job that is to be adopted lives: of one that does not, the operator would start a second run from empty."""

from __future__ import annotations

from flinkjob.api.codec import FlinkJob
from flinkjob.cli.errors import CommandFailed
from flinkjob.cli.flinkway import flink_at
from flinkjob.cli.session import Session
from flinkjob.core.addresses import addresses
from flinkjob.core.errors import FlinkJobError


async def must_live(session: Session, job: FlinkJob, job_id: str, *, force: bool) -> None:
    """Asks the cluster that the FlinkJob names.

    Args:
        force: a cluster that cannot be asked will do; a job that has ended or was never there does not.

    Raises:
        CommandFailed: the job does not live there, or it is not known.
    """
    _, url = addresses(job)
    if not url:
        raise CommandFailed(f"{job.meta.name} names no cluster that can be asked for job {job_id}: {job.spec_error}")
    try:
        async with flink_at(session.kube, url) as (flink, way):
            session.output.progress(f"asking Flink {way}")
            state = await flink.job_status(job_id)
    except FlinkJobError as error:
        if not force:
            raise CommandFailed(
                f"whether job {job_id} lives at {url} is not known: {error.message}. If it does not, the operator starts "
                "a second one without state: --force takes it on you"
            ) from error
        session.output.warning(f"whether job {job_id} lives at {url} is not known: {error.message}")
        return
    if state is None or state.is_terminal:
        ended = f"it is {state}" if state is not None else "Flink does not know it"
        raise CommandFailed(f"job {job_id} does not run at {url}: {ended}. The operator would start another, empty")
