"""What the reconciler sees of Kubernetes: never older than it was, by the key of the FlinkJob, and what is in use."""

from __future__ import annotations

from typing import Any

import pytest

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
    assert cache.raw_job(KEY)["status"]["phase"] == phase  # type: ignore[index]
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
    assert cache.raw_job(KEY) is None


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


def test_who_waits_for_a_flinksavepoint() -> None:
    cache = ObjectCache()
    cache.put_job(objects.job({"initialState": {"strategy": "Custom", "savepointRef": {"name": "demo-1"}}}))
    assert list(cache.waiting_for("default", "demo-1")) == [KEY]
    assert list(cache.waiting_for("other", "demo-1")) == []
    assert list(cache.waiting_for("default", "demo-2")) == []
