"""Jars: upload, list, delete, compile, run.

Used by: `FlinkClient`. Invariants: main() runs inside the JobManager during `run_jar` and `plan_jar`; whatever they
raise, the job may exist, so the caller looks for its id; an upload is not deduplicated by Flink.
"""

from collections.abc import Callable
from io import FileIO
from os import fstat
from pathlib import Path

from pydantic import TypeAdapter

from flinkjob.core.errors import Rejected, SubmitRejected, Transient
from flinkjob.core.flinkmodel import JarFile, RunRequest
from flinkjob.core.jobgraph import Topology
from flinkjob.flink import jarwire
from flinkjob.flink.calls import Calls, segment
from flinkjob.flink.error_texts import explained, is_jar_not_found, submit_rejection
from flinkjob.flink.rest import LARGE_BYTES, Answer, FlinkRest
from flinkjob.flink.values import Many

_JARS = TypeAdapter(jarwire.Jars)
_UPLOADED = TypeAdapter(jarwire.Uploaded)
_SUBMITTED = TypeAdapter(jarwire.Submitted)
_FILES = TypeAdapter(Many[jarwire.Jar])
_PLANNED = TypeAdapter(jarwire.Planned)
_NODES = TypeAdapter(Many[jarwire.Vertex])
MAIN_SECONDS = 600.0
"""How long the answer to a call that runs a program's main() is waited for, where the caller does not say."""
_SLOWEST_UPLOAD = 256 * 1024


class JarCalls(Calls):
    """Calls about jars."""

    async def list_jars(self) -> tuple[JarFile, ...]:
        """The jars on the cluster. Flink REST: `GET /jars` (opens every jar: ask rarely)."""
        answer = await self._get("/jars", limit=LARGE_BYTES)
        if not answer.ok:
            raise self._rest.refusal(answer)
        files = self._rest.parse(_JARS, answer).files
        return tuple(await self._rest.parse_entries(_FILES, files, jarwire.Jar.value))

    async def upload_jar(self, path: Path, name: str, *, sent: Callable[[int, int], object] | None = None) -> str:
        """Upload a file; returns its id on the cluster. Flink REST: `POST /jars/upload`.

        Args:
            path: the file, streamed; the time-out grows by a second for each 256 KiB.
            name: must end in `.jar`; comes back from `list_jars`, so a digest in it makes uploads findable.
            sent: is called now and then with how many bytes have been sent, and how many there are.

        Raises:
            OSError: the file cannot be read.
        """
        with _Watched(path, sent) as content:
            answer = await self._rest.call(
                "POST",
                "/jars/upload",
                files={"jarfile": (name, content, "application/java-archive")},
                timeout=self._rest.timeout + content.size / _SLOWEST_UPLOAD,
                long=True,
            )
        if not answer.ok:
            raise self._rest.refusal(answer)
        return self._rest.parse(_UPLOADED, answer).filename.replace("\\", "/").rsplit("/", 1)[-1]

    async def delete_jar(self, jar_id: str) -> bool:
        """Delete a jar; False when it was not there. Flink REST: `DELETE /jars/:id` (400 for an unknown one)."""
        answer = await self._rest.call("DELETE", f"/jars/{segment(jar_id)}", timeout=self._rest.timeout)
        if answer.ok:
            return True
        if is_jar_not_found(answer.errors):
            return False
        raise self._rest.refusal(answer)

    async def run_jar(self, jar_id: str, request: RunRequest, timeout: float = MAIN_SECONDS) -> str:
        """Run a jar's main(); returns the job's id. Flink REST: `POST /jars/:id/run`.

        Args:
            timeout: seconds; None waits as long as main() runs. Giving up does not stop main().

        Raises:
            SubmitRejected: Flink said no; a job may be there nevertheless.
        """
        body = _program(request) | {
            "allowNonRestoredState": request.allow_non_restored_state,
            "claimMode": str(request.claim_mode),
        }
        if request.savepoint_path is not None:
            body["savepointPath"] = request.savepoint_path
        answer = await self._rest.call("POST", f"/jars/{segment(jar_id)}/run", json=body, timeout=timeout, long=True)
        if not answer.ok:
            raise self._not_submitted(answer)
        return self._rest.parse(_SUBMITTED, answer).jobid

    async def plan_jar(self, jar_id: str, request: RunRequest, timeout: float = MAIN_SECONDS) -> Topology:
        """Run main() up to `execute()` and return the job graph. Flink REST: `POST /jars/:id/plan`.

        Raises:
            SubmitRejected: the program cannot be compiled.
        """
        path = f"/jars/{segment(jar_id)}/plan"
        answer = await self._rest.call(
            "POST", path, json=_program(request), timeout=timeout, limit=LARGE_BYTES, long=True
        )
        if not answer.ok:
            raise self._not_submitted(answer)
        return await plan_in(self._rest, answer)

    def _not_submitted(self, answer: Answer) -> Transient | Rejected:
        if not answer.errors:
            return self._rest.refusal(answer)
        kind = submit_rejection(answer.errors)
        return SubmitRejected(answer.status, kind, explained(kind, answer.cause))


class _Watched(FileIO):
    """A file that says how far it was read."""

    def __init__(self, path: Path, says: Callable[[int, int], object] | None) -> None:
        super().__init__(path)
        self._says = says
        self.size = fstat(self.fileno()).st_size

    def read(self, size: int | None = -1, /) -> bytes:
        if self._says is not None:
            self._says(self.tell(), self.size)
        return super().read(size) or b""


async def plan_in(rest: FlinkRest, answer: Answer) -> Topology:
    """The job graph that an answer has.

    Raises:
        Unreachable: JSON, but not what Flink writes here.
    """
    planned = rest.parse(_PLANNED, answer)
    return planned.value(await rest.parse_entries(_NODES, planned.plan.nodes, jarwire.Vertex.value))


def _program(request: RunRequest) -> dict[str, object]:
    """Fields of the body, camelCase; Flink silently ignores names it does not know."""
    body: dict[str, object] = {"jobId": request.job_id}
    if request.entry_class is not None:
        body["entryClass"] = request.entry_class
    if request.args:
        body["programArgsList"] = list(request.args)
    if request.parallelism is not None:
        body["parallelism"] = request.parallelism
    if request.flink_configuration:
        body["flinkConfiguration"] = dict(request.flink_configuration)
    return body
