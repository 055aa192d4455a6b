"""Jars that are made: what they are known by, what is refused, and what a hostile jar may cost."""

from __future__ import annotations

import asyncio
import hashlib
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from flinkjob.artifacts import build
from flinkjob.artifacts.build import CHANGED, JarBuilder
from flinkjob.artifacts.errors import ArtifactInvalid, ArtifactUnavailable
from flinkjob.artifacts.mergechild import made
from flinkjob.artifacts.runners import Runners
from flinkjob.core.errors import Invalid
from flinkjob.core.program import JarPart, Recipe, RunnerSort, ScriptPart, SourceAccess
from flinkjob.net.permits import Permits
from tests.unit.artifacts.conftest import MakeStore
from tests.unit.artifacts.jarserver import JarServer

TEXT = "CREATE TABLE a; INSERT INTO a SELECT 1"


class Bench:
    """A builder over files of a directory, with runners of these versions."""

    def __init__(self, directory: Path, make_store: MakeStore, runners: tuple[int, ...] = (1,)) -> None:
        self.directory = directory
        self.runners = directory / "runners"
        self.runners.mkdir()
        for version in runners:
            self.runner(version)
        self.make_store = make_store
        self.builder = self.operator()

    def operator(self) -> JarBuilder:
        """Another operator process over the same cache."""
        store = self.make_store(allowed_directories=(self.directory,))
        return JarBuilder(store, Runners(self.runners), Permits(1).hold)

    def runner(self, version: int) -> None:
        self._jar(self.runners / f"sql-runner-{version}.jar", {"Runner.class": f"v{version}"})

    def python_runner(self, version: int) -> None:
        (self.runners / f"python-runner-{version}.py").write_text(f"v{version}")

    def jar(self, name: str, *, pinned: bool = False, **files: str) -> JarPart:
        path = self._jar(self.directory / name, files or {"A.class": name})
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        return JarPart(uri=path.as_uri(), sha256=digest if pinned else None)

    def _jar(self, path: Path, files: dict[str, str]) -> Path:
        with zipfile.ZipFile(path, "w") as made:
            for name, text in files.items():
                made.writestr(zipfile.ZipInfo(name), text)
        return path

    async def made(self, recipe: Recipe, recorded: str | None = None) -> tuple[str, dict[str, str]]:
        """What the jar is known by, and its files."""
        built = await self.builder.get("shop", recipe, recorded)
        with zipfile.ZipFile(built.artifact.path) as made:
            return built.digest, {name: made.read(name).decode() for name in made.namelist()}


def script(text: str = TEXT, name: str = "") -> ScriptPart:
    return ScriptPart(text=text, sha256=hashlib.sha256(text.encode()).hexdigest(), name=name)


def sql(*jars: JarPart, script: tuple[ScriptPart, ...]) -> Recipe:
    return Recipe(jars=jars, script=script, runner=RunnerSort.SQL)


@pytest.fixture
def bench(tmp_path: Path, make_store: MakeStore) -> Bench:
    return Bench(tmp_path, make_store)


async def test_one_jar_stays_as_it_is(bench: Bench) -> None:
    part = bench.jar("job.jar")
    built = await bench.builder.get("shop", Recipe(jars=(part,)), None)
    assert (
        built.digest == built.artifact.digest == hashlib.sha256((bench.directory / "job.jar").read_bytes()).hexdigest()
    )
    assert bench.builder.digest_of(Recipe(jars=(part,)), None) is None


async def test_a_script_is_known_by_its_text_and_its_runner(bench: Bench) -> None:
    recipe = sql(bench.jar("udf.jar", pinned=True), script=(script(),))
    digest, files = await bench.made(recipe)
    assert digest.startswith("sql-1-")
    assert bench.builder.digest_of(recipe, None) == digest, "without fetching anything"
    assert {"Runner.class", "A.class", "flinkjob/sql/0001", "flinkjob/sql/0002"} < set(files)


async def test_another_runner_changes_no_job_that_is_repeated(bench: Bench) -> None:
    recipe = sql(script=(script(),))
    before, _ = await bench.made(recipe)
    bench.runner(2)
    bench.builder = bench.operator()
    again, files = await bench.made(recipe, before)
    assert (again, files["Runner.class"]) == (before, "v1")
    new, files = await bench.made(recipe)
    assert (new, files["Runner.class"]) == (before.replace("sql-1-", "sql-2-"), "v2")


async def test_a_runner_that_is_gone_is_stood_in_for_by_the_newest(bench: Bench) -> None:
    recipe = sql(script=(script(),))
    digest, _ = await bench.made(recipe)
    later = digest.replace("sql-1-", "sql-9-")
    assert (await bench.made(recipe, later))[0] == digest
    with pytest.raises(ArtifactInvalid) as refused:
        await bench.made(replace(recipe, script=(script("INSERT INTO b SELECT 1"),)), later)
    assert refused.value.reason == CHANGED


async def test_without_a_runner_it_says_so(tmp_path: Path, make_store: MakeStore) -> None:
    bench = Bench(tmp_path, make_store, runners=())
    with pytest.raises(Invalid, match=r"this operator has no SQL runner in .*runners"):
        bench.builder.digest_of(sql(script=(script(),)), None)


async def test_a_jar_and_its_dependencies_are_known_by_their_contents_in_their_order(bench: Bench) -> None:
    one, two = bench.jar("job.jar"), bench.jar("lib.jar", **{"B.class": "b"})
    digest, files = await bench.made(Recipe(jars=(one, two)))
    assert digest.startswith("jar-")
    assert {"A.class", "B.class"} < set(files)
    assert bench.builder.digest_of(Recipe(jars=(one, two)), None) is None, "what is there is not known yet"
    other, _ = await bench.made(Recipe(jars=(two, one)))
    assert other != digest
    bench.jar("lib.jar", **{"B.class": "c"})
    with pytest.raises(ArtifactInvalid, match="the jars are not those of the run") as refused:
        await bench.made(Recipe(jars=(one, two)), digest)
    assert refused.value.reason == CHANGED


async def test_it_is_made_once_and_again_when_the_cache_has_lost_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = sql(script=(script(),))
    first = await bench.builder.get("shop", recipe, None)
    second = await bench.builder.get("shop", recipe, None)
    assert second.artifact.digest == first.artifact.digest
    made = []
    monkeypatch.setattr(build, "_make", lambda *_: made.append(1) or asyncio.sleep(0, ""))
    await bench.builder.get("shop", recipe, None)
    assert not made
    first.artifact.path.unlink()
    await bench.builder.get("shop", recipe, None)
    assert made


async def test_a_script_is_fetched_and_pinned(bench: Bench) -> None:
    path = bench.directory / "job.sql"
    path.write_text(TEXT)
    part = ScriptPart(uri=path.as_uri(), sha256=script().sha256)
    inline, _ = await bench.made(sql(script=(script(),)))
    fetched, files = await bench.made(sql(script=(part,)))
    assert fetched == inline, "wherever it is"
    assert files["flinkjob/sql/0001"] == "1 1\nCREATE TABLE a"
    path.write_bytes(b"\xff")
    wrong = replace(part, sha256=hashlib.sha256(b"\xff").hexdigest())
    with pytest.raises(ArtifactInvalid, match=r"sql: job.sql is not a text in UTF-8"):
        await bench.made(sql(script=(wrong,)))
    with pytest.raises(ArtifactInvalid, match=r"sql: file:.*job.sql has sha256"):
        await bench.made(sql(script=(replace(part, sha256="0" * 64),)))
    path.write_bytes(b"x" * (2**20 + 1))
    with pytest.raises(ArtifactInvalid, match="limit of 1 MiB"):
        await bench.made(sql(script=(replace(part, sha256="1" * 64),)))


async def test_what_is_wrong_with_a_script_or_a_jar_is_said(bench: Bench) -> None:
    with pytest.raises(ArtifactInvalid, match=r"sql: line 2: a ' is not closed"):
        await bench.made(sql(script=(script("a;\n'"),)))
    one = bench.jar("a.jar", **{"C.class": "1"})
    two = bench.jar("b.jar", **{"C.class": "2"})
    built = await bench.builder.get("shop", Recipe(jars=(one, two)), None)
    assert built.note.startswith("two jars have a class of one name")
    again = await bench.builder.get("shop", Recipe(jars=(one, two)), None)
    assert again.note == built.note


async def test_no_room_for_it_is_tried_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    order = {
        "target": "/dev/full",
        "jars": [],
        "runner": str(bench.runners / "sql-runner-1.jar"),
        "script": [[TEXT, ""]],
        "python": None,
    }
    assert made(order) == {"later": "no-room", "message": "jar: no room where it is made: No space left on device"}
    monkeypatch.setattr(build, "ADDED_BYTES", 0)
    with pytest.raises(ArtifactUnavailable, match="jar: no room where it is made: File too large") as failed:
        await bench.made(sql(script=(script(),)))
    assert failed.value.reason == "no-room"


@pytest.mark.parametrize(("limit", "value"), [("MEMORY_BYTES", 8 * 2**20), ("CPU_SECONDS", 0), ("SECONDS", 0.01)])
async def test_a_jar_that_takes_more_than_it_may(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, limit: str, value: float
) -> None:
    many = bench.jar("many.jar", **{f"f{number}": "" for number in range(12_000)})  # what Python has at hand is less
    monkeypatch.setattr(build, limit, value)
    with pytest.raises((ArtifactUnavailable, ArtifactInvalid)):
        await bench.made(sql(many, script=(script("a;" * 1999),)))
    assert not list((bench.directory / "cache").glob("*.partial"))


def python(*files: ScriptPart, jars: tuple[JarPart, ...] = (), main: str = "") -> Recipe:
    return Recipe(jars=jars, script=files, runner=RunnerSort.PYTHON, main=main)


async def test_a_python_program_and_its_files(bench: Bench) -> None:
    bench.python_runner(1)
    wheel = bench.jar("lib.whl", pinned=True, **{"shop/rules.py": "rules"})
    data = bench.directory / "data.bin"
    data.write_bytes(b"\x00data")
    files = (
        script("main", "job.py"),
        ScriptPart(uri=wheel.uri, sha256=wheel.sha256 or "", name="lib.whl"),
        ScriptPart(uri=data.as_uri(), sha256=hashlib.sha256(data.read_bytes()).hexdigest(), name="conf/data.bin"),
    )
    recipe = python(*files, jars=(bench.jar("connector.jar", pinned=True),), main="job.py")
    digest, found = await bench.made(recipe)
    assert digest.startswith("python-1-")
    assert bench.builder.digest_of(recipe, None) == digest, "without fetching anything"
    assert {name: text for name, text in found.items() if not name.startswith("META-INF")} == {
        "A.class": "connector.jar",
        "conf/data.bin": "\x00data",
        "flinkjob_main.py": "v1",
        "job.py": "main",
        "shop/rules.py": "rules",
    }
    bench.python_runner(2)
    bench.builder = bench.operator()
    again, found = await bench.made(recipe, digest)
    assert (again, found["flinkjob_main.py"]) == (digest, "v1")
    with pytest.raises(ArtifactInvalid, match="the files and the jars are not those of the run"):
        await bench.made(python(script("other", "job.py")), digest)


async def test_what_is_wrong_with_a_python_program_is_said(bench: Bench) -> None:
    with pytest.raises(Invalid, match=r"python: this operator has no Python runner in .*runners"):
        await bench.made(python(script("main", "job.py")))
    bench.python_runner(1)
    with pytest.raises(ArtifactInvalid, match=r"python: none of the files is main\.py"):
        await bench.made(python(script("main", "job.py"), main="main.py"))
    missing = ScriptPart(uri=(bench.directory / "no.py").as_uri(), sha256="0" * 64, name="no.py")
    with pytest.raises(ArtifactInvalid, match=r"^python: .*no\.py"):
        await bench.made(python(missing))
    text = bench.directory / "text.whl"
    text.write_text("no archive")
    part = ScriptPart(uri=text.as_uri(), sha256=hashlib.sha256(b"no archive").hexdigest(), name="text.whl")
    with pytest.raises(ArtifactInvalid, match=r"^python: .*text\.whl is not a jar"):
        await bench.made(python(part))


async def test_what_is_uploaded_beside_the_jar(bench: Bench) -> None:
    text = script("cowsay==6.1", "")
    needed = await bench.builder.file("shop", text)
    assert (needed.digest, needed.path.read_text()) == (text.sha256, "cowsay==6.1")
    assert (await bench.builder.file("shop", text)).path == needed.path
    archive = bench.jar("data.zip", pinned=True)
    fetched = await bench.builder.file("shop", ScriptPart(uri=archive.uri, sha256=archive.sha256 or "", name="data"))
    assert fetched.digest == archive.sha256
    lines = bench.directory / "requirements.txt"
    lines.write_text("cowsay")
    part = ScriptPart(uri=lines.as_uri(), sha256=hashlib.sha256(b"cowsay").hexdigest())
    assert (await bench.builder.file("shop", part)).path.read_text() == "cowsay"
    lines.write_text("another")
    archive_of_text = ScriptPart(uri=lines.as_uri(), sha256=hashlib.sha256(b"another").hexdigest(), name="data")
    with pytest.raises(ArtifactInvalid, match=r"^python: .*requirements\.txt is not a jar"):
        await bench.builder.file("shop", archive_of_text)


async def test_what_only_a_secret_opens(bench: Bench, server: JarServer) -> None:
    """Each file of a program is asked for with it, and what is made of them is for that namespace."""
    bench.python_runner(1)
    wheel, access = f"{server.url}/private.jar", SourceAccess(auth_secret="nexus")
    digest = hashlib.sha256(server.content).hexdigest()
    with pytest.raises(ArtifactInvalid, match=r"^python: 401 from "):
        await bench.made(python(ScriptPart(uri=wheel, sha256=digest, name="a.whl")))
    recipe = python(ScriptPart(uri=wheel, sha256=digest, name="a.whl", access=access))
    built = await bench.builder.get("shop", recipe, None)
    assert "-" in built.artifact.path.stem, "private"
    beside = await bench.builder.file("shop", ScriptPart(uri=wheel, sha256=digest, name="data", access=access))
    assert beside.digest == digest
