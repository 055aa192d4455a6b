"""What the reconciler sees of Kubernetes: never older than it was, by the key of the FlinkJob, and what is in use."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flinkjob.core.identity import Owner, job_id
from flinkjob.kube.kinds import Kind
from flinkjob.runtime.cache import ObjectCache
from tests.unit.api import objects

KEY = ("default", "demo")


def _job(version: str = "5", uid: str = "u-1", **status: Any) -> dict[str, Any]:
    return objects.job({}, status, resourceVersion=version, uid=uid)


def _savepoint(version: str = "5", uid: str = "u-2", job: str = "demo", **status: Any) -> dict[str, Any]:
    raw = objects.savepoint({"jobRef": {"name": job}}, status)
    raw["metadata"] |= {"resourceVersion": version, "uid": uid}
    return raw


@pytest.mark.parametrize(("later", "phase"), [("4", "Running"), ("5", "Failed"), ("6", "Failed"), ("12", "Failed")])
def test_an_older_version_never_replaces_a_newer_one(later: str, phase: str) -> None:
    cache = ObjectCache()
    assert cache.put_job(_job("5", phase="Running")) == KEY
    assert cache.put_job(_job(later, phase="Failed")) == KEY
    job = cache.job(KEY)
    assert job is not None
    assert job.status.phase == phase
    cache.put_savepoint(_savepoint("5", phase="InProgress"))
    cache.put_savepoint(_savepoint(later, phase="Failed"))
    known = cache.savepoint("default", "demo-1")
    assert known is not None
    assert known.status.phase == ("Failed" if phase == "Failed" else "InProgress")


def test_an_object_that_was_created_again_is_another_one_whatever_its_version() -> None:
    cache = ObjectCache()
    cache.put_job(_job("90", uid="old"))
    cache.put_job(_job("7", uid="new"))
    job = cache.job(KEY)
    assert job is not None
    assert job.meta.uid == "new"
    assert cache.drop_job(_job("91", uid="old")) == KEY
    assert cache.job(KEY) is not None
    assert cache.drop_job(_job("8", uid="new")) == KEY
    assert cache.job(KEY) is None


def test_what_is_not_a_number_is_no_older_version() -> None:
    cache = ObjectCache()
    cache.put_job(_job("x", phase="Running"))
    cache.put_job(_job("y", phase="Failed"))
    job = cache.job(KEY)
    assert job is not None
    assert job.status.phase == "Failed"


def test_a_flinksavepoint_is_found_under_the_key_of_its_flinkjob() -> None:
    cache = ObjectCache()
    assert cache.put_savepoint(_savepoint()) == KEY
    assert cache.put_savepoint(_savepoint("4", job="other")) == KEY
    assert [one.meta.name for one in cache.savepoints_of(KEY)] == ["demo-1"]
    assert cache.keys() == {KEY}
    assert cache.put_savepoint(_savepoint("6", job="other")) == ("default", "other")
    assert cache.savepoints_of(KEY) == ()
    assert cache.keys() == {("default", "other")}
    assert cache.drop_savepoint(_savepoint(uid="another")) is None
    assert cache.drop_savepoint(_savepoint()) == ("default", "other")
    assert cache.drop_savepoint(_savepoint()) is None
    assert cache.keys() == set()


def test_a_flinksavepoint_with_a_damaged_spec_has_a_key_too() -> None:
    cache = ObjectCache()
    raw = _savepoint()
    raw["spec"] = {}
    assert cache.put_savepoint(raw) == ("default", "")


def test_what_is_in_use() -> None:
    cache = ObjectCache()
    cache.put_job(
        _job(
            submission={
                "number": 2,
                "restoredFrom": "file:/a/_metadata",
                "end": {"result": "Stopped", "snapshot": "file:///b/"},
            },
            hold={"reason": "Stopped", "location": "s3a://bucket/c"},
        )
    )
    named = objects.job({"initialState": {"strategy": "Custom", "savepointRef": {"name": "demo-1"}}}, {}, name="two")
    cache.put_job(named)
    cache.put_job(objects.job({"initialState": {"strategy": "Custom", "location": "/d"}}, {}, name="three"))
    cache.put_savepoint(_savepoint(location="file:/e"))
    assert cache.snapshots_in_use() == {"file:///a", "file:///b", "s3://bucket/c", "file:///d", "file:///e"}
    assert {job.meta.name for job in cache.jobs()} == {"demo", "two", "three"}


RUN = "a" * 32


def _target(name: str = "by-id", **status: Any) -> dict[str, Any]:
    raw = objects.savepoint({}, status)
    raw["spec"] = {"target": {"cluster": {"url": "http://flink.example:8081"}, "jobId": RUN}}
    raw["metadata"] |= {"name": name, "uid": f"u-{name}"}
    return raw


def test_a_target_goes_to_the_flinkjob_that_runs_it_and_back() -> None:
    cache = ObjectCache()
    by_id = ("default", f"job:{RUN}")
    assert cache.put_savepoint(_target()) == by_id
    (alone,) = cache.savepoints_of(by_id)
    assert alone.spec is not None
    assert alone.spec.target is not None
    assert alone.spec.job_ref is None
    cache.put_job(_job("5", submission={"number": 1, "jobId": RUN}))
    assert cache.take_moved() == {KEY}
    assert cache.savepoints_of(by_id) == ()
    (resolved,) = cache.savepoints_of(KEY)
    assert resolved.spec is not None
    assert resolved.spec.target is None
    assert resolved.spec.job_ref is not None
    assert (resolved.spec.job_ref.name, resolved.spec.job_ref.job_id) == ("demo", RUN)
    assert cache.keys() == {KEY}
    cache.put_job(_job("6", submission={"number": 2, "jobId": "b" * 32}))
    assert cache.take_moved() == {by_id}
    cache.put_job(_job("7", submission={"number": 3, "jobId": RUN}))
    assert cache.claims(RUN) == ("default/demo",)
    cache.drop_job(_job("8"))
    assert (cache.claims(RUN), cache.take_moved()) == ((), {KEY, by_id})
    assert cache.drop_savepoint(_target()) == by_id
    assert cache.keys() == set()


def test_a_job_is_claimed_by_the_flinkjob_that_its_id_shows_and_by_those_whose_status_names_it() -> None:
    cache = ObjectCache()
    shown = job_id(Owner("any", "default", "demo"), "u", 3)
    for name, day in (("demo", 3), ("older", 1), ("younger", 2)):
        about = objects.job({}, {"submission": {"number": 1, "jobId": shown}}, name=name, uid=f"u-{name}")
        about["metadata"]["creationTimestamp"] = f"2026-01-0{day}T00:00:00Z"
        cache.put_job(about)
    assert cache.claims(shown) == ("default/demo", "default/older", "default/younger")
    assert cache.claims(shown, ("default", "demo")) == ("default/older", "default/younger")
    assert cache.claims(shown, ("default", "older")) == ("default/demo",)
    assert cache.claims(shown, ("default", "younger")) == ("default/demo", "default/older")
    assert cache.shown(shown) == ("default", "demo")
    cache.drop_job(objects.job({}, {}, name="demo", uid="u-demo"))
    assert cache.claims(shown) == ("default/older", "default/younger")
    assert cache.shown(shown) is cache.shown("b" * 32) is None


def test_what_a_first_run_would_start_from_is_in_use() -> None:
    cache = ObjectCache()
    for number, place in enumerate(("file:/oldest", "file:/middle", "file:/newest")):
        status = {"phase": "Completed", "location": place, "endTime": f"2026-01-01T00:00:0{number}Z"}
        raw = objects.savepoint({}, status)
        raw["metadata"] |= {"name": f"demo-{number}", "uid": f"u-{number}"}
        cache.put_savepoint(raw)
    for version, (strategy, used) in enumerate({"Latest": "newest", "Earliest": "oldest"}.items()):
        cache.put_job(objects.job({"initialState": {"strategy": strategy}}, {}, resourceVersion=str(version)))
        assert cache.snapshots_in_use() == {f"file:///{used}"}
    begun = {"submission": {"number": 1, "jobId": RUN}}
    cache.put_job(objects.job({"initialState": {"strategy": "Latest"}}, begun, resourceVersion="9"))
    assert cache.snapshots_in_use() == frozenset()
    again = {"initialState": {"strategy": "Latest", "nonce": 2}}
    cache.put_job(objects.job(again, begun, resourceVersion="10"))
    assert cache.snapshots_in_use() == {"file:///newest"}


def test_what_others_have_recorded_too() -> None:
    cache = ObjectCache()
    for name in ("one", "two"):
        cache.put_savepoint(_target(name, phase="Completed", location="file:/shared"))
    one = cache.savepoint("default", "one")
    assert one is not None
    assert cache.recorded_elsewhere(("default", "one"), "file:///shared")
    going = _target("two", phase="Completed", location="file:/shared")
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    cache.put_savepoint(going)
    assert not cache.recorded_elsewhere(("default", "one"), "file:///shared")


def test_who_waits_for_a_flinksavepoint() -> None:
    cache = ObjectCache()
    cache.put_job(objects.job({"initialState": {"strategy": "Custom", "savepointRef": {"name": "demo-1"}}}))
    assert list(cache.waiting_for("default", "demo-1")) == [KEY]
    assert list(cache.waiting_for("other", "demo-1")) == []
    assert list(cache.waiting_for("default", "demo-2")) == []


@pytest.mark.invariant(12)
@pytest.mark.parametrize("spec", ["text", [], 5, {"jobRef": "text"}, {"jobRef": []}, {"jobRef": {"name": {}}}])
def test_a_savepoint_whose_spec_is_of_another_type_is_kept_by_itself(spec: Any) -> None:
    cache = ObjectCache()
    assert cache.put_savepoint(_savepoint() | {"spec": spec}) == ("default", "")
    known = cache.savepoint("default", "demo-1")
    assert known is not None
    assert known.spec_error is not None


PLACES = ("file:///a", "file:///b", "file:///c")
CHANGES = st.lists(
    st.tuples(
        st.sampled_from(("job", "savepoint", "no job", "no savepoint")),
        st.sampled_from(("demo", "two")),
        st.sampled_from(PLACES),
        st.sampled_from(("runs", "begins", "names", "copies")),
    ),
    max_size=15,
)


def _changed(kind: str, name: str, place: str, how: str, version: int) -> tuple[Kind, dict[str, Any]]:
    """An object that uses a place in some way."""
    if "savepoint" in kind:
        status = {"phase": "Completed", "location": place, "endTime": f"2026-01-01T00:00:{version:02}Z"}
        raw = objects.savepoint({"syncTo": {"uri": "s3://b/c"}} if how == "copies" else {}, status)
        raw["metadata"] |= {"name": f"sp-{name}", "uid": f"u-sp-{name}", "resourceVersion": str(version)}
        return Kind.FLINK_SAVEPOINT, raw
    run = {"number": 1, "restoredFrom": place, "artifactDigest": place, "uploads": ["beside" * (how == "runs")]}
    spec = {
        "initialState": {"strategy": "Custom", "savepointRef": {"name": f"sp-{name}"}}
        if how == "names"
        else {"strategy": "Latest"}
    }
    status = {} if how == "begins" else {"submission": run}
    return Kind.FLINK_JOB, objects.job(spec, status, name=name, uid=f"u-{name}", resourceVersion=str(version))


@given(CHANGES)
@example([("job", "two", "file:///a", "names"), ("savepoint", "two", "file:///b", "runs")])
def test_what_is_in_use_is_what_all_objects_say_whatever_came_before(changes: list[tuple[str, str, str, str]]) -> None:
    """The order of changes does not matter: a cache that has only the last version of each object says the same."""
    cache, last = ObjectCache(), dict[tuple[Kind, str], dict[str, Any]]()
    for version, (change, name, place, how) in enumerate(changes, 1):
        kind, raw = _changed(change, name, place, how, version)
        at = kind, raw["metadata"]["name"]
        if change.startswith("no "):
            cache.drop(kind, raw)
            last.pop(at, None)
        else:
            cache.put(kind, raw)
            last[at] = raw
        anew = ObjectCache()
        for (each, _), found in last.items():
            anew.put(each, found)
        assert cache.snapshots_in_use() == anew.snapshots_in_use()
        assert (
            cache.in_use(frozenset(PLACES)) == anew.in_use(frozenset(PLACES)) == anew.snapshots_in_use() & set(PLACES)
        )
        for about in ("demo", "two"):
            key, named = ("default", about), ("default", f"sp-{about}")
            assert list(cache.waiting_for(*named)) == list(anew.waiting_for(*named))
            for where in (*PLACES, "beside"):
                assert cache.jar_of_others(key, where) == anew.jar_of_others(key, where)
                assert cache.recorded_elsewhere(named, where) == anew.recorded_elsewhere(named, where)
