"""Jars whose lists of files are as large or as wrong as they can be cost the operator a bounded process, and nothing else."""

from __future__ import annotations

import asyncio
import resource
import time
from pathlib import Path

import pytest

from flinkjob.artifacts.build import CPU_SECONDS, MEMORY_BYTES, JarBuilder
from flinkjob.artifacts.errors import ArtifactInvalid, ArtifactUnavailable
from flinkjob.artifacts.runners import Runners
from flinkjob.core.program import JarPart, Recipe
from flinkjob.net.permits import Permits
from tests.attacks.child import peak_of
from tests.attacks.test_downloads import store_in

MIB = 1024 * 1024


def listing(names: int, length: int) -> bytes:
    """A zip archive of so many empty files, each with a name of this length."""
    local = b"PK\3\4" + bytes([20, 0]) + bytes(24)
    directory = bytearray()
    for number in range(names):
        name = f"{number:0{length}x}".encode()
        head = b"PK\1\2" + bytes([20, 0, 20, 0]) + bytes(20)
        directory += head + length.to_bytes(2, "little") + bytes(16) + name
    end = b"PK\5\6" + bytes(4) + (names & 0xFFFF).to_bytes(2, "little") * 2 + len(directory).to_bytes(4, "little")
    return local + directory + end + len(local).to_bytes(4, "little") + bytes(2)


async def refused(directory: Path) -> str:
    """Why no jar can be made of those in a directory."""
    async with store_in(directory / "cache", allowed=(directory,)) as store:
        builder = JarBuilder(store, Runners(directory), Permits(1).hold)
        recipe = Recipe(jars=tuple(JarPart(uri=path.as_uri()) for path in sorted(directory.glob("*.jar"))))
        try:
            await builder.get("hostile", recipe, None)
        except (ArtifactInvalid, ArtifactUnavailable) as error:
            return error.message
    return ""


def make(directory: str) -> tuple[str, float]:
    """In a child: what is said, and the largest process that it started, in MiB."""
    said = asyncio.run(refused(Path(directory)))
    return said, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / MIB


@pytest.mark.threat("too-large")
@pytest.mark.parametrize(("names", "length"), [(250_000, 8), (6_000, 2_500)])
def test_a_list_of_files_without_an_end(tmp_path: Path, names: int, length: int) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.jar").write_bytes(listing(names, length))
    begun = time.monotonic()
    (said, largest), own = peak_of("tests.attacks.test_made_jars", "make", str(tmp_path))
    assert said.startswith("jar: ")
    assert largest * MIB < MEMORY_BYTES
    assert own < 32
    assert time.monotonic() - begun < CPU_SECONDS
    assert not list((tmp_path / "cache").glob("*.partial"))
