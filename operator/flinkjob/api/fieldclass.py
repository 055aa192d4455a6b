"""What a change of a spec field does to the running job; called by the core for digests and by the generator for the
reference.

Invariant: every field of FlinkJobSpec has a class, its own or the one of the field that contains it. The canonical
values leave out whatever equals its default, so that writing a default down changes no digest, and neither does a new
optional field in a later version of the operator (which must not restart every job of a cluster).
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from functools import cache
from typing import Any, NamedTuple, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo


class FieldClass(StrEnum):
    """What changing a field does. Put into the `Annotated` of a field; fields of a nested model inherit it."""

    RUN = "Run"
    """A change replaces the running job."""
    SCALE = "Scale"
    """Changed in place where Flink can, else the job is replaced."""
    MOVE = "Move"
    """The job goes to another cluster."""
    START = "Start"
    """Read only when a first run starts."""
    LIVE = "Live"
    """Acts without touching the running job."""


class Marker(StrEnum):
    """Other facts about a field that the CRD generator reads."""

    IMMUTABLE = "Immutable"
    """Cannot be changed, set or unset once the object exists."""


def field_class(field: FieldInfo) -> FieldClass | None:
    """The class a field declares itself; None when it inherits the one of its parent."""
    return next((item for item in field.metadata if isinstance(item, FieldClass)), None)


def fields_of_class(spec: BaseModel, wanted: FieldClass) -> dict[str, Any]:
    """The canonical, JSON-able value of all fields of one class, by their names in YAML, sorted.

    Args:
        spec: a FlinkJobSpec.
        wanted: the class.

    Returns: nested dicts; a field that equals its default, explicitly or not, is left out.
    """
    return _collect(spec, wanted, None)


def run_digest_fields(spec: BaseModel) -> dict[str, Any]:
    """All `Run`-class fields of a FlinkJobSpec: equal for two exactly when they ask for the same run."""
    return fields_of_class(spec, FieldClass.RUN)


def classes_by_path(model: type[BaseModel]) -> dict[str, FieldClass]:
    """The class of every field, nested ones too, by its dotted path in YAML (`upgrade.timeout`).

    Raises:
        TypeError: a field has no class.
    """
    return dict(_classes(model, "", None))


def _classes(model: type[BaseModel], prefix: str, inherited: FieldClass | None) -> Iterator[tuple[str, FieldClass]]:
    for name, field in model.model_fields.items():
        path = prefix + (field.alias or name)
        own = field_class(field) or inherited
        if own is None:
            raise TypeError(f"{path} declares no class")
        yield path, own
        for nested, brackets in _models(field.annotation):
            yield from _classes(nested, f"{path}{brackets}.", own)


def _models(annotation: Any) -> Iterator[tuple[type[BaseModel], str]]:
    """The models inside an annotation such as `SavepointRef | None`, with `[]` for those in a list."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation, ""
    for argument in get_args(annotation):
        for model, brackets in _models(argument):
            yield model, f"[]{brackets}" if get_origin(annotation) is tuple else brackets


class _Field(NamedTuple):
    """What is asked of a field again and again: its names, its own class, and its default where it may be left out."""

    name: str
    shown: str
    own: FieldClass | None
    required: bool
    default: Any

    def is_said(self, value: Any) -> bool:
        return self.required or value != self.default


@cache
def _fields(model: type[BaseModel]) -> tuple[_Field, ...]:
    return tuple(
        _Field(
            name,
            field.alias or name,
            field_class(field),
            field.is_required(),
            None if field.is_required() else field.get_default(call_default_factory=True),
        )
        for name, field in sorted(model.model_fields.items())
    )


def _collect(model: BaseModel, wanted: FieldClass, inherited: FieldClass | None) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field in _fields(type(model)):
        value = getattr(model, field.name)
        if value is None:
            continue
        own = field.own or inherited
        if isinstance(value, BaseModel):
            nested = _collect(value, wanted, own)
            # An optional object that is present but all default (`savepointRef: {}`) differs from an absent one.
            if nested or (own is wanted and field.default is None):
                found[field.shown] = nested
        elif own is wanted and field.is_said(value):
            found[field.shown] = _plain(value, wanted)
    return dict(sorted(found.items()))


def _plain(value: Any, wanted: FieldClass) -> Any:
    """A value as JSON has it; of a model in a list the fields of another class are left out."""
    match value:
        case Mapping():
            return {str(key): _plain(item, wanted) for key, item in sorted(value.items())}
        case BaseModel():
            said = {
                field.shown: getattr(value, field.name)
                for field in _fields(type(value))
                if field.own in (None, wanted) and field.is_said(getattr(value, field.name))
            }
            return _plain(said, wanted)
        case tuple() | list():
            return [_plain(item, wanted) for item in value]
        case StrEnum():
            return value.value
        case _:
            return value
