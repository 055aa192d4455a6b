"""The runs of a FlinkJob, the specs that are kept of them as ControllerRevisions, and how a spec differs from one."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from rich.text import Text

from flinkjob.api.codec import FlinkJob
from flinkjob.api.fieldclass import FieldClass, field_class
from flinkjob.api.flinkjob_spec import FlinkJobSpec
from flinkjob.cli.errors import CommandFailed
from flinkjob.cli.lineage import generations, standing_style
from flinkjob.cli.output import as_yaml
from flinkjob.cli.table import table
from flinkjob.cli.texts import BAD, GOOD, HEAD, since, text
from flinkjob.core.errors import visible
from flinkjob.core.identity import revision_name

HIDDEN: Final = "(hidden)"
_SENSITIVE: Final = (
    *("password", "secret", "token", "apikey", "api-key", "access-key", "account.key", "account-key", "credential"),
    *("auth-params", "service-key", "basic-auth", "jaas.config", "http-headers", "private-key", "sasl"),
)
"""Parts of the names of options whose values are not shown."""

RUN_FIELDS: Final = tuple(
    sorted(
        field.alias or name for name, field in FlinkJobSpec.model_fields.items() if field_class(field) is FieldClass.RUN
    )
)
"""The fields of a spec that say what runs: those that a revision is kept for."""


def revisions_of(job: Mapping[str, Any], found: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The ControllerRevisions that belong to this very object, the newest first."""
    uid = job["metadata"]["uid"]
    own = [each for each in found if any(o.get("uid") == uid for o in each["metadata"].get("ownerReferences") or ())]
    return sorted(own, key=lambda each: int(each.get("revision") or 0), reverse=True)


def chosen_revision(job: FlinkJob, revisions: Sequence[dict[str, Any]], named: str) -> dict[str, Any]:
    """The revision of this name, or of the run with this number.

    Raises:
        CommandFailed: there is none; those that there are, are named.
    """
    by_name = {each["metadata"]["name"]: each for each in revisions}
    if named.isdecimal():
        kept = (each["metadata"]["name"] for each in revisions if int(each.get("revision") or 0) == int(named))
        named = _revision_of_run(job, int(named)) or next(kept, named)
    if named in by_name:
        return by_name[named]
    there = ", ".join(by_name) or "none is kept"
    raise CommandFailed(f"{job.meta.name} has no revision {named}; there are: {there}")


def _revision_of_run(job: FlinkJob, number: int) -> str | None:
    run = job.status.submission
    if run is not None and run.number == number:
        return run.revision
    entry = next((each for each in job.status.history if each.number == number), None)
    if entry is None or entry.digest is None:
        return None
    return revision_name(job.meta.name, job.meta.uid, entry.digest)


def history(job: FlinkJob, revisions: Sequence[Mapping[str, Any]], now: datetime) -> list[Text]:
    """The lines of `history`: runs, then revisions."""
    status = job.status
    runs = [
        (
            each.number,
            text(each.standing, standing_style(each) if each.result is None else ""),
            text(_revision_of_run(job, each.number)),
            since(each.started, now),
            since(each.ended, now) if each.result is not None else None,
            each.downtime,
            text(each.job_id),
            text(each.restored or "empty"),
        )
        for each in generations(status)
    ]
    kept = []
    for each in revisions:
        name = each["metadata"]["name"]
        marks = [
            word
            for word, marked in (("runs", status.current_revision), ("healthy", status.healthy_revision))
            if marked == name
        ]
        if status.rollback is not None and status.rollback.revision == name:
            marks.append("rolled back to")
        kept.append((name, int(each.get("revision") or 0), text(", ".join(marks)), text(_runs_what(each))))
    lines = [
        Text("RUNS", HEAD),
        *table(("RUN", "RESULT", "REVISION", "STARTED", "ENDED", "DOWN", "JOB", "FROM"), runs, 2),
    ]
    if not runs:
        lines = [Text("nothing has run yet")]
    return [*lines, Text(""), Text("REVISIONS", HEAD), *table(("NAME", "RUN", "", "WHAT"), kept, 2)] if kept else lines


def _runs_what(revision: Mapping[str, Any]) -> str:
    """What a revision runs, in a few words."""
    spec = spec_in(revision)
    python = spec.get("python") or {}
    if python:
        program = str(python.get("file") or python.get("module") or "Python")
    elif spec.get("sql"):
        program = "SQL"
    else:
        program = str((spec.get("jar") or {}).get("uri") or "jar").rsplit("/", 1)[-1]
    arguments = " ".join(str(each) for each in spec.get("args") or ())
    return f"{program} {arguments}"[:60].strip()


def spec_in(revision: Mapping[str, Any]) -> dict[str, Any]:
    """The spec that a revision holds; empty where it holds none: people can write revisions too."""
    data = revision.get("data")
    spec = data.get("spec") if isinstance(data, Mapping) else None
    return dict(spec) if isinstance(spec, Mapping) else {}


def difference(revision: Mapping[str, Any], job: Mapping[str, Any]) -> list[Text]:
    """How what the spec runs differs from a revision, as a unified diff; none where it does not.

    Values of options that hold secrets by their name are hidden; that one differs is said.
    """
    old, new = _what_runs(spec_in(revision)), _what_runs(job.get("spec") or {})
    changed = sorted(_sensitive_changes(old, new))
    before, after = (as_yaml(_in_order(masked(each))).splitlines() for each in (old, new))
    found = list(difflib.unified_diff(before, after, f"revision {revision['metadata']['name']}", "spec", lineterm=""))
    lines = [Text(visible(line), _STYLES.get(line[:1], "")) for line in found]
    return lines + [Text(visible(f"~ {name}: another value, {HIDDEN}")) for name in changed]


_STYLES: Final = {"+": GOOD, "-": BAD, "@": "cyan"}


def _what_runs(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a spec that says what runs, without what equals its default."""
    return {name: spec[name] for name in RUN_FIELDS if spec.get(name) not in (None, [], {})}


def _in_order(value: Any) -> Any:
    """The same with the names of all mappings sorted: another order says nothing."""
    if isinstance(value, Mapping):
        return {name: _in_order(value[name]) for name in sorted(value)}
    return [_in_order(each) for each in value] if isinstance(value, list) else value


def _is_sensitive(name: str) -> bool:
    return any(part in name.lower() for part in _SENSITIVE)


def masked(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The spec with the values of options hidden that hold secrets by their name."""
    options = spec.get("flinkConfiguration")
    if not isinstance(options, Mapping):
        return dict(spec)
    shown = {name: HIDDEN if _is_sensitive(name) else value for name, value in sorted(options.items())}
    return {**spec, "flinkConfiguration": shown}


def _sensitive_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> set[str]:
    before, after = old.get("flinkConfiguration") or {}, new.get("flinkConfiguration") or {}
    return {name for name in before.keys() & after.keys() if _is_sensitive(name) and before[name] != after[name]}
