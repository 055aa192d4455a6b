"""What each action asks the API server for, and what it refuses to ask for."""

from __future__ import annotations

from typing import Any

import pytest

from flinkjob.cli import changes
from flinkjob.cli.errors import CommandFailed, WrongUsage
from flinkjob.cli.history import difference
from flinkjob.cli.manifests import Manifest
from flinkjob.cli.rollback import rollback
from flinkjob.cli.sqltexts import with_references
from flinkjob.cli.validate import findings
from tests.unit.cli.objects import JOB_ID, NOW, SECOND, THIRD, job, raw, refused, running
from tests.unit.cli.test_views import revision


def ended(**status: Any) -> dict[str, Any]:
    found = running(**status)
    found["status"]["submission"]["end"] = {"result": "Stopped"}
    return found


def test_a_savepoint_is_an_object_of_its_own() -> None:
    change = changes.savepoint(job(running()), NOW, None, None)
    assert change.sets == {}
    assert change.create == {
        "apiVersion": "flinkjob.dev/v1alpha1",
        "kind": "FlinkSavepoint",
        "metadata": {"name": "clicks-20260504-120000", "namespace": "shop", "labels": {"flinkjob.dev/job": "clicks"}},
        "spec": {"jobRef": {"name": "clicks"}, "mode": "Trigger"},
    }
    named = changes.savepoint(job(running()), NOW, "mine", "s3://b/sp").create
    assert named is not None
    assert (named["metadata"]["name"], named["spec"]["directory"]) == ("mine", "s3://b/sp")


def test_a_stop_is_of_the_run_that_lives_now() -> None:
    change = changes.stop(job(running()), NOW, None, None, drain=True)
    assert change.create is not None
    assert change.create["spec"] == {"jobRef": {"name": "clicks"}, "mode": "Stop", "submission": 4, "drain": True}
    for found in (raw(), ended()):
        with pytest.raises(CommandFailed, match="no running job to stop"):
            changes.stop(job(found), NOW, None, None, drain=False)


def test_what_is_created_is_valid() -> None:
    for change in (
        changes.savepoint(job(running("a" * 45)), NOW, None, "s3://b/sp"),
        changes.stop(job(running()), NOW, "x", None, drain=True),
    ):
        assert change.create is not None
        assert findings(Manifest(place="", body=dict(change.create))) == []


def test_wishes_are_fields_of_the_spec() -> None:
    assert changes.suspend(job(running())).patch == {"spec": {"state": "Suspended"}}
    assert changes.cancel(job(running())).patch == {"spec": {"state": "Cancelled"}}
    assert changes.restart(job(running())).patch == {"spec": {"restartNonce": 1}}
    assert changes.restart(job(running(spec={"restartNonce": 6}))).patch == {"spec": {"restartNonce": 7}}
    assert changes.rescale(job(running()), 8).patch == {"spec": {"parallelism": 8}}


def test_resume_is_by_the_state_or_where_that_is_running_by_the_nonce() -> None:
    assert changes.resume(job(ended(spec={"state": "Suspended"}))).patch == {"spec": {"state": "Running"}}
    assert changes.resume(job(ended(hold={"reason": "Stopped"}))).patch == {"spec": {"restartNonce": 1}}
    finished = ended()
    finished["status"]["submission"]["end"] = {"result": "Finished"}
    with pytest.raises(CommandFailed, match="run 4 came to its own end; kubectl flinkjob restart runs it again"):
        changes.resume(job(finished))
    assert changes.restart(job(finished)).patch == {"spec": {"restartNonce": 1}}
    with pytest.raises(CommandFailed, match="run 4 lives"):
        changes.resume(job(running()))
    with pytest.raises(CommandFailed, match=r"initialState\.nonce"):
        changes.resume(job(ended(spec={"state": "Drained"})))


def test_a_run_that_flink_refused_does_not_live_and_is_resumed() -> None:
    for found in (refused(), refused(stalled=False), refused(rejected=False)):
        assert changes.resume(job(found)).patch == {"spec": {"restartNonce": 1}}
    with pytest.raises(CommandFailed, match="clicks is not down: run 4 is being started"):
        changes.resume(job(refused(rejected=False, stalled=False)))
    with pytest.raises(CommandFailed, match="no running job to stop: Flink refused run 4"):
        changes.stop(job(refused()), NOW, None, None, drain=False)


def test_a_run_that_was_never_seen_is_sent_again_under_its_own_number() -> None:
    never = ended()
    never["status"]["submission"] |= {"seen": False, "end": {"result": "NeverStarted"}}
    last = [changes.last_run(job(each)) for each in (raw(), running(), ended(), refused(), never)]
    assert last == [0, 4, 4, 3, 3]


def test_what_changes_nothing_is_refused() -> None:
    with pytest.raises(CommandFailed, match="Suspended already"):
        changes.suspend(job(running(spec={"state": "Suspended"})))
    with pytest.raises(CommandFailed, match="parallelism 2 already"):
        changes.rescale(job(running(spec={"parallelism": 2})), 2)
    with pytest.raises(WrongUsage, match="from 1 to 32768"):
        changes.rescale(job(running()), 0)
    with pytest.raises(CommandFailed, match="use kubectl flinkjob resume"):
        changes.restart(job(ended(spec={"state": "Suspended"})))
    with pytest.raises(CommandFailed, match="a spec that cannot be used"):
        changes.suspend(job(running(spec={"parallelism": 0})))


def test_a_job_is_adopted_by_an_annotation_before_the_first_run() -> None:
    note = {"metadata": {"annotations": {"flinkjob.dev/adopt": JOB_ID}}}
    assert changes.adopt(job(raw()), JOB_ID).patch == note
    assert changes.adopt(job(raw(state="Suspended")), JOB_ID).patch == {**note, "spec": {"state": "Running"}}
    with pytest.raises(CommandFailed, match="has that job already, as run 4"):
        changes.adopt(job(running()), JOB_ID)
    with pytest.raises(CommandFailed, match="has had a run, 4"):
        changes.adopt(job(ended()), "f" * 32)
    for wrong in ("", "F" * 32, "\x1b" * 32):
        with pytest.raises(WrongUsage, match="32 lower-case") as error:
            changes.adopt(job(raw()), wrong)
        assert error.value.message.isprintable()


def test_a_manifest_is_created_with_the_annotation() -> None:
    manifest = {"kind": "FlinkJob", "metadata": {"name": "clicks", "annotations": {"a": "b"}}, "spec": {}}
    made = changes.adopt_by_manifest(manifest, "shop", JOB_ID).create
    assert made is not None
    assert made["metadata"] == {
        "namespace": "shop",
        "name": "clicks",
        "annotations": {"a": "b", "flinkjob.dev/adopt": JOB_ID},
    }
    with pytest.raises(WrongUsage, match="of namespace other, not of shop"):
        changes.adopt_by_manifest({"metadata": {"namespace": "other"}}, "shop", JOB_ID)
    with pytest.raises(WrongUsage, match="by which the job would be ended"):
        changes.adopt_by_manifest({"spec": {"state": "Suspended"}}, "shop", JOB_ID)


HISTORY = [{"number": 3, "digest": "3333333333cccc", "result": "Stopped"}]


def test_a_rollback_sets_what_runs_and_nothing_else() -> None:
    found = running(
        spec={"args": ["new"], "flinkConfiguration": {"a": "2", "b": "1"}, "parallelism": 9}, history=HISTORY
    )
    kept = [
        revision("clicks-4444444444", 4, args=["new"], flinkConfiguration={"a": "2", "b": "1"}),
        revision(THIRD, 3, args=["old"], flinkConfiguration={"a": "1"}, parallelism=1, restartNonce=2),
        revision(SECOND, 2, args=["older"]),
    ]
    patch = {"args": ["old"], "flinkConfiguration": {"a": "1", "b": None}}
    assert rollback(job(found), found, kept, None, {}).patch == {"spec": patch}
    assert rollback(job(found), found, kept, "3", {}).patch == {"spec": patch}
    older = rollback(job(found), found, kept, SECOND, {})
    assert older.patch == {"spec": {"args": ["older"], "flinkConfiguration": None}}
    assert older.asks == f"spec.args and spec.flinkConfiguration as revision {SECOND} of run 2 has it"
    with pytest.raises(CommandFailed, match="is that of revision clicks-4444444444 already"):
        rollback(job(found), found, kept, "4", {})
    with pytest.raises(CommandFailed, match="no earlier revision"):
        rollback(job(found), found, kept[:1], None, {})


def test_a_spec_that_never_ran_is_rolled_back_to_what_runs() -> None:
    found = running(spec={"args": ["broken"]}, history=HISTORY)
    kept = [revision("clicks-4444444444", 4, args=["good"]), revision(THIRD, 3, args=["old"])]
    change = rollback(job(found), found, kept, None, {})
    assert change.patch == {"spec": {"args": ["good"]}}
    assert change.asks == "spec.args as revision clicks-4444444444 of run 4 has it"
    with pytest.raises(CommandFailed, match="revision clicks-4444444444, which clicks runs, is not kept"):
        rollback(job(found), found, kept[1:], None, {})


def test_a_restart_is_no_other_program() -> None:
    """Its revision differs in the nonce alone: the one before it is the same program, and a nonce is never lowered."""
    history = [*HISTORY, {"number": 2, "digest": "2222222222cccc", "result": "Stopped"}]
    found = running(spec={"args": ["new"], "restartNonce": 5}, history=history)
    kept = [
        revision("clicks-4444444444", 4, args=["new"], restartNonce=5),
        revision(THIRD, 3, args=["new"], restartNonce=4),
        revision(SECOND, 2, args=["old"]),
    ]
    assert rollback(job(found), found, kept, None, {}).patch == {"spec": {"args": ["old"]}}
    with pytest.raises(CommandFailed, match=f"is that of revision {THIRD} already"):
        rollback(job(found), found, kept, "3", {})


def test_a_run_that_only_its_revision_still_knows_can_be_named() -> None:
    found = running(spec={"args": ["new"]}, history=HISTORY)
    kept = [revision("clicks-4444444444", 4, args=["new"]), revision("clicks-1111111111", 1, args=["first"])]
    assert rollback(job(found), found, kept, "1", {}).patch == {"spec": {"args": ["first"]}}


def test_a_spec_that_the_operator_took_back_is_rolled_back_to_what_runs() -> None:
    found = running(spec={"args": ["bad"]}, history=HISTORY, rollback={"revision": SECOND})
    kept = [revision(THIRD, 3, args=["bad"]), revision(SECOND, 2, args=["good"])]
    assert rollback(job(found), found, kept, None, {}).patch == {"spec": {"args": ["good"]}}


REFERENCE = {"configMapKeyRef": {"name": "scripts", "key": "clicks.sql"}}
SQL = {**REFERENCE, "initFrom": [{"configMapKeyRef": {"name": "scripts", "key": "tables.sql"}}]}
TEXTS: dict[tuple[str, str], str | None] = {("scripts", "clicks.sql"): "SELECT 1", ("scripts", "tables.sql"): "CREATE"}


def sql_job(**spec: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    found = running(spec={"sql": SQL, **spec}, history=HISTORY)
    kept = [revision("clicks-4444444444", 4, sql={"script": "SELECT 1", "initFrom": [{"script": "CREATE"}]})]
    kept += [revision(THIRD, 3, sql={"script": "SELECT 0", "initFrom": [{"script": "CREATE"}]})]
    for each in (found, *(one["data"] for one in kept)):
        del each["spec"]["jar"]
    return found, kept


def test_a_script_that_a_config_map_still_has_stays_a_reference() -> None:
    found, kept = sql_job(args=["broken"])
    assert rollback(job(found), found, kept, None, TEXTS).patch == {"spec": {"args": None}}
    found, kept = sql_job()
    assert difference(with_references(kept[0], found["spec"], TEXTS), found) == []
    plain = {"sql": {"script": "SELECT 1", "initFrom": []}}
    written = with_references({"data": {"spec": plain}}, {"sql": REFERENCE}, TEXTS)
    assert written["data"]["spec"] == {"sql": REFERENCE}


def test_a_script_that_has_changed_is_put_back_as_a_text_which_is_said() -> None:
    found, kept = sql_job()
    change = rollback(job(found), found, kept, None, TEXTS)
    assert change.patch == {"spec": {"sql": {"configMapKeyRef": None, "script": "SELECT 0"}}}
    assert change.asks.endswith("has it, with its text in place of the reference to ConfigMap scripts")
    assert difference(with_references(kept[1], found["spec"], TEXTS), found) != []


def test_a_script_that_cannot_be_read_is_not_compared() -> None:
    found, kept = sql_job()
    with pytest.raises(CommandFailed, match="is in ConfigMap scripts, which cannot be read"):
        rollback(job(found), found, kept, None, {})


def test_a_status_that_cannot_be_read_is_not_acted_on() -> None:
    found = running()
    found["status"]["submission"]["number"] = "four"
    with pytest.raises(CommandFailed, match="a status that cannot be read"):
        changes.readable(job(found))
