"""FlinkStateSnapshot of the Apache operator: a FlinkSavepoint."""

from __future__ import annotations

from typing import Any, Final

from flinkjob.api.constants import API_VERSION, SAVEPOINT_KIND
from flinkjob.cli.migrate import common
from flinkjob.cli.migrate.fields import Fields, Migration, Weight, nested, without_empty
from flinkjob.cli.migrate.options import FORMATS

LONGEST_NAME: Final = 253
MOST_ATTEMPTS: Final = 100
_USUAL_ATTEMPTS: Final = 3


def snapshot(migration: Migration) -> None:
    """A snapshot that is there already is registered; one that is not is taken when the result is applied."""
    body = migration.source.body
    meta = common.metadata(migration, LONGEST_NAME)
    fields = Fields(body.get("spec"), "spec", migration)
    complete = nested(body, "status", "state") == "COMPLETED"
    there = str(nested(body, "status", "path") or "") if complete else ""
    reference = fields.part("jobReference")
    name, kind = reference.take("name"), reference.take("kind", "FlinkSessionJob")
    reference.leave()
    if not name:
        words = "names no job: a FlinkSavepoint belongs to one (jobRef); with initialState.location no object is needed"
        migration.note(Weight.MUST, "spec.jobReference", words)
        return
    spec: dict[str, Any] = {"jobRef": {"name": str(name)}}
    if kind == "FlinkDeployment":
        migration.note(Weight.CHECK, "spec.jobReference", f"the job of FlinkDeployment {name} is FlinkJob {name} now")
    if fields.take("checkpoint") is not None:
        _checkpoint(spec, there, migration)
    else:
        _savepoint(fields.part("savepoint"), spec, there)
    _attempts(fields, spec)
    fields.leave()
    if spec["mode"] == "Trigger":
        migration.note(
            Weight.CHECK, "spec", "is taken anew when it is applied: leave it out where the old one is meant"
        )
    migration.made.append(
        {"apiVersion": API_VERSION, "kind": SAVEPOINT_KIND, "metadata": meta, "spec": without_empty(spec)}
    )


def _savepoint(fields: Fields, spec: dict[str, Any], there: str) -> None:
    path, form = fields.take("path"), str(fields.take("formatType", "CANONICAL")).upper()
    exists = bool(fields.take("alreadyExists", False))
    disposes = bool(fields.take("disposeOnDelete", True))
    fields.leave()
    if exists or there:
        spec |= {"mode": "Existing", "location": there or path}
    else:
        spec |= {"mode": "Trigger", "directory": path, "formatType": FORMATS.get(form)}
    if disposes:
        spec["deletion"] = {"policy": "Delete"}
        fields.note(Weight.CHECK, "disposeOnDelete", "the data go with the object, but never while a run may need them")


def _checkpoint(spec: dict[str, Any], there: str, migration: Migration) -> None:
    if there:
        spec |= {"mode": "Existing", "location": there}
        migration.note(Weight.CHECK, "status.path", "is a checkpoint, which Flink may delete; a run from it is NoClaim")
        return
    spec |= {"mode": "Trigger", "type": "Checkpoint", "checkpointType": "Full"}


def _attempts(fields: Fields, spec: dict[str, Any]) -> None:
    limit = fields.take("backoffLimit", -1)
    if not isinstance(limit, int) or limit < 0:
        fields.note(
            Weight.CHECK, "backoffLimit", f"without a limit; {_USUAL_ATTEMPTS} attempts more are made by default"
        )
        return
    if limit != _USUAL_ATTEMPTS:
        spec["backoffLimit"] = min(limit, MOST_ATTEMPTS)
