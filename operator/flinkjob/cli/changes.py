"""What the actions ask for: the request to the API server, and the words about it. Pure; `acting` sends it.

Invariant: an action changes only the fields that it names, and never a status.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from flinkjob.api.codec import FlinkJob
from flinkjob.api.constants import ANNOTATION_ADOPT, API_VERSION, LABEL_JOB, SAVEPOINT_KIND
from flinkjob.api.enums import DesiredState, RunResult, SavepointMode
from flinkjob.cli.errors import CommandFailed, WrongUsage
from flinkjob.cli.fleet import stalled
from flinkjob.core.errors import one_line

MOST_PARALLELISM = 32768
_ID_LENGTH = 32
_NAME_LIMIT = 63


@dataclass(frozen=True, kw_only=True)
class Change:
    """A request.

    Attributes:
        asks: what it asks for, in words that follow the FlinkJob's name.
        patch: a merge patch of the FlinkJob; empty where only an object is created.
        create: an object to create instead.
    """

    asks: str
    patch: Mapping[str, Any] = field(default_factory=dict)
    create: Mapping[str, Any] | None = None

    @property
    def sets(self) -> Mapping[str, Any]:
        """The fields of the spec that it sets, with their values."""
        return dict(self.patch.get("spec") or {})


def readable(job: FlinkJob) -> FlinkJob:
    """The FlinkJob, where it can be acted on.

    Raises:
        CommandFailed: its status cannot be read, so nobody knows what runs.
    """
    if job.status_error is not None:
        raise CommandFailed(f"{job.meta.name} has a status that cannot be read: {job.status_error}")
    return job


def savepoint(job: FlinkJob, now: datetime, name: str | None, directory: str | None) -> Change:
    """Take a savepoint; the job runs on."""
    return Change(asks="a savepoint", create=_savepoint(job, now, name, directory, mode=SavepointMode.TRIGGER))


def stop(job: FlinkJob, now: datetime, name: str | None, directory: str | None, *, drain: bool) -> Change:
    """Stop with a savepoint; the job stays down until its spec or its state changes."""
    run = job.status.submission
    if run is None or run.end is not None or run.refused:
        refused = f": Flink refused run {run.number}" if run is not None and run.refused else ""
        raise CommandFailed(f"{job.meta.name} has no running job to stop{refused}")
    more: dict[str, Any] = {"submission": run.number}
    if drain:
        more["drain"] = True
    body = _savepoint(job, now, name, directory, mode=SavepointMode.STOP, **more)
    return Change(asks=f"run {run.number} to be stopped with a savepoint", create=body)


def suspend(job: FlinkJob) -> Change:
    """Stop with a savepoint, to be resumed later."""
    return _state(job, DesiredState.SUSPENDED, "to be suspended")


def cancel(job: FlinkJob) -> Change:
    """Cancel without a savepoint."""
    return _state(job, DesiredState.CANCELLED, "to be cancelled")


def resume(job: FlinkJob) -> Change:
    """Run again: what was suspended or cancelled by `state`, what is held down, and what Flink refused."""
    wanted = _spec(job).state
    if wanted is DesiredState.DRAINED:
        raise CommandFailed(
            f"{job.meta.name} is drained: running it again would repeat what its windows have put out; "
            "set spec.state: Running and a new spec.initialState.nonce to do so"
        )
    if wanted is not DesiredState.RUNNING:
        return _state(job, DesiredState.RUNNING, "to be resumed")
    run = job.status.submission
    if run is not None and run.end is None and not (run.refused or (stalled(job) is not None and not run.seen)):
        doing = "lives" if run.lives else "is being started"
        raise CommandFailed(f"{job.meta.name} is not down: run {run.number} {doing}; see kubectl flinkjob status")
    if run is not None and run.end is not None and run.end.result is RunResult.FINISHED:
        raise CommandFailed(
            f"{job.meta.name} is not held: run {run.number} came to its own end; kubectl flinkjob restart runs it again"
        )
    return _restarted(job, "to be started again")


def last_run(job: FlinkJob) -> int:
    """The number after which the next run counts: one that was never seen is sent again under its own number."""
    run = job.status.submission
    if run is None:
        return 0
    never = run.end is not None and run.end.result is RunResult.NEVER_STARTED
    return run.number if (run.end is not None or run.seen) and not never else run.number - 1


def restart(job: FlinkJob) -> Change:
    """Stop with a savepoint and start again from it."""
    if _spec(job).state is not DesiredState.RUNNING:
        raise CommandFailed(f"{job.meta.name} is wanted {_spec(job).state}; use kubectl flinkjob resume")
    return _restarted(job, "to be restarted")


def rescale(job: FlinkJob, parallelism: int) -> Change:
    """Run with another parallelism."""
    if not 1 <= parallelism <= MOST_PARALLELISM:
        raise WrongUsage(f"a parallelism is a number from 1 to {MOST_PARALLELISM}")
    if _spec(job).parallelism == parallelism:
        raise CommandFailed(f"{job.meta.name} is wanted with parallelism {parallelism} already")
    return Change(asks=f"parallelism {parallelism}", patch={"spec": {"parallelism": parallelism}})


def adopt(job: FlinkJob, job_id: str) -> Change:
    """Take over a Flink job that runs on the cluster; a FlinkJob does so only before its first run."""
    mark = _adoption(job_id)
    run = job.status.submission
    if run is not None and run.job_id == job_id:
        raise CommandFailed(f"{job.meta.name} has that job already, as run {run.number}")
    if run is not None:
        raise CommandFailed(
            f"{job.meta.name} has had a run, {run.number}, and only a FlinkJob without one adopts a job: "
            "give another manifest with -f"
        )
    state = {} if _spec(job).state is DesiredState.RUNNING else {"spec": {"state": DesiredState.RUNNING.value}}
    return Change(asks=f"job {job_id} to be adopted", patch={**mark, **state})


def adopt_by_manifest(manifest: Mapping[str, Any], namespace: str, job_id: str) -> Change:
    """Create a FlinkJob that takes over a Flink job."""
    meta = manifest.get("metadata") or {}
    notes = {**(meta.get("annotations") or {}), **_adoption(job_id)["metadata"]["annotations"]}
    body = {**manifest, "metadata": {"namespace": namespace, **meta, "annotations": notes}}
    if body["metadata"]["namespace"] != namespace:
        raise WrongUsage(f"the manifest is of namespace {one_line(str(meta['namespace']), 64)}, not of {namespace}")
    if (manifest.get("spec") or {}).get("state", DesiredState.RUNNING) != DesiredState.RUNNING:
        raise WrongUsage("the manifest has another spec.state than Running, by which the job would be ended")
    return Change(asks=f"job {job_id} to be adopted", create=body)


def as_if_stored(body: Mapping[str, Any]) -> dict[str, Any]:
    """A manifest with what the API server would add that is read of each object."""
    added = {"uid": "", "generation": 1, "resourceVersion": ""}
    return {**body, "metadata": {**added, **body["metadata"]}}


def _adoption(job_id: str) -> dict[str, dict[str, dict[str, str]]]:
    if len(job_id) != _ID_LENGTH or set(job_id) - set("0123456789abcdef"):
        raise WrongUsage(f"a Flink job id has {_ID_LENGTH} lower-case hexadecimal digits: {one_line(job_id, 64)}")
    return {"metadata": {"annotations": {ANNOTATION_ADOPT: job_id}}}


def _state(job: FlinkJob, wanted: DesiredState, asks: str) -> Change:
    if _spec(job).state is wanted:
        raise CommandFailed(f"{job.meta.name} is wanted {wanted} already; see kubectl flinkjob status {job.meta.name}")
    return Change(asks=asks, patch={"spec": {"state": wanted.value}})


def _restarted(job: FlinkJob, asks: str) -> Change:
    nonce = (_spec(job).restart_nonce or 0) + 1
    return Change(asks=asks, patch={"spec": {"restartNonce": nonce}})


def _spec(job: FlinkJob) -> Any:
    if job.spec is None:
        raise CommandFailed(f"{job.meta.name} has a spec that cannot be used: {job.spec_error}")
    return job.spec


def _savepoint(
    job: FlinkJob, now: datetime, name: str | None, directory: str | None, *, mode: SavepointMode, **more: Any
) -> dict[str, Any]:
    spec: dict[str, Any] = {"jobRef": {"name": job.meta.name}, "mode": mode.value, **more}
    if directory is not None:
        spec["directory"] = directory
    usual = f"{job.meta.name}-{now:%Y%m%d-%H%M%S}"[:_NAME_LIMIT]
    return {
        "apiVersion": API_VERSION,
        "kind": SAVEPOINT_KIND,
        "metadata": {"name": name or usual, "namespace": job.meta.namespace, "labels": {LABEL_JOB: job.meta.name}},
        "spec": spec,
    }
