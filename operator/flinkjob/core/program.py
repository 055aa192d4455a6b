"""What a spec runs, whatever its sort: what the uploaded jar is made of, its entry class and its arguments.

Pure. Called where a run is started or compiled. Invariant: two recipes with the same digest make jars that run the same; a
recipe says nothing of how the bytes are packed, so that its digest outlasts every way of packing them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

from flinkjob.api import flink_options
from flinkjob.api.flinkjob_spec import FlinkJobSpec
from flinkjob.api.program_spec import JarSpec
from flinkjob.api.python_spec import PythonFile, PythonSpec
from flinkjob.api.references import NamedKey
from flinkjob.api.source_spec import STORES, SourceSpec
from flinkjob.api.sync import StoreAccess

SQL_ENTRY_CLASS: Final = "dev.flinkjob.runner.SqlRunner"
PYTHON_ENTRY_CLASS: Final = "org.apache.flink.client.python.PythonDriver"
PYTHON_RUNNER_MODULE: Final = "flinkjob_main"
_RUNNER_DIGEST = re.compile(r"(?:sql|python)-([0-9]{1,6})-([0-9a-f]{64})")


def program_field(spec: FlinkJobSpec) -> str:
    """The field of the spec that says what is run: jar, sql or python."""
    return "jar" if spec.jar is not None else "sql" if spec.sql is not None else "python"


class RunnerSort(StrEnum):
    """What a runner runs."""

    SQL = "sql"
    PYTHON = "python"


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
    """A piece of a SQL script, or a file of a Python program: a text, or where what has this SHA-256 is.

    Attributes:
        name: of the piece in messages, empty for the script itself; or of the file.
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
        script: the script of a SQL job, or the files of a Python job.
        runner: what the jar also gets, to run the script or the files.
        main: of the files the one that is run, which must be there; empty: a module, which may be in the cluster's image.
        on_cluster: the id of a jar that is there already, and is taken as it is; then there is nothing else.
    """

    jars: tuple[JarPart, ...]
    script: tuple[ScriptPart, ...] = ()
    runner: RunnerSort | None = None
    main: str = ""
    on_cluster: str | None = None

    @property
    def is_built(self) -> bool:
        """Whether the operator makes the jar; else it is the one jar, as it is."""
        return self.on_cluster is None and (self.runner is not None or len(self.jars) != 1)

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
        if self.runner is RunnerSort.PYTHON:
            return _hash("files", *(f"{part.sha256} {part.name}" for part in self.script), "jars", *jars)
        return _hash("parts", *(part.sha256 for part in self.script), "jars", *jars)

    def digest(self, jars: Sequence[str], runner: int | None) -> str:
        """What the made jar is known by: its content, and which runner it has where it has one."""
        content = self.content(jars)
        return f"{self.runner}-{runner}-{content}" if self.runner is not None else f"jar-{content}"


@dataclass(frozen=True, kw_only=True)
class Program:
    """What is given to Flink besides what is the same for all sorts of programs.

    Attributes:
        before_args: arguments that come first, with a template {job} for the job's id.
        options: of Flink, that only this sort of program has.
        uploads: what is uploaded beside the jar, as it is.
        placed: options, each with a template for the places on the JobManager: {0} for the jar, then one for each upload.
    """

    entry_class: str | None
    args: tuple[str, ...]
    recipe: Recipe
    before_args: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    uploads: tuple[ScriptPart, ...] = ()
    placed: Mapping[str, str] = field(default_factory=dict)

    def args_of(self, job_id: str) -> tuple[str, ...]:
        """All arguments, for the job with this id."""
        return (*(each.format(job=job_id) for each in self.before_args), *self.args)

    def configuration(self, places: Sequence[str]) -> dict[str, str]:
        """The options of Flink that belong to the program.

        Args:
            places: where on the JobManager the jar is, and the uploads beside it.
        """
        return dict(self.options) | {key: template.format(*places) for key, template in self.placed.items()}


def program_of(spec: FlinkJobSpec) -> Program:
    """The program of a spec; the texts of its ConfigMaps have been put in (`scripts.resolve`)."""
    dependencies = spec.dependencies.jars if spec.dependencies is not None else ()
    jars = tuple(JarPart(uri=jar.uri, sha256=jar.sha256, access=_access(jar, jar.uri)) for jar in dependencies)
    if spec.sql is not None:
        recipe = Recipe(jars=jars, script=script_parts(spec), runner=RunnerSort.SQL)
        return Program(entry_class=SQL_ENTRY_CLASS, args=(), recipe=recipe)
    if spec.python is not None:
        return _python_program(spec.python, spec.args, jars)
    assert spec.jar is not None, "a rule of the spec"
    recipe = (
        Recipe(jars=(_own_jar(spec.jar), *jars)) if spec.jar.id_ is None else Recipe(jars=(), on_cluster=spec.jar.id_)
    )
    return Program(entry_class=spec.jar.entry_class, args=spec.args, recipe=recipe)


def _python_program(python: PythonSpec, args: tuple[str, ...], jars: tuple[JarPart, ...]) -> Program:
    what = f"file:{python.file}" if python.file is not None else f"module:{python.module}"
    executable = dict.fromkeys(flink_options.PYTHON_EXECUTABLE, python.executable) if python.executable else {}
    placed, uploads = {flink_options.PYTHON_FILES: "{0}"}, upload_parts(python)
    archives = uploads[-len(python.archives) :] if python.archives else ()
    if len(uploads) > len(archives):
        placed[flink_options.PYTHON_REQUIREMENTS] = "{1}"
    if archives:
        first = len(uploads) - len(archives) + 1
        named = (f"{{{first + number}}}#{part.name}" for number, part in enumerate(archives))
        placed[flink_options.PYTHON_ARCHIVES] = ",".join(named)
    return Program(
        entry_class=PYTHON_ENTRY_CLASS,
        args=args,
        before_args=("-pym", PYTHON_RUNNER_MODULE, "job:{job}", what),
        recipe=Recipe(jars=jars, script=file_parts(python), runner=RunnerSort.PYTHON, main=python.file or ""),
        options=executable,
        uploads=uploads,
        placed=placed,
    )


def upload_parts(python: PythonSpec) -> tuple[ScriptPart, ...]:
    """What is uploaded beside the jar of a Python program: its requirements, and its archives by their names."""
    archives = tuple(_fetched(archive, archive.uri, archive.sha256, archive.name) for archive in python.archives)
    needed = python.requirements
    if needed is None or needed.config_map_key_ref is not None:
        return archives
    if needed.text is not None:
        return (_part(needed.text, ""), *archives)
    return (_fetched(needed, needed.uri, needed.sha256, ""), *archives)


def file_parts(python: PythonSpec) -> tuple[ScriptPart, ...]:
    """The files of a Python program in their order; those of a ConfigMap that has not been read are left out."""
    return tuple(_file(file) for file in python.files if file.config_map_ref is None)


def _file(file: PythonFile) -> ScriptPart:
    if file.text is not None:
        return _part(file.text, file.name or "")
    return _fetched(file, file.uri, file.sha256, file.name or last_part(file.uri or ""))


def script_parts(spec: FlinkJobSpec) -> tuple[ScriptPart, ...]:
    """The pieces of a SQL script in their order; a text that has not been put in is left out."""
    sql = spec.sql
    if sql is None:
        return ()
    pieces = [
        _piece(init, init.uri, init.sha256, init.script, f"initFrom[{number}]")
        for number, init in enumerate(sql.init_from)
    ]
    pieces.append(_piece(sql, sql.uri, sql.sha256, sql.script, ""))
    return tuple(piece for piece in pieces if piece is not None)


def _piece(source: SourceSpec, uri: str | None, sha256: str | None, text: str | None, name: str) -> ScriptPart | None:
    if uri is not None:
        return _fetched(source, uri, sha256, name)
    return _part(text, name) if text else None


def runner_of(digest: str | None) -> tuple[int, str] | None:
    """Which runner a jar with this digest has, and the digest of its content; None where it has none."""
    found = _RUNNER_DIGEST.fullmatch(digest or "")
    return (int(found[1]), found[2]) if found else None


def last_part(uri: str) -> str:
    """The last part of a path, as a person would call a file."""
    return urlsplit(uri).path.rpartition("/")[2] or uri


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


def _fetched(source: SourceSpec, uri: str | None, sha256: str | None, name: str) -> ScriptPart:
    assert uri is not None, "a rule of the spec"
    assert sha256 is not None, "a rule of the spec"
    return ScriptPart(uri=uri, sha256=sha256, access=_access(source, uri), name=name)


def _part(text: str, name: str) -> ScriptPart:
    return ScriptPart(text=text, sha256=hashlib.sha256(text.encode()).hexdigest(), name=name)


def _hash(*words: str) -> str:
    return hashlib.sha256("\n".join(words).encode()).hexdigest()
