"""FlinkSessionJob and FlinkDeployment of the Apache Flink Kubernetes Operator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from flinkjob.cli.migrate import common, moving, options
from flinkjob.cli.migrate.fields import Fields, Migration, Weight, nested, number, texts
from flinkjob.core.program import PYTHON_ENTRY_CLASS

GROUP: Final = "flink.apache.org"
REST_PORT: Final = 8081
_UPGRADES: Final[Mapping[str, str]] = {"stateless": "Stateless", "savepoint": "Savepoint", "last-state": "LastState"}
_STATES: Final[Mapping[str, str]] = {"running": "Running", "suspended": "Suspended"}


def session_job(migration: Migration) -> None:
    """A FlinkSessionJob: a FlinkJob on the same session cluster."""
    body = migration.source.body
    meta = common.metadata(migration)
    fields = Fields(body.get("spec"), "spec", migration)
    spec: dict[str, Any] = {"cluster": _session_cluster(fields, fields.take("deploymentName"))}
    if not _job(fields.part("job"), spec, migration):
        return
    _restart_nonce(fields, spec)
    _spare(fields.part("flinkConfiguration"), spec, migration, "set it in the FlinkDeployment of the session cluster")
    fields.leave()
    migration.made.append(common.flinkjob(meta, spec))
    if moving.carry(migration, spec, moving.official(body)):
        job_id = str(nested(body, "status", "jobStatus", "jobId") or "")
        migration.steps += _adopted(meta, job_id) + _by_savepoint("flinksessionjob", meta["name"])


def deployment(migration: Migration) -> None:
    """A FlinkDeployment with a job: its cluster without the job, as a session cluster, and a FlinkJob on it."""
    if not common.runs_job(migration):
        return
    body = migration.source.body
    meta = common.metadata(migration)
    fields = Fields(body.get("spec"), "spec", migration)
    name = common.session_name(meta)
    spec: dict[str, Any] = {"cluster": {"serviceRef": {"name": f"{name}-rest", "port": REST_PORT}}}
    if not _job(fields.part("job"), spec, migration):
        return
    _restart_nonce(fields, spec)
    options.sort(fields.part("flinkConfiguration").rest(), "spec.flinkConfiguration", spec, migration)
    cluster = common.apart(migration, meta, spec, fields, ("job", "restartNonce"))
    if nested(cluster, "spec", "taskManager", "replicas") is None:
        migration.note(
            Weight.CHECK, "spec.taskManager", "in a session cluster slots are made for the jobs as they come"
        )
    if moving.carry(migration, spec, moving.official(body)):
        migration.steps += [
            f"Apply FlinkDeployment {name} first, and wait until it is READY.",
            *_by_savepoint("flinkdeployment", meta["name"]),
        ]


def _session_cluster(fields: Fields, deployment: Any) -> dict[str, Any]:
    if not deployment:
        fields.note(
            Weight.MUST, "deploymentName", "names no session cluster: write the Service in front of its JobManager"
        )
        deployment = "session"
    return {"serviceRef": {"name": f"{deployment}-rest", "port": REST_PORT}}


def _job(job: Fields, spec: dict[str, Any], migration: Migration) -> bool:
    """`spec.job`; False where a FlinkJob cannot run such a program."""
    entry = job.take("entryClass")
    if entry == PYTHON_ENTRY_CLASS:
        job.note(Weight.MUST, "entryClass", common.PYTHON_BY_HAND)
        return False
    spec["jar"] = common.jar(job, "jarURI", job.take("jarURI"))
    if entry:
        spec["jar"]["entryClass"] = str(entry)
    spec["args"] = texts(job.take("args"))
    if (parallelism := job.take("parallelism")) is not None:
        spec["parallelism"] = parallelism
    if (state := _STATES.get(str(job.take("state", "running")).lower())) != "Running":
        spec["state"] = state
    mode = str(job.take("upgradeMode", "stateless")).lower()
    spec["upgrade"] = {"strategy": _UPGRADES.get(mode, "Savepoint")}
    if mode == "stateless":
        words = (
            "an upgrade starts empty, as before; what fails or is suspended goes on from its newest state all the same"
        )
        job.note(Weight.CHECK, "upgradeMode", words)
    spec["initialState"] = common.initial_state(job.take("initialSavepointPath"), job.take("savepointRedeployNonce"))
    if job.take("allowNonRestoredState"):
        spec["restore"] = {"allowNonRestoredState": True}
    for trigger in ("savepointTriggerNonce", "checkpointTriggerNonce"):
        job.drop(trigger, "take one by kubectl flinkjob savepoint, or create a FlinkSavepoint")
    job.drop("autoscalerResetNonce", "there is no autoscaler inside: an HPA or KEDA scales a FlinkJob")
    job.leave()
    # the Apache operator cancels a job that is deleted, unless an option says otherwise
    spec["deletion"] = {"policy": "Cancel"}
    return True


def _restart_nonce(fields: Fields, spec: dict[str, Any]) -> None:
    if (nonce := number(fields.take("restartNonce"))) is not None:
        spec["restartNonce"] = nonce


def _spare(found: Fields, spec: dict[str, Any], migration: Migration, where: str) -> None:
    """Flink's configuration of a job; what acts only in a cluster is named."""
    for name in options.sort(found.rest(), found.path, spec, migration):
        migration.note(Weight.LOST, f"{found.path}.{name}", f"acts only in a cluster's own configuration: {where}")


def _adopted(meta: Mapping[str, Any], job_id: str) -> list[str]:
    name, named = meta["name"], job_id or "JOB-ID"
    where = "" if job_id else " (JOB-ID: kubectl get flinksessionjob NAME -o jsonpath='{.status.jobStatus.jobId}')"
    return [
        f"Move FlinkSessionJob {name} without a restart: the job runs on and is adopted{where}:",
        "  1. the new operator must run with --allow-unmarked-jobs, since no FlinkJob started the job",
        "  2. stop the Apache operator for a moment: kubectl scale deployment flink-kubernetes-operator --replicas 0;",
        "     where it has a webhook, take its webhook configurations away meanwhile, or they refuse the next step",
        f'  3. kubectl patch flinksessionjob {name} --type merge -p \'{{"metadata": {{"finalizers": null}}}}\'',
        f"  4. kubectl delete flinksessionjob {name}, and take it out of Git; the job runs on",
        "  5. start the Apache operator again, where it is still needed",
        "  6. apply the new manifest, which is Suspended, so that nothing starts",
        f"  7. kubectl flinkjob adopt {name} {named} --wait; then take spec.state: Suspended out of the manifest",
        "  What the spec says otherwise than the running job was started with takes effect with the next upgrade.",
    ]


def _by_savepoint(kind: str, name: str) -> list[str]:
    patch = '{"spec": {"job": {"state": "suspended", "upgradeMode": "savepoint"}}}'
    return common.by_savepoint(
        kind,
        name,
        name,
        f"kubectl patch {kind} {name} --type merge -p '{patch}' (it needs state.savepoints.dir)",
        f"kubectl get {kind} {name} -o jsonpath='{{.status.jobStatus.upgradeSavepointPath}}' is the LOCATION; "
        "older operators have it in savepointInfo.lastSavepoint.location there",
    )
