"""From the models to structural schemas as the API server takes them; called by the CRD generator only.

Strict: whatever the API server would refuse, prune or let drift is an error here, with the field's path, instead of a
surprise at apply. The input is pydantic's own JSON schema; `$ref` is inlined and Optional means that the field may be
absent.
"""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel, TypeAdapter

from flinkjob.api.fieldclass import Marker

Schema = dict[str, Any]

_COMMON: Final = frozenset({"type", "description", "default", "x-kubernetes-validations"})
_ALLOWED: Final[Mapping[str, frozenset[str]]] = {
    "string": _COMMON | {"enum", "format", "pattern", "minLength", "maxLength"},
    "integer": _COMMON | {"format", "minimum", "maximum"},
    "boolean": _COMMON,
    "array": _COMMON | {"items", "minItems", "maxItems", "x-kubernetes-list-type", "x-kubernetes-list-map-keys"},
    "object": _COMMON | {"properties", "required", "additionalProperties", "minProperties", "maxProperties"},
}
_ORDER: Final = (
    "description", "rule", "message", "type", "format", "enum", "pattern", "minLength", "maxLength", "minimum",
    "maximum", "minItems", "maxItems", "minProperties", "maxProperties", "default", "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys", "x-kubernetes-validations", "required", "items", "additionalProperties", "properties",
)  # fmt: skip


class SchemaError(Exception):
    """A model says something that a CRD cannot, or should not."""


def spec_schema(model: type[BaseModel], root: str = "spec") -> Schema:
    """The schema of a spec, with defaults, model rules and, at its top, the immutability rules of its fields.

    Args:
        model: the spec's model.
        root: its name in paths and messages.

    Raises:
        SchemaError: naming the path and what is wrong.
    """
    schema = _convert(model, root, defaults=True)
    immutable = _immutability_rules(model, root)
    if immutable:
        schema["x-kubernetes-validations"] = [*schema.get("x-kubernetes-validations", ()), *immutable]
    return _ordered(schema)


def status_schema(status: type, root: str = "status") -> Schema:
    """The schema of a status: without any default, since only the operator writes it."""
    return _ordered(_convert(status, root, defaults=False))


def _convert(model: type, root: str, *, defaults: bool) -> Schema:
    raw = TypeAdapter(model).json_schema(by_alias=True, mode="validation")
    return _Converter(raw.pop("$defs", {}), defaults=defaults).convert(raw, root, ())


class _Converter:
    def __init__(self, definitions: Mapping[str, Schema], *, defaults: bool) -> None:
        self._definitions = definitions
        self._defaults = defaults

    def convert(self, raw: Schema, path: str, seen: tuple[str, ...], *, in_array: bool = False) -> Schema:
        raw, seen, optional = self._resolve(raw, path, seen)
        kind = str(raw.get("type"))
        if kind not in _ALLOWED:
            raise SchemaError(f"{path}: type {kind} cannot be expressed")
        unknown = sorted(raw.keys() - _ALLOWED[kind] - {"title"})
        if unknown:
            raise SchemaError(f"{path}: {', '.join(unknown)} cannot be expressed for type {kind}")
        schema = {key: value for key, value in raw.items() if key not in ("title", "default")}
        match kind:
            case "string":
                _check_string(schema, path)
            case "integer":
                schema["format"] = "int64"
            case "array":
                self._array(schema, path, seen)
            case "object":
                self._object(schema, path, seen, in_array=in_array)
            case _:
                pass
        self._default(schema, raw, path, optional=optional, in_array=in_array)
        _place_rules(schema, path)
        return schema

    def _resolve(self, raw: Schema, path: str, seen: tuple[str, ...]) -> tuple[Schema, tuple[str, ...], bool]:
        """Follows `$ref` and Optional; keys beside them win over what they lead to."""
        optional = False
        while "$ref" in raw or "anyOf" in raw:
            if "$ref" in raw:
                name = raw["$ref"].removeprefix("#/$defs/")
                if name in seen:
                    raise SchemaError(f"{path}: {name} contains itself")
                seen = (*seen, name)
                inner = self._definitions[name]
                beside = {key: value for key, value in raw.items() if key != "$ref"}
            else:
                branches = [branch for branch in raw["anyOf"] if branch != {"type": "null"}]
                if len(branches) != 1 or len(raw["anyOf"]) != 2:
                    raise SchemaError(f"{path}: a union of types cannot be expressed; use optional fields and a rule")
                optional = True
                inner = branches[0]
                beside = {key: value for key, value in raw.items() if key != "anyOf"}
            raw = _merged(inner, beside)
        if "const" in raw:
            raw = {**raw, "enum": [raw["const"]]}
            del raw["const"]
        return raw, seen, optional

    def _array(self, schema: Schema, path: str, seen: tuple[str, ...]) -> None:
        if "maxItems" not in schema:
            raise SchemaError(f"{path}: a list needs maxItems")
        if schema.get("x-kubernetes-list-type") not in ("atomic", "map"):
            raise SchemaError(f"{path}: a list needs x-kubernetes-list-type atomic or map")
        schema["items"] = self.convert(schema["items"], f"{path}[]", seen, in_array=True)
        for key in schema.get("x-kubernetes-list-map-keys", ()):
            if key not in schema["items"].get("required", ()):
                raise SchemaError(f"{path}: the list's key {key} must be a required field of its items")

    def _object(self, schema: Schema, path: str, seen: tuple[str, ...], *, in_array: bool) -> None:
        if "properties" in schema:
            if "additionalProperties" in schema:
                raise SchemaError(f"{path}: additionalProperties beside properties cannot be expressed")
            schema["properties"] = {
                name: self.convert(value, f"{path}.{name}", seen, in_array=in_array)
                for name, value in schema["properties"].items()
            }
            return
        values = schema.get("additionalProperties")
        if not isinstance(values, dict):
            raise SchemaError(f"{path}: an object needs fields, or a type for the values of a map")
        if "maxProperties" not in schema:
            raise SchemaError(f"{path}: a map needs maxProperties")
        schema["additionalProperties"] = self.convert(values, f"{path}.*", seen, in_array=True)

    def _default(self, schema: Schema, raw: Schema, path: str, *, optional: bool, in_array: bool) -> None:
        if not self._defaults or raw.get("default") is None:
            return
        default = raw["default"]
        if "properties" in schema:
            # The leaves carry their own defaults; the object must exist for them to be filled in.
            if optional:
                raise SchemaError(f"{path}: an optional object cannot have a default")
            missing = schema.get("required")
            if missing:
                raise SchemaError(f"{path}: an object with required fields cannot have a default")
            if not any("default" in field for field in schema["properties"].values()):
                return
            default = {}
        elif isinstance(default, list | dict):
            if default:
                raise SchemaError(f"{path}: a list or map cannot have a default: it would drift")
            return
        if in_array:
            raise SchemaError(f"{path}: no default below a list or map: it would drift")
        schema["default"] = default


def _merged(inner: Schema, beside: Schema) -> Schema:
    merged = {**inner, **beside}
    both = [*inner.get("x-kubernetes-validations", ()), *beside.get("x-kubernetes-validations", ())]
    if both:
        merged["x-kubernetes-validations"] = both
    return merged


def _check_string(schema: Schema, path: str) -> None:
    if "enum" in schema:
        return
    if schema.get("format") == "date-time":
        return
    if "format" in schema:
        raise SchemaError(f"{path}: format {schema['format']} is not checked as it reads; use a pattern")
    if "maxLength" not in schema:
        raise SchemaError(f"{path}: a string needs maxLength")
    if "(?" in schema.get("pattern", ""):
        raise SchemaError(f"{path}: the pattern uses what RE2 does not know")


def _place_rules(schema: Schema, path: str) -> None:
    """Fills the field's own path into messages that ask for it, so that each names its field."""
    if "x-kubernetes-validations" in schema:
        schema["x-kubernetes-validations"] = [
            {**rule, "message": rule["message"].replace("{path}", path)} for rule in schema["x-kubernetes-validations"]
        ]


def _immutability_rules(model: type[BaseModel], root: str) -> list[dict[str, str]]:
    """Rules at the spec's level: one at the field's own would not see it unset and set again."""
    rules = []
    for name, field in model.model_fields.items():
        if Marker.IMMUTABLE in field.metadata:
            key = field.alias or name
            new, old = f"self.{key}", f"oldSelf.{key}"
            rules.append(
                {
                    "rule": f"has({new}) == has({old}) && (!has({new}) || {new} == {old})",
                    "message": f"{root}.{key} is immutable; create a new object",
                }
            )
    return rules


def _ordered(schema: Schema) -> Schema:
    ordered: Schema = _order(schema)
    return ordered


def _order(value: Any, *, names: bool = False) -> Any:
    """A stable order of keywords; the names of fields keep the order of the model."""
    if isinstance(value, list):
        return [_order(item) for item in value]
    if not isinstance(value, dict):
        return value
    if names:
        return {key: _order(item) for key, item in value.items()}
    keys = sorted(value, key=lambda key: (_ORDER.index(key) if key in _ORDER else len(_ORDER), key))
    return {key: _order(value[key], names=key == "properties") for key in keys}
