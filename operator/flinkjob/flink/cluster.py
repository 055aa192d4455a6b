"""What the cluster says about itself: version, slots, and which JobManager process answers.

Used by: `FlinkClient`. Invariant: an answer without an incarnation is no answer: two unknowns must not look equal.
"""

import re

from pydantic import TypeAdapter

from flinkjob.api import flink_options
from flinkjob.core.errors import Unreachable
from flinkjob.core.flinkmodel import ClusterConfig, ClusterOverview, JobManagerInfo
from flinkjob.flink import wire
from flinkjob.flink.calls import Calls
from flinkjob.flink.values import Many

_CONFIG = TypeAdapter(wire.Config)
_OVERVIEW = TypeAdapter(wire.Overview)
_SETTINGS = TypeAdapter(Many[wire.Setting])
_INCARNATION = re.compile(r"flink-web-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")


class ClusterCalls(Calls):
    """Calls about the cluster as a whole."""

    async def cluster_config(self) -> ClusterConfig:
        """Version and features of the cluster. Flink REST: `GET /config`."""
        answer = await self._get("/config")
        if not answer.ok:
            raise self._rest.refusal(answer)
        return self._rest.parse(_CONFIG, answer).value()

    async def cluster_overview(self) -> ClusterOverview:
        """TaskManagers and slots. Flink REST: `GET /overview`."""
        answer = await self._get("/overview")
        if not answer.ok:
            raise self._rest.refusal(answer)
        return self._rest.parse(_OVERVIEW, answer).value()

    async def jobmanager_config(self) -> JobManagerInfo:
        """Which JobManager process answers, and its configuration. Flink REST: `GET /jobmanager/config`.

        Raises:
            Unreachable: also when the configuration names no incarnation.
        """
        answer = await self._get("/jobmanager/config")
        if not answer.ok:
            raise self._rest.refusal(answer)
        settings = await self._rest.parse_entries(_SETTINGS, answer.body, lambda each: (each.key, each.value))
        config = dict(settings)
        found = _INCARNATION.search(config.get(flink_options.TEMPORARY_DIRECTORY, ""))
        if not found:
            raise Unreachable("not-flink", f"{self._rest.where}: /jobmanager/config names no web.tmpdir of a process")
        kind = next((config[name] for name in flink_options.HIGH_AVAILABILITY if name in config), "NONE")
        return JobManagerInfo(
            incarnation=found.group(1), high_availability=kind.strip().upper() not in ("", "NONE"), config=config
        )
