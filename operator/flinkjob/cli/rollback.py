"""What `rollback` asks for: the fields of a kept spec that say what runs, put back into the spec."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flinkjob.api.codec import FlinkJob
from flinkjob.cli.changes import Change
from flinkjob.cli.errors import CommandFailed
from flinkjob.cli.history import RUN_FIELDS, chosen_revision, spec_in
from flinkjob.core.identity import revision_name
from flinkjob.kube.mergepatch import merge_patch


def rollback(job: FlinkJob, obj: Mapping[str, Any], revisions: Sequence[dict[str, Any]], named: str | None) -> Change:
    """Run what a revision ran, with a savepoint of what runs now.

    Args:
        named: a revision, or the number of its run. None: the one before what the spec says now.

    Raises:
        CommandFailed: there is none, or the spec says the same.
    """
    chosen = chosen_revision(job, revisions, named or _before(job, obj, revisions))
    name, number = chosen["metadata"]["name"], chosen.get("revision")
    patch = _patch(spec_in(chosen), obj.get("spec") or {})
    if not patch:
        raise CommandFailed(f"the spec of {job.meta.name} is that of revision {name} already")
    fields = " and ".join(f"spec.{each}" for each in sorted(patch))
    return Change(asks=f"{fields} as revision {name} of run {number} has it", patch={"spec": patch})


def _patch(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """What makes the fields that say what runs those of the old spec; a field with nothing in it is as none."""

    def part(spec: Mapping[str, Any]) -> dict[str, Any]:
        return {name: spec[name] for name in RUN_FIELDS if spec.get(name) not in (None, [], {})}

    return merge_patch(part(new), part(old))


def _before(job: FlinkJob, obj: Mapping[str, Any], revisions: Sequence[Mapping[str, Any]]) -> str:
    """The newest revision with another spec: where the operator took a spec back already, the one that runs instead."""
    status = job.status
    if status.rollback is not None and status.rollback.revision is not None:
        return status.rollback.revision
    there: dict[str, Mapping[str, Any]] = {each["metadata"]["name"]: each for each in revisions}
    known = [revision_name(job.meta.name, each.digest) for each in status.history if each.digest]
    ordered = [each for each in known if each in there] + list(there)
    for name in ordered:
        if name != status.current_revision and _patch(spec_in(there[name]), obj.get("spec") or {}):
            return name
    raise CommandFailed(f"{job.meta.name} has no earlier revision that says something else")
