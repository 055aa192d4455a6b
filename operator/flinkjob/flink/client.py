"""`FlinkClient`: the Flink REST API as methods with typed answers.

Used by: observer, executor, poller and the command line. The methods come from one file for each domain (`cluster`,
`jars`, `jobs`, `loads`, `snapshots`, `rescale`). Invariants: no retries and no state of its own, the caller decides what an
answer means; an error is always one of `flinkjob.core.errors`; the client never closes the `httpx.AsyncClient`.
"""

import httpx

from flinkjob.flink.cluster import ClusterCalls
from flinkjob.flink.jars import JarCalls
from flinkjob.flink.jobs import JobCalls
from flinkjob.flink.loads import LoadCalls
from flinkjob.flink.rescale import RescaleCalls
from flinkjob.flink.rest import FlinkRest, Limits
from flinkjob.flink.snapshots import SnapshotCalls


class FlinkClient(ClusterCalls, JarCalls, JobCalls, LoadCalls, SnapshotCalls, RescaleCalls):
    """Client of one Flink cluster.

    All methods raise `Unreachable` when no usable answer came, `Transient` when Flink failed (HTTP 5xx), and
    `Rejected` when Flink refused.
    """

    def __init__(
        self, http: httpx.AsyncClient, base_url: str, *, timeout: float = 10.0, limits: Limits | None = None
    ) -> None:
        """Bind a client to an address.

        Args:
            http: brings TLS, credentials, proxies and the connection pool; stays open.
            base_url: address of the REST API, a path prefix included.
            timeout: seconds for a whole exchange, except where a method says otherwise.
            limits: what answers may cost; those of all clusters share a budget.
        """
        super().__init__(FlinkRest(http, base_url, timeout=timeout, limits=limits))
