"""What `rollback` asks for: the fields of a kept spec that say what runs, put back into the spec."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from flinkjob.api.codec import FlinkJob
from flinkjob.cli import sqltexts
from flinkjob.cli.changes import Change
from flinkjob.cli.errors import CommandFailed
from flinkjob.cli.history import RUN_FIELDS, chosen_revision, spec_in
from flinkjob.core.identity import revision_name
from flinkjob.kube.mergepatch import merge_patch

_NONCE: Final = "restartNonce"
"""Says when, not what: it is neither compared nor put back, since a lower one than was seen is one that was used."""
_PROGRAM: Final = tuple(name for name in RUN_FIELDS if name != _NONCE)


def rollback(
    job: FlinkJob,
    obj: Mapping[str, Any],
    revisions: Sequence[dict[str, Any]],
    named: str | None,
    texts: sqltexts.Texts,
) -> Change:
    """Run what a revision ran, with a savepoint of what runs now.

    Args:
        named: a revision, or the number of a run. None: where the spec is not that of the run that is there, the one of
            that run; else the newest that says something else.
        texts: those that the spec names the places of.

    Raises:
        CommandFailed: there is none, or the spec says the same, or a text of the spec could not be read.
    """
    spec = obj.get("spec") or {}
    if unread := sorted({name for name, key in sqltexts.places(spec) if (name, key) not in texts}):
        raise CommandFailed(
            f"the script of {job.meta.name} is in ConfigMap {unread[0]}, which cannot be read, "
            "so it is not known whether a revision says something else"
        )
    known = [sqltexts.with_references(each, spec, texts) for each in revisions]
    chosen = chosen_revision(job, known, named or _before(job, spec, known))
    name, number, old = chosen["metadata"]["name"], chosen.get("revision"), spec_in(chosen)
    patch = _patch(old, spec)
    if not patch:
        raise CommandFailed(f"the spec of {job.meta.name} is that of revision {name} already")
    fields = " and ".join(f"spec.{each}" for each in sorted(patch))
    lost = sqltexts.given_up(old, spec)
    instead = f", with its text in place of the reference to ConfigMap {' and '.join(lost)}" if lost else ""
    return Change(asks=f"{fields} as revision {name} of run {number} has it{instead}", patch={"spec": patch})


def _patch(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """What makes the fields that say what runs those of the old spec; a field with nothing in it is as none."""

    def part(spec: Mapping[str, Any]) -> dict[str, Any]:
        return {name: spec[name] for name in _PROGRAM if spec.get(name) not in (None, [], {})}

    return merge_patch(part(new), part(old))


def _before(job: FlinkJob, spec: Mapping[str, Any], revisions: Sequence[Mapping[str, Any]]) -> str:
    """The first of what the operator goes on by instead, of what runs, and of what ran before, that says something else."""
    there = {each["metadata"]["name"]: spec_in(each) for each in revisions}
    runs = job.status.current_revision
    for name in _in_turn(job, there):
        if name not in there:
            raise CommandFailed(f"revision {name}, which {job.meta.name} runs, is not kept: choose one with --to")
        if _patch(there[name], spec):
            return name
    said = "no earlier revision that says something else" if runs is not None else "not run yet"
    raise CommandFailed(f"{job.meta.name} has {said}")


def _in_turn(job: FlinkJob, there: Mapping[str, Any]) -> Iterator[str]:
    status = job.status
    if status.rollback is not None and status.rollback.revision is not None:
        yield status.rollback.revision
    if status.current_revision is not None:
        yield status.current_revision
    known = [revision_name(job.meta.name, job.meta.uid, each.digest) for each in status.history if each.digest]
    yield from (each for each in known if each in there)
    yield from there
