"""Watches every status that is written and every request that reaches Flink, and notes what must never happen.

Used by the model test. It looks at the moment of the request, so that a crash, a lost Event or a later write cannot hide
anything. Invariants that it checks: intent first (3), no state lost (2), numbers only grow and an end is latched (6), one
savepoint for one attempt (4).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

import httpx

from flinkjob.core.flinkmodel import CheckpointKind, normalise_location
from flinkjob.kube.kinds import Kind
from tests.flinksim import FlinkSim, RunRecord, SnapshotRecord
from tests.model.memorykube import MemoryKube, Object

_ON_PURPOSE = ("Redeploy", "Rollback")
"""Reasons of a run that may start from something else than the newest state."""
_ATTEMPT = re.compile(r"(.*/\d+-(?:stop|savepoint|savepointandcancel|cancel|trigger)-\d+)/[^/]+")
_ROUTES = (
    ("POST", re.compile(r"/jars/[^/]+/run"), "_run"),
    ("POST", re.compile(r"/jobs/(?P<job>\w+)/stop"), "_stop"),
    ("POST", re.compile(r"/jobs/(?P<job>\w+)/savepoints"), "_trigger"),
    ("POST", re.compile(r"/jobs/(?P<job>\w+)/checkpoints"), "_checkpoint"),
    ("PATCH", re.compile(r"/jobs/(?P<job>\w+)"), "_cancel"),
    ("PUT", re.compile(r"/jobs/(?P<job>\w+)/resource-requirements"), "_rescale"),
    ("POST", re.compile(r"/savepoint-disposal"), "_dispose"),
)


class Witness:
    """Notes violations.

    Attributes:
        violations: what happened that must never happen.
        submissions: the first intent of each Flink job id that was ever written, with `uid`.
    """

    def __init__(self, kube: MemoryKube, sims: Mapping[str, FlinkSim]) -> None:
        self.violations: list[str] = []
        self.submissions: dict[str, Object] = {}
        self._sims = sims
        self._intents: set[tuple[str, ...]] = set()
        self._last: dict[str, Object] = {}
        self._wiped: set[str] = set()
        self._suspects: dict[str, str] = {}
        self._checked = 0
        kube.on_status = self._written

    def wiped(self, uid: str) -> None:
        """A person took the status of the object away: what it said is forgotten."""
        self._last.pop(uid, None)
        self._wiped.add(uid)

    def carry(self, transport: httpx.AsyncBaseTransport) -> httpx.AsyncBaseTransport:
        """A transport that shows every request to the witness before it arrives."""
        return _Shown(self, transport)

    def check(self) -> None:
        """Raise when something happened that must never happen.

        Raises:
            AssertionError: naming all of it.
        """
        runs = next(iter(self._sims.values())).runs
        for run in runs[self._checked :]:
            if run.job_id in self._suspects:
                self.violations.append(self._suspects[run.job_id])
        self._checked = len(runs)
        made = Counter(found[1] for run in runs for one in run.snapshots if (found := _ATTEMPT.match(one.location)))
        self.violations += [
            f"{count} savepoints for one attempt: {place}" for place, count in made.items() if count > 1
        ]
        assert not self.violations, "\n".join(self.violations)

    # statuses

    def _written(self, kind: Kind, obj: Object) -> None:
        uid, status = obj["metadata"]["uid"], obj["status"]
        if kind is Kind.FLINK_SAVEPOINT:
            self._intents.add(("trigger", str(status.get("jobId")), str(status.get("triggerId"))))
            if status.get("deleting"):
                self._intents.add(("dispose", normalise_location(status["location"])))
            return
        submission, operation = status.get("submission"), status.get("operation")
        if submission is not None:
            self._latched(uid, submission, status)
            known = self.submissions.setdefault(submission["jobId"], submission | {"uid": uid})
            adopted = submission.get("reason") == "Adopted"  # its origin is not known any more
            if not adopted and known.get("restoredFrom") != submission.get("restoredFrom"):
                self._note(f"run {submission['number']} changed its restore point")
            origin = normalise_location(submission["restoredFrom"]) if submission.get("restoredFrom") else ""
            self._intents.add(("run", submission["jobId"], origin))
        if operation is not None:
            self._intents.add(("trigger", operation["jobId"], str(operation.get("triggerId"))))
            self._intents.add((operation["kind"].lower(), operation["jobId"]))
        self._last[uid] = status

    def _latched(self, uid: str, submission: Object, status: Object) -> None:
        number, before = submission["number"], self._last.get(uid, {}).get("submission")
        if before is None:
            return
        if number == before["number"]:
            if submission["jobId"] != before["jobId"]:
                self._note(f"run {number} changed its job id")
            ended, ends = before.get("end"), submission.get("end")
            if ended is not None and (ends is None or _result(ends) != _result(ended)):
                self._note(f"the end of run {number} was latched as {ended} and became {ends}")
            return
        if number != before["number"] + 1:
            self._note(f"run {number} follows run {before['number']}")
        ended = before.get("end") or {}
        same = all(before.get(field) == submission.get(field) for field in ("runDigest", "nonce"))
        if ended.get("result") == "Finished" and same and not ended.get("released"):
            self._note(f"run {number} follows the finished run {before['number']}, though nothing was asked for")
        past = [entry for entry in status.get("history", []) if entry["number"] == before["number"]]
        if before.get("end") is None and not past:
            self._note(f"run {number} was intended although no end of run {before['number']} is known")

    # requests

    def see(self, host: str, method: str, path: str, body: Object) -> None:
        """A request arrives."""
        for verb, pattern, check in _ROUTES:
            found = pattern.fullmatch(path)
            if verb == method and found is not None:
                getattr(self, check)(host, found.groupdict().get("job", ""), body)

    def _run(self, host: str, _: str, body: Object) -> None:
        job_id, path = str(body.get("jobId")), body.get("savepointPath")
        self._require("run", job_id, normalise_location(path) if path else "")
        intent = self.submissions.get(job_id)
        self._suspects.pop(job_id, None)
        if intent is None or intent.get("reason") in _ON_PURPOSE:
            return
        newest = self._newest(intent["uid"])
        chosen = next(iter(self._sims.values())).store.find(path) if path else None
        if newest is None or (chosen is not None and _order(chosen) >= _order(newest)):
            return
        if intent.get("reason") == "Initial" and intent["uid"] in self._wiped:
            return  # a person threw the knowledge away, and the cluster has none of its jobs any more
        self._suspects[job_id] = (
            f"run {intent['number']} ({intent['reason']}: {intent.get('restoredWhy')}) of {intent['uid']} was started "
            f"from {path}, but the newest state is {newest}"
        )

    def _newest(self, uid: str) -> SnapshotRecord | None:
        """The newest state of an object's runs that exists and could be known."""
        sim = next(iter(self._sims.values()))
        mine = [run for run in sim.runs if self.submissions.get(run.job_id, {}).get("uid") == uid]
        if mine and mine[-1].ended == "FINISHED" and not _stopped(mine[-1]):
            return None  # it came to its own end, which leaves nothing
        made = [
            one
            for run in mine
            for one in run.snapshots
            if sim.store.find(one.location) is not None and not (run.ended == "LOST" and _on_the_side(one))
        ]
        return max(made, key=lambda one: (one.run, one.checkpoint_id), default=None)

    def _stop(self, host: str, job: str, body: Object) -> None:
        self._trigger(host, job, body)
        sim = self._sims[host]
        running, trigger = sim.jobs.get(job), str(body.get("triggerId"))
        stopping = running is not None and any(
            one.kind is CheckpointKind.SYNC_SAVEPOINT for one in running.checkpointing.pending
        )
        if stopping and sim.savepoints.find((job, trigger), sim.events.now) is None:
            self._note(f"a second stop of {job} while one is in progress")

    def _trigger(self, host: str, job: str, body: Object) -> None:
        self._require("trigger", job, str(body.get("triggerId")))

    def _checkpoint(self, host: str, job: str, body: Object) -> None:
        self._require("trigger", job, str(body.get("triggerId")))

    def _cancel(self, host: str, job: str, body: Object) -> None:
        duplicate = any((status.get("plan") or {}).get("step") == "Stray" for status in self._last.values())
        if not duplicate:
            self._require("cancel", job)

    def _rescale(self, host: str, job: str, body: Object) -> None:
        self._require("rescale", job)

    def _dispose(self, host: str, job: str, body: Object) -> None:
        self._require("dispose", normalise_location(str(body.get("savepoint-path"))))
        self._in_use(normalise_location(str(body.get("savepoint-path"))))

    def _in_use(self, location: str) -> None:
        for status in self._last.values():
            submission = status.get("submission") or {}
            used = [submission.get("restoredFrom"), (submission.get("end") or {}).get("snapshot")]
            if location in [normalise_location(place) for place in used if place]:
                self._note(f"{location} is disposed of while it is in use")

    def _require(self, *intent: str) -> None:
        if intent not in self._intents:
            self._note(f"sent without an intent in any status: {intent}")

    def _note(self, text: str) -> None:
        self.violations.append(text)


class _Shown(httpx.AsyncBaseTransport):
    def __init__(self, witness: Witness, inner: httpx.AsyncBaseTransport) -> None:
        self._witness = witness
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method != "GET":
            content = await request.aread()
            is_json = request.headers.get("content-type", "").startswith("application/json") and content
            body: Any = json.loads(content) if is_json else {}
            self._witness.see(request.url.host.partition(".")[0], request.method, request.url.path, body)
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()


def _order(snapshot: SnapshotRecord) -> tuple[int, int]:
    return snapshot.run, snapshot.checkpoint_id


def _result(end: Object) -> tuple[Any, Any]:
    return end["result"], end.get("snapshot")


def _stopped(run: RunRecord) -> bool:
    return any(one.kind is CheckpointKind.SYNC_SAVEPOINT for one in run.snapshots)


def _on_the_side(snapshot: SnapshotRecord) -> bool:
    """A savepoint beside the stream of checkpoints: Flink itself does not know it any more after it was lost."""
    return snapshot.kind is CheckpointKind.SAVEPOINT
