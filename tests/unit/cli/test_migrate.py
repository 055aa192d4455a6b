"""Manifests of other operators become FlinkJobs and FlinkSavepoints that can be used, and nothing is lost in silence."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from flinkjob.cli.main import run
from flinkjob.cli.manifests import Manifest, read
from flinkjob.cli.migrate.fields import Migration, Weight
from flinkjob.cli.migrate.options import duration, schedule
from flinkjob.cli.migrate.report import TRANSLATIONS, migrate, needs_a_person, report
from flinkjob.cli.validate import findings, is_ours
from tests.unit.cli.objects import EVIL

SOURCES = Path(__file__).with_name("sources")
MANIFESTS = {each.name: each for each in read(SOURCES)}


def migrated(name: str) -> Migration:
    """What became of one of the sources."""
    kind = next(key for key in MANIFESTS if key.endswith(f" {name}"))
    made = migrate(MANIFESTS[kind])
    assert made is not None
    return made


def spec(name: str) -> dict[str, Any]:
    """The spec of the FlinkJob, or FlinkSavepoint, that became of a source."""
    return dict(migrated(name).made[-1]["spec"])


def said(name: str, weight: Weight) -> list[str]:
    """The paths of the notes of a weight."""
    return sorted(note.path for note in migrated(name).notes if note.weight is weight)


def test_at_least_twenty_manifests_of_every_kind_are_tried() -> None:
    assert len(MANIFESTS) >= 20
    kinds = {each.body["kind"] for each in MANIFESTS.values()}
    assert kinds == {kind for _, kind in TRANSLATIONS}


@pytest.mark.parametrize("name", MANIFESTS)
def test_what_is_made_can_be_used(name: str) -> None:
    made = migrate(MANIFESTS[name])
    assert made is not None
    ours = [Manifest(place=name, body=body) for body in made.made if is_ours(Manifest(place=name, body=body))]
    assert [found.words for each in ours for found in findings(each)] == []
    assert made.made or made.notes, "nothing is made without a word"
    assert all(line.plain.isprintable() for line in report([made]))


def leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The paths of what holds nothing else."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from leaves(inner, (*path, str(key)))
    else:
        yield path


def names_of(value: Any) -> set[str]:
    """Every text in what was made."""
    if isinstance(value, Mapping):
        return {str(key) for key in value}.union(*map(names_of, value.values()))
    if isinstance(value, list):
        return set().union(*map(names_of, value))
    return {str(value)}


@pytest.mark.parametrize("name", MANIFESTS)
def test_every_field_is_taken_over_or_named(name: str) -> None:
    """A field of the spec that is planted anywhere is in the result, or in the report, by its path."""
    body = MANIFESTS[name].body
    planted = 0
    for *parents, _ in leaves(body["spec"]):
        changed = copy.deepcopy(body)
        within: Any = changed["spec"]
        for part in parents:
            within = within[part]
        within["plantedField"] = "planted-value"
        made = migrate(Manifest(place="", body=changed))
        assert made is not None
        if any(note.weight is Weight.MUST and "not migrated" in note.words for note in made.notes) or not made.made:
            continue
        place = ".".join(("spec", *parents, "plantedField"))
        named = any(
            note.path and f"{place}.".startswith(f"{note.path}.") and note.path != "spec" for note in made.notes
        )
        assert named or "planted-value" in names_of(made.made), parents
        planted += 1
    assert planted or not migrated(name.split()[-1]).made


def test_a_session_job() -> None:
    found = migrated("orders")
    [made] = found.made
    assert made["metadata"] == {
        "name": "orders",
        "namespace": "shop",
        "labels": {"team": "checkout"},
        "annotations": {"owner": "checkout@example.com"},
    }
    assert made["spec"] == {
        "cluster": {"serviceRef": {"name": "analytics-rest", "port": 8081}},
        "jar": {"uri": "https://repo.example.com/shop/orders-2.0.1.jar", "entryClass": "com.example.shop.Orders"},
        "args": ["--topic", "orders", "--window", "5"],
        "parallelism": 2,
        "restartNonce": 3,
        "state": "Suspended",
        "upgrade": {"strategy": "Savepoint"},
        "deletion": {"policy": "Savepoint"},
        "checkpoint": {"retention": "RetainOnCancellation"},
        "savepoints": {
            "directory": "s3://state/savepoints",
            "interval": "6h",
            "retention": {"minCount": 5, "minAge": "72h"},
        },
        "flinkConfiguration": {
            "execution.checkpointing.interval": "30s",
            "state.checkpoints.dir": "s3://state/checkpoints",
        },
    }
    assert said("orders", Weight.MUST) == ["status.jobStatus"], "it may run: no status says that it does not"
    assert said("orders", Weight.LOST) == []
    steps = "\n".join(found.steps)
    assert "kubectl flinkjob adopt orders JOB-ID --wait" in steps
    assert "initialState: {strategy: Custom, location: LOCATION}" in steps


def test_a_session_job_that_starts_from_a_savepoint() -> None:
    made = spec("fraud")
    assert made["initialState"] == {
        "strategy": "Custom",
        "location": "s3://state/fraud/savepoint-1b2c3d-0011",
        "nonce": 2,
    }
    assert made["restore"] == {"allowNonRestoredState": True}
    assert made["upgrade"] == {"strategy": "LastState"}
    assert made["deletion"] == {"policy": "Cancel"}
    assert said("fraud", Weight.MUST) == ["spec.job.jarURI", "status.jobStatus"]
    assert said("fraud", Weight.LOST) == ["spec.job.savepointTriggerNonce"]


def test_a_suspended_job_takes_its_state_along() -> None:
    made = spec("paused")
    assert (made["state"], made["initialState"]["location"]) == ("Suspended", "s3://state/paused/savepoint-4f0b6d-77")
    assert migrated("paused").steps == []
    assert not needs_a_person([migrated("paused")])
    assert said("asleep", Weight.MUST) == ["status.jobStatus"]


def with_status(name: str, found: str | None, upgrade: str | None = None, **job: Any) -> Migration:
    body = copy.deepcopy(MANIFESTS[name].body)
    body["spec"]["job"] |= {"upgradeMode": "savepoint", **job}
    body["status"] = {"jobStatus": {"state": found, "upgradeSavepointPath": upgrade}}
    last = {"lastSavepoint": {"location": "s3://state/of-last-year"}}
    body["status"]["jobStatus"]["savepointInfo"] = last
    made = migrate(Manifest(place="", body=body))
    assert made is not None
    return made


@pytest.mark.parametrize("name", ["FlinkSessionJob orders", "FlinkDeployment payments"])
@pytest.mark.parametrize("state", ["RECONCILING", "RUNNING", "FAILING", "CANCELLING", "SUSPENDED", "of tomorrow", None])
def test_what_may_live_is_not_started_beside(name: str, state: str | None) -> None:
    found = with_status(name, state, "s3://state/sp")
    assert found.made[-1]["spec"]["state"] == "Suspended"
    assert "initialState" not in found.made[-1]["spec"], "the state that is moved is that of the steps"
    assert needs_a_person([found])
    assert found.steps


def test_what_has_failed_starts_from_its_state_or_not_at_all() -> None:
    by_savepoint = with_status("FlinkSessionJob orders", "FAILED", "s3://state/sp")
    assert by_savepoint.made[0]["spec"]["initialState"]["location"] == "s3://state/sp"
    assert "state" not in by_savepoint.made[0]["spec"]
    assert "a checkpoint may be newer" in by_savepoint.notes[-1].words
    without = with_status("FlinkSessionJob orders", "FAILED")
    assert without.made[0]["spec"]["state"] == "Suspended"
    assert needs_a_person([without])
    assert not needs_a_person([with_status("FlinkSessionJob orders", "FINISHED")]), "there is nothing to lose"


def test_only_the_savepoint_of_the_stop_is_that_of_a_suspended_job() -> None:
    """An old savepoint, or the path that a stop without one has left, is older than the job's state."""
    stopped = with_status("FlinkSessionJob orders", "FINISHED", "s3://state/sp", state="suspended")
    assert stopped.made[0]["spec"]["initialState"]["location"] == "s3://state/sp"
    for found in (
        with_status("FlinkSessionJob orders", "FINISHED", state="suspended"),
        with_status("FlinkSessionJob orders", "FINISHED", "s3://state/sp", state="suspended", upgradeMode="stateless"),
        with_status("FlinkSessionJob orders", "FINISHED", "s3://state/sp", state="suspended", upgradeMode="last-state"),
    ):
        assert "initialState" not in found.made[0]["spec"]
        assert needs_a_person([found])
    still = with_status("FlinkSessionJob orders", "RUNNING", "s3://state/sp", state="suspended")
    assert "initialState" not in still.made[0]["spec"], "it is not suspended yet"


def test_the_mode_is_that_of_the_spec_that_was_acted_on() -> None:
    body = copy.deepcopy(MANIFESTS["FlinkSessionJob paused"].body)
    acted_on = json.dumps({"spec": {"job": {"upgradeMode": "stateless", "state": "suspended"}}})
    body["status"]["reconciliationStatus"] = {"lastReconciledSpec": acted_on}
    found = migrate(Manifest(place="", body=body))
    assert found is not None
    assert needs_a_person([found])


def test_a_flinkcluster_that_may_live_is_not_started_beside() -> None:
    body = copy.deepcopy(MANIFESTS["FlinkCluster ticker"].body)
    for state, held in (("Running", True), ("Lost", True), ("Failed", True), ("Succeeded", False)):
        body["status"] = {"components": {"job": {"state": state, "savepointLocation": "s3://old"}}}
        found = migrate(Manifest(place="", body=body))
        assert found is not None
        assert (found.made[-1]["spec"].get("state") == "Suspended") is held, state
        assert needs_a_person([found]) is held


def test_a_job_that_runs_is_named_in_the_steps() -> None:
    assert "adopt top-products 0a1b2c3d4e5f60718293a4b5c6d7e8f9" in "\n".join(migrated("top-products").steps)
    assert migrated("failed-before").steps == [], "there is nothing to move"
    assert said("failed-before", Weight.MUST) == ["status.jobStatus"], "its state is not known"


def test_options_find_their_fields() -> None:
    made = spec("top-products")
    assert made["parallelism"] == 6
    assert made["flinkConfiguration"] == {"pipeline.object-reuse": "true", "table.exec.state.ttl": "1 d"}
    assert said("top-products", Weight.LOST) == [
        "metadata.ownerReferences",
        "spec.flinkConfiguration.job.autoscaler.enabled",
        "spec.flinkConfiguration.kubernetes.operator.job.autoscaler.metrics.window",
        "spec.flinkConfiguration.taskmanager.numberOfTaskSlots",
    ]
    other = spec("failed-before")
    assert other["savepoints"] == {"schedule": "30 2 * * *", "formatType": "Native"}
    assert other["restart"] == {"policy": "OnFailure"}
    assert other["upgrade"] == {"strategy": "Savepoint", "fallback": "Wait"}
    assert said("failed-before", Weight.LOST) == ["spec.flinkConfiguration.execution.savepoint.path"]


def test_a_long_name_and_a_jar_in_the_image_need_a_person() -> None:
    name = "a-name-that-is-longer-than-forty-five-characters-are"
    assert said(name, Weight.MUST) == ["metadata.name", "spec.job.jarURI", "status.jobStatus"]
    assert len(migrated(name).made[0]["metadata"]["name"]) <= 45
    assert said("on-the-class-path", Weight.MUST) == ["spec.job.jarURI", "status.jobStatus"]
    assert said("on-the-class-path", Weight.LOST) == ["spec.job.somethingNew.deeply.hidden"]
    assert needs_a_person([migrated(name)])


def test_a_deployment_is_its_cluster_and_a_job_on_it() -> None:
    cluster, job = migrated("payments").made
    assert (cluster["kind"], cluster["metadata"]) == (
        "FlinkDeployment",
        {"namespace": "billing", "name": "payments-session"},
    )
    source = MANIFESTS["FlinkDeployment payments"].body["spec"]
    assert cluster["spec"] == {name: value for name, value in source.items() if name != "job"}
    assert job["spec"]["cluster"] == {"serviceRef": {"name": "payments-session-rest", "port": 8081}}
    assert job["spec"]["upgrade"] == {"strategy": "LastState", "rollback": {"policy": "Enabled", "deadline": "3m"}}
    assert "high-availability.type" not in job["spec"]["flinkConfiguration"]
    assert migrated("payments").steps[0].startswith("Apply FlinkDeployment payments-session first")
    assert migrated("payments").steps[1].startswith("Move flinkdeployment payments with a savepoint")


def test_a_session_cluster_stays() -> None:
    for name in ("analytics", "shared"):
        assert migrated(name).made == []
        assert "stays as it is" in migrated(name).notes[0].words


def test_python_is_left_to_a_person() -> None:
    for name, path in (("word-count-python", "spec.job.entryClass"), ("features-python", "spec.job.pyFile")):
        assert migrated(name).made == []
        note = migrated(name).notes[-1]
        assert (note.weight, note.path) == (Weight.MUST, path)
        assert "write a FlinkJob with spec.python" in note.words


def test_nested_options_and_retention() -> None:
    made = spec("sql-report")
    assert made["flinkConfiguration"] == {
        "execution.checkpointing.interval": "10 s",
        "table.exec.mini-batch.enabled": "true",
    }
    assert made["checkpoint"] == {"retention": "DeleteOnCancellation"}
    assert said("sensors", Weight.MUST) == ["status.jobStatus"], "the last savepoint may be any one"


def test_snapshots() -> None:
    assert spec("orders-by-hand") == {
        "jobRef": {"name": "orders"},
        "mode": "Trigger",
        "directory": "s3://state/manual",
        "formatType": "Native",
        "backoffLimit": 2,
    }
    assert spec("payments-complete") == {
        "jobRef": {"name": "payments"},
        "mode": "Existing",
        "location": "s3://state/payments/savepoints/savepoint-5",
        "deletion": {"policy": "Delete"},
    }
    assert spec("from-long-ago") == {
        "jobRef": {"name": "fraud"},
        "mode": "Existing",
        "location": "s3://state/fraud/savepoint-0",
    }
    assert spec("orders-checkpoint") == {
        "jobRef": {"name": "orders"},
        "mode": "Trigger",
        "type": "Checkpoint",
        "checkpointType": "Full",
        "backoffLimit": 0,
    }
    assert spec("orders-checkpoint-complete")["location"].endswith("chk-77")
    assert (migrated("of-nobody").made, said("of-nobody", Weight.MUST)) == ([], ["spec.jobReference"])


def test_a_flinkcluster_is_its_cluster_and_a_job_on_it() -> None:
    cluster, job = migrated("ticker").made
    assert (cluster["kind"], cluster["metadata"]["name"]) == ("FlinkCluster", "ticker-session")
    assert "job" not in cluster["spec"]
    assert job["spec"] == {
        "cluster": {"serviceRef": {"name": "ticker-session-jobmanager", "port": 8081}},
        "jar": {"uri": "https://repo.example.com/ticker.jar", "entryClass": "com.example.Ticker"},
        "args": ["--symbols", "a,b"],
        "parallelism": 2,
        "state": "Suspended",
        "restore": {"maxAge": "7200s"},
        "savepoints": {"directory": "s3://state/ticker", "interval": "3600s"},
        "upgrade": {"strategy": "Savepoint"},
        "restart": {"policy": "OnFailure"},
        "deletion": {"policy": "Cancel"},
        "flinkConfiguration": {"execution.checkpointing.interval": "10s"},
    }
    assert said("ticker", Weight.LOST) == ["spec.job.cleanupPolicy"]
    assert said("nightly", Weight.MUST) == ["spec.flinkVersion", "spec.job.jarFile", "status.components.job"]
    assert migrated("nightly").made[-1]["spec"]["cluster"]["serviceRef"]["port"] == 9081
    assert said("restored", Weight.MUST) == ["spec.job.classPath", "spec.job.jarFile", "status.components.job"]
    assert spec("restored")["upgrade"] == {"strategy": "LastState"}
    assert spec("given-up")["state"] == "Cancelled"
    assert migrated("given-up").steps == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("30s", "30s"),
        ("10 min", "10m"),
        ("60000", "60000ms"),
        (60000, "60000ms"),
        ("PT1H30M", "1h30m"),
        ("P1D", "1d"),
        ("2 DAYS", "2d"),
        ("0", None),
        ("PT0S", None),
        ("P", None),
        ("soon", None),
        ("-5s", None),
        (None, None),
    ],
)
def test_durations_of_flink(text: Any, words: str | None) -> None:
    assert duration(text) == words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0 0 * * * ?", "0 * * * *"),
        ("0 15 3 ? * MON-FRI", "15 3 * * MON-FRI"),
        ("0 0 2 1 * ? *", "0 2 1 * *"),
        ("30 0 2 * * ?", None),
        ("0 0 2 L * ?", None),
        ("0 0 2 ? * 2", None),
        ("0 0 2 ? * 6#3", None),
        ("0 0 2 1 * ? 2027", None),
        ("@daily", None),
    ],
)
def test_schedules_of_quartz(text: str, words: str | None) -> None:
    assert schedule(text) == words


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.just(EVIL),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=4,
)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_whatever_a_manifest_holds_it_is_translated_or_refused(data: st.DataObject) -> None:
    body = copy.deepcopy(MANIFESTS[data.draw(st.sampled_from(sorted(MANIFESTS)))].body)
    paths = [path for path in leaves(body) if path[0] not in ("apiVersion", "kind")]
    for parts in data.draw(st.lists(st.sampled_from(paths), max_size=3)):
        within: Any = body
        depth = data.draw(st.integers(1, len(parts)))
        for part in parts[: depth - 1]:
            within = within[part] if isinstance(within, dict) and part in within else {}
        if isinstance(within, dict) and parts[depth - 1] in within:
            within[parts[depth - 1]] = data.draw(VALUES)
    made = migrate(Manifest(place="here", body=body))
    assert made is not None
    assert all(line.plain.isprintable() for line in report([made]))


def test_results_and_report_go_to_different_streams(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["migrate", "-f", str(SOURCES)]) == 1, "some of it needs a person"
    shown = capsys.readouterr()
    made = list(yaml.safe_load_all(shown.out))
    assert {each["kind"] for each in made} == {"FlinkJob", "FlinkSavepoint", "FlinkDeployment", "FlinkCluster"}
    assert f"{len(MANIFESTS)} manifests became {len(made)}" in shown.err
    assert "FlinkSessionJob orders → FlinkJob orders" in shown.err
    assert "not looked at" not in shown.err
    ours = str(SOURCES.parents[3] / "deploy" / "examples" / "flinkjob-sql.yaml")
    assert run(["migrate", "-f", str(SOURCES), "-f", ours]) == 1
    assert re.search(r"\d lost, \d of other kinds not looked at and not in the result", capsys.readouterr().err)
    assert run(["migrate", "-f", ours]) == 2
