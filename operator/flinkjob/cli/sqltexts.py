"""The texts of ConfigMaps that a SQL job names, beside those that its revisions keep.

A revision has the texts and not their places. Used before a spec is compared with one, so that a reference whose text is the
same stays a reference.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import Any

from flinkjob.cli.session import Session
from flinkjob.core.errors import FlinkJobError
from flinkjob.kube.errors import Gone

Place = tuple[str, str]
"""The name of a ConfigMap, and the key in it."""
Texts = Mapping[Place, str | None]
"""None: there is no such text."""


def places(spec: Mapping[str, Any]) -> list[Place]:
    """Where the texts are that a spec names."""
    return [each for part in _parts(spec) if (each := place(part)) is not None]


def place(part: Any) -> Place | None:
    """Where the text of a part of the script is; None where it is not in a ConfigMap."""
    named = part.get("configMapKeyRef") if isinstance(part, Mapping) else None
    return (str(named.get("name")), str(named.get("key"))) if isinstance(named, Mapping) else None


async def texts_of(session: Session, spec: Mapping[str, Any]) -> dict[Place, str | None]:
    """The texts that a spec names; one that may not be read is left out, which is said."""
    found: dict[Place, str | None] = {}
    for name, key in places(spec):
        try:
            found[name, key] = (await session.kube.config_map(session.namespace, name)).get(key)
        except Gone:
            found[name, key] = None
        except FlinkJobError as error:
            session.output.warning(f"the script in ConfigMap {name} cannot be compared: {error.message}")
    return found


def with_references(revision: Mapping[str, Any], spec: Mapping[str, Any], texts: Texts) -> dict[str, Any]:
    """The revision as its spec would be written today: a text that the spec names the place of is that place."""
    data = revision.get("data")
    old = data.get("spec") if isinstance(data, Mapping) else None
    sql, now = (old.get("sql") if isinstance(old, Mapping) else None), spec.get("sql")
    if not isinstance(sql, Mapping) or not isinstance(now, Mapping) or not isinstance(old, Mapping):
        return dict(revision)
    written = {name: value for name, value in _written(sql, now, texts).items() if value not in (None, [], {})}
    if isinstance(begin := sql.get("initFrom"), list) and begin:
        places_now = now.get("initFrom")
        pairs = zip_longest(begin, (places_now if isinstance(places_now, list) else [])[: len(begin)])
        written["initFrom"] = [_written(was, part, texts) for was, part in pairs]
    return {**revision, "data": {**revision["data"], "spec": {**old, "sql": written}}}


def given_up(old: Mapping[str, Any], spec: Mapping[str, Any]) -> list[str]:
    """The ConfigMaps that a spec names and the older one, as `with_references` gives it, does not."""
    kept = places(old)
    return sorted({name for name, key in places(spec) if (name, key) not in kept})


def _parts(spec: Mapping[str, Any]) -> Iterator[Any]:
    sql = spec.get("sql")
    if isinstance(sql, Mapping):
        yield sql
        begin = sql.get("initFrom")
        yield from begin if isinstance(begin, list) else ()


def _written(was: Any, now: Any, texts: Texts) -> Any:
    where = place(now)
    if not isinstance(was, Mapping) or where is None or texts.get(where) is None or was.get("script") != texts[where]:
        return was
    return {
        **{name: value for name, value in was.items() if name != "script"},
        "configMapKeyRef": now["configMapKeyRef"],
    }
