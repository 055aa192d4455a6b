"""Whether manifests of FlinkJobs and FlinkSavepoints can be used: found by the models, without a cluster.

The models hold every rule that the API server checks, so both find the same; a test compares them. What needs the cluster,
such as whether a jar is there, neither finds. Values are never quoted in findings, since one may be a secret.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError

from flinkjob.api.constants import API_VERSION, GROUP, JOB_KIND, MAX_JOB_NAME, SAVEPOINT_KIND
from flinkjob.api.flinkjob_spec import FlinkJobSpec
from flinkjob.api.flinksavepoint_spec import FlinkSavepointSpec
from flinkjob.cli.manifests import Manifest
from flinkjob.core.errors import one_line

MODELS: Final[Mapping[str, type[BaseModel]]] = {JOB_KIND: FlinkJobSpec, SAVEPOINT_KIND: FlinkSavepointSpec}
_NAME: Final = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")
_WORD: Final = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?")
_LONGEST_WORD: Final = 63
_LONGEST_PREFIX: Final = 253
_MOST_ANNOTATIONS: Final = 256 * 1024
_LONGEST: Final[Mapping[str, int]] = {JOB_KIND: MAX_JOB_NAME, SAVEPOINT_KIND: 253}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What is wrong with a manifest, in one line that names the field."""

    manifest: Manifest
    words: str


def is_ours(manifest: Manifest) -> bool:
    """Whether it is of a kind of the operator."""
    return str(manifest.body.get("apiVersion") or "").partition("/")[0] == GROUP


def findings(manifest: Manifest) -> list[Finding]:
    """What is wrong with a manifest of the operator's kinds; nothing where it can be used."""
    return [Finding(manifest=manifest, words=one_line(each)) for each in _findings(manifest.body)]


def _findings(body: Mapping[str, Any]) -> Iterator[str]:
    version, kind = body.get("apiVersion"), body.get("kind")
    if version != API_VERSION:
        yield f"apiVersion: {version} is not served; write {API_VERSION}"
    model = MODELS.get(str(kind))
    if model is None:
        yield f"kind: {kind} is none of {', '.join(MODELS)}"
        return
    yield from _metadata(body.get("metadata"), str(kind))
    unknown = [each for each in body if each not in ("apiVersion", "kind", "metadata", "spec", "status")]
    yield from (f"{each}: there is no such field" for each in unknown)
    spec = body.get("spec")
    if not isinstance(spec, Mapping):
        yield "spec: is missing"
        return
    yield from _unknown(spec, model, "spec")
    yield from _wrong(_without_nulls(spec), model)


def _metadata(meta: Any, kind: str) -> Iterator[str]:
    fields: Mapping[str, Any] = meta if isinstance(meta, Mapping) else {}
    yield from _name(fields, kind)
    namespace = fields.get("namespace")
    if namespace is not None and not (_is_name(namespace, _LONGEST_WORD) and "." not in namespace):
        yield "metadata.namespace: only lower-case letters, digits and -, at most 63"
    for part in ("labels", "annotations"):
        found = fields.get(part)
        if found is None:
            continue
        if not isinstance(found, Mapping):
            yield f"metadata.{part}: a mapping is expected"
            continue
        for key, value in found.items():
            yield from (f"metadata.{part}.{key}: {wrong}" for wrong in _marked(key, value, label=part == "labels"))
        if (
            part == "annotations"
            and sum(len(f"{key}{value}".encode()) for key, value in found.items()) > _MOST_ANNOTATIONS
        ):
            yield "metadata.annotations: more than 256 KiB together"


def _marked(key: Any, value: Any, *, label: bool) -> Iterator[str]:
    """What is wrong with a label or an annotation."""
    prefix, slash, word = str(key).rpartition("/")
    checked = prefix if label else prefix.lower()
    if (slash and not _is_name(checked, _LONGEST_PREFIX)) or not _is_word(word) or not isinstance(key, str):
        yield "is no name of a label or annotation"
    if value is None:
        return
    if not isinstance(value, str):
        yield "a text is expected; put it in quotes"
    elif label and value and not _is_word(value):
        yield "the value of a label has at most 63 letters, digits, -, _ and ."


def _is_word(text: str) -> bool:
    return len(text) <= _LONGEST_WORD and _WORD.fullmatch(text) is not None


def _is_name(text: Any, longest: int) -> bool:
    return isinstance(text, str) and len(text) <= longest and _NAME.fullmatch(text) is not None


def _name(meta: Mapping[str, Any], kind: str) -> Iterator[str]:
    name = meta.get("name")
    if name is None and meta.get("generateName"):
        return
    if not isinstance(name, str) or not name:
        yield "metadata.name: is missing"
    elif not _NAME.fullmatch(name):
        yield "metadata.name: only lower-case letters, digits, - and ., beginning and ending with a letter or digit"
    elif len(name) > _LONGEST[kind]:
        yield f"metadata.name must have at most {_LONGEST[kind]} characters"


def _without_nulls(value: Any) -> Any:
    """The value as the API server takes it: a field with a null is absent."""
    if isinstance(value, Mapping):
        return {str(name): _without_nulls(each) for name, each in value.items() if each is not None}
    return [_without_nulls(each) for each in value] if isinstance(value, list) else value


def _wrong(spec: Mapping[str, Any], model: type[BaseModel]) -> Iterator[str]:
    """What the model refuses; types are those of JSON, so that the text 2 is no number."""
    try:
        model.model_validate_json(json.dumps(spec, default=str), strict=True)
    except ValidationError as error:
        for each in error.errors(include_url=False, include_input=False, include_context=False):
            message = each["msg"].removeprefix("Value error, ")
            yield message if each["type"] == "rule" else f"{_path('spec', each['loc'])}: {message}"


def _path(root: str, parts: Sequence[int | str]) -> str:
    return root + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)


def _unknown(value: Any, model: type[BaseModel], path: str) -> Iterator[str]:
    """Fields that the model does not have, nested ones too."""
    if not isinstance(value, Mapping):
        return
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    for name, inner in value.items():
        if name not in fields:
            alike = difflib.get_close_matches(str(name), fields, 1)
            yield f"{path}.{name}: there is no such field" + (f"; did you mean {alike[0]}?" if alike else "")
            continue
        for nested in _models(fields[name].annotation):
            several = inner if isinstance(inner, list) else [inner]
            for number, each in enumerate(several):
                place = f"{path}.{name}[{number}]" if isinstance(inner, list) else f"{path}.{name}"
                yield from _unknown(each, nested, place)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models in an annotation such as `tuple[CopySpec, ...]` or `SqlSpec | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models(argument)
