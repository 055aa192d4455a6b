"""Ages and downtimes, from statuses alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from flinkjob.api.common import Phase, SubmissionReason
from flinkjob.api.flinkjob_status import CheckpointInfo, FlinkJobStatus, HistoryEntry, SavepointInfo
from flinkjob.observability.jobmetrics import downtime, oldest_checkpoint_age, oldest_savepoint_age
from tests.support.inputs import NOW, ago, job, run


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
    assert oldest_checkpoint_age(jobs, NOW) == pytest.approx(40)
    assert oldest_savepoint_age(jobs, NOW) == pytest.approx(700)
    assert oldest_checkpoint_age(jobs[2:], NOW) == 0.0


def test_a_downtime_counts_once() -> None:
    entry = HistoryEntry(number=1, ended=ago(4))
    before = FlinkJobStatus(submission=run(2, reason=SubmissionReason.UPGRADE, running=False), history=(entry,))
    after = replace(before, history=(replace(entry, downtime="1.4s"),))
    assert downtime(before, before) is None
    assert downtime(before, after) == ("Upgrade", pytest.approx(1.4))
    assert downtime(after, after) is None
    assert downtime(after, replace(after, submission=run(3))) is None
