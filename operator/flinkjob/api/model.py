"""What all models of the API are built on: names in camelCase, and rules that the API server checks at apply.

Used by the modules of this package only.
"""

import builtins
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Self

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic.alias_generators import to_camel, to_snake
from pydantic_core import PydanticCustomError


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule that the API server checks at apply, and the models again, for objects older than the rule.

    Attributes:
        rule: in CEL; `self` is the object that declares it.
        message: names the field, from `spec` on; `{path}` stands for the path of a field that declares it.
        holds: the same in Python. None where the type checks it itself.
    """

    rule: str
    message: str
    holds: Callable[[Any], bool] | None = None


def rules(*declared: Rule) -> dict[str, Any]:
    """The `json_schema_extra` of a field that carries these rules."""
    return {"x-kubernetes-validations": [{"rule": rule.rule, "message": rule.message} for rule in declared]}


def one_of(*fields: str) -> str:
    """The CEL expression that exactly one of the fields is present."""
    if len(fields) == 2:
        return f"has(self.{fields[0]}) != has(self.{fields[1]})"
    return f"[{', '.join(f'has(self.{field})' for field in fields)}].filter(present, present).size() == 1"


def exactly_one(where: str, *fields: str) -> Rule:
    """The rule that exactly one of the fields, named as in YAML, is present in the object at the path `where`."""
    names = [_attribute(field) for field in fields]
    return Rule(
        one_of(*fields),
        f"{where}: exactly one of {', '.join(fields[:-1])} and {fields[-1]}",
        lambda found: [getattr(found, name) for name in names].count(None) == len(names) - 1,
    )


def _attribute(field: str) -> str:
    """The attribute of a field that is named as in YAML; one that would hide what Python brings along ends with `_`."""
    name = to_snake(field)
    return f"{name}_" if hasattr(builtins, name) else name


def _alias(name: str) -> str:
    return to_camel(name.rstrip("_"))


STATUS_CONFIG: Final = ConfigDict(alias_generator=_alias, populate_by_name=True, extra="ignore")


def _declare_rules(schema: dict[str, Any], model: "type[SpecModel]") -> None:
    if model.RULES:
        schema.update(rules(*model.RULES))


class SpecModel(BaseModel):
    """Base of everything in a spec: frozen, camelCase outside, unknown fields (of a newer version) ignored."""

    model_config = ConfigDict(
        alias_generator=_alias,
        populate_by_name=True,
        extra="ignore",
        frozen=True,
        json_schema_extra=_declare_rules,
    )

    RULES: ClassVar[tuple[Rule, ...]] = ()
    """Rules over several fields of the model."""

    @model_validator(mode="after")
    def _check_rules(self) -> Self:
        for rule in self.RULES:
            if rule.holds is not None and not rule.holds(self):
                raise PydanticCustomError("rule", "{message}", {"message": rule.message})
        return self
