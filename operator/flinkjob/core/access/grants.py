"""Under which places of stores the operator's own identity and its mounted directories may be used, by namespace.

Built from the setting `--store-grants`; asked before a store is opened. Invariant: without a grant nothing is allowed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from flinkjob.core.errors import Invalid

EVERYBODY = "*"
_SAME = {"s3a": "s3", "s3n": "s3", "s3p": "s3", "abfs": "az", "abfss": "az", "wasb": "az", "wasbs": "az", "": "file"}


@dataclass(frozen=True, slots=True)
class StoreGrants:
    """Pairs of a namespace (or `*`) and a normalised place."""

    grants: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, texts: Sequence[str]) -> StoreGrants:
        """From `team-a=s3://backup/team-a`, `*=file:///backup`.

        Raises:
            ValueError: one is none of these.
        """
        found = []
        for text in texts:
            namespace, equals, uri = text.partition("=")
            if not equals or not namespace or "://" not in uri:
                raise ValueError(f"{text!r} is not NAMESPACE=URI")
            try:
                found.append((namespace, _place(uri)))
            except Invalid as error:
                raise ValueError(f"{text!r}: {error.message}") from error
        return cls(tuple(found))

    def check(self, namespace: str, uri: str) -> None:
        """Whether the operator's own access may be used there for a namespace.

        Raises:
            Invalid: it was not granted, or the URI leaves its place by `..`.
        """
        place = _place(uri)
        for who, granted in self.grants:
            if who in (namespace, EVERYBODY) and (place + "/").startswith(granted + "/"):
                return
        raise Invalid(
            f"the operator's own access to {place} is not granted to namespace {namespace} (--store-grants); "
            "name a Secret with credentials, or ask who runs the operator"
        )


def _place(uri: str) -> str:
    """The place with one spelling of its scheme and no slash at the end."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        raise Invalid("a store's URI cannot be read") from None
    path = unquote(parts.path)
    if any(segment in (".", "..") for segment in path.split("/")):
        raise Invalid(f"{uri} must not contain . or ..")
    scheme = _SAME.get(parts.scheme.lower(), parts.scheme.lower())
    segments = [segment for segment in path.split("/") if segment]
    return "/".join((f"{scheme}://{parts.netloc}", *segments))
