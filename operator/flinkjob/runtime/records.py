"""The objects that the operator itself creates: ControllerRevisions of specs that ran, FlinkSavepoints it took.

Called by the executor. Invariants: names follow from the content, so that creating again is harmless; nothing of a
FlinkJob's labels is copied; a recorded FlinkSavepoint has no owner, since deleting a FlinkJob must not delete backups.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from flinkjob.api.codec import FlinkJob, parse_job, write_result
from flinkjob.api.constants import ANNOTATION_RESULT, API_VERSION, JOB_KIND, LABEL_JOB, LABEL_ORIGIN, SAVEPOINT_KIND
from flinkjob.api.flinkjob_spec import FlinkJobSpec
from flinkjob.api.flinksavepoint_status import FlinkSavepointStatus
from flinkjob.core.actions import CreateSavepoint, RecordRevision, RecordSavepoint
from flinkjob.core.errors import FlinkJobError
from flinkjob.core.job.revisions import outdated
from flinkjob.core.units import readable_duration
from flinkjob.kube.client import KubeClient
from flinkjob.runtime.faults import Effect, Faults
from flinkjob.runtime.leader import NotLeading

log = logging.getLogger(__name__)

SYNC_ATTEMPTS = 100
"""How often the last savepoint of a FlinkJob that is gone is tried to be copied: with the pauses, for some hours."""


async def keep_revision(kube: KubeClient, job: FlinkJob, action: RecordRevision) -> None:
    """Keep the spec as a ControllerRevision."""
    namespace, name, uid = job.meta.namespace, job.meta.name, job.meta.uid
    body = {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {
            "name": action.name,
            "namespace": namespace,
            "labels": {LABEL_JOB: name},
            "ownerReferences": [
                {"apiVersion": API_VERSION, "kind": JOB_KIND, "name": name, "uid": uid, "controller": True}
            ],
        },
        "data": {"spec": spec_of(job) | _program(action)},
        "revision": action.number,
    }
    await kube.create_revision(body)


async def prune_revisions(kube: KubeClient, job: FlinkJob, action: RecordRevision, faults: Faults) -> None:
    """Delete the oldest ones beyond the limit, but never one that may be run again; best effort, the next run does it too.

    Raises:
        NotLeading: this process may not delete anything now.
    """
    namespace, name, uid = job.meta.namespace, job.meta.name, job.meta.uid
    if action.number == 1 and job.status.submission is None:
        return  # it is the first one
    try:
        kept = await kube.list_revisions(namespace, f"{LABEL_JOB}={name}")
        numbers = {each["metadata"]["name"]: int(each.get("revision") or 0) for each in kept if _owned_by(each, uid)}
        for unneeded in outdated(numbers, job.status, action):
            faults.before(Effect.REVISION)
            await kube.delete_revision(namespace, unneeded)
            faults.after(Effect.REVISION)
    except NotLeading:
        raise
    except FlinkJobError as error:
        log.warning("outdated revisions of FlinkJob %s stay: %s", name, error.message)


def spec_of(job: FlinkJob) -> dict[str, Any]:
    """The spec as it was applied, without what it leaves out; it has one."""
    assert job.spec is not None, "a job whose spec cannot be read is not run"
    return job.spec.model_dump(mode="json", by_alias=True, exclude_unset=True)


def spec_in(revision: Mapping[str, Any]) -> FlinkJobSpec | None:
    """The spec that a ControllerRevision holds; None where it holds none that can be read: people can write them too."""
    data = revision.get("data")
    return parse_job({"spec": data.get("spec")}).spec if isinstance(data, Mapping) else None


def _program(action: RecordRevision) -> dict[str, Any]:
    """The program with its texts, or with its digest: a ConfigMap may have others when this is looked at."""
    programs = {"sql": action.sql, "python": action.python, "jar": action.jar}
    return {
        name: program.model_dump(mode="json", by_alias=True, exclude_none=True)
        for name, program in programs.items()
        if program is not None
    }


def _owned_by(revision: Mapping[str, Any], uid: str) -> bool:
    return any(owner.get("uid") == uid for owner in revision["metadata"].get("ownerReferences") or ())


def recorded_savepoint(job: FlinkJob, action: RecordSavepoint) -> dict[str, Any]:
    """A FlinkSavepoint that is complete from the start, by its result mark."""
    submission = job.status.submission
    result = FlinkSavepointStatus(
        cluster_url=submission.cluster_url if submission is not None else None,
        job_id=action.flink_job_id,
        location=action.location,
        submission=action.submission,
        end_time=action.time,
        duration=readable_duration(timedelta(seconds=action.seconds)) if action.seconds is not None else None,
    )
    body = _savepoint(job, action.name, action.origin, delete_data=action.delete_data)
    if action.sync_to is not None:
        copied = action.sync_to.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"origins"})
        body["spec"] |= {"syncTo": copied, "backoffLimit": SYNC_ATTEMPTS}
    body["metadata"]["annotations"] = {ANNOTATION_RESULT: write_result(result)}
    return body


def wanted_savepoint(job: FlinkJob, action: CreateSavepoint) -> dict[str, Any]:
    """A FlinkSavepoint that asks for a savepoint."""
    body = _savepoint(job, action.name, action.origin, delete_data=action.delete_data)
    body["spec"]["timeout"] = action.timeout
    return body


def _savepoint(job: FlinkJob, name: str, origin: str, *, delete_data: bool) -> dict[str, Any]:
    spec: dict[str, Any] = {"jobRef": {"name": job.meta.name}, "mode": "Trigger"}
    if delete_data:
        spec["deletion"] = {"policy": "Delete"}
    return {
        "apiVersion": API_VERSION,
        "kind": SAVEPOINT_KIND,
        "metadata": {
            "name": name,
            "namespace": job.meta.namespace,
            "labels": {LABEL_JOB: job.meta.name, LABEL_ORIGIN: origin},
        },
        "spec": spec,
    }
