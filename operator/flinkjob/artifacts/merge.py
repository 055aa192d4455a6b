"""Puts jars, and the statements of a SQL script or the files of a Python program, side by side into one jar.

Called in a process of its own (`mergechild`), since others choose what the jars contain. Invariants: the same contents give
the same bytes, whatever zlib there is: files are copied as they are compressed, and what is new is not compressed; the result
is never larger than its parts and what is added to them; of a file that several jars have, the first one's counts.

Jars within the jar would work too, but Flink unpacks those to the JobManager's disk at every plan and run, and leaves them.
"""

from __future__ import annotations

import contextlib
import re
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

from flinkjob.api.python_spec import FILE_NAME
from flinkjob.artifacts.errors import ArtifactInvalid
from flinkjob.core.program import PYTHON_RUNNER_MODULE
from flinkjob.core.sqlscript import MOST_STATEMENTS, ScriptError, Statement, split

MOST_FILES: Final = 65_535
"""What a zip archive can list without the extension for large ones."""
MOST_BYTES: Final = 4 * 1024**3 - 1
"""Likewise."""
LONGEST_NAME: Final = 65_535
"""Of a file, in UTF-8."""
LONGEST_SERVICE: Final = 1024 * 1024
MOST_PYTHON_BYTES: Final = 16 * 1024 * 1024
"""Of the files of a Python program, which are held in memory, archives apart."""
ADDED_BYTES: Final = 2 * 1024 * 1024
"""So much more than the parts a jar may be: statements, lists of services, and the directory of the archive."""
_CHUNK = 1024 * 1024
_LOCAL = struct.Struct("<4sHHHHHIIIHH")
_CENTRAL = struct.Struct("<4sHHHHHHIIIHHHHHII")
_END = struct.Struct("<4sHHHHIIH")
_TIME = (0, 0x21)  # 1980-01-01, the first that there is
_MANIFEST = "META-INF/MANIFEST.MF"
_SERVICES = "META-INF/services/"
_LEFT_OUT = re.compile(r"META-INF/([^/]*\.(SF|RSA|DSA|EC)|SIG-[^/]*|INDEX\.LIST)", re.IGNORECASE)
"""Signatures, which do not fit any more, and an index of other jars."""
_SAYS_OF_JAVAS = re.compile("^Multi-Release:", re.IGNORECASE | re.MULTILINE)
_FOR_LATER_JAVAS = re.compile(r"^Multi-Release:[ \t]*true[ \t\r]*$", re.IGNORECASE | re.MULTILINE)
_PYTHON_RUNNER = f"{PYTHON_RUNNER_MODULE}.py"
_OURS = ("dev/flinkjob/runner/", "flinkjob/sql/", _PYTHON_RUNNER)
UNPACKED: Final = (".zip", ".whl")
"""How the names of those files of a Python program end that are unpacked."""
_NAME_IS_UTF8 = 0x800
_ENCRYPTED = 0x1
_NAMED = 3


@dataclass(frozen=True)
class Part:
    """A jar on this machine, and its name in messages."""

    path: Path
    name: str


@dataclass(frozen=True)
class Text:
    """A piece of a SQL script, and its name in messages; empty: the script itself."""

    text: str
    name: str = ""


@dataclass(frozen=True)
class File:
    """A file of a Python program, and where it is put; a zip archive is unpacked."""

    content: Path | str
    name: str

    @property
    def unpacked(self) -> bool:
        """Whether what is in it is put beside the other files."""
        return isinstance(self.content, Path) and self.name.endswith(UNPACKED)

    @property
    def size(self) -> int:
        """In bytes."""
        return self.content.stat().st_size if isinstance(self.content, Path) else len(self.content.encode())


@dataclass(frozen=True)
class Python:
    """A Python program.

    Attributes:
        runner: the module that runs it.
        main: the file that is run, which must be there; empty: a module.
    """

    runner: Path
    files: Sequence[File]
    main: str = ""


@dataclass
class _Entry:
    """A file of the made jar: copied from a jar, or new."""

    name: bytes
    utf8: bool
    crc: int
    size: int
    stored: int
    method: int
    content: bytes | None = None
    source: Part | None = None
    at: int = 0


@dataclass
class _Found:
    """What the jars contain, as it is read."""

    entries: dict[str, _Entry] = field(default_factory=dict)
    services: dict[str, list[bytes]] = field(default_factory=dict)
    clashes: list[str] = field(default_factory=list)
    clashing: int = 0
    releases: bool = False
    manifest: bytes | None = None


def merge(
    target: Path,
    jars: Sequence[Part],
    *,
    runner: Path | None = None,
    script: Sequence[Text] = (),
    python: Python | None = None,
) -> str:
    """Make a jar.

    Args:
        runner: the jar with the classes that run the script.
        python: a Python program.

    Returns: what a person should know of it, else "".

    Raises:
        ArtifactInvalid: a jar or the script cannot be used, or the result would be too large.
    """
    found = _Found()
    if runner is not None:
        _read(Part(runner, runner.name), found, ours=True)
        found.manifest = None
        for name, content in _statements(script):
            found.entries[name] = _new(name, content)
    if python is not None:
        _put_python(python, found)
    for number, part in enumerate(jars):
        _read(part, found, first=number == 0 and runner is None and python is None)
    for name, pieces in found.services.items():
        found.entries[name] = _new(name, b"".join(pieces))
    found.entries.pop(_MANIFEST, None)
    entries = [_new(_MANIFEST, _manifest(found)), *(found.entries[name] for name in sorted(found.entries))]
    if len(entries) > MOST_FILES:
        raise ArtifactInvalid("too-large", f"jar: the jars have more than {MOST_FILES} files together")
    sizes = [part.path.stat().st_size for part in jars] + [file.size for file in (python.files if python else ())]
    limit = min(sum(sizes) + ADDED_BYTES, MOST_BYTES)
    with target.open("wb") as file, contextlib.ExitStack() as opened:
        _Writer(file, limit, opened).write(entries)
    if not found.clashing:
        return ""
    more = f", and {found.clashing - _NAMED} more" if found.clashing > _NAMED else ""
    return (
        "two jars have a class of one name with different content, and that of the first counts: "
        f"{', '.join(found.clashes)}{more}"
    )


def _statements(script: Sequence[Text]) -> Iterator[tuple[str, bytes]]:
    number = 0
    for text in script:
        for statement in _split(text):
            number += 1
            if number > MOST_STATEMENTS:
                raise ArtifactInvalid("script", f"sql: there are more than {MOST_STATEMENTS} statements")
            head = f"{statement.line} {statement.column} {text.name}".rstrip()
            yield f"flinkjob/sql/{number:04d}", f"{head}\n{statement.text}".encode()
    if not number:
        raise ArtifactInvalid("script", "sql: the script has no statement")


def _put_python(python: Python, found: _Found) -> None:
    """Take in the files of a Python program, the first of each name, and what runs it."""
    found.entries[_PYTHON_RUNNER] = _new(_PYTHON_RUNNER, python.runner.read_bytes())
    if sum(file.size for file in python.files if not file.unpacked) > MOST_PYTHON_BYTES:
        most = MOST_PYTHON_BYTES // 1024**2
        raise ArtifactInvalid(
            "too-large", f"python: the files have more than {most} MiB together; put them into an archive"
        )
    named: set[str] = set()
    for file in python.files:
        if not FILE_NAME.fullmatch(file.name) or file.name.startswith(_OURS):
            raise ArtifactInvalid("files", f"python: a file cannot have the name {file.name}; give it another by name")
        if file.name in named:
            raise ArtifactInvalid("files", f"python: two files have the name {file.name}")
        named.add(file.name)
        if file.unpacked and isinstance(file.content, Path):
            _read(Part(file.content, file.name), found)
        elif file.name not in found.entries:
            text = file.content.read_bytes() if isinstance(file.content, Path) else file.content.encode()
            found.entries[file.name] = _new(file.name, text)
    if python.main and python.main not in found.entries:
        raise ArtifactInvalid("files", f"python: none of the files is {python.main}")


def _split(text: Text) -> list[Statement]:
    try:
        return split(text.text)
    except ScriptError as error:
        where = f" of {text.name}" if text.name else ""
        raise ArtifactInvalid("script", f"sql: line {error.line}{where}: {error.message}") from error


def _new(name: str, content: bytes) -> _Entry:
    size = len(content)
    return _Entry(name.encode(), False, zlib.crc32(content), size, size, zipfile.ZIP_STORED, content)


def _read(part: Part, found: _Found, *, first: bool = False, ours: bool = False) -> None:
    """Take in what a jar contains. `first`: its manifest is that of the made jar."""
    try:
        with zipfile.ZipFile(part.path) as jar:
            for info in jar.infolist():
                name = info.filename
                if info.is_dir() or _LEFT_OUT.fullmatch(name) or (name.startswith(_OURS) and not ours):
                    continue
                _check(part, info)
                if name == _MANIFEST:
                    _take_manifest(_small(jar, info, part), found, first=first)
                elif name.startswith(_SERVICES):
                    found.services.setdefault(name, []).append(_small(jar, info, part).rstrip(b"\r\n") + b"\n")
                else:
                    _take(part, info, found)
    except ArtifactInvalid:
        raise
    except (zipfile.BadZipFile, zlib.error, ValueError, NotImplementedError, EOFError, struct.error) as error:
        raise ArtifactInvalid("not-a-jar", f"jar: {part.name} cannot be read: {error}") from error


def _check(part: Part, info: zipfile.ZipInfo) -> None:
    """Refuse a file that cannot be read, or not be written into an archive without the extension for large ones."""
    if len(info.filename.encode()) > LONGEST_NAME:
        raise ArtifactInvalid("too-large", f"jar: {part.name}: a name has more than {LONGEST_NAME} bytes")
    named = f"jar: {part.name}: {info.filename} is"
    if info.flag_bits & _ENCRYPTED or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ArtifactInvalid("not-a-jar", f"{named} packed in a way that Java does not read")
    if max(info.file_size, info.compress_size) > MOST_BYTES:
        raise ArtifactInvalid("too-large", f"{named} larger than 4 GiB, or says so")
    if not 0 <= info.header_offset <= MOST_BYTES:
        raise ArtifactInvalid("not-a-jar", f"{named} outside of the jar")


def _take(part: Part, info: zipfile.ZipInfo, found: _Found) -> None:
    known = found.entries.get(info.filename)
    if known is not None:
        if _is_class(info.filename) and (known.crc, known.size) != (info.CRC, info.file_size):
            found.clashing += 1
            if found.clashing <= _NAMED:
                other = known.source.name if known.source is not None else "the runner"
                found.clashes.append(f"{info.filename.removesuffix('.class')} ({other}, {part.name})")
        return
    if len(found.entries) >= MOST_FILES:
        raise ArtifactInvalid("too-large", f"jar: the jars have more than {MOST_FILES} files together")
    utf8 = bool(info.flag_bits & _NAME_IS_UTF8)
    found.entries[info.filename] = _Entry(
        info.filename.encode("utf-8" if utf8 else "cp437"),
        utf8,
        info.CRC,
        info.file_size,
        info.compress_size,
        info.compress_type,
        source=part,
        at=info.header_offset,
    )


def _is_class(name: str) -> bool:
    return name.endswith(".class") and not name.endswith(("module-info.class", "package-info.class"))


def _small(jar: zipfile.ZipFile, info: zipfile.ZipInfo, part: Part) -> bytes:
    if info.file_size > LONGEST_SERVICE:
        raise ArtifactInvalid("too-large", f"jar: {part.name}: {info.filename} is larger than 1 MiB")
    return jar.read(info)


def _take_manifest(content: bytes, found: _Found, *, first: bool) -> None:
    if first:
        found.manifest = content
    if _FOR_LATER_JAVAS.search(content.decode("latin-1")):
        found.releases = True


def _manifest(found: _Found) -> bytes:
    """That of the first jar, so that its entry class stays; one that says of classes for later Javas what any jar says."""
    begin = b"Manifest-Version: 1.0\r\n"
    content = found.manifest if found.manifest is not None else begin + b"\r\n"
    if not found.releases or _SAYS_OF_JAVAS.search(content.decode("latin-1")):
        return content
    line_end = content.find(b"\n") + 1
    return content[:line_end] + b"Multi-Release: true\r\n" + content[line_end:]


class _Writer:
    """Writes a zip archive of files that are compressed already."""

    def __init__(self, file: IO[bytes], limit: int, jars: contextlib.ExitStack) -> None:
        """
        Args:
            jars: that are opened, to be closed at the end.
        """
        self._file = file
        self._limit = limit
        self._at = 0
        self._jars = jars
        self._open: dict[Path, IO[bytes]] = {}

    def write(self, entries: Sequence[_Entry]) -> None:
        """All of them, and the directory."""
        places = []
        for entry in entries:
            places.append(self._at)
            sizes = (entry.crc, entry.stored, entry.size)
            head = (b"PK\3\4", 20, _flags(entry), entry.method, *_TIME, *sizes, len(entry.name), 0)
            self._put([_LOCAL.pack(*head), entry.name])
            self._put([entry.content] if entry.content is not None else self._copied(entry))
        directory = self._at
        for entry, place in zip(entries, places, strict=True):
            sizes = (entry.crc, entry.stored, entry.size)
            end = (
                b"PK\1\2",
                20,
                20,
                _flags(entry),
                entry.method,
                *_TIME,
                *sizes,
                len(entry.name),
                0,
                0,
                0,
                0,
                0,
                place,
            )
            self._put([_CENTRAL.pack(*end), entry.name])
        count, size = len(entries), self._at - directory
        self._put([_END.pack(b"PK\5\6", 0, 0, count, count, size, directory, 0)])

    def _put(self, pieces: Iterable[bytes]) -> None:
        for piece in pieces:
            self._at += len(piece)
            if self._at > self._limit:
                raise ArtifactInvalid(
                    "too-large", "jar: the jars are too large together, or files overlap in one of them"
                )
            self._file.write(piece)

    def _copied(self, entry: _Entry) -> Iterator[bytes]:
        """The compressed content of a file, as it is in its jar."""
        assert entry.source is not None
        source = self._open.get(entry.source.path)
        if source is None:
            source = self._open[entry.source.path] = self._jars.enter_context(entry.source.path.open("rb"))
        source.seek(entry.at)
        head = source.read(_LOCAL.size)
        if len(head) < _LOCAL.size or head[:4] != b"PK\3\4":
            raise ArtifactInvalid("not-a-jar", f"jar: {entry.source.name} is damaged")
        *_, name, extra = _LOCAL.unpack(head)
        source.seek(entry.at + _LOCAL.size + name + extra)
        left = entry.stored
        while left:
            piece = source.read(min(left, _CHUNK))
            if not piece:
                raise ArtifactInvalid("not-a-jar", f"jar: {entry.source.name} is damaged")
            left -= len(piece)
            yield piece


def _flags(entry: _Entry) -> int:
    return _NAME_IS_UTF8 if entry.utf8 else 0
