"""The variables of a FlinkJob: whether all of its names have values, and the spec with these values in it.

Called by the job decision. Invariants: the values are in the run call and nowhere else, neither in the status nor in a
revision; nothing is started or compiled while a name has no value; only names that are used are asked for, and a job that
runs as its spec says needs none.
"""

from __future__ import annotations

from collections.abc import Mapping

from flinkjob.api.flinkjob_spec import FlinkJobSpec
from flinkjob.api.variables_spec import MOST_VARIABLE_BYTES
from flinkjob.core.facts import Revision, Variables
from flinkjob.core.job.draft import Draft
from flinkjob.core.program import script_parts
from flinkjob.core.seen import VariablesSeen
from flinkjob.core.sqlscript import ScriptError, split
from flinkjob.core.variables import NAME, are_longer, expanded, names_in, unknown_names


def has_variables(spec: FlinkJobSpec) -> bool:
    """Whether names are replaced at all: else a text is what it is."""
    return bool(spec.variables or spec.variables_from)


def known_of_run(draft: Draft) -> None:
    """Have the values read once that the run was started with: no round must show those of its Secrets.

    They are those of the revision of the run wherever another spec is decided by.
    """
    run, spec = draft.run, draft.spec
    if run is None:
        return
    if spec is None or draft.digest != run.run_digest:
        kept = draft.need(Revision(run.revision)) if run.revision is not None else None
        spec = kept or spec
    if spec is not None:
        _seen(draft, spec, fresh=False)


def problem(draft: Draft, spec: FlinkJobSpec) -> str:
    """Why the names of a spec cannot be replaced now, or ""."""
    if not has_variables(spec):
        return ""
    if wrong := next((name for name in spec.variables if not NAME.fullmatch(name)), None):
        return f"spec.variables: {wrong} is not a name: letters, digits, _, - and ., and no digit first"
    seen = _seen(draft, spec)
    if seen.problem:
        return f"spec.variablesFrom: {seen.problem}"
    values = {**seen.values, **spec.variables}
    for field, texts in (("args", spec.args), ("flinkConfiguration", tuple(spec.flink_configuration.values()))):
        if unknown := unknown_names(texts, values):
            return _unknown(field, unknown[0])
    if missing := _unknown_in_script(spec, values):
        return _unknown("sql", missing)
    return next(
        (_too_long(field) for field, texts in _fields(spec) if are_longer(texts, values, MOST_VARIABLE_BYTES)), ""
    )


def _unknown(field: str, name: str) -> str:
    return f"spec.{field}: no variable is named {name}; write $$({name}) for the text itself"


def _unknown_in_script(spec: FlinkJobSpec, values: Mapping[str, str]) -> str:
    """A name without a value in the statements of a script; comments around them are left out, as by the runner."""
    for text in _script(spec):
        if unknown_names((text,), values):
            try:
                statements = split(text)
            except ScriptError:
                return ""  # said when its jar is made
            if unknown := unknown_names((each.text for each in statements), values):
                return unknown[0]
    return ""


def _too_long(field: str) -> str:
    return f"spec.{field}: with the values of its variables it has more than {MOST_VARIABLE_BYTES} characters"


def filled(draft: Draft, spec: FlinkJobSpec) -> FlinkJobSpec:
    """The spec with the values; `problem` has said that they are there, and not too many."""
    if not has_variables(spec):
        return spec
    values = _values(draft, spec)
    assert not any(are_longer(texts, values, MOST_VARIABLE_BYTES) for _, texts in _fields(spec)), "`problem` was asked"
    return spec.model_copy(
        update={
            "args": tuple(expanded(text, values) for text in spec.args),
            "flink_configuration": {key: expanded(text, values) for key, text in spec.flink_configuration.items()},
        }
    )


def for_script(draft: Draft, spec: FlinkJobSpec) -> tuple[str, ...]:
    """The arguments of the runner of a SQL script, which puts the values into its statements: those that it uses.

    What a script uses that is fetched from elsewhere is not known here: its runner gets all of them.
    """
    if not has_variables(spec):
        return ()
    secret = _seen(draft, spec).secret - spec.variables.keys()
    used = None if _is_elsewhere(spec) else names_in(_script(spec))
    found = ["--variables"]
    for name, value in sorted(_values(draft, spec).items()):
        if used is None or name in used:
            found += ["--secret" if name in secret else "--value", f"{name}={value}"]
    return tuple(found)


def _is_elsewhere(spec: FlinkJobSpec) -> bool:
    """Whether the script is not in the spec, so that it is not known here which names it uses."""
    sql = spec.sql
    return sql is not None and (sql.script is None or any(init.script is None for init in sql.init_from))


def _script(spec: FlinkJobSpec) -> tuple[str, ...]:
    return tuple(part.text for part in script_parts(spec) if part.text is not None)


def _fields(spec: FlinkJobSpec) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """What has names in it, by the field that holds it."""
    return (
        ("args", spec.args),
        ("flinkConfiguration", tuple(spec.flink_configuration.values())),
        ("sql", _script(spec)),
    )


def _values(draft: Draft, spec: FlinkJobSpec) -> Mapping[str, str]:
    seen = _seen(draft, spec)
    assert not seen.problem, "`problem` was asked"
    return {**seen.values, **spec.variables}


def _seen(draft: Draft, spec: FlinkJobSpec, *, fresh: bool = True) -> VariablesSeen:
    """What ConfigMaps and Secrets have of the names that are used and that the spec itself does not give."""
    used = names_in(text for _, texts in _fields(spec) for text in texts) - spec.variables.keys()
    names = None if _is_elsewhere(spec) else tuple(sorted(used))
    if not spec.variables_from or names == ():
        return VariablesSeen()
    return draft.need(Variables(spec.variables_from, draft.job.meta.generation or 0, names, fresh))
