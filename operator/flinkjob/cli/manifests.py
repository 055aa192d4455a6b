"""Manifests from files and from the standard input: several documents, lists, and errors that name file and line."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from flinkjob.api.constants import JOB_KIND
from flinkjob.cli.errors import CommandFailed
from flinkjob.cli.yamlwords import read_as_kubectl
from flinkjob.core.errors import one_line

STDIN: Final = Path("-")
MOST_BYTES: Final = 16 * 1024 * 1024
SUFFIXES: Final = (".yaml", ".yml", ".json")


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """A document.

    Attributes:
        place: the file and the number of the document in it, for people.
    """

    place: str
    body: dict[str, Any]

    @property
    def name(self) -> str:
        """Kind and name, for people."""
        meta = self.body.get("metadata")
        name = (meta.get("name") or meta.get("generateName")) if isinstance(meta, Mapping) else None
        return one_line(f"{self.body.get('kind') or 'no kind'} {name or 'without a name'}", 128)


class _Loader(yaml.SafeLoader):
    """Refuses a key that is there twice: the API server would take one of the two."""


def _mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key, _ in node.value:
        if key.tag == "tag:yaml.org,2002:merge":
            continue
        word = loader.construct_object(key, deep=True)
        if isinstance(word, str) and word in seen:
            raise yaml.constructor.ConstructorError(None, None, f"{word} is there twice", key.start_mark)
        if isinstance(word, str):
            seen.add(word)
    loader.flatten_mapping(node)
    return dict(yaml.SafeLoader.construct_mapping(loader, node, deep=True))


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
read_as_kubectl(_Loader)


def read(*files: Path) -> list[Manifest]:
    """The documents of files; a directory stands for its files, - for the standard input.

    Raises:
        CommandFailed: a file cannot be read, or is no YAML of mappings.
    """
    return [manifest for file in files for each in _files(file) for manifest in _documents(*_text(each))]


def parse(text: str, name: str) -> list[Manifest]:
    """The documents of a text."""
    return list(_documents(text, name))


def only_job(manifests: Sequence[Manifest], name: str) -> dict[str, Any]:
    """The one FlinkJob of this name.

    Raises:
        CommandFailed: there is none.
    """
    jobs = [each.body for each in manifests if each.body.get("kind") == JOB_KIND]
    found = [each for each in jobs if (each.get("metadata") or {}).get("name") == name]
    if len(found) != 1:
        raise CommandFailed(f"the manifests have {len(found)} FlinkJobs of the name {name}")
    return found[0]


def _files(path: Path) -> list[Path]:
    if path != STDIN and path.is_dir():
        return sorted(each for each in path.iterdir() if each.suffix in SUFFIXES)
    return [path]


def _text(file: Path) -> tuple[str, str]:
    try:
        raw = sys.stdin.buffer.read(MOST_BYTES + 1) if file == STDIN else _bytes(file)
        if len(raw) > MOST_BYTES:
            raise CommandFailed(f"{file} is longer than {MOST_BYTES // 2**20} MiB")
        return raw.decode("utf-8"), "standard input" if file == STDIN else str(file)
    except OSError as error:
        raise CommandFailed(f"{file} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise CommandFailed(f"{file} is no text in UTF-8") from error


def _bytes(file: Path) -> bytes:
    with file.open("rb") as stream:
        return stream.read(MOST_BYTES + 1)


def _documents(text: str, name: str) -> Iterator[Manifest]:
    try:
        documents = list(yaml.load_all(text, Loader=_Loader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark is not None else ""
        raise CommandFailed(f"{name}{line} is no YAML: {error.problem or error.context}") from error
    except (yaml.YAMLError, RecursionError, ValueError, TypeError) as error:
        raise CommandFailed(f"{name} is no YAML: {one_line(str(error), 200)}") from error
    for number, document in enumerate(documents, 1):
        place = f"{name} (document {number})" if len(documents) > 1 else name
        if document is None:
            continue
        if not isinstance(document, dict):
            raise CommandFailed(f"{place} is no manifest: a mapping is expected")
        yield from _items(document, place)


def _items(document: dict[str, Any], place: str) -> Iterator[Manifest]:
    """The document, or what a List holds."""
    items = document.get("items")
    if not str(document.get("kind") or "").endswith("List") or not isinstance(items, list):
        yield Manifest(place=place, body=document)
        return
    for number, item in enumerate(items, 1):
        if not isinstance(item, dict):
            raise CommandFailed(f"{place}, item {number} is no manifest: a mapping is expected")
        yield Manifest(place=f"{place}, item {number}", body=item)
