"""Where the clusters of a FlinkJob are, by its spec and its status."""

from __future__ import annotations

from flinkjob.api.codec import FlinkJob


def addresses(job: FlinkJob) -> tuple[str, str]:
    """Where the current run is, and where the spec wants it; "" where neither says."""
    run = job.status.submission
    wanted = job.spec.cluster.address(job.meta.namespace) if job.spec is not None else None
    current = run.cluster_url if run is not None and run.end is None else None
    url = current or wanted or (run.cluster_url if run is not None else None) or ""
    return url, wanted or url
