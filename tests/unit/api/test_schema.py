"""The generator refuses what the API server would refuse, prune or let drift."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal

import pytest
from pydantic import ConfigDict, Field

from flinkjob.api.fieldclass import Marker
from flinkjob.api.model import STATUS_CONFIG, Rule, SpecModel, one_of
from flinkjob.api.schema import SchemaError, spec_schema, status_schema

Short = Annotated[str, Field(max_length=8)]
ATOMIC = {"x-kubernetes-list-type": "atomic"}


class Colour(StrEnum):
    RED = "Red"
    BLUE = "Blue"


class Leaf(SpecModel):
    size: int = 1
    name: Short | None = None


class NoDefaults(SpecModel):
    name: Short | None = None


class Named(SpecModel):
    name: Short


def schema_of(annotation: Any, default: Any = ...) -> dict[str, Any]:
    model = type(
        "Model",
        (SpecModel,),
        {"__annotations__": {"field": annotation}, **({} if default is ... else {"field": default})},
    )
    return dict(spec_schema(model)["properties"]["field"])


def test_a_reference_is_inlined() -> None:
    schema = schema_of(Annotated[Named, Field(description="Who.")])
    assert schema["description"] == "Who."
    assert schema["required"] == ["name"]
    assert schema["properties"]["name"] == {"type": "string", "maxLength": 8}


def test_optional_means_absent() -> None:
    assert schema_of(Annotated[Short | None, Field(description="D.")], None) == {
        "description": "D.",
        "type": "string",
        "maxLength": 8,
    }


def test_an_enum_is_bounded_by_itself() -> None:
    assert schema_of(Colour, Colour.RED) == {"type": "string", "enum": ["Red", "Blue"], "default": "Red"}
    assert schema_of(Literal["a"], "a") == {"type": "string", "enum": ["a"], "default": "a"}


def test_an_object_gets_an_empty_default_when_its_leaves_have_some() -> None:
    assert schema_of(Leaf, Leaf())["default"] == {}
    assert schema_of(Leaf, Leaf())["properties"]["size"]["default"] == 1
    assert "default" not in schema_of(NoDefaults, NoDefaults())
    assert "default" not in schema_of(Leaf | None, None)


def test_empty_lists_and_maps_are_absent() -> None:
    assert "default" not in schema_of(Annotated[tuple[Short, ...], Field(max_length=2, json_schema_extra=ATOMIC)], ())
    assert "default" not in schema_of(Annotated[Mapping[str, Short], Field(max_length=2)], {})


def test_a_map_has_bounded_values() -> None:
    assert schema_of(Annotated[Mapping[str, Short], Field(max_length=2)]) == {
        "type": "object",
        "maxProperties": 2,
        "additionalProperties": {"type": "string", "maxLength": 8},
    }


class Loop(SpecModel):
    inner: "Loop | None" = None


@pytest.mark.parametrize(
    ("annotation", "default", "complaint"),
    [
        (str, ..., "spec.field: a string needs maxLength"),
        (str | None, None, "spec.field: a string needs maxLength"),
        (tuple[Short, ...], ..., "spec.field: a list needs maxItems"),
        (Annotated[tuple[Short, ...], Field(max_length=2)], ..., "a list needs x-kubernetes-list-type"),
        (
            Annotated[tuple[str, ...], Field(max_length=2, json_schema_extra=ATOMIC)],
            ...,
            r"spec.field\[\]: a string needs",
        ),
        (Mapping[str, Short], ..., "spec.field: a map needs maxProperties"),
        (Annotated[Mapping[str, str], Field(max_length=2)], ..., r"spec.field.\*: a string needs maxLength"),
        (int | Short, ..., "a union of types cannot be expressed"),
        (Leaf | Named | None, None, "a union of types cannot be expressed"),
        (float, ..., "type number cannot be expressed"),
        (Any, ..., "type None cannot be expressed"),
        (Annotated[int, Field(gt=0)], ..., "exclusiveMinimum cannot be expressed"),
        (Annotated[int, Field(multiple_of=2)], ..., "multipleOf cannot be expressed"),
        (Annotated[str, Field(max_length=8, json_schema_extra={"pattern": "^(?=a)"})], ..., "RE2"),
        (Annotated[str, Field(max_length=8, json_schema_extra={"format": "duration"})], ..., "format duration"),
        (Leaf | None, Leaf(), "an optional object cannot have a default"),
        (Named, Named(name="a"), "an object with required fields cannot have a default"),
        (
            Annotated[tuple[Short, ...], Field(max_length=2, json_schema_extra=ATOMIC)],
            ("a",),
            "a list or map cannot have a default",
        ),
        (Annotated[Mapping[str, Short], Field(max_length=2)], {"a": "b"}, "a list or map cannot have a default"),
        (
            Annotated[tuple[Leaf, ...], Field(max_length=2, json_schema_extra=ATOMIC)],
            ...,
            r"spec.field\[\].size: no default below a list",
        ),
        (
            Annotated[Mapping[str, Leaf], Field(max_length=2)],
            ...,
            r"spec.field.\*.size: no default below a list or map",
        ),
        (
            Annotated[
                tuple[NoDefaults, ...],
                Field(
                    max_length=2,
                    json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
                ),
            ],
            ...,
            "the list's key name must be a required field",
        ),
        (Loop, ..., "Loop contains itself"),
    ],
)
def test_what_cannot_be_expressed_is_refused(annotation: Any, default: Any, complaint: str) -> None:
    with pytest.raises(SchemaError, match=complaint):
        schema_of(annotation, default)


def test_extra_fields_forbidden_cannot_be_expressed() -> None:
    class Closed(SpecModel):
        model_config = ConfigDict(extra="forbid")
        name: Short

    with pytest.raises(SchemaError, match="additionalProperties beside properties"):
        spec_schema(Closed)


def test_rules_of_models_and_fields_are_kept_and_name_their_path() -> None:
    bounded = Annotated[
        str, Field(max_length=8, json_schema_extra={"x-kubernetes-validations": [{"rule": "r", "message": "{path} x"}]})
    ]

    class Union(SpecModel):
        RULES = (Rule(one_of("a", "b"), "spec.inner: exactly one of a and b"),)
        a: bounded | None = None  # type: ignore[valid-type]
        b: bounded | None = None  # type: ignore[valid-type]

    class Outer(SpecModel):
        inner: Union

    inner = spec_schema(Outer)["properties"]["inner"]
    assert inner["x-kubernetes-validations"] == [
        {"rule": "has(self.a) != has(self.b)", "message": "spec.inner: exactly one of a and b"}
    ]
    assert inner["properties"]["b"]["x-kubernetes-validations"] == [{"rule": "r", "message": "spec.inner.b x"}]


def test_immutable_fields_get_a_rule_of_the_spec_that_sees_removal() -> None:
    class Fixed(SpecModel):
        job_name: Annotated[Short | None, Marker.IMMUTABLE] = None

    assert spec_schema(Fixed)["x-kubernetes-validations"] == [
        {
            "rule": "has(self.jobName) == has(oldSelf.jobName) && (!has(self.jobName) || self.jobName == oldSelf.jobName)",
            "message": "spec.jobName is immutable; create a new object",
        }
    ]


def test_a_status_has_no_defaults() -> None:
    @dataclass(frozen=True)
    class Status:
        __pydantic_config__: ClassVar[ConfigDict] = STATUS_CONFIG
        retry_count: int = 0

    assert status_schema(Status)["properties"] == {"retryCount": {"type": "integer", "format": "int64"}}
