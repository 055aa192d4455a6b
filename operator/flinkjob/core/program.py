"""What a spec runs, whatever its sort: what the uploaded jar is made of, its entry class and its arguments.

Pure. Called where a run is started or compiled. Invariant: two recipes with the same digest make jars that run the same; a
recipe says nothing of how the bytes are packed, so that its digest outlasts every way of packing them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from flinkjob.api.flinkjob_spec import FlinkJobSpec
from flinkjob.api.program_spec import JarSpec
from flinkjob.api.references import NamedKey
from flinkjob.api.source_spec import STORES, SourceSpec
from flinkjob.api.sync import StoreAccess

SQL_ENTRY_CLASS: Final = "dev.flinkjob.runner.SqlRunner"
_SQL_DIGEST = re.compile(r"sql-([0-9]{1,6})-([0-9a-f]{64})")


@dataclass(frozen=True, kw_only=True)
class SourceAccess:
    """What is needed to fetch something: names of Secrets, never what is in them.

    Attributes:
        auth_secret: with what an http server asks for.
        store: how an object store is reached; None: it is in none.
        config_map: the key that it is in.
    """

    auth_secret: str | None = None
    store: StoreAccess | None = None
    config_map: NamedKey | None = None


@dataclass(frozen=True, kw_only=True)
class JarPart:
    """A jar, and its SHA-256 where that is given.

    Attributes:
        access: None where everybody may fetch it.
    """

    uri: str
    sha256: str | None = None
    access: SourceAccess | None = None


@dataclass(frozen=True, kw_only=True)
class ScriptPart:
    """A piece of a SQL script: a text, or where a text with this SHA-256 is.

    Attributes:
        name: of the piece in messages; empty for the script itself.
        access: None where everybody may fetch it.
    """

    text: str | None = None
    uri: str | None = None
    access: SourceAccess | None = None
    sha256: str
    name: str = ""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What a jar is made of.

    Attributes:
        jars: of a file that several have, the first one's counts.
        script: not empty for a SQL job, whose jar also gets the classes of a runner.
        on_cluster: the id of a jar that is there already, and is taken as it is; then there is nothing else.
    """

    jars: tuple[JarPart, ...]
    script: tuple[ScriptPart, ...] = ()
    on_cluster: str | None = None

    @property
    def is_built(self) -> bool:
        """Whether the operator makes the jar; else it is the one jar, as it is."""
        return self.on_cluster is None and (bool(self.script) or len(self.jars) != 1)

    @property
    def pinned(self) -> bool:
        """Whether all contents are known without fetching anything."""
        return all(jar.sha256 is not None for jar in self.jars)

    @property
    def private(self) -> bool:
        """Whether it is made of what not everybody may fetch."""
        parts: tuple[JarPart | ScriptPart, ...] = (*self.jars, *self.script)
        return any(part.access is not None for part in parts)

    def content(self, jars: Sequence[str]) -> str:
        """The digest of what goes in, 64 hex digits.

        Args:
            jars: the SHA-256 of each of the jars.
        """
        return _hash("parts", *(part.sha256 for part in self.script), "jars", *jars)

    def digest(self, jars: Sequence[str], runner: int | None) -> str:
        """What the made jar is known by: its content, and which runner it has where it has one."""
        return f"sql-{runner}-{self.content(jars)}" if self.script else f"jar-{self.content(jars)}"


@dataclass(frozen=True, kw_only=True)
class Program:
    """What is given to Flink besides what is the same for all sorts of programs."""

    entry_class: str | None
    args: tuple[str, ...]
    recipe: Recipe


def program_of(spec: FlinkJobSpec) -> Program:
    """The program of a spec; the texts of its ConfigMaps have been put in (`scripts.resolve`)."""
    dependencies = spec.dependencies.jars if spec.dependencies is not None else ()
    jars = tuple(JarPart(uri=jar.uri, sha256=jar.sha256, access=_access(jar, jar.uri)) for jar in dependencies)
    if spec.sql is not None:
        return Program(entry_class=SQL_ENTRY_CLASS, args=(), recipe=Recipe(jars=jars, script=script_parts(spec)))
    assert spec.jar is not None, "a rule of the spec"
    recipe = (
        Recipe(jars=(_own_jar(spec.jar), *jars)) if spec.jar.id_ is None else Recipe(jars=(), on_cluster=spec.jar.id_)
    )
    return Program(entry_class=spec.jar.entry_class, args=spec.args, recipe=recipe)


def script_parts(spec: FlinkJobSpec) -> tuple[ScriptPart, ...]:
    """The pieces of a SQL script in their order; a text that has not been put in is left out."""
    sql = spec.sql
    if sql is None:
        return ()
    first = [_part(init.script, f"initFrom[{number}]") for number, init in enumerate(sql.init_from) if init.script]
    if sql.uri is not None:
        assert sql.sha256 is not None, "a rule of the spec"
        return (*first, ScriptPart(uri=sql.uri, sha256=sql.sha256, access=_access(sql, sql.uri)))
    return (*first, *([_part(sql.script, "")] if sql.script else []))


def runner_of(digest: str | None) -> tuple[int, str] | None:
    """Which runner a jar with this digest has, and the digest of its content; None where it has none."""
    found = _SQL_DIGEST.fullmatch(digest or "")
    return (int(found[1]), found[2]) if found else None


def _own_jar(jar: JarSpec) -> JarPart:
    if (key := jar.config_map_key_ref) is not None:
        uri = f"configmap://{key.name}/{key.key}"
        return JarPart(uri=uri, sha256=jar.sha256, access=SourceAccess(config_map=key))
    assert jar.uri is not None, "a rule of the spec"
    return JarPart(uri=jar.uri, sha256=jar.sha256, access=_access(jar, jar.uri))


def _access(source: SourceSpec, uri: str) -> SourceAccess | None:
    """None where nothing is needed; in a store nothing is everybody's."""
    if uri.startswith(STORES):
        return SourceAccess(store=source.store or StoreAccess())
    secret = source.auth_secret_ref.name if source.auth_secret_ref is not None else None
    return SourceAccess(auth_secret=secret) if secret is not None else None


def _part(text: str, name: str) -> ScriptPart:
    return ScriptPart(text=text, sha256=hashlib.sha256(text.encode()).hexdigest(), name=name)


def _hash(*words: str) -> str:
    return hashlib.sha256("\n".join(words).encode()).hexdigest()
