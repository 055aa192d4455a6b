"""Manifests are read as kubectl reads them, and what is wrong with them is found without a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from flinkjob.cli.errors import CommandFailed
from flinkjob.cli.manifests import Manifest, only_job, parse, read
from flinkjob.cli.output import as_yaml
from flinkjob.cli.validate import findings, is_ours
from tests.unit.cli.objects import EVIL, raw

EXAMPLES = Path(__file__).parents[3] / "deploy" / "examples"


def words(manifest: dict[str, Any]) -> list[str]:
    return [each.words for each in findings(Manifest(place="here", body=manifest))]


def savepoint(**spec: Any) -> dict[str, Any]:
    meta = {"name": "sp"}
    return {"apiVersion": "flinkjob.dev/v1alpha1", "kind": "FlinkSavepoint", "metadata": meta, "spec": spec}


def test_every_example_can_be_used() -> None:
    ours = [each for each in read(EXAMPLES) if is_ours(each)]
    assert len(ours) > 15
    assert [finding.words for each in ours for finding in findings(each)] == []


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"paralelism": 3}, ["spec.paralelism: there is no such field; did you mean parallelism?"]),
        (
            {"cluster": {"url": "http://x:1", "tsl": {}}},
            ["spec.cluster.tsl: there is no such field; did you mean tls?"],
        ),
        ({"parallelism": 0, "state": "Off"}, ["spec.parallelism: Input should be", "spec.state: Input should be"]),
        ({"args": [1]}, ["spec.args[0]: Input should be a valid string"]),
        ({"sql": {"script": "x"}}, ["spec.jar, spec.sql, spec.python: exactly one of them"]),
        (
            {"initialState": {"strategy": "Custom", "copies": [{"uri": "s3://b", "prefix": "x"}]}},
            ["spec.initialState.copies[0].prefix: there is no such field"],
        ),
        (
            {"flinkConfiguration": {"anything": "goes", "pipeline.name": "x"}, "jobName": "y"},
            ["spec.flinkConfiguration: "],
        ),
        ({"flinkConfiguration": {"anything": "goes"}}, []),
        ({"parallelism": "2"}, ["spec.parallelism: Input should be a valid integer"]),
        ({"restore": {"allowNonRestoredState": "true"}}, ["spec.restore.allowNonRestoredState: Input should be"]),
        ({"parallelism": None, "savepoints": {"directory": None}, "flinkConfiguration": {"a": None}}, []),
        ({EVIL: 1}, ["spec.\\x1b]0;owned"]),
    ],
)
def test_each_mistake_is_found_by_its_field(spec: dict[str, Any], said: list[str]) -> None:
    found = words(raw(**spec))
    assert len(found) == len(said)
    assert all(each.startswith(start) and each.isprintable() for each, start in zip(found, said, strict=True))


def test_values_are_never_quoted() -> None:
    secret = "hunter2"
    found = words(raw(cluster={"url": f"http://user:{secret}@flink:8081"}, jar={"uri": secret}, args=[{"k": secret}]))
    assert len(found) == 3
    assert secret not in str(found)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"apiVersion": "flinkjob.dev/v1"}, "apiVersion: flinkjob.dev/v1 is not served; write flinkjob.dev/v1alpha1"),
        ({"kind": "FlinkJobs"}, "kind: FlinkJobs is none of FlinkJob, FlinkSavepoint"),
        ({"metadata": {}}, "metadata.name: is missing"),
        ({"metadata": {"name": "a" * 46}}, "metadata.name must have at most 45 characters"),
        ({"metadata": {"name": "Clicks"}}, "metadata.name: only lower-case letters"),
        ({"metadata": {"name": "a..b"}}, "metadata.name: only lower-case letters"),
        ({"metadata": {"name": "a-.b"}}, "metadata.name: only lower-case letters"),
        ({"metadata": {"name": "a", "namespace": "a.b"}}, "metadata.namespace: only"),
        ({"metadata": {"name": "a", "labels": {"team": 1}}}, "metadata.labels.team: a text is expected"),
        ({"metadata": {"name": "a", "labels": {"team": "a b"}}}, "metadata.labels.team: the value of a label"),
        ({"metadata": {"name": "a", "labels": {"A/b/c": ""}}}, "metadata.labels.A/b/c: is no name"),
        ({"metadata": {"name": "a", "labels": {"x" * 64: ""}}}, "metadata.labels.x"),
        ({"metadata": {"name": "a", "labels": ["a"]}}, "metadata.labels: a mapping is expected"),
        ({"metadata": {"name": "a", "annotations": {"a": True}}}, "metadata.annotations.a: a text is expected"),
        ({"metadata": {"name": "a", "annotations": {"a": "x" * 2**18}}}, "metadata.annotations: more than 256 KiB"),
        ({"spec": None}, "spec: is missing"),
        ({"data": {}}, "data: there is no such field"),
    ],
)
def test_what_is_around_the_spec_is_checked(change: dict[str, Any], said: str) -> None:
    [found] = words({**raw(), **change})
    assert found.startswith(said)


def test_a_name_may_be_generated() -> None:
    assert words({**savepoint(jobRef={"name": "clicks"}), "metadata": {"generateName": "clicks-"}}) == []


def test_documents_lists_and_directories_are_read(tmp_path: Path) -> None:
    jobs = [raw("a"), raw("b")]
    (tmp_path / "1.yaml").write_text("---\n" + yaml.safe_dump_all([{"kind": "List", "items": jobs}, raw("c")]))
    (tmp_path / "2.json").write_text('{"kind": "FlinkJob", "metadata": {"name": "d"}}')
    (tmp_path / "notes.txt").write_text("no manifest")
    found = read(tmp_path)
    assert [each.body["metadata"]["name"] for each in found] == ["a", "b", "c", "d"]
    assert [each.place.removeprefix(f"{tmp_path}/") for each in found] == [
        "1.yaml (document 1), item 1",
        "1.yaml (document 1), item 2",
        "1.yaml (document 2)",
        "2.json",
    ]
    assert only_job(found, "c")["metadata"]["name"] == "c"
    with pytest.raises(CommandFailed, match="have 0 FlinkJobs of the name x"):
        only_job(found, "x")


WORDS = [
    ("1e3", 1000), ("1234e56", 1234e56), ("1_000", 1000), ("017", 15), ("0o17", 15), ("0x1F", 31), ("0b11", 3), ("089", 89),
    ("-5", -5), (".5", 0.5), ("1.0", 1), ("y", True), ("No", False), ("off", False), ("~", None), ("1:30", "1:30"),
    ("2026-01-01", "2026-01-01"), ("1e999", "1e999"), ("yEs", "yEs"), ("1.2.3", "1.2.3"), ("0x", "0x"), ("_1", "_1"),
]  # fmt: skip


@pytest.mark.parametrize(("word", "value"), WORDS)
def test_a_word_is_read_as_kubectl_reads_it(word: str, value: Any) -> None:
    [found] = parse(f"a: {word}\nb: '{word}'\n", "here")
    assert (found.body["a"], type(found.body["a"])) == (value, type(value))
    assert found.body["b"] == word, "in quotes it is a text"


@pytest.mark.parametrize(("word", "value"), WORDS)
def test_a_text_that_kubectl_would_read_as_something_else_is_quoted(word: str, value: Any) -> None:
    written = as_yaml({"a": word})
    assert parse(written, "here")[0].body == {"a": word}
    if not isinstance(value, str):
        assert written == f"a: '{word}'\n"


def test_times_are_texts_and_keys_are_there_once() -> None:
    [found] = parse("a: 2026-01-01\nb: &b {c: 1}\nd: {<<: *b, e: 2}\n", "here")
    assert found.body == {"a": "2026-01-01", "b": {"c": 1}, "d": {"c": 1, "e": 2}}
    with pytest.raises(CommandFailed, match="here:3 is no YAML: a is there twice"):
        parse("a: 1\nb: 2\na: 3\n", "here")


@pytest.mark.parametrize(
    "text", ["a: [", "- 1", "a: !!python/object:os.x {}", "? [a]\n: b\n", "[" * 1200, "\x00", "a: *x"]
)
def test_what_is_no_manifest_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(CommandFailed, match="is no") as error:
        parse(text, "here")
    assert error.value.message.isprintable()


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="nope cannot be read: No such file"):
        read(tmp_path / "nope")
    (tmp_path / "raw").write_bytes(b"\xff\xfe")
    with pytest.raises(CommandFailed, match="is no text in UTF-8"):
        read(tmp_path / "raw")
