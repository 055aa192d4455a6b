"""What a spec runs, and by what its jar is known."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

from flinkjob.api.codec import parse_job
from flinkjob.api.flinkjob_spec import RESERVED_KEYS, SQL_RESERVED_KEYS, FlinkJobSpec
from flinkjob.api.references import NamedKey
from flinkjob.api.sync import StoreAccess
from flinkjob.core.program import SQL_ENTRY_CLASS, JarPart, Recipe, ScriptPart, SourceAccess, program_of, runner_of
from tests.support.inputs import URL

RUNNER = Path(__file__).resolve().parents[3] / "operator" / "runner"
RELEASED = {1: "c893554849f63de073ba8aafca9255c0ac67bb9a4ef5e8f2a2dd0374703559fa"}
"""Digests of the sources of the runners that were released: a job that is started again needs the very same one."""


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
    assert program.recipe == Recipe(jars=(), script=(first, last))
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


def test_a_released_runner_never_changes() -> None:
    for version, digest in RELEASED.items():
        found = hashlib.sha256()
        for source in sorted((RUNNER / str(version)).rglob("*.java")):
            found.update(source.read_bytes())
        assert found.hexdigest() == digest, "add a folder with the next number, and leave this one as it is"
    assert {int(path.name) for path in RUNNER.iterdir()} == set(RELEASED)
