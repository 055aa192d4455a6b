"""What a spec runs, and by what its jar is known."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest

from flinkjob.api.codec import parse_job
from flinkjob.api.flinkjob_spec import FlinkJobSpec
from flinkjob.api.references import NamedKey
from flinkjob.api.reserved_keys import PYTHON_RESERVED_KEYS, RESERVED_KEYS, SQL_RESERVED_KEYS
from flinkjob.api.sync import StoreAccess
from flinkjob.core.program import (
    PYTHON_ENTRY_CLASS,
    PYTHON_RUNNER_MODULE,
    SQL_ENTRY_CLASS,
    JarPart,
    Program,
    Recipe,
    RunnerSort,
    ScriptPart,
    SourceAccess,
    program_of,
    runner_of,
)
from tests.support.inputs import URL

RUNNER = Path(__file__).resolve().parents[3] / "operator" / "runner"
RELEASED = {1: "54ecda267a10cf7c96a7f9fce0e967119510b9cc06ac35a8e41b59ee79e7786c"}
"""Digests of the sources of the runners that were released: a job that is started again needs the very same one."""
PYTHON_RUNNER = RUNNER.with_name("pyrunner")
RELEASED_PYTHON = {1: "ff048e33fd7260af919635bc24223508d0cd8778f7cc3643d476cbfd80e3b7af"}
"""The same of the runners of Python programs."""


def spec(**fields: Any) -> FlinkJobSpec:
    job = parse_job({"metadata": {}, "spec": {"cluster": {"url": URL}} | fields})
    assert job.spec is not None, job.spec_error
    return job.spec


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_a_jar() -> None:
    program = program_of(spec(jar={"uri": "https://a/b.jar", "entryClass": "a.B"}, args=["x"]))
    assert (program.entry_class, program.args) == ("a.B", ("x",))
    assert program.recipe == Recipe(jars=(JarPart(uri="https://a/b.jar"),))
    assert not program.recipe.is_built


def test_a_jar_with_dependencies_comes_first() -> None:
    jars = [{"uri": "https://a/c.jar", "sha256": "c" * 64}]
    recipe = program_of(spec(jar={"uri": "https://a/b.jar"}, dependencies={"jars": jars})).recipe
    assert recipe.jars == (JarPart(uri="https://a/b.jar"), JarPart(uri="https://a/c.jar", sha256="c" * 64))
    assert (recipe.is_built, recipe.pinned) == (True, False)


def test_a_secret_goes_with_what_it_opens_and_says_nothing_of_the_content() -> None:
    secret, opened = {"authSecretRef": {"name": "nexus"}}, SourceAccess(auth_secret="nexus")
    pinned = {"uri": "https://a/c.jar", "sha256": "c" * 64}
    jar = program_of(spec(jar={"uri": "https://a/b.jar"} | secret, dependencies={"jars": [pinned | secret]})).recipe
    assert [part.access for part in jar.jars] == [opened, opened]
    assert jar.private
    plain = program_of(spec(jar={"uri": "https://a/b.jar"}, dependencies={"jars": [pinned]})).recipe
    assert jar.digest(["b", "c"], None) == plain.digest(["b", "c"], None)
    assert not plain.private
    sql = program_of(spec(sql={"uri": "https://a/b.sql", "sha256": "b" * 64} | secret)).recipe
    assert [part.access for part in sql.script] == [opened]
    assert sql.private


def test_a_secret_opens_every_file_of_a_program() -> None:
    def pinned(file: str, **more: str) -> dict[str, Any]:
        return {"uri": f"https://a/{file}", "sha256": "a" * 64, "authSecretRef": {"name": "nexus"}} | more

    opened = SourceAccess(auth_secret="nexus")
    sql = program_of(spec(sql={"script": "b", "initFrom": [pinned("i.sql"), {"script": "a"}]})).recipe
    assert [(part.name, part.access) for part in sql.script] == [
        ("initFrom[0]", opened),
        ("initFrom[1]", None),
        ("", None),
    ]
    python = {
        "module": "a",
        "files": [pinned("a.py")],
        "requirements": pinned("r"),
        "archives": [pinned("b", name="b")],
    }
    program = program_of(spec(python=python))
    assert [part.access for part in (*program.recipe.script, *program.uploads)] == [opened] * 3
    assert program.recipe.private
    stored = {"uri": "s3://jars/a.py", "sha256": "a" * 64}
    (part,) = program_of(spec(python={"module": "a", "files": [stored]})).recipe.script
    assert part.access == SourceAccess(store=StoreAccess()), "in a store nothing is everybody's"


def test_what_is_in_a_store_is_nobody_elses() -> None:
    store = {"endpoint": "https://s3.example.com", "credentialsSecretRef": {"name": "keys"}}
    for fields in ({}, {"store": store}):
        recipe = program_of(spec(jar={"uri": "s3://jars/a.jar"} | fields)).recipe
        assert recipe.jars[0].access == SourceAccess(store=StoreAccess.model_validate(fields.get("store", {})))
        assert recipe.private


def test_a_jar_of_a_config_map() -> None:
    key = {"name": "jars", "key": "a.jar"}
    recipe = program_of(spec(jar={"configMapKeyRef": key, "sha256": "a" * 64})).recipe
    access = SourceAccess(config_map=NamedKey.model_validate(key))
    assert recipe == Recipe(jars=(JarPart(uri="configmap://jars/a.jar", sha256="a" * 64, access=access),))
    assert (recipe.is_built, recipe.private) == (False, True)


def test_a_jar_on_the_cluster_is_taken_as_it_is() -> None:
    program = program_of(spec(jar={"id": "1b2c_a.jar", "entryClass": "a.B"}, args=["x"]))
    assert (program.entry_class, program.args) == ("a.B", ("x",))
    assert program.recipe == Recipe(jars=(), on_cluster="1b2c_a.jar")
    assert (program.recipe.is_built, program.recipe.private) == (False, False)


def test_a_script() -> None:
    program = program_of(spec(sql={"script": "b", "initFrom": [{"script": "a"}]}))
    assert (program.entry_class, program.args) == (SQL_ENTRY_CLASS, ())
    first, last = ScriptPart(text="a", sha256=sha("a"), name="initFrom[0]"), ScriptPart(text="b", sha256=sha("b"))
    assert program.recipe == Recipe(jars=(), script=(first, last), runner=RunnerSort.SQL)
    assert (program.recipe.is_built, program.recipe.pinned) == (True, True)


def test_a_jar_is_known_by_what_is_in_it() -> None:
    def digest(sql: dict[str, Any], *jars: str, runner: int = 1) -> str:
        wanted = [{"uri": "https://a/x.jar", "sha256": jar} for jar in jars]
        fields = {"dependencies": {"jars": wanted}} if wanted else {}
        return program_of(spec(sql=sql, **fields)).recipe.digest(jars, runner)

    script = digest({"script": "b"})
    assert script == digest({"uri": "https://a/b.sql", "sha256": sha("b")}), "wherever the script is"
    others = [
        digest({"script": "b", "initFrom": [{"script": "a"}]}),
        digest({"script": "ab"}),
        digest({"script": "b"}, "1" * 64),
        digest({"script": "b"}, "1" * 64, "2" * 64),
        digest({"script": "b"}, "2" * 64, "1" * 64),
        digest({"script": "b"}, runner=2),
    ]
    assert len({script, *others}) == len(others) + 1
    content = runner_of(script)
    assert content is not None
    assert content[0] == 1
    assert runner_of(others[-1]) == (2, content[1])
    for none in (None, "a" * 64, "jar-" + "a" * 64):
        assert runner_of(none) is None


def test_the_runner_refuses_what_the_spec_refuses() -> None:
    refused = dict(
        re.findall(r'KEYS\.put\("(.+?)", "(.+?)"\);', (RUNNER / "1/dev/flinkjob/runner/Refused.java").read_text())
    )
    assert {**RESERVED_KEYS, **SQL_RESERVED_KEYS}.items() <= refused.items()
    assert set(refused) - set(RESERVED_KEYS) - set(SQL_RESERVED_KEYS) == {
        "execution.runtime-mode",
        "pipeline.global-job-parameters",
    }


def test_a_released_python_runner_never_changes() -> None:
    modules = {int(path.parent.name): path.read_bytes() for path in PYTHON_RUNNER.glob("*/*.py")}
    assert {version: hashlib.sha256(module).hexdigest() for version, module in modules.items()} == RELEASED_PYTHON, (
        "add a folder with the next number, and leave this one as it is"
    )
    assert all(path.name == f"{PYTHON_RUNNER_MODULE}.py" for path in PYTHON_RUNNER.glob("*/*.py"))


def test_a_released_runner_never_changes() -> None:
    for version, digest in RELEASED.items():
        found = hashlib.sha256()
        for source in sorted((RUNNER / str(version)).rglob("*.java")):
            found.update(source.read_bytes())
        assert found.hexdigest() == digest, "add a folder with the next number, and leave this one as it is"
    assert {int(path.name) for path in RUNNER.iterdir()} == set(RELEASED)


def test_a_python_program() -> None:
    files = [{"name": "job.py", "text": "a"}, {"uri": "https://a/lib/b.zip", "sha256": "b" * 64}]
    jars = [{"uri": "https://a/c.jar", "sha256": "c" * 64}]
    python = {"file": "job.py", "files": files, "executable": "/venv/python"}
    program = program_of(spec(python=python, args=["x"], dependencies={"jars": jars}))
    assert program.entry_class == PYTHON_ENTRY_CLASS
    assert program.args_of("1f") == ("-pym", "flinkjob_main", "job:1f", "file:job.py", "x")
    assert program.recipe == Recipe(
        jars=(JarPart(uri="https://a/c.jar", sha256="c" * 64),),
        script=(
            ScriptPart(text="a", sha256=sha("a"), name="job.py"),
            ScriptPart(uri="https://a/lib/b.zip", sha256="b" * 64, name="b.zip"),
        ),
        runner=RunnerSort.PYTHON,
        main="job.py",
    )
    assert (program.recipe.is_built, program.recipe.pinned) == (True, True)
    assert program.configuration(["/uploads/1_x.jar"]) == {
        "python.files": "/uploads/1_x.jar",
        "python.executable": "/venv/python",
        "python.client.executable": "/venv/python",
    }


def test_a_python_module_of_the_image() -> None:
    program = program_of(spec(python={"module": "shop.main"}))
    assert program.args_of("1f") == ("-pym", "flinkjob_main", "job:1f", "module:shop.main")
    assert (program.recipe.script, program.recipe.main) == ((), "")
    assert program.recipe.is_built
    assert program.configuration(["/a.jar"]) == {"python.files": "/a.jar"}


def test_a_python_program_is_known_by_its_files_and_their_names() -> None:
    def digest(*files: dict[str, Any], runner: int = 1) -> str:
        return program_of(spec(python={"module": "a", "files": files})).recipe.digest([], runner)

    first = digest({"name": "a.py", "text": "x"})
    assert first.startswith("python-1-")
    assert first == digest({"uri": "https://a/a.py", "sha256": sha("x")}), "wherever the file is"
    others = [
        digest({"name": "b.py", "text": "x"}),
        digest({"name": "a.py", "text": "y"}),
        digest({"name": "a.py", "text": "x"}, {"name": "b.py", "text": ""}),
        digest({"name": "a.py", "text": "x"}, runner=2),
    ]
    assert len({first, *others}) == len(others) + 1
    content = runner_of(first)
    assert content is not None
    assert runner_of(others[-1]) == (2, content[1])


@pytest.mark.parametrize(
    ("python", "says"),
    [
        ({}, "exactly one of file and module"),
        ({"file": "a.py", "module": "a", "files": [{"name": "a.py", "text": ""}]}, "exactly one of file and module"),
        ({"file": "a.py"}, "one of spec.python.files"),
        ({"module": "a", "files": [{"name": "a.py"}]}, "exactly one of text, configMapRef and uri"),
        ({"module": "a", "files": [{"text": "x"}]}, "a text needs a name"),
        ({"module": "a", "files": [{"uri": "https://a/b.py"}]}, "uri and sha256 only together"),
        ({"module": "a", "files": [{"name": "x", "configMapRef": {"name": "y"}}]}, "the names of its files"),
        ({"module": "a", "files": [{"name": "a.py", "text": "x" * 70_000}, {"name": "b", "text": "é" * 40_000}]}, "131072 b"),
        ({"module": "a", "files": [{"name": "../a.py", "text": ""}]}, "pattern"),
        ({"module": "a b"}, "pattern"),
    ],
)  # fmt: skip
def test_a_python_program_that_cannot_be(python: dict[str, Any], says: str) -> None:
    job = parse_job({"metadata": {}, "spec": {"cluster": {"url": URL}, "python": python}})
    assert says in str(job.spec_error)


def test_exactly_one_program_and_no_options_that_are_the_operators() -> None:
    for more in ({"sql": {"script": "a"}}, {"jar": {"uri": "https://a/b.jar"}}):
        job = parse_job({"metadata": {}, "spec": {"cluster": {"url": URL}, "python": {"module": "a"}} | more})
        assert "exactly one of them" in str(job.spec_error)
    for key in PYTHON_RESERVED_KEYS:
        wanted = {"python": {"module": "a"}, "flinkConfiguration": {key: "x"}}
        job = parse_job({"metadata": {}, "spec": {"cluster": {"url": URL}} | wanted})
        assert f"{key} is reserved for Python jobs" in str(job.spec_error)


def test_what_a_python_program_has_beside_its_jar() -> None:
    archives = [{"uri": f"https://a/{name}.zip", "sha256": name * 64, "name": name} for name in ("b", "c")]
    places = ["/u/1.jar", "/u/2.jar", "/u/3.jar", "/u/4.jar"]

    def of(**python: Any) -> Program:
        return program_of(spec(python={"module": "a"} | python))

    both = of(requirements={"text": "cowsay==6.1"}, archives=archives)
    assert both.uploads == (
        ScriptPart(text="cowsay==6.1", sha256=sha("cowsay==6.1")),
        ScriptPart(uri="https://a/b.zip", sha256="b" * 64, name="b"),
        ScriptPart(uri="https://a/c.zip", sha256="c" * 64, name="c"),
    )
    assert both.configuration(places) == {
        "python.files": "/u/1.jar",
        "python.requirements": "/u/2.jar",
        "python.archives": "/u/3.jar#b,/u/4.jar#c",
    }
    assert of(archives=archives[:1]).configuration(places) == {
        "python.files": "/u/1.jar",
        "python.archives": "/u/2.jar#b",
    }
    fetched = of(requirements={"uri": "https://a/r.txt", "sha256": "d" * 64})
    assert fetched.uploads == (ScriptPart(uri="https://a/r.txt", sha256="d" * 64),)
    assert fetched.configuration(places)["python.requirements"] == "/u/2.jar"
    assert both.recipe == of().recipe, "the jar does not change with them"
