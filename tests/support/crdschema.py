"""Whether a value is what a CRD's schema allows, as the API server checks it (without CEL rules)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flinkjob.api.crd import flinkjob_crd, flinksavepoint_crd

_CRDS = {"FlinkJob": flinkjob_crd(), "FlinkSavepoint": flinksavepoint_crd()}
_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "object": dict,
    "array": list,
}


def status_schema(kind: str) -> dict[str, Any]:
    """The schema of the status of a kind."""
    definition = _CRDS[kind]
    schema: dict[str, Any] = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"]
    return schema


def misfits(schema: dict[str, Any], value: Any, path: str = "status") -> list[str]:
    """What the API server would refuse; nothing where all fits."""
    if not isinstance(value, _TYPES[schema["type"]]):
        return [f"{path}: {value!r:.50} is no {schema['type']}"]
    match value:
        case str():
            return _text(schema, value, path)
        case bool():
            return []
        case int() | float():
            fits = schema.get("minimum", -(2**63)) <= value <= schema.get("maximum", 2**63 - 1)
            return [] if fits else [f"{path}: {value} is out of range"]
        case list():
            inner = [each for at, item in enumerate(value) for each in misfits(schema["items"], item, f"{path}[{at}]")]
            return [f"{path}: too many items", *inner] if len(value) > schema["maxItems"] else inner
        case dict():
            return _object(schema, value, path)
        case _:
            return []


def _text(schema: dict[str, Any], value: str, path: str) -> list[str]:
    if schema.get("format") == "date-time":
        try:
            datetime.fromisoformat(value)
        except ValueError:
            return [f"{path}: {value} is no time"]
    if "enum" in schema and value not in schema["enum"]:
        return [f"{path}: {value} is none of {schema['enum']}"]
    if len(value) > schema.get("maxLength", 2**31):
        return [f"{path}: longer than {schema['maxLength']}"]
    return []


def _object(schema: dict[str, Any], value: dict[str, Any], path: str) -> list[str]:
    known = schema.get("properties", {})
    found = [f"{path}.{name}: missing" for name in schema.get("required", ()) if name not in value]
    for name, each in value.items():
        inner = known.get(name) or schema.get("additionalProperties")
        found += misfits(inner, each, f"{path}.{name}") if inner else [f"{path}.{name}: unknown"]
    return found
