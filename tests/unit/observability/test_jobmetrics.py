"""Ages and downtimes, from statuses alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flinkjob.api.enums import Phase, SavepointPhase, SubmissionReason
from flinkjob.api.flinkjob_status import CheckpointInfo, FlinkJobStatus, HistoryEntry, SavepointInfo
from flinkjob.api.flinksavepoint_status import FlinkSavepointStatus
from flinkjob.api.sync import JobSyncStatus, SyncProgress, SyncStatus
from flinkjob.observability.jobmetrics import downtime, oldest_checkpoint_age, oldest_copy, oldest_savepoint_age
from tests.support.inputs import NOW, ago, job, run, savepoint


def _status(phase: Phase, checkpoint: float | None = None, savepoint: float | None = None) -> FlinkJobStatus:
    return FlinkJobStatus(
        phase=phase,
        last_checkpoint=None if checkpoint is None else CheckpointInfo(time=ago(checkpoint)),
        last_savepoint=None if savepoint is None else SavepointInfo(time=ago(savepoint)),
    )


def test_the_oldest_of_running_jobs_counts() -> None:
    statuses = [
        _status(Phase.RUNNING, 10, 700),
        _status(Phase.RUNNING, 40),
        _status(Phase.RUNNING),
        _status(Phase.SUSPENDED, 9000, 9000),
    ]
    jobs = [job(status=status) for status in statuses]
    assert oldest_checkpoint_age(jobs, {}, NOW) == pytest.approx(40)
    assert oldest_savepoint_age(jobs, NOW) == pytest.approx(700)
    assert oldest_checkpoint_age(jobs[2:], {}, NOW) == 0.0


def test_what_a_cluster_says_counts_before_what_is_written() -> None:
    """A status may be an hour behind, since what only ticks is written in turn."""
    status = replace(_status(Phase.RUNNING, 3000), submission=run(1, job_id="a" * 32))
    other = replace(_status(Phase.RUNNING, 100), submission=run(1, job_id="b" * 32))
    jobs = [job(status=status), job(status=other)]
    assert oldest_checkpoint_age(jobs, {"a" * 32: ago(20)}, NOW) == pytest.approx(100)
    assert oldest_checkpoint_age(jobs, {"a" * 32: ago(20), "b" * 32: ago(7000)}, NOW) == pytest.approx(7000)


def test_a_downtime_counts_once() -> None:
    entry = HistoryEntry(number=1, ended=ago(4))
    before = FlinkJobStatus(submission=run(2, reason=SubmissionReason.UPGRADE, running=False), history=(entry,))
    after = replace(before, history=(replace(entry, downtime="1.4s"),))
    assert downtime(before, before) is None
    assert downtime(before, after) == ("Upgrade", pytest.approx(1.4))
    assert downtime(after, after) is None
    assert downtime(after, replace(after, submission=run(3))) is None


def test_the_oldest_copy_that_is_not_complete_counts() -> None:
    syncing = FlinkSavepointStatus(phase=SavepointPhase.SYNCING, sync=SyncStatus(start_time=ago(50)))
    done = FlinkSavepointStatus(phase=SavepointPhase.COMPLETED, sync=SyncStatus(start_time=ago(9000), end_time=ago(1)))
    by_job = FlinkJobStatus(sync=JobSyncStatus(in_progress=SyncProgress(name="sp", start_time=ago(70))))
    asked = [savepoint(status=syncing), savepoint(status=done), savepoint()]
    assert oldest_copy([job()], asked, NOW) == pytest.approx(50)
    assert oldest_copy([job(status=by_job)], asked, NOW) == pytest.approx(70)
    assert oldest_copy([job()], asked[1:], NOW) == 0.0
