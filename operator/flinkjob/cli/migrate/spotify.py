"""FlinkCluster of the operator that Google began and Spotify keeps: its job becomes a FlinkJob on a session cluster."""

from __future__ import annotations

from typing import Any, Final

from flinkjob.cli.migrate import common, moving, options
from flinkjob.cli.migrate.fields import Fields, Migration, Weight, nested, number, texts

GROUP: Final = "flinkoperator.k8s.io"
REST_PORT: Final = 8081
_PYTHON: Final = ("pyFile", "pyFiles", "pyModule")
_OF_SUBMITTER: Final = (
    *(
        "mode",
        "noLoggingToStdout",
        "initContainers",
        "volumes",
        "volumeMounts",
        "resources",
        "podAnnotations",
        "podLabels",
    ),
    *("nodeSelector", "tolerations", "affinity", "securityContext", "hostAliases", "backoffLimit"),
)
_ENDS_WITH: Final = "the cluster is an object of its own now, and does not end with the job"


def cluster(migration: Migration) -> None:
    """A FlinkCluster with a job: the same cluster without it, and a FlinkJob on it."""
    if not common.runs_job(migration):
        return
    body = migration.source.body
    meta = common.metadata(migration)
    fields = Fields(body.get("spec"), "spec", migration)
    name = common.session_name(meta)
    port = nested(body, "spec", "jobManager", "ports", "ui") or REST_PORT
    spec: dict[str, Any] = {"cluster": {"serviceRef": {"name": f"{name}-jobmanager", "port": port}}}
    if not _job(fields.part("job"), spec, migration):
        return
    options.sort(fields.part("flinkProperties").rest(), "spec.flinkProperties", spec, migration)
    common.apart(migration, meta, spec, fields, ("job",))
    version = str(body["spec"].get("flinkVersion") or "")
    if version and not version.startswith(("1.20", "2.")):
        migration.note(
            Weight.MUST, "spec.flinkVersion", "FlinkJobs run on Flink 1.20 to 2.3: upgrade the cluster's image"
        )
    if spec.get("state") != "Cancelled" and moving.carry(migration, spec, moving.spotify(body)):
        migration.steps += _steps(meta["name"], name)


def _job(job: Fields, spec: dict[str, Any], migration: Migration) -> bool:
    """`spec.job`; False where a FlinkJob cannot run such a program."""
    python = [each for each in _PYTHON if job.take(each)]
    if python:
        job.note(Weight.MUST, python[0], common.PYTHON_BY_HAND)
        return False
    spec["jar"] = common.jar(job, "jarFile", job.take("jarFile"))
    if (entry := job.take("className")) is not None:
        spec["jar"]["entryClass"] = str(entry)
    if job.take("classPath"):
        job.note(
            Weight.MUST,
            "classPath",
            "give these jars as spec.dependencies.jars, by addresses that the operator can fetch",
        )
    spec["args"] = texts(job.take("args"))
    if (parallelism := job.take("parallelism")) is not None:
        spec["parallelism"] = parallelism
    spec["initialState"] = common.initial_state(job.take("fromSavepoint"))
    _policies(job, spec)
    for each in _OF_SUBMITTER:
        job.drop(each, "there is no submitter Pod: the operator submits by Flink's REST API")
    job.leave()
    return True


def _policies(job: Fields, spec: dict[str, Any]) -> None:
    restore: dict[str, Any] = {}
    if job.take("allowNonRestoredState"):
        restore["allowNonRestoredState"] = True
    if age := number(job.take("maxStateAgeToRestoreSeconds")):
        restore["maxAge"] = f"{age}s"
    spec["restore"] = restore
    savepoints: dict[str, Any] = {"directory": job.take("savepointsDir")}
    if every := number(job.take("autoSavepointSeconds")):
        savepoints["interval"] = f"{every}s"
    spec["savepoints"] = savepoints
    if job.take("takeSavepointOnUpdate", True):
        spec["upgrade"] = {"strategy": "Savepoint"}
    else:
        spec["upgrade"] = {"strategy": "LastState"}
        job.note(Weight.CHECK, "takeSavepointOnUpdate", "LastState starts from the newest retained checkpoint")
    restarts = job.take("restartPolicy", "Never")
    spec["restart"] = {"policy": "OnFailure" if restarts == "FromSavepointOnFailure" else "Never"}
    if job.take("cancelRequested"):
        spec["state"] = "Cancelled"
    job.drop("savepointGeneration", "take one by kubectl flinkjob savepoint, or create a FlinkSavepoint")
    job.drop("cleanupPolicy", f"{_ENDS_WITH}; ttlSecondsAfterFinished deletes the FlinkJob of a job that finishes")
    spec["deletion"] = {"policy": "Cancel"}


def _steps(name: str, session: str) -> list[str]:
    note = "flinkclusters.flinkoperator.k8s.io/user-control"
    return [
        f"Apply FlinkCluster {session} first, and wait until its state is Running.",
        *common.by_savepoint(
            "flinkcluster",
            name,
            name,
            f"kubectl annotate flinkcluster {name} {note}=savepoint, wait for it, then {note}=job-cancel",
            f"kubectl get flinkcluster {name} -o jsonpath='{{.status.components.job.savepointLocation}}' is the LOCATION",
        ),
        "  What the job does between the savepoint and the cancel is done again: its sinks must bear that.",
    ]
