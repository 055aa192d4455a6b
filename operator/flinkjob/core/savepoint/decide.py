"""What to do about a FlinkSavepoint: the entrance of the pure decision, and its order of thought.

`decide_savepoint` is called by `decide_round`, after `decide_job` for its FlinkJob. Where what is decided:

| the snapshot is     | Trigger                | Stop, Cancel                      | Existing   |
| ------------------- | ---------------------- | --------------------------------- | ---------- |
| yet to be asked for | `trigger`              | `stop` (with `target`: `trigger`) | `existing` |
| in progress         | `follow`, `checkpoint` | `stop` (with `target`: `follow`)  | –          |

`jobref` and `target` say which job it may act on, `completed` what its end is, `after_end` what follows, `deletion` what
becomes of the data. Invariant: a finished FlinkSavepoint is never sent again; those of an attempt are in `trigger`, `follow`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flinkjob.api.constants import ANNOTATION_RESULT, FINALIZER
from flinkjob.api.enums import ConditionStatus, SavepointErrorCode, SavepointMode, SavepointPhase, SnapshotDeletion
from flinkjob.api.flinksavepoint_spec import FlinkSavepointSpec
from flinkjob.core.actions import AddFinalizer
from flinkjob.core.conditions import Conditions
from flinkjob.core.errors import one_line
from flinkjob.core.facts import Fact, NeedFact
from flinkjob.core.model import SavepointDecision, SavepointInput
from flinkjob.core.savepoint import deletion
from flinkjob.core.savepoint.after_end import remove_after_ttl, stay_failed
from flinkjob.core.savepoint.completed import fill_in, mark_of, take_from_mark
from flinkjob.core.savepoint.draft import SavepointDraft, SavepointHalt, TrueCondition
from flinkjob.core.savepoint.existing import register
from flinkjob.core.savepoint.follow import follow_attempt
from flinkjob.core.savepoint.jobref import BY_JOB_REF
from flinkjob.core.savepoint.stop import mirror_stop
from flinkjob.core.savepoint.target import BY_TARGET
from flinkjob.core.savepoint.trigger import begin_attempt


def decide_savepoint(given: SavepointInput) -> SavepointDecision | Fact[Any]:
    """Decide about a FlinkSavepoint.

    Returns: what to do, or the one fact that is needed first.
    """
    spec = given.savepoint.spec
    draft = SavepointDraft(given, BY_TARGET if spec is not None and spec.target is not None else BY_JOB_REF)
    try:
        halt = _decide(draft)
    except NeedFact as missing:
        return missing.fact
    remove_after_ttl(draft)
    return _finish(draft, halt)


def _decide(draft: SavepointDraft) -> SavepointHalt:
    spec, meta = draft.spec, draft.meta
    if meta.deletion_time is not None and (halt := deletion.step(draft)) is not None:
        return halt
    if spec is not None and spec.deletion.policy is SnapshotDeletion.DELETE and FINALIZER not in meta.finalizers:
        draft.act(AddFinalizer())
    match draft.before.phase:
        case SavepointPhase.COMPLETED:
            return fill_in(draft)
        case SavepointPhase.FAILED:
            return stay_failed(draft)
        case None if mark := meta.annotations.get(ANNOTATION_RESULT):
            return take_from_mark(draft, mark)
    if spec is None:
        return draft.fail(SavepointErrorCode.SAVEPOINT_FAILED, draft.given.savepoint.spec_error or "bad spec")
    return _work(draft, spec)


def _work(draft: SavepointDraft, spec: FlinkSavepointSpec) -> SavepointHalt:
    """The next step of one that has not ended."""
    match spec.mode:
        case SavepointMode.EXISTING:
            return register(draft, spec)
        case SavepointMode.STOP | SavepointMode.CANCEL if spec.target is None:
            return mirror_stop(draft, spec)
        case SavepointMode.TRIGGER | SavepointMode.STOP | SavepointMode.CANCEL:
            asked = draft.before.trigger_id is not None
            return follow_attempt(draft, spec) if asked else begin_attempt(draft, spec)


def _finish(draft: SavepointDraft, halt: SavepointHalt) -> SavepointDecision:
    """The decision, with the conditions that the halt says."""
    status, generation = draft.status, draft.meta.generation
    if halt.condition is not None:
        known = Conditions(draft.before.conditions, now=draft.now, generation=generation)
        states = {
            kind: ConditionStatus.TRUE if kind is halt.condition else ConditionStatus.FALSE for kind in TrueCondition
        }
        rows = [known.next(kind, state, halt.reason, one_line(halt.message)) for kind, state in states.items()]
        status = replace(status, conditions=tuple(rows), observed_generation=generation)
    return SavepointDecision(
        status=status, actions=tuple(draft.actions), requeue_after=draft.delay, result_mark=mark_of(draft)
    )
