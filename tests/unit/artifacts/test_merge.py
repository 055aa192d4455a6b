"""How jars and statements become one jar."""

from __future__ import annotations

import hashlib
import re
import zipfile
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flinkjob.artifacts.errors import ArtifactInvalid
from flinkjob.artifacts.merge import MOST_FILES, File, Part, Python, Text, merge

SERVICE = "META-INF/services/org.apache.flink.table.factories.Factory"
MANIFEST = "META-INF/MANIFEST.MF"


def jar(path: Path, files: dict[str, bytes], level: int | None = 6) -> Part:
    """A jar with these files, compressed so much; None: not compressed."""
    packing = zipfile.ZIP_STORED if level is None else zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(path, "w", packing, compresslevel=level) as made:
        for name, content in files.items():
            made.writestr(name, content)
    return Part(path, path.name)


def content(path: Path) -> dict[str, bytes]:
    """All files of a jar, their checksums proved."""
    with zipfile.ZipFile(path) as made:
        assert made.testzip() is None
        return {name: made.read(name) for name in made.namelist()}


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "made.jar"


def test_files_side_by_side_and_services_joined(tmp_path: Path, target: Path) -> None:
    own = jar(
        tmp_path / "own.jar",
        {
            MANIFEST: b"Manifest-Version: 1.0\r\nMain-Class: a.Main\r\n\r\n",
            "META-INF/OWN.SF": b"signed",
            "META-INF/OWN.RSA": b"signed",
            "META-INF/SIG-X": b"signed",
            "a/": b"",
            "a/Main.class": b"main" * 1000,
            SERVICE: b"a.Factory",
            "lib/inner.jar": b"PK",
        },
    )
    other = jar(
        tmp_path / "other.jar",
        {MANIFEST: b"Manifest-Version: 1.0\nMain-Class: b.Main\n", "b/B.class": b"b", SERVICE: b"b.Factory\r\n"},
    )
    assert merge(target, [own, other]) == ""
    assert content(target) == {
        MANIFEST: b"Manifest-Version: 1.0\r\nMain-Class: a.Main\r\n\r\n",
        SERVICE: b"a.Factory\nb.Factory\n",
        "a/Main.class": b"main" * 1000,
        "b/B.class": b"b",
        "lib/inner.jar": b"PK",
    }
    assert next(iter(content(target))) == MANIFEST


def test_a_script_becomes_resources_behind_the_classes_of_the_runner(tmp_path: Path, target: Path) -> None:
    runner = jar(
        tmp_path / "sql-runner-1.jar", {MANIFEST: b"x: y\n", "dev/flinkjob/runner/SqlRunner.class": b"run"}
    ).path
    other = jar(
        tmp_path / "other.jar",
        {
            "dev/flinkjob/runner/SqlRunner.class": b"mine",
            "flinkjob/sql/0003": b"1 1\nDROP x",
            MANIFEST: b"Main-Class: b\n",
        },
    )
    script = [Text("CREATE x;", "initFrom[0]"), Text("-- é\n  INSERT 'é';\nINSERT b")]
    assert merge(target, [other], runner=runner, script=script) == ""
    assert content(target) == {
        MANIFEST: b"Manifest-Version: 1.0\r\n\r\n",
        "dev/flinkjob/runner/SqlRunner.class": b"run",
        "flinkjob/sql/0001": b"1 1 initFrom[0]\nCREATE x",
        "flinkjob/sql/0002": "2 3\nINSERT 'é'".encode(),
        "flinkjob/sql/0003": b"3 1\nINSERT b",
    }


@pytest.mark.parametrize(
    ("own", "other", "made"),
    [
        (
            b"Version: 1\nMain-Class: a\n",
            b"Multi-Release: true\n",
            b"Version: 1\nMulti-Release: true\r\nMain-Class: a\n",
        ),
        (b"Version: 1\nMulti-Release: true\n", b"", b"Version: 1\nMulti-Release: true\n"),
        (None, b"multi-release: TRUE\n", b"Manifest-Version: 1.0\r\nMulti-Release: true\r\n\r\n"),
    ],
)
def test_classes_for_later_javas_stay_what_they_are(
    tmp_path: Path, target: Path, own: bytes | None, other: bytes, made: bytes
) -> None:
    first = jar(tmp_path / "own.jar", {} if own is None else {MANIFEST: own})
    merge(target, [first, jar(tmp_path / "other.jar", {MANIFEST: other})])
    assert content(target)[MANIFEST] == made


def test_of_a_class_that_two_have_the_first_counts_and_that_is_said(tmp_path: Path, target: Path) -> None:
    names = [f"c/C{number}.class" for number in range(5)]
    same = {"c/Same.class": b"same", "module-info.class": b"1", "c/package-info.class": b"1", "LICENSE": b"1"}
    first = jar(tmp_path / "a.jar", {**dict.fromkeys(names, b"a"), **same})
    differs = {"module-info.class": b"2", "c/package-info.class": b"2", "LICENSE": b"2"}
    second = jar(tmp_path / "b.jar", {**dict.fromkeys(names, b"b"), **same, **differs}, level=1)
    assert merge(target, [first, second]) == (
        "two jars have a class of one name with different content, and that of the first counts: "
        "c/C0 (a.jar, b.jar), c/C1 (a.jar, b.jar), c/C2 (a.jar, b.jar), and 2 more"
    )
    made = content(target)
    assert {made[name] for name in names} == {b"a"}
    assert made["LICENSE"] == b"1"


NAMES = st.text(alphabet="abé/$.", min_size=1, max_size=12).filter(lambda name: not name.endswith("/"))


@given(st.lists(st.dictionaries(NAMES, st.binary(max_size=300), max_size=6), min_size=1, max_size=3))
def test_what_is_put_together_is_there_and_the_same_each_time(
    tmp_path_factory: pytest.TempPathFactory, jars: list[dict[str, bytes]]
) -> None:
    directory = tmp_path_factory.mktemp("jars")
    wanted: dict[str, bytes] = {}
    for files in reversed(jars):
        wanted |= files
    parts = [jar(directory / f"{number}.jar", files) for number, files in enumerate(jars)]
    made = [directory / "one", directory / "two"]
    for path in made:
        merge(path, parts)
    assert made[0].read_bytes() == made[1].read_bytes()
    found = content(made[0])
    assert found.pop(MANIFEST) == b"Manifest-Version: 1.0\r\n\r\n"
    assert found == wanted


def test_the_bytes_do_not_depend_on_the_zlib_of_this_machine(tmp_path: Path, target: Path) -> None:
    runner = jar(tmp_path / "r.jar", {"R.class": b"run" * 100}, None).path
    other = {"b/B.class": b"words, words, words " * 100, SERVICE: b"b.F"}
    digests = set()
    for level in (1, 9):
        part = jar(tmp_path / f"{level}.jar", other, level)
        merge(target, [part], runner=runner, script=[Text("INSERT INTO a SELECT 1")])
        assert compressed(target, "b/B.class") == compressed(part.path, "b/B.class")
        digests.add(hashlib.sha256(target.read_bytes()).hexdigest())
    assert len(digests) == 2, "files are copied as they are"
    merge(target, [], runner=runner, script=[Text("INSERT INTO a SELECT 1")])
    assert (
        hashlib.sha256(target.read_bytes()).hexdigest()
        == "954a6907206307eab299b04b52dacc7dd9bf2befd3f31a9ea71a213edbc39762"
    )


def compressed(path: Path, name: str) -> bytes:
    """What the archive holds of a file."""
    with zipfile.ZipFile(path) as made:
        info = made.getinfo(name)
        start = info.header_offset + 30 + len(name)
        return path.read_bytes()[start : start + info.compress_size]


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("", "sql: the script has no statement"),
        (" -- nothing\n;", "sql: the script has no statement"),
        ("a;\nb 'c", "sql: line 2: a ' is not closed"),
    ],
)
def test_a_script_that_cannot_be_split(tmp_path: Path, target: Path, script: str, says: str) -> None:
    runner = jar(tmp_path / "r.jar", {"R.class": b""}).path
    with pytest.raises(ArtifactInvalid) as refused:
        merge(target, [], runner=runner, script=[Text(script)])
    assert refused.value.message == says


def test_it_says_which_piece_of_the_script(tmp_path: Path, target: Path) -> None:
    runner = jar(tmp_path / "r.jar", {"R.class": b""}).path
    with pytest.raises(ArtifactInvalid, match=r"sql: line 3 of initFrom\[1\]: a comment is not closed"):
        merge(target, [], runner=runner, script=[Text("a"), Text("\n\n/*", "initFrom[1]")])


def test_jars_that_cannot_be_used(tmp_path: Path, target: Path) -> None:
    good = jar(tmp_path / "good.jar", {"a/A.class": b"a" * 5000}, level=0)
    raw = bytearray(good.path.read_bytes())
    at = raw.rindex(b"PK\1\2")
    broken = {
        "encrypted": (at + 8, b"\1"),
        "packed by bzip2": (at + 10, b"\14"),
        "outside": (at + 42, b"\xff\xff\xff\x0f"),
        "too long": (at + 20, b"\xff\xff\xff\x0f"),
        "no directory": (at, b"XX"),
    }
    for what, (place, change) in broken.items():
        bad = Part(tmp_path / f"{what}.jar", what)
        bad.path.write_bytes(bytes(raw[:place]) + change + bytes(raw[place + len(change) :]))
        with pytest.raises(ArtifactInvalid, match=what) as refused:
            merge(target, [bad])
        assert refused.value.reason == "not-a-jar"


@pytest.mark.parametrize("name", [SERVICE, MANIFEST, "a/A.class"])
@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"flag_bits": 1}, "packed in a way that Java does not read"),
        ({"compress_type": zipfile.ZIP_LZMA}, "packed in a way that Java does not read"),
        ({"file_size": 5 * 2**30, "compress_size": 10}, "larger than 4 GiB"),
        ({"file_size": 10, "compress_size": 5 * 2**30}, "larger than 4 GiB"),
        ({"header_offset": 5 * 2**30}, "outside of the jar"),
    ],
    ids=["encrypted", "lzma", "large", "large when packed", "outside"],
)
def test_an_odd_entry_is_refused_by_its_name(
    tmp_path: Path, target: Path, name: str, change: dict[str, int], says: str
) -> None:
    path = tmp_path / "odd.jar"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr(name, b"content")
        for field, value in change.items():
            setattr(made.filelist[0], field, value)
    with pytest.raises(ArtifactInvalid) as refused:
        merge(target, [Part(path, "odd.jar")])
    assert refused.value.message.startswith(f"jar: odd.jar: {name} is ")
    assert says in refused.value.message


def test_a_name_that_is_too_long_once_it_is_written_anew(tmp_path: Path, target: Path) -> None:
    part = jar(tmp_path / "long.jar", {"META-INF/services/" + "x" * 65_000: b"a.F"})
    part.path.write_bytes(part.path.read_bytes().replace(b"x" * 65_000, b"\x82" * 65_000))
    with pytest.raises(ArtifactInvalid, match=r"jar: long.jar: a name has more than 65535 bytes"):
        merge(target, [part])


def test_a_directory_that_is_not_where_it_says(tmp_path: Path, target: Path) -> None:
    part = jar(tmp_path / "odd.jar", {"a": b"a"})
    raw = part.path.read_bytes()
    end = raw.rindex(b"PK\5\6")
    part.path.write_bytes(raw[: end + 16] + b"\xff\xff\xff\x7f" + raw[end + 20 :])
    with pytest.raises(ArtifactInvalid, match=r"jar: odd.jar: a is outside of the jar") as refused:
        merge(target, [part])
    assert refused.value.reason == "not-a-jar"


def test_files_that_overlap_make_nothing_larger(tmp_path: Path, target: Path) -> None:
    data = zlib.compressobj(0, zlib.DEFLATED, -15)
    body = data.compress(b"x" * 1_000_000) + data.flush()
    local = b"PK\3\4" + bytes([20, 0, 0, 0, 8, 0]) + bytes(4) + zlib.crc32(b"x" * 1_000_000).to_bytes(4, "little")
    local += len(body).to_bytes(4, "little") + (1_000_000).to_bytes(4, "little") + bytes([1, 0, 0, 0]) + b"a" + body
    directory = b""
    for number in range(50):
        name = f"{number:05d}".encode()
        head = b"PK\1\2" + bytes([20, 0, 20, 0, 0, 0, 8, 0]) + bytes(4) + local[14:26]
        directory += head + len(name).to_bytes(2, "little") + bytes(16) + name
    end = b"PK\5\6" + bytes(4) + (50).to_bytes(2, "little") * 2 + len(directory).to_bytes(4, "little")
    bomb = Part(tmp_path / "bomb.jar", "bomb.jar")
    bomb.path.write_bytes(local + directory + end + len(local).to_bytes(4, "little") + bytes(2))
    with pytest.raises(ArtifactInvalid, match="files overlap") as refused:
        merge(target, [bomb])
    assert refused.value.reason == "too-large"
    assert target.stat().st_size < 4 * 1024 * 1024


def test_more_files_than_an_archive_can_list(tmp_path: Path, target: Path) -> None:
    many = jar(tmp_path / "many.jar", dict.fromkeys((f"{n:x}" for n in range(MOST_FILES // 2)), b""))
    more = jar(tmp_path / "more.jar", dict.fromkeys((f"y{n:x}" for n in range(MOST_FILES // 2 + 2)), b""))
    with pytest.raises(ArtifactInvalid, match="more than 65535 files"):
        merge(target, [many, more])


def runner_of_python(tmp_path: Path) -> Path:
    runner = tmp_path / "python-runner-1.py"
    runner.write_bytes(b"run")
    return runner


def test_the_files_of_a_python_program_beside_what_runs_it(tmp_path: Path, target: Path) -> None:
    wheel = jar(tmp_path / "x.whl", {"shop/__init__.py": b"", "shop/rules.py": b"wheel", "flinkjob_main.py": b"mine"})
    other = jar(tmp_path / "other.jar", {MANIFEST: b"Main-Class: b\n", "b/B.class": b"b", SERVICE: b"b.Factory"})
    one = tmp_path / "fetched"
    one.write_bytes(b"\xff fetched")
    files = [
        File("job", "job.py"),
        File(one, "conf/data.bin"),
        File("own", "shop/rules.py"),
        File(wheel.path, "shop-1.0.whl"),
    ]
    assert merge(target, [other], python=Python(runner_of_python(tmp_path), files, "job.py")) == ""
    assert content(target) == {
        MANIFEST: b"Manifest-Version: 1.0\r\n\r\n",
        SERVICE: b"b.Factory\n",
        "b/B.class": b"b",
        "conf/data.bin": b"\xff fetched",
        "flinkjob_main.py": b"run",
        "job.py": b"job",
        "shop/__init__.py": b"",
        "shop/rules.py": b"own",
    }


def test_a_jar_with_nothing_but_what_runs_a_module_of_the_image(tmp_path: Path, target: Path) -> None:
    merge(target, [], python=Python(runner_of_python(tmp_path), []))
    assert set(content(target)) == {MANIFEST, "flinkjob_main.py"}


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ([File("", "a.py"), File("", "a.py")], "python: two files have the name a.py"),
        ([File("", "b.py")], "python: none of the files is job.py"),
        ([File("", "../job.py")], "python: a file cannot have the name ../job.py"),
        ([File("", "flinkjob_main.py")], "python: a file cannot have the name flinkjob_main.py"),
    ],
)
def test_files_that_are_no_program(tmp_path: Path, target: Path, files: list[File], says: str) -> None:
    with pytest.raises(ArtifactInvalid, match=re.escape(says)):
        merge(target, [], python=Python(runner_of_python(tmp_path), files, "job.py"))


def test_files_that_are_too_large_together(tmp_path: Path, target: Path) -> None:
    large = tmp_path / "large.py"
    large.write_bytes(bytes(1024 * 1024))
    files = [File(large, f"{number}.py") for number in range(17)]
    merge(target, [], python=Python(runner_of_python(tmp_path), files[1:]))
    with pytest.raises(ArtifactInvalid, match="more than 16 MiB together; put them into an archive"):
        merge(target, [], python=Python(runner_of_python(tmp_path), files))


def test_a_wheel_that_is_none(tmp_path: Path, target: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_bytes(b"PK\3\4")
    with pytest.raises(ArtifactInvalid, match=r"x\.whl cannot be read"):
        merge(target, [], python=Python(runner_of_python(tmp_path), [File(broken, "x.whl")]))
