"""The variables of a FlinkJob: whether all of its names have values, and the spec with these values in it.

Called by the job decision. Invariants: the values are in the run call and nowhere else, neither in the status nor in a
revision; nothing is started or compiled while a name has no value.
"""

from __future__ import annotations

from flinkjob.api.enums import VariablesUpdatePolicy
from flinkjob.api.flinkjob_spec import FlinkJobSpec
from flinkjob.api.variables_spec import MOST_VARIABLE_BYTES
from flinkjob.core.facts import Variables
from flinkjob.core.job.draft import Draft
from flinkjob.core.seen import VariablesSeen
from flinkjob.core.variables import NAME, expanded, unknown_names

LOOKED_AT = 30.0
"""Seconds after which it is looked at whether values have changed, where that counts."""


def has_variables(spec: FlinkJobSpec) -> bool:
    """Whether names are replaced at all: else a text is what it is."""
    return bool(spec.variables or spec.variables_from)


def known(draft: Draft, spec: FlinkJobSpec) -> None:
    """Have the values, if there are any: also a job that is deleted must not show those of its Secrets."""
    _seen(draft, spec)


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
            return f"spec.{field}: no variable is named {unknown[0]}; write $$({unknown[0]}) for the text itself"
        if sum(len(expanded(text, values)) for text in texts) > MOST_VARIABLE_BYTES:
            return f"spec.{field}: with the values of its variables it has more than {MOST_VARIABLE_BYTES} characters"
    return ""


def digest(draft: Draft, spec: FlinkJobSpec) -> str:
    """What changes with the values, where a change of them is a change of the spec; else ""."""
    if not _compared(spec):
        return ""
    draft.requeue_after(LOOKED_AT)
    return _seen(draft, spec).digest


def filled(draft: Draft, spec: FlinkJobSpec) -> FlinkJobSpec:
    """The spec with the values; `problem` has said that they are there."""
    if not has_variables(spec):
        return spec
    values = {**_seen(draft, spec).values, **spec.variables}
    return spec.model_copy(
        update={
            "args": tuple(expanded(text, values) for text in spec.args),
            "flink_configuration": {key: expanded(text, values) for key, text in spec.flink_configuration.items()},
        }
    )


def for_script(draft: Draft, spec: FlinkJobSpec) -> tuple[str, ...]:
    """The arguments of the runner of a SQL script, which puts the values into its statements."""
    if not has_variables(spec):
        return ()
    seen = _seen(draft, spec)
    secret = seen.secret - spec.variables.keys()
    found = ["--variables"]
    for name, value in sorted({**seen.values, **spec.variables}.items()):
        found += ["--secret" if name in secret else "--value", f"{name}={value}"]
    return tuple(found)


def _compared(spec: FlinkJobSpec) -> bool:
    return bool(spec.variables_from) and spec.variables_update_policy is VariablesUpdatePolicy.REPLACE


def _seen(draft: Draft, spec: FlinkJobSpec) -> VariablesSeen:
    if not spec.variables_from:
        return VariablesSeen()
    return draft.need(Variables(spec.variables_from, draft.job.meta.generation or 0, _compared(spec)))
