"""What belongs to a run's digest."""

import json
from typing import Any

import pytest

from flinkjob.api.codec import parse_job
from flinkjob.api.fieldclass import FieldClass, classes_by_path, fields_of_class, run_digest_fields
from flinkjob.api.flinkjob_spec import FlinkJobSpec
from tests.unit.api.objects import job


def spec(**fields: Any) -> FlinkJobSpec:
    parsed = parse_job(job(fields))
    assert parsed.spec is not None, parsed.spec_error
    return parsed.spec


def test_every_field_has_a_class() -> None:
    classes = classes_by_path(FlinkJobSpec)
    assert classes["jar.sha256"] is FieldClass.RUN
    assert classes["cluster.url"] is FieldClass.MOVE
    assert classes["initialState.savepointRef.name"] is FieldClass.START
    assert classes["upgrade.timeout"] is FieldClass.LIVE
    assert classes["parallelism"] is FieldClass.SCALE


def test_the_run_fields_of_a_minimal_job() -> None:
    assert run_digest_fields(spec()) == {"jar": {"uri": "https://repo.example.com/demo.jar"}}


def test_writing_a_default_down_changes_nothing() -> None:
    explicit = spec(
        args=[],
        flinkConfiguration={},
        checkpoint={"retention": "RetainOnCancellation"},
        parallelism=1,
        state="Running",
    )
    assert run_digest_fields(explicit) == run_digest_fields(spec())
    assert fields_of_class(explicit, FieldClass.SCALE) == fields_of_class(spec(), FieldClass.SCALE) == {}


def test_the_order_of_a_map_does_not_matter_and_that_of_arguments_does() -> None:
    one, two = {"b": "1", "a": "2"}, {"a": "2", "b": "1"}
    first, second = run_digest_fields(spec(flinkConfiguration=one)), run_digest_fields(spec(flinkConfiguration=two))
    assert json.dumps(first) == json.dumps(second)
    assert run_digest_fields(spec(args=["a", "b"])) != run_digest_fields(spec(args=["b", "a"]))


@pytest.mark.parametrize(
    "change",
    [
        {"jar": {"uri": "https://repo.example.com/other.jar"}},
        {"jar": {"uri": "https://repo.example.com/demo.jar", "sha256": "a" * 64}},
        {"jar": {"uri": "https://repo.example.com/demo.jar", "entryClass": "A"}},
        {"dependencies": {"jars": [{"uri": "https://repo.example.com/a.jar"}]}},
        {"args": ["a"]},
        {"flinkConfiguration": {"a": "b"}},
        {"jobName": "other"},
        {"checkpoint": {"interval": "10s"}},
        {"checkpoint": {"retention": "DeleteOnCancellation"}},
        {"restartNonce": 0},
        {"restartNonce": 1},
    ],
    ids=str,
)
def test_a_run_field_changes_the_digest(change: dict[str, Any]) -> None:
    assert json.dumps(run_digest_fields(spec(**change))) != json.dumps(run_digest_fields(spec()))


def test_what_is_in_a_list_counts_as_far_as_it_is_said() -> None:
    plain, pinned = {"uri": "https://a/b.jar"}, {"uri": "https://a/b.jar", "sha256": "a" * 64}
    found = run_digest_fields(spec(dependencies={"jars": [plain, pinned]}))
    assert found["dependencies"] == {"jars": [plain, pinned]}


def test_how_what_is_in_a_list_is_reached_does_not_count() -> None:
    private = {"uri": "https://a/b.jar", "authSecretRef": {"name": "nexus"}}
    found = run_digest_fields(spec(dependencies={"jars": [private]}))
    assert found["dependencies"] == {"jars": [{"uri": "https://a/b.jar"}]}


@pytest.mark.behaviour(28, 29)
@pytest.mark.parametrize(
    "change",
    [
        {"cluster": {"url": "http://elsewhere:8081"}},
        {"jar": {"uri": "https://repo.example.com/demo.jar", "authSecretRef": {"name": "nexus"}}},
        {"parallelism": 4},
        {"state": "Suspended"},
        {"initialState": {"strategy": "Custom", "location": "file:/s/1", "nonce": 3}},
        {"restore": {"allowNonRestoredState": True}},
        {"upgrade": {"strategy": "LastState", "timeout": "1m"}},
        {"savepoints": {"directory": "file:/s"}},
        {"deletion": {"policy": "Cancel"}},
        {"revisionHistoryLimit": 3},
    ],
    ids=str,
)
def test_another_field_does_not(change: dict[str, Any]) -> None:
    assert run_digest_fields(spec(**change)) == run_digest_fields(spec())


def test_parallelism_is_the_scale_field() -> None:
    assert fields_of_class(spec(parallelism=4), FieldClass.SCALE) == {"parallelism": 4}


def test_start_fields_keep_an_object_within_an_object() -> None:
    state = {"strategy": "Custom", "savepointRef": {"name": "one"}}
    assert fields_of_class(spec(initialState=state), FieldClass.START) == {"initialState": state}


def test_the_digest_is_plain_json() -> None:
    fields = run_digest_fields(spec(checkpoint={"mode": "AtLeastOnce"}, args=["a"], flinkConfiguration={"a": "b"}))
    assert json.loads(json.dumps(fields)) == fields
    assert type(fields["checkpoint"]["mode"]) is str
