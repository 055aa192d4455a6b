"""`manifest.json`: what a copy consists of. Written last of a copy; readers trust nothing else.

Invariant: a manifest is valid only with its own checksum, so a damaged one is as good as none.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from flinkjob.core.errors import Invalid

FORMAT = 1
LARGEST_NUMBER = 2**63 - 1
"""An int64, as in a status."""
LONGEST_IDENTITY = 63
COPY_DIRECTORY = re.compile(r"^([0-9]{19})-([0-9]+)$")
"""The name of the directory of a copy: its number, and the id of its checkpoint."""
_BESIDE_NAME = 140
"""Bytes of a file in a manifest beside its name, at most."""
_BESIDE_FILES = 2000


@dataclass(frozen=True, kw_only=True)
class ManifestFile:
    """One file of a copy, by its name relative to the copy's directory."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What is known of a copy.

    Attributes:
        identity: of the operator that made it.
        source: where the snapshot lay.
        time: when the copy was complete (UTC, RFC 3339).
        token: who asked for it (the uid of a FlinkSavepoint).
    """

    identity: str
    namespace: str
    job: str
    sequence_number: int
    checkpoint_id: int
    source: str
    time: str
    token: str = ""
    job_id: str | None = None
    format_type: str | None = None
    flink_version: str | None = None
    files: tuple[ManifestFile, ...] = field(default=())

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)

    def dump(self) -> bytes:
        """As it is stored."""
        body = asdict(self) | {"format": FORMAT}
        return json.dumps(body | {"checksum": _checksum(body)}, sort_keys=True, indent=1).encode()

    @classmethod
    def load(cls, content: bytes) -> Manifest:
        """Read what `dump` wrote.

        Raises:
            Invalid: it is damaged, or of a later version of the operator.
        """
        try:
            body = dict(json.loads(content))
            checksum = body.pop("checksum")
            if checksum != _checksum(body) or body.pop("format") != FORMAT:
                raise ValueError("checksum or format")
            files = tuple(ManifestFile(**file) for file in body.pop("files"))
            found = cls(files=files, **body)
            numbers = (found.sequence_number, found.checkpoint_id, *(file.size for file in files))
            if not all(type(number) is int and 0 <= number <= LARGEST_NUMBER for number in numbers):
                raise ValueError("numbers")
            if not all(isinstance(text, str) for text in _texts(found)) or len(found.identity) > LONGEST_IDENTITY:
                raise ValueError("texts")
            if datetime.fromisoformat(found.time).tzinfo is None:
                raise ValueError("time without a zone")
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise Invalid("a manifest.json is damaged or of another version") from error
        return found


def manifest_size(names: Iterable[str]) -> int:
    """About the bytes of a manifest with files of these names; hardly ever less than it becomes."""
    return _BESIDE_FILES + sum(len(name) + _BESIDE_NAME for name in names)


def _texts(found: Manifest) -> Iterator[object]:
    """What has to be a text in it."""
    yield from (found.identity, found.namespace, found.job, found.source, found.time, found.token)
    yield from (each for each in (found.job_id, found.format_type, found.flink_version) if each is not None)
    for file in found.files:
        yield from (file.name, file.sha256)


def _checksum(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def numbers_in(root: str, locations: Iterable[str]) -> frozenset[int]:
    """The numbers of the copies below the root of a place among these locations, however their store is spelled."""
    found = (location.rstrip("/").rpartition(f"/{root}/")[2] for location in locations)
    return frozenset(int(match[1]) for match in map(COPY_DIRECTORY.match, found) if match)
