"""Renders `crds/README.md`, the API reference, from the generated schemas and the field classes; called by `crd`.

Invariant: nothing about a field is written here; its words come from its model.
"""

import ast
import inspect
import itertools
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter

from flinkjob.api import common, enums
from flinkjob.api.fieldclass import FieldClass, classes_by_path
from flinkjob.api.flinkjob_spec import FlinkJobSpec
from flinkjob.api.reasons import Reason
from flinkjob.api.schema import Schema

_INTRODUCTION: Final = """\
# API reference

<!-- Generated from the models by `python -m flinkjob.api.crd`; do not edit. -->

Group `flinkjob.dev`, version `v1alpha1`, namespaced. Examples: [`deploy/examples`](../deploy/examples).

```
kubectl apply -f flinkjobs.yaml -f flinksavepoints.yaml
kubectl explain flinkjob.spec.upgrade
```

A manifest that cannot work is refused by `kubectl apply` with a message that names the field. A duration is written
`90s`, `1h30m` or `7d` and is never zero. A location is a URI or an absolute path, as Flink names it, without a
password. The number beside `string` is the most characters it can have.

## Field classes

What a change of a field does to the running job:

| class | meaning |
| --- | --- |
"""

_CLASSES: Final[Mapping[FieldClass, str]] = {
    FieldClass.RUN: "the running job is replaced, as `upgrade.strategy` says",
    FieldClass.SCALE: "changed in place where Flink can, else the job is replaced",
    FieldClass.MOVE: "the job goes to another cluster",
    FieldClass.START: "read only when a first run starts, or when `initialState.nonce` changes",
    FieldClass.LIVE: "acts without touching the running job",
}

_WORDS: Final[Mapping[str, type[StrEnum]]] = {
    "FlinkJob.status.submission.reason": enums.SubmissionReason,
    "FlinkJob.status.submission.end.result": enums.RunResult,
    "FlinkJob.status.submission.end.cause": enums.EndCause,
    "FlinkJob.status.submission.end.snapshotKind": enums.SnapshotKind,
    "FlinkJob.status.hold.reason": enums.HoldReason,
    "FlinkSavepoint.status.error.errorCode": enums.SavepointErrorCode,
}


def _shape(schema: Mapping[str, Any]) -> str:
    """What sets a string of one type apart: its pattern, or the first of its rules; "" where it has neither."""
    found: Sequence[Mapping[str, str]] = schema.get("x-kubernetes-validations") or ({},)
    return schema.get("pattern") or found[0].get("rule", "")


_SPECIAL: Final = {
    _shape(TypeAdapter(annotation).json_schema()): word
    for annotation, word in (
        (common.Duration, "duration"),
        (common.Location, "location"),
        (common.ClusterUrl, "URL"),
        (common.ArtifactUri, "URI"),
        (common.FileUri, "URI"),
        (common.JobId, "32 hex digits"),
        (common.Sha256, "64 hex digits"),
        (common.ObjectName, "name"),
    )
}


def render(job: Mapping[str, Any], savepoint: Mapping[str, Any]) -> str:
    """The whole reference as Markdown.

    Args:
        job: the CustomResourceDefinition of FlinkJob.
        savepoint: the one of FlinkSavepoint.
    """
    parts = [_INTRODUCTION]
    parts += [f"| {each.value} | {_CLASSES[each]} |\n" for each in FieldClass]
    parts += _kind(job, {path: each.value for path, each in classes_by_path(FlinkJobSpec).items()})
    parts += _kind(savepoint, {})
    parts.append("\n## Words in a status\n")
    for place, closed in _WORDS.items():
        parts.append(f"\n`{place}`:\n\n| word | meaning |\n| --- | --- |\n")
        parts += [f"| `{word}` | {_cell(meaning)} |\n" for word, meaning in explained(closed)]
    parts.append("\n## Reasons\n\nThe same words in conditions, in Events and in metrics.\n\n")
    parts.append("| reason | meaning |\n| --- | --- |\n")
    parts += [f"| `{reason}` | {_cell(reason.explanation)} |\n" for reason in Reason]
    parts.append("\n" + Path(__file__).with_name("appendix.md").read_text(encoding="utf-8"))
    return "".join(parts)


def explained(words: type[StrEnum]) -> Iterator[tuple[str, str]]:
    """Each word of an enum of `enums` with the docstring below it in the source; also called by the command line."""
    [body] = ast.parse(inspect.getsource(words)).body
    assert isinstance(body, ast.ClassDef)
    for member, below in itertools.pairwise(body.body):
        match member, below:
            case ast.Assign(value=ast.Constant(value=str(word))), ast.Expr(value=ast.Constant(value=str(meaning))):
                yield word, meaning
            case _:
                pass


def _kind(crd: Mapping[str, Any], classes: Mapping[str, str]) -> Iterator[str]:
    kind = crd["spec"]["names"]["kind"]
    version = crd["spec"]["versions"][0]
    root = version["schema"]["openAPIV3Schema"]
    spec, status = root["properties"]["spec"], root["properties"]["status"]
    yield f"\n## {kind}\n\n{root['description']} Short name `{crd['spec']['names']['shortNames'][0]}`.\n"
    yield f"\n### {kind}.spec\n\n"
    head = ("field", "type", "default", "class", "meaning") if classes else ("field", "type", "default", "meaning")
    yield _row(head) + _row(["---"] * len(head))
    for path, schema, required in _fields(spec, ""):
        default = "**required**" if required else _default(schema)
        columns = [f"`{path}`", _type(schema), default, _cell(schema.get("description", ""))]
        if classes:
            columns.insert(3, classes[path])
        yield _row(columns)
    yield "\nRefused at apply:\n\n"
    for message in dict.fromkeys(_messages(root, spec)):
        yield f"- {message}\n"
    yield f"\n### {kind}.status\n\nWritten by the operator only.\n\n"
    yield _row(("field", "type", "meaning")) + _row(["---"] * 3)
    for path, schema, _ in _fields(status, ""):
        yield _row([f"`{path}`", _type(schema), _cell(schema.get("description", ""))])
    yield f"\n### kubectl get {crd['spec']['names']['plural']}\n\n"
    yield _row(("column", "from", "shown")) + _row(["---"] * 3)
    for column in version["additionalPrinterColumns"]:
        shown = "with `-o wide`" if column.get("priority") else "always"
        yield _row([column["name"].upper(), f"`{column['jsonPath']}`", shown])
    selectable = ", ".join(f"`{field['jsonPath'].removeprefix('.')}`" for field in version["selectableFields"])
    yield f"\nField selectors: `metadata.name`, `metadata.namespace`, {selectable}.\n"


def _fields(schema: Schema, prefix: str) -> Iterator[tuple[str, Schema, bool]]:
    for name, field in schema.get("properties", {}).items():
        path = prefix + name
        yield path, field, name in schema.get("required", ())
        yield from _fields(field, f"{path}.")
        if field["type"] == "array":
            yield from _fields(field["items"], f"{path}[].")


def _messages(root: Schema, spec: Schema) -> Iterator[str]:
    for rule in (*root.get("x-kubernetes-validations", ()), *spec.get("x-kubernetes-validations", ())):
        yield rule["message"]
    for _, field, _ in _fields(spec, ""):
        described = field["items"] if field["type"] == "array" else field
        if described["type"] == "object":
            for rule in described.get("x-kubernetes-validations", ()):
                yield rule["message"]


def _type(schema: Schema) -> str:
    match schema["type"]:
        case "string" if "enum" in schema:
            return " \\| ".join(f"`{word}`" for word in schema["enum"])
        case "string" if schema.get("format") == "date-time":
            return "time"
        case "string":
            return _SPECIAL.get(_shape(schema), f"string ({schema['maxLength']})")
        case "integer":
            low, high = schema.get("minimum"), schema.get("maximum")
            if high is None or high >= 2**53:
                return f"integer from {low} on" if low is not None else "integer"
            return f"integer, {low} – {high}"
        case "array":
            return f"list of {_type(schema['items'])}, at most {schema['maxItems']}"
        case "object" if "properties" not in schema:
            return f"map to {_type(schema['additionalProperties'])}, at most {schema['maxProperties']}"
        case other:
            return str(other)


def _default(schema: Schema) -> str:
    default = schema.get("default")
    if default is None or default == {}:
        return "–"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |\n"
