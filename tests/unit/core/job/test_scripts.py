"""Scripts in ConfigMaps: an edit is an edit of the spec, and a text that is missing touches nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from flinkjob.api.constants import ANNOTATION_RESTARTED_AT
from flinkjob.api.enums import RunResult
from flinkjob.api.flinkjob_spec import FlinkJobSpec
from flinkjob.api.flinkjob_status import FlinkJobStatus, Rollback
from flinkjob.api.reasons import Reason
from flinkjob.core.actions import PostEvent, RecordRevision, RunJob
from flinkjob.core.facts import Artifact, ConfigMapTexts
from flinkjob.core.job.decide import digest_of_spec
from flinkjob.core.job.scripts import with_run_fields_of
from flinkjob.core.seen import TextPlace, TextsSeen
from tests.support import inputs
from tests.support.inputs import acts, cluster, conditions, decide, ended, job, plan_of, present, run, seen, silent
from tests.unit.core.test_program import spec as parsed

URL = {"url": inputs.URL}
MAIN, INIT = TextPlace("scripts", "main.sql"), TextPlace("tables", "init.sql")
NAMED = {
    "cluster": URL,
    "sql": {
        "configMapKeyRef": {"name": "scripts", "key": "main.sql"},
        "initFrom": [{"configMapKeyRef": {"name": "tables", "key": "init.sql"}}, {"script": "USE x"}],
    },
}
TEXTS = TextsSeen(texts={MAIN: "INSERT 1", INIT: "CREATE 1"})
EDITED = TextsSeen(texts={MAIN: "INSERT 2", INIT: "CREATE 1"})
MISSING = TextsSeen(problem="ConfigMap scripts does not exist")


def whole(texts: TextsSeen = TEXTS, **fields: Any) -> FlinkJobSpec:
    """The spec with the texts in it."""
    sql = {"script": texts.texts[MAIN], "initFrom": [{"script": texts.texts[INIT]}, {"script": "USE x"}]}
    return parsed(sql=sql, **fields)


DIGEST = digest_of_spec(whole(), None)
RUNNING = FlinkJobStatus(submission=run(run_digest=DIGEST, revision="kept"))


def test_an_unchanged_text_changes_nothing() -> None:
    asked: list[Any] = []
    decision = decide(job(NAMED, RUNNING), seen(present(), texts=TEXTS), asked)
    assert acts(decision) == []
    assert conditions(decision) == "Ready, healthy"
    assert [fact for fact in asked if isinstance(fact, ConfigMapTexts)] == [ConfigMapTexts((INIT, MAIN), 3)]


def test_a_first_run_takes_the_texts_along_and_keeps_them_with_its_revision() -> None:
    asked: list[Any] = []
    decision = decide(job(NAMED, held=False), seen(texts=TEXTS), asked)
    (request,) = {fact.request for fact in asked if isinstance(fact, Artifact)}
    assert [part.text for part in request.recipe.script] == ["CREATE 1", "USE x", "INSERT 1"]
    (kept,) = (action for action in decision.actions if isinstance(action, RecordRevision))
    assert kept.sql == whole().sql
    (call,) = (action for action in decision.actions if isinstance(action, RunJob))
    assert call.request.entry_class == "dev.flinkjob.runner.SqlRunner"
    assert decision.status.submission is not None
    assert decision.status.submission.run_digest == DIGEST


def test_an_inline_script_is_kept_as_it_is() -> None:
    decision = decide(job({"cluster": URL, "sql": {"script": "INSERT 1"}}, held=False), seen())
    (kept,) = (action for action in decision.actions if isinstance(action, RecordRevision))
    assert kept.sql is None


def test_an_edit_is_an_upgrade() -> None:
    decision = decide(job(NAMED, RUNNING), seen(present(), texts=EDITED))
    assert acts(decision) == ["StopJob"]


def test_a_script_that_moves_into_a_config_map_changes_nothing() -> None:
    inline = whole().model_dump(mode="json", by_alias=True, exclude_unset=True)
    assert acts(decide(job(inline, RUNNING), seen(present()))) == []


def test_a_missing_text_touches_nothing_and_is_said_once() -> None:
    there = seen(present(), texts=MISSING, revisions={"kept": whole()})
    decision = decide(job(NAMED, RUNNING), there)
    assert acts(decision) == []
    assert conditions(decision) == "Stalled, healthy"
    assert decision.status.plan is not None
    assert (decision.status.plan.reason, decision.status.plan.message) == (
        Reason.ScriptNotFound,
        "spec.sql: ConfigMap scripts does not exist",
    )
    assert Reason.ScriptNotFound in [a.reason for a in decision.actions if isinstance(a, PostEvent)]
    again = decide(job(NAMED, decision.status), there)
    assert not [a for a in again.actions if isinstance(a, PostEvent) and a.reason == Reason.ScriptNotFound]
    back = decide(job(NAMED, again.status), seen(present(), texts=TEXTS))
    assert (acts(back), conditions(back)) == ([], "Ready, healthy")


MOVED = NAMED | {"cluster": {"url": "http://other.example:8081"}}
RESTARTED: dict[str, Any] = {"annotations": {ANNOTATION_RESTARTED_AT: "2026-01-01T00:00:00Z"}}


@pytest.mark.parametrize(
    ("wanted", "meta"),
    [
        (NAMED | {"initialState": {"nonce": 2, "strategy": "None"}}, {}),
        (NAMED | {"restartNonce": 7}, {}),
        (MOVED, {}),
        (NAMED, RESTARTED),
    ],
    ids=["from the initial state", "restart", "move", "kubectl restart"],
)
def test_what_is_newly_wished_waits_for_the_text(wanted: dict[str, Any], meta: dict[str, Any]) -> None:
    elsewhere = cluster(url="http://other.example:8081") if wanted is MOVED else cluster()
    revisions = {"kept": whole()}
    without = seen(present(), texts=MISSING, revisions=revisions, target=elsewhere)
    waiting = decide(job(wanted, RUNNING, **meta), without)
    assert acts(waiting) == []
    assert waiting.status.submission == RUNNING.submission
    assert plan_of(waiting) == ("Hold", Reason.ScriptNotFound)
    then = decide(job(wanted, waiting.status, **meta), replace(without, texts=TEXTS))
    assert acts(then) in (["StopJob"], ["CancelJob"]), "and is done as soon as it is there"


@pytest.mark.parametrize(("state", "does"), [("Suspended", "StopJob"), ("Cancelled", "CancelJob")])
def test_a_job_can_be_stopped_while_the_text_is_missing(state: str, does: str) -> None:
    there = seen(present(), texts=MISSING, revisions={"kept": whole()}, target=silent())
    assert acts(decide(job(MOVED | {"state": state}, RUNNING), there)) == [does]


def test_a_new_nonce_does_not_let_a_job_that_fails_meanwhile_lose_its_state() -> None:
    status = FlinkJobStatus(submission=ended(RunResult.STOPPED, "file:///s", run_digest=DIGEST, revision="kept"))
    there = seen(texts=MISSING, revisions={"kept": whole()})
    decision = decide(job(NAMED | {"initialState": {"nonce": 2, "strategy": "None"}}, status, **RESTARTED), there)
    (call,) = (action for action in decision.actions if isinstance(action, RunJob))
    assert call.request.savepoint_path == "file:///s"
    assert decision.status.submission is not None
    assert (decision.status.submission.nonce, decision.status.submission.run_digest) == (None, DIGEST)


def test_a_job_that_fails_meanwhile_is_started_again_with_the_script_that_it_had() -> None:
    status = FlinkJobStatus(submission=ended(RunResult.FAILED, "file:///s", run_digest=DIGEST, revision="kept"))
    there = seen(texts=MISSING, revisions={"kept": whole()})
    decision = decide(job(NAMED, status), there)
    decision = decide(job(NAMED, decision.status), replace(there, now=inputs.ago(-3600)))
    (call,) = (action for action in decision.actions if isinstance(action, RunJob))
    assert call.request.savepoint_path == "file:///s"
    assert decision.status.submission is not None
    assert decision.status.submission.run_digest == DIGEST


def test_nothing_is_started_without_the_text_or_a_revision() -> None:
    for status in (None, RUNNING):
        decision = decide(job(NAMED, status), seen(present() if status else None, texts=MISSING))
        assert acts(decision) == []
        assert plan_of(decision) == ("Hold", Reason.ScriptNotFound)


def test_a_deletion_needs_no_text() -> None:
    asked: list[Any] = []
    decide(job(NAMED, RUNNING, **inputs.deleted()), seen(present(), texts=MISSING), asked)
    assert not [fact for fact in asked if isinstance(fact, ConfigMapTexts)]


def test_what_was_taken_back_stays_so_while_the_text_is_missing() -> None:
    taken_back = Rollback(run_digest=digest_of_spec(whole(EDITED), None), revision="kept", from_submission=2)
    status = replace(RUNNING, rollback=taken_back, healthy_revision="kept")
    for texts in (EDITED, MISSING):
        decision = decide(job(NAMED, status), seen(present(), texts=texts, revisions={"kept": whole()}))
        assert acts(decision) == []
        assert decision.status.rollback == taken_back
    changed = decide(job(NAMED, status), seen(present(), texts=TEXTS, revisions={"kept": whole()}))
    assert changed.status.rollback is None


def test_a_run_that_was_taken_back_is_replaced_though_the_text_is_missing() -> None:
    bad = digest_of_spec(whole(EDITED), None)
    taken_back = Rollback(run_digest=bad, revision="kept", from_submission=2)
    of_run: dict[str, Any] = {"number": 2, "run_digest": bad, "revision": "new", "restored_from": "file:///s"}
    status = FlinkJobStatus(
        submission=run(**of_run, healthy=False),
        rollback=taken_back,
        healthy_revision="kept",
        healthy_artifact=inputs.JAR,
    )
    revisions = {"kept": whole(), "new": whole(EDITED)}
    stopping = decide(job(NAMED, status), seen(present(), texts=MISSING, revisions=revisions))
    assert acts(stopping) == ["CancelJob"]
    over = replace(status, submission=ended(RunResult.CANCELLED, **of_run, healthy=False))
    started = decide(job(NAMED, over), seen(texts=MISSING, revisions=revisions))
    (call,) = (action for action in started.actions if isinstance(action, RunJob))
    assert call.request.savepoint_path == "file:///s"
    assert started.status.submission is not None
    assert started.status.submission.run_digest == DIGEST
    assert started.status.rollback == taken_back


def test_what_is_taken_back_is_fetched_with_the_access_that_the_spec_has_now() -> None:
    jars = {"jars": [{"uri": "https://a/c.jar"}, {"uri": "s3://bucket/c.jar", "store": {"region": "old"}}]}
    old = parsed(jar={"uri": "https://a/b.jar", "authSecretRef": {"name": "old"}}, args=["1"], dependencies=jars)
    jars = {"jars": [{"uri": "s3://bucket/c.jar", "store": {"region": "new"}}]}
    now = parsed(jar={"uri": "https://a/b.jar", "authSecretRef": {"name": "new"}}, dependencies=jars)
    mixed = with_run_fields_of(now, old)
    assert mixed.args == ("1",)
    assert mixed.jar == now.jar
    kept, added, mended = (each.dependencies.jars if each.dependencies else () for each in (old, mixed, now))
    assert added == (kept[0], mended[0])
    assert digest_of_spec(mixed, None) == digest_of_spec(old, None)
    elsewhere = parsed(jar={"uri": "https://a/other.jar", "authSecretRef": {"name": "new"}})
    assert with_run_fields_of(elsewhere, old).jar == old.jar
    script = {"uri": "https://a/b.sql", "sha256": "a" * 64}
    scripts = [parsed(sql=script | {"authSecretRef": {"name": name}}) for name in ("new", "old")]
    assert with_run_fields_of(*scripts).sql == scripts[0].sql


@pytest.mark.parametrize("access", [{"authSecretRef": {"name": "new"}}, {}])
def test_so_is_each_file_of_a_program(access: dict[str, Any]) -> None:
    def pinned(file: str, access: dict[str, Any], **more: str) -> dict[str, Any]:
        return {"uri": f"https://a/{file}", "sha256": "a" * 64} | access | more

    def program(access: dict[str, Any]) -> list[FlinkJobSpec]:
        python = {
            "module": "a",
            "files": [pinned("a.py", access), {"name": "b.py", "text": "b"}],
            "requirements": pinned("r.txt", access),
            "archives": [pinned("c.zip", access, name="c")],
        }
        sql = pinned("b.sql", access) | {"initFrom": [pinned("i.sql", access), {"script": "a"}]}
        return [parsed(python=python), parsed(sql=sql)]

    for now, old in zip(program(access), program({"authSecretRef": {"name": "old"}}), strict=True):
        assert digest_of_spec(now, None) == digest_of_spec(old, None)
        mixed = with_run_fields_of(now, old)
        assert (mixed.python, mixed.sql) == (now.python, now.sql)
        written = mixed.model_dump(by_alias=True, exclude_unset=True)
        assert "configMapKeyRef" not in str(written), "nothing is written that was not said"
        assert with_run_fields_of(old, old).python is old.python


def test_a_text_that_is_too_long_or_empty_is_as_good_as_none() -> None:
    for text, says in (("", "is empty"), ("é" * 65536, "more than 131072 bytes")):
        texts = TextsSeen(texts={MAIN: text, INIT: "a"})
        decision = decide(job(NAMED, held=False), seen(texts=texts))
        assert plan_of(decision) == ("Hold", Reason.ScriptNotFound)
        assert decision.status.plan is not None
        assert says in (decision.status.plan.message or "")


# Python programs

FILES, RULES = TextPlace("program"), TextPlace("program", "rules.py")
OF_MAP = {
    "cluster": URL,
    "python": {
        "file": "job.py",
        "files": [{"name": "own.py", "text": "o"}, {"configMapRef": {"name": "program"}}],
    },
}
IN_MAP = TextsSeen(texts={TextPlace("program", "job.py"): "j", RULES: ""})


def python_with(**texts: str) -> FlinkJobSpec:
    files = [{"name": name.replace("_", "."), "text": text} for name, text in {"own_py": "o", **texts}.items()]
    return parsed(python={"file": "job.py", "files": files})


def test_the_files_of_a_config_map_are_those_of_the_program() -> None:
    asked: list[Any] = []
    decision = decide(job(OF_MAP, held=False), seen(texts=IN_MAP), asked)
    assert [fact for fact in asked if isinstance(fact, ConfigMapTexts)] == [ConfigMapTexts((FILES,), 3)]
    (request,) = {fact.request for fact in asked if isinstance(fact, Artifact)}
    assert [(part.name, part.text) for part in request.recipe.script] == [
        ("own.py", "o"),
        ("job.py", "j"),
        ("rules.py", ""),
    ]
    (kept,) = (action for action in decision.actions if isinstance(action, RecordRevision))
    assert kept.python == python_with(job_py="j", rules_py="").python
    assert decision.status.submission is not None
    assert decision.status.submission.run_digest == digest_of_spec(python_with(job_py="j", rules_py=""), None)


def test_another_file_in_the_config_map_is_an_upgrade() -> None:
    run_of = digest_of_spec(python_with(job_py="j", rules_py=""), None)
    status = FlinkJobStatus(submission=run(run_digest=run_of, revision="kept"))
    assert acts(decide(job(OF_MAP, status), seen(present(), texts=IN_MAP))) == []
    for texts in ({RULES: "x"}, {TextPlace("program", "more.py"): ""}):
        changed = TextsSeen(texts={**IN_MAP.texts, **texts})
        assert acts(decide(job(OF_MAP, status), seen(present(), texts=changed))) == ["StopJob"]
    gone = TextsSeen(problem="ConfigMap program does not exist")
    there = seen(present(), texts=gone, revisions={"kept": python_with(job_py="j", rules_py="")})
    decision = decide(job(OF_MAP, status), there)
    assert (acts(decision), conditions(decision)) == ([], "Stalled, healthy")


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        ({".x": ""}, "a key of a ConfigMap, .x, cannot be the name of a file"),
        ({f"f{number}": "" for number in range(64)}, "more than 64 files"),
        ({"a": "é" * 65536}, "more than 131072 bytes"),
    ],
)
def test_files_that_cannot_be_used_are_as_good_as_none(texts: dict[str, str], says: str) -> None:
    there = TextsSeen(texts={TextPlace("program", key): text for key, text in texts.items()})
    decision = decide(job(OF_MAP, held=False), seen(texts=there))
    assert plan_of(decision) == ("Hold", Reason.ScriptNotFound)
    assert decision.status.plan is not None
    assert (decision.status.plan.message or "").startswith("spec.python: ")
    assert says in (decision.status.plan.message or "")


# jars in ConfigMaps

JAR = {"cluster": URL, "jar": {"configMapKeyRef": {"name": "jars", "key": "a.jar"}, "entryClass": "a.B"}}
JAR_PLACE = TextPlace("jars", "a.jar", binary=True)
FIRST, SECOND = (TextsSeen(texts={JAR_PLACE: digit * 64}) for digit in "12")


def jar_spec(seen: TextsSeen) -> FlinkJobSpec:
    """The spec with the digest in it."""
    return parsed(jar=JAR["jar"] | {"sha256": seen.texts[JAR_PLACE]})


def jar_running(**fields: Any) -> FlinkJobStatus:
    return FlinkJobStatus(submission=run(run_digest=digest_of_spec(jar_spec(FIRST), None), revision="kept", **fields))


def test_a_jar_in_a_config_map_is_known_by_its_digest_and_kept_with_it() -> None:
    asked: list[Any] = []
    decision = decide(job(JAR, held=False), seen(texts=FIRST), asked)
    (request,) = {fact.request for fact in asked if isinstance(fact, Artifact)}
    assert (request.digest, request.recipe.jars[0].uri) == ("1" * 64, "configmap://jars/a.jar")
    (kept,) = (action for action in decision.actions if isinstance(action, RecordRevision))
    assert (kept.jar, kept.sql) == (jar_spec(FIRST).jar, None)
    assert decision.status.submission is not None
    assert decision.status.submission.run_digest == digest_of_spec(jar_spec(FIRST), None)


def test_another_jar_in_the_config_map_is_an_upgrade() -> None:
    assert acts(decide(job(JAR, jar_running()), seen(present(), texts=FIRST))) == []
    assert acts(decide(job(JAR, jar_running()), seen(present(), texts=SECOND))) == ["StopJob"]


def test_a_jar_that_is_missing_touches_nothing() -> None:
    missing = TextsSeen(problem="ConfigMap jars does not exist")
    there = seen(present(), texts=missing, revisions={"kept": jar_spec(FIRST)})
    decision = decide(job(JAR, jar_running()), there)
    assert (acts(decision), conditions(decision)) == ([], "Stalled, healthy")
    assert decision.status.plan is not None
    assert (decision.status.plan.reason, decision.status.plan.message) == (
        Reason.ArtifactFailed,
        f"spec.jar: {missing.problem}",
    )


def test_a_pinned_jar_is_not_looked_at() -> None:
    asked: list[Any] = []
    pinned = JAR | {"jar": JAR["jar"] | {"sha256": "1" * 64}}
    assert acts(decide(job(pinned, jar_running()), seen(present()), asked)) == []
    assert not [fact for fact in asked if isinstance(fact, ConfigMapTexts)]


def test_a_jar_that_was_taken_back_runs_with_its_old_digest() -> None:
    bad, good = (digest_of_spec(jar_spec(each), None) for each in (SECOND, FIRST))
    of_run: dict[str, Any] = {"number": 2, "run_digest": bad, "revision": "new", "restored_from": "file:///s"}
    status = FlinkJobStatus(
        submission=ended(RunResult.CANCELLED, **of_run, healthy=False),
        rollback=Rollback(run_digest=bad, revision="kept", from_submission=2),
        healthy_revision="kept",
        healthy_artifact="1" * 64,
    )
    asked: list[Any] = []
    decision = decide(job(JAR, status), seen(texts=SECOND, revisions={"kept": jar_spec(FIRST)}), asked)
    assert {fact.request.digest for fact in asked if isinstance(fact, Artifact)} == {"1" * 64}
    assert decision.status.submission is not None
    assert decision.status.submission.run_digest == good
