"""How what a `uri` of a program names is reached. Part of the specs of jars and scripts.

Invariants: no credential is in a spec, only the name of a Secret; how something is reached says nothing of what it is, so
that another Secret replaces no running job.
"""

import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Final

from pydantic import Field
from pydantic.alias_generators import to_snake

from flinkjob.api.fieldclass import FieldClass
from flinkjob.api.model import Rule, SpecModel
from flinkjob.api.references import NamedSecret
from flinkjob.api.sync import StoreAccess

_WEB: Final = ("http:", "https:", "maven:")
STORES: Final = ("s3:", "gs:", "az:")
"""How the address of what is in an object store begins."""


def access_rules(field: str) -> tuple[Rule, ...]:
    """What the fields of `SourceSpec` go with.

    Args:
        field: the path of what holds them.
    """
    return (
        _only_with("authSecretRef", _WEB, f"{field}.authSecretRef: only with an http, https or maven uri"),
        _only_with("store", STORES, f"{field}.store: only with an s3, gs or az uri"),
    )


def sha256_with_uri(field: str) -> Rule:
    """That what `uri` gives is known before it is fetched.

    Args:
        field: the path of what holds both.
    """
    return Rule(
        "has(self.uri) == has(self.sha256)",
        f"{field}: uri and sha256 only together",
        lambda source: (source.uri is None) == (source.sha256 is None),
    )


def _only_with(name: str, schemes: tuple[str, ...], message: str) -> Rule:
    any_of = " || ".join(f"self.uri.startsWith('{scheme}')" for scheme in schemes)
    return Rule(f"!has(self.{name}) || (has(self.uri) && ({any_of}))", message, _holds(name, schemes))


def _holds(name: str, schemes: tuple[str, ...]) -> Callable[[Any], bool]:
    attribute = to_snake(name)
    return lambda source: getattr(source, attribute) is None or (source.uri or "").startswith(schemes)


class SourceSpec(SpecModel):
    """Access to what a uri names."""

    auth_secret_ref: Annotated[
        NamedSecret | None,
        Field(
            description="For http, https and maven: a Secret with username and password, with token (bearer), or with header "
            "and value (a header such as PRIVATE-TOKEN); and with the annotation flinkjob.dev/use: artifact. It is not sent "
            "to another host that the server redirects to."
        ),
        FieldClass.LIVE,
    ] = None
    store: Annotated[
        StoreAccess | None,
        Field(
            description="For s3, gs and az: how the store is reached. Defaults to the operator's own identity, only below "
            "URIs that --store-grants gives to the namespace."
        ),
        FieldClass.LIVE,
    ] = None


def sources_in(value: object) -> Iterator[Any]:
    """All sources that are somewhere in a value: a model of a spec, or a list of them."""
    if isinstance(value, SourceSpec):
        yield value
    if isinstance(value, tuple):
        for item in value:
            yield from sources_in(item)
    elif isinstance(value, SpecModel):
        for name in type(value).model_fields:
            yield from sources_in(getattr(value, name))


def reached_as(value: Any, present: Mapping[str, SourceSpec]) -> Any:
    """A value with other access to the sources that are in it; where nothing is other, the value itself.

    Args:
        value: as for `sources_in`.
        present: a source with the access, by its uri.
    """
    if isinstance(value, tuple):
        items = tuple(reached_as(item, present) for item in value)
        return value if all(map(operator.is_, items, value)) else items
    if not isinstance(value, SpecModel):
        return value
    wanted = {name: reached_as(getattr(value, name), present) for name in type(value).model_fields}
    if isinstance(value, SourceSpec) and (known := present.get(getattr(value, "uri", None) or "")) is not None:
        wanted |= {"auth_secret_ref": known.auth_secret_ref, "store": known.store}
    changes = {name: other for name, other in wanted.items() if other is not getattr(value, name)}
    return value.model_copy(update=changes) if changes else value
