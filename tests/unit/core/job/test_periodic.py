"""Periodic savepoints: when, under which name, never two at once; and which ones are old enough to go."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from flinkjob.api.enums import SavepointPhase
from flinkjob.api.flinkjob_status import PeriodicInfo
from flinkjob.api.flinksavepoint_status import FlinkSavepointStatus
from flinkjob.api.sync import SyncStatus
from flinkjob.core.actions import CreateSavepoint, DeleteSavepoint
from flinkjob.core.facts import InUse
from flinkjob.core.model import JobDecision
from tests.support.inputs import NOW, RUNNING, acts, ago, decide, job, present, run, savepoint, seen, spec

EVERY: dict[str, Any] = {"savepoints": {"interval": "1h"}}


def _created(decision: JobDecision) -> list[str]:
    return [action.name for action in decision.actions if isinstance(action, CreateSavepoint)]


def test_a_periodic_savepoint_may_take_as_long_as_the_spec_says() -> None:
    due = replace(RUNNING, periodic=PeriodicInfo(last_time=ago(3700)), submission=run(started_time=ago(9000)))
    for savepoints, timeout in (({"interval": "1h"}, "10m"), ({"interval": "1h", "timeout": "45m"}, "45m")):
        decision = decide(job(spec(savepoints=savepoints), due), seen(present()))
        created = [action.timeout for action in decision.actions if isinstance(action, CreateSavepoint)]
        assert created == [timeout]


def test_a_periodic_savepoint_is_taken_when_it_is_due_and_the_next_one_is_planned() -> None:
    due = replace(RUNNING, periodic=PeriodicInfo(last_time=ago(3700)), submission=run(started_time=ago(9000)))
    decision = decide(job(spec(**EVERY), due), seen(present()))
    assert len(_created(decision)) == 1
    assert decision.status.periodic is not None
    assert decision.status.periodic.last_time == NOW
    assert _created(decide(job(spec(**EVERY), decision.status), seen(present()))) == []
    early = replace(due, periodic=PeriodicInfo(last_time=ago(3000)))
    assert _created(decide(job(spec(**EVERY), early), seen(present()))) == []
    suspended = spec(savepoints={"interval": "1h", "suspend": True})
    assert _created(decide(job(suspended, due), seen(present()))) == []
    assert _created(decide(job(spec(**EVERY), due), seen(present(tasks=1)))) == []


def test_periodic_savepoints_never_overlap() -> None:
    due = replace(RUNNING, periodic=PeriodicInfo(last_time=ago(3700)), submission=run(started_time=ago(9000)))
    busy = savepoint(status=FlinkSavepointStatus(phase=SavepointPhase.IN_PROGRESS))
    assert _created(decide(job(spec(**EVERY), due), seen(present()), savepoints=[busy])) == []


def test_the_same_due_time_gives_the_same_name_after_a_crash() -> None:
    due = replace(RUNNING, periodic=PeriodicInfo(last_time=ago(3700)), submission=run(started_time=ago(9000)))
    first = _created(decide(job(spec(**EVERY), due), seen(present())))
    again = _created(decide(job(spec(**EVERY), due), seen(present(), now=NOW + timedelta(seconds=30))))
    assert first == again


@pytest.mark.parametrize(("last", "started"), [(True, False), (True, True), (False, True)])
def test_after_a_clock_that_was_ahead_the_next_one_is_due_a_period_later(last: bool, started: bool) -> None:
    ahead = NOW + timedelta(days=30)
    began = run(started_time=ahead if started else ago(9000))
    status = replace(RUNNING, submission=began, periodic=PeriodicInfo(last_time=ahead) if last else None)
    decision = decide(job(spec(**EVERY), status), seen(present()))
    assert _created(decision) == []
    noted = job(spec(**EVERY), decision.status)
    assert decide(noted, seen(present(), now=NOW + timedelta(seconds=30))).status == noted.status
    assert len(_created(decide(noted, seen(present(), now=NOW + timedelta(seconds=3700))))) == 1


@pytest.mark.parametrize(
    ("schedule", "zone", "after_hours"), [("0 3 * * *", "UTC", 15), ("0 3 * * *", "Europe/Berlin", 14)]
)
def test_a_schedule_in_its_time_zone(schedule: str, zone: str, after_hours: int) -> None:
    wanted = spec(savepoints={"schedule": schedule, "timeZone": zone})
    status = replace(RUNNING, submission=run(started_time=NOW))
    decision = decide(job(wanted, status), seen(present()))
    assert decision.status.periodic is not None
    assert decision.status.periodic.next_time is not None
    wait = decision.status.periodic.next_time - NOW
    assert timedelta(hours=after_hours) <= wait <= timedelta(hours=after_hours, seconds=30)


def _old(name: str, age: float, origin: str = "Periodic") -> Any:
    status = FlinkSavepointStatus(phase=SavepointPhase.COMPLETED, location=f"file:/sp/{name}", end_time=ago(age))
    return savepoint(name, status, meta={"labels": {"flinkjob.dev/origin": origin}})


def test_retention_needs_both_limits_and_spares_the_newest_what_is_used_and_what_is_not_the_operators() -> None:
    wanted = spec(savepoints={"retention": {"minCount": 1, "minAge": "1h"}})
    known = [
        _old("newest", 7200),
        _old("old", 9000),
        _old("used", 9100),
        _old("manual", 9200, "Manual"),
        _old("deletion", 9300, "Deletion"),
    ]
    used = frozenset({"file:///sp/used"})
    asked: list[Any] = []
    decision = decide(job(wanted, RUNNING), seen(present(), in_use=used), asked, savepoints=known)
    assert [each for each in asked if isinstance(each, InUse)] == [
        InUse(frozenset({"file:///sp/old", "file:///sp/used"}))
    ]
    assert [action.name for action in decision.actions if isinstance(action, DeleteSavepoint)] == ["old"]
    upgrades = [_old(f"up-{age}", age, origin) for age, origin in ((8000, "Upgrade"), (8500, "Suspend"))]
    decision = decide(job(wanted, RUNNING), seen(present()), savepoints=[*upgrades, _old("periodic", 9900)])
    gone = [action.name for action in decision.actions if isinstance(action, DeleteSavepoint)]
    assert gone == ["up-8500"], "each sort is counted by itself"
    young = [_old("newest", 10), _old("young", 3000)]
    decision = decide(job(wanted, RUNNING), seen(present()), savepoints=young)
    assert acts(decision) == []
    assert acts(decide(job(status=RUNNING), seen(present()), savepoints=known)) == []


@pytest.mark.copying("kept-until-copied")
def test_retention_waits_for_the_copies() -> None:
    """What `savepoints.syncTo` has yet to copy stays, whatever its age; what is older than a copied one is passed over."""
    limits = {"minCount": 1, "minAge": "1h"}
    known = [_old("newest", 7200), _old("old", 9000), _old("older", 9100)]
    copied = replace(known[1], status=replace(known[1].status, sync=SyncStatus(end_time=ago(1), sequence_number=1)))

    def gone(wanted: dict[str, Any], *savepoints: Any) -> list[str]:
        decision = decide(job(wanted, RUNNING), seen(present()), savepoints=savepoints)
        return [action.name for action in decision.actions if isinstance(action, DeleteSavepoint)]

    synced = spec(savepoints={"retention": limits, "syncTo": {"uri": "s3://backup/jobs"}})
    assert gone(synced, *known) == []
    assert gone(synced, known[0], copied, known[2]) == ["old", "older"]
    assert gone(spec(savepoints={"retention": limits}), *known) == ["old", "older"]
