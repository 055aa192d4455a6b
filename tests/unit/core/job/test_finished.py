"""A job that came to its own end: its mark, its time to live, and whose tools own it."""

import json
from typing import Any

import pytest

from flinkjob.api.enums import RunResult, SnapshotKind
from flinkjob.api.flinkjob_status import FlinkJobStatus
from flinkjob.core.actions import MarkResult
from flinkjob.core.flinkmodel import FlinkJobState
from tests.support.inputs import acts, ago, decide, digest, ended, job, present, run, seen, spec, told
from tests.support.tables import table

DONE = FlinkJobStatus(submission=ended(RunResult.FINISHED, None, SnapshotKind.EMPTY, at=ago(100)))


def _mark() -> dict[str, Any]:
    mark = json.dumps({"result": "Finished", "digest": digest(), "number": 1}, sort_keys=True)
    return {"flinkjob.dev/result": mark}


def test_the_result_is_marked_once() -> None:
    first = decide(job(status=DONE, held=False), seen())
    (mark,) = [action for action in first.actions if isinstance(action, MarkResult)]
    assert mark.mark == _mark()["flinkjob.dev/result"]
    assert acts(decide(job(status=DONE, held=False, annotations=_mark()), seen())) == []


@pytest.mark.parametrize(("ttl", "goes"), [(0, True), (99, True), (101, False), (None, False)])
def test_the_object_goes_when_its_time_is_over(ttl: int | None, goes: bool) -> None:
    wanted = spec(ttlSecondsAfterFinished=ttl) if ttl is not None else spec()
    decision = decide(job(wanted, DONE, held=False, annotations=_mark()), seen())
    assert acts(decision) == (["DeleteObject"] if goes else [])
    assert decision.requeue_after == (pytest.approx(1.1) if ttl == 101 else None)


@table(
    "owner",
    "Argo CD",
    {"annotations": {"argocd.argoproj.io/tracking-id": "x"}},
    "Flux",
    {"labels": {"kustomize.toolkit.fluxcd.io/name": "x"}},
    "Helm",
    {"annotations": {"meta.helm.sh/release-name": "x"}},
)
def test_what_a_gitops_tool_owns_stays_and_that_is_told_once(owner: dict[str, Any]) -> None:
    wanted = spec(ttlSecondsAfterFinished=0)
    status = FlinkJobStatus(submission=run())
    decision = decide(job(wanted, status, **owner), seen(present(FlinkJobState.FINISHED)))
    assert "DeleteObject" not in acts(decision)
    assert told(decision) == ["Finished", "TTLIgnored"]
    again = decide(job(wanted, decision.status, held=False, **owner), seen())
    assert "DeleteObject" not in acts(again)
    assert told(again) == []
