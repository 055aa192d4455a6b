"""Flink's answers, by endpoint: real ones of all versions, changed at random."""

from __future__ import annotations

import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import strategies as st

from flinkjob.core.errors import FlinkJobError
from flinkjob.core.flinkmodel import RunRequest
from flinkjob.flink.client import FlinkClient
from tests.fuzz.driver import affordable, fuzz, numbers_fit, require_shown, run_watched
from tests.fuzz.values import one_of_these, spoiled, texts
from tests.unit.flink.recordings import VERSIONS, recorded

JOB = "a" * 32
RUN = RunRequest(job_id=JOB)
Ask = Callable[[FlinkClient], Awaitable[Any]]


async def _upload(client: FlinkClient) -> Any:
    with tempfile.NamedTemporaryFile(suffix=".jar") as jar:
        return await client.upload_jar(Path(jar.name), "a.jar")


READERS: dict[str, tuple[str, tuple[Ask, ...]]] = {
    "overview": ("jobs-overview route-unknown", (lambda client: client.overview_jobs(),)),
    "status": ("job-status job-status-unknown", (lambda client: client.job_status(JOB),)),
    "job-config": ("job-config job-config-unknown", (lambda client: client.job_user_config(JOB),)),
    "checkpoints": ("checkpoints checkpoints-unknown", (lambda client: client.checkpoints(JOB),)),
    "checkpoint-config": (
        "checkpoints-config checkpoints-config-unknown",
        (lambda client: client.checkpoint_config(JOB),),
    ),
    "results": (
        "savepoint-completed savepoint-failed savepoint-forgotten stop-suspended checkpoint-completed disposal-missing",
        (
            lambda client: client.savepoint_result(JOB, JOB),
            lambda client: client.checkpoint_result(JOB, JOB),
            lambda client: client.disposal_result(JOB),
        ),
    ),
    "exceptions": (
        "exceptions exceptions-files-gone exceptions-other-backend exceptions-unknown",
        (lambda client: client.exceptions(JOB, limit=20), lambda client: client.failures(JOB)),
    ),
    "cluster": ("config overview", (lambda client: client.cluster_config(), lambda client: client.cluster_overview())),
    "jobmanager-config": ("jobmanager-config", (lambda client: client.jobmanager_config(),)),
    "jars": ("jars", (lambda client: client.list_jars(),)),
    "requirements": (
        "resource-requirements-default resource-requirements-unknown",
        (
            lambda client: client.resource_requirements(JOB),
            lambda client: client.set_resource_requirements(JOB, {JOB: 1}),
        ),
    ),
    "graph": ("plan", (lambda client: client.running_graph(JOB), lambda client: client.plan_jar("a.jar", RUN))),
    "run": (
        "run run-main-throws run-no-class run-two-jobs run-bad-option run-cut-metadata",
        (lambda client: client.run_jar("a.jar", RUN), _upload),
    ),
    "acknowledgements": (
        "savepoint stop cancel-unknown cancel-finished jars-delete-unknown",
        (
            lambda client: client.trigger_savepoint(JOB, JOB, "file:/sp"),
            lambda client: client.stop_with_savepoint(JOB, JOB, None),
            lambda client: client.trigger_checkpoint(JOB, JOB),
            lambda client: client.dispose_savepoint("file:/sp"),
            lambda client: client.cancel(JOB),
            lambda client: client.delete_jar("a.jar"),
        ),
    ),
}
MORE: dict[str, list[Any]] = {
    "checkpoints": [{"counts": {}, "latest": {}, "history": [{"id": 1, "status": "COMPLETED"}]}],
    "exceptions": [
        [{"id": "numRestarts", "value": "3"}],
        {"exceptionHistory": {"entries": [{"timestamp": 1}]}},
        {"exceptionHistory": {"entries": [{"concurrentExceptions": [{}]}]}},
    ],
    "graph": [{"plan": {"nodes": [{"id": "a"}]}}, {"plan": {"nodes": [{"id": "a", "inputs": [{"id": "a"}]}]}}],
    "jars": [{"files": [{"id": "a", "name": "b"}]}],
    "job-config": [{"execution-config": {"user-config": {"a": "b"}}}],
    "jobmanager-config": [[{"key": "a", "value": "b"}]],
    "requirements": [{JOB: {"parallelism": {"lowerBound": 1, "upperBound": 4}}}],
}
"""What the recorded answers have not, and small ones of which very many fit into an answer."""
STATUSES = (200, 200, 200, 202, 204, 301, 308, 304, 400, 401, 404, 404, 409, 429, 500, 500, 503, 599)
PLACES = (b"http://[", b"//", b"\xff\xfe", b"http://u:p@h/?q", b"x" * 60_000, b"http://h:99999999/", b"utf-16")


@dataclass(frozen=True, repr=False)
class Reply:
    """An answer, and the question that is asked."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    ask: int

    def __repr__(self) -> str:
        headers = [(name, value[:40]) for name, value in self.headers]
        return f"Reply({self.status}, {self.body[:3000]!r} of {len(self.body)}, {headers}, {self.ask})"


def replies(name: str) -> st.SearchStrategy[Reply]:
    """Answers of an endpoint."""
    seeds: list[Any] = [recorded(version, each)["body"] for version in VERSIONS for each in READERS[name][0].split()]
    seeds += MORE.get(name, []) * 5
    headers = st.lists(
        st.tuples(st.sampled_from((b"Location", b"Content-Type", b"Content-Length")), one_of_these(PLACES)),
        max_size=2,
    )
    return st.builds(
        Reply,
        status=st.sampled_from(STATUSES),
        body=texts(seeds) | texts(seeds) | spoiled([b"<html>", b"", b"[", b'{"errors":[]}', b"\xff\xfe[\x00"]),
        headers=headers.map(tuple),
        ask=st.integers(0, len(READERS[name][1]) - 1),
    )


async def _asked(name: str, reply: Reply) -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(reply.status, headers=list(reply.headers), stream=httpx.ByteStream(reply.body))

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        try:
            found = await READERS[name][1][reply.ask](FlinkClient(http, "http://flink"))
        except FlinkJobError as error:
            require_shown(error)
        else:
            assert numbers_fit(found)


@pytest.mark.threat("too-large", "too-slow")
@pytest.mark.parametrize("name", sorted(READERS))
def test_an_answer_is_understood_or_refused(name: str) -> None:
    fuzz(replies(name), lambda reply: affordable(lambda: run_watched(lambda: _asked(name, reply))))
