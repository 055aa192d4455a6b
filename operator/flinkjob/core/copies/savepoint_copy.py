"""What follows the end of a FlinkSavepoint that is to be copied: how far that is, and what its status says of it.

`round` calls `snapshot_view` before every decision, `wanted_copy` and `follow_copy` after the one about the FlinkSavepoint. A
copy that its own `syncTo` asks for is part of its work: phase Syncing, and Failed when it is given up. One that its FlinkJob
asks for (`queue`) leaves it Completed. Invariants: the snapshot itself counts as complete while it is being copied, and when
that failed; the intent (`sync` in the status) is written before anything is written to a store; progress is written at most
every 10 seconds.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import ClassVar

from flinkjob.api.codec import FlinkSavepoint
from flinkjob.api.constants import LABEL_JOB
from flinkjob.api.enums import ConditionStatus, SavepointErrorCode, SavepointPhase
from flinkjob.api.flinkjob_status import Condition
from flinkjob.api.flinksavepoint_status import FlinkSavepointStatus, SavepointError
from flinkjob.api.reasons import Reason
from flinkjob.api.sync import SyncError, SyncStatus, SyncToSpec
from flinkjob.core.actions import EventType, PostEvent
from flinkjob.core.backoff import delay_seconds, remaining_seconds
from flinkjob.core.conditions import Conditions
from flinkjob.core.errors import one_line
from flinkjob.core.facts import Fact, Where
from flinkjob.core.flinkmodel import normalise_location
from flinkjob.core.model import SavepointDecision
from flinkjob.core.pauses import FAST
from flinkjob.core.units import readable_duration, readable_size

PROGRESS_SECONDS = 10.0
"""The shortest time between two writes that only report progress."""
LOOK_SECONDS = 10.0
"""How often a copy that runs is looked at; its end enqueues the key."""
ATTEMPTS_OF_ONE = 4
"""How often a snapshot that cannot be read, or whose copy differs, is tried where nothing else limits it."""
ATTEMPTS_LAST = 600.0
"""For how many seconds at least: a volume may be away for a while."""
_OF_THE_SNAPSHOT = (SavepointErrorCode.NO_SNAPSHOT, SavepointErrorCode.VERIFY_FAILED)
"""Failures that hardly any change of the place or of its access can mend."""


class CopyPhase(StrEnum):
    """How far a copy is in this process."""

    WORKING = "Working"
    DONE = "Done"
    FAILED = "Failed"


@dataclass(frozen=True, kw_only=True)
class CopyWanted:
    """A snapshot that is to be copied.

    Attributes:
        token: of the snapshot's place: the same one is copied once, whichever object asks for it. Only of what never
            changes: Flink reports the checkpoint id later than the place.
        job: the name of its FlinkJob, or the Flink job's id: the copies of a job share a place.
    """

    uid: str
    namespace: str
    job: str
    token: str
    location: str
    target: SyncToSpec
    job_id: str | None = None
    format_type: str | None = None
    flink_version: str | None = None


@dataclass(frozen=True, kw_only=True)
class CopySeen:
    """How far a copy is.

    Attributes:
        code: of a failure.
        permanent: a failure that is not tried again.
    """

    phase: CopyPhase
    sequence_number: int | None = None
    uri: str | None = None
    objects: int = 0
    objects_total: int | None = None
    bytes: int = 0
    bytes_total: int | None = None
    code: SavepointErrorCode = SavepointErrorCode.STORE_ERROR
    message: str = ""
    permanent: bool = False


@dataclass(frozen=True)
class CopyProgress(Fact[CopySeen]):
    """How far a copy is; asking sets it going."""

    where: ClassVar[Where] = Where.HERE
    wanted: CopyWanted


def snapshot_view(savepoint: FlinkSavepoint) -> FlinkSavepoint:
    """The FlinkSavepoint as it is without its copy: complete as soon as its snapshot is."""
    status = savepoint.status
    if status.sync is None or status.phase not in (SavepointPhase.SYNCING, SavepointPhase.FAILED):
        return savepoint
    return replace(savepoint, status=replace(status, phase=SavepointPhase.COMPLETED, error=None))


def wanted_copy(
    savepoint: FlinkSavepoint, status: FlinkSavepointStatus, now: datetime, by_job: SyncToSpec | None = None
) -> CopyWanted | None:
    """The copy to be made or going on now; None where there is nothing to be done.

    Args:
        savepoint: as read.
        status: as decided, for the snapshot itself.
        by_job: what its FlinkJob asks for, when it is this one's turn.
    """
    spec, sync = savepoint.spec, savepoint.status.sync
    if spec is None or savepoint.meta.deletion_time is not None:
        return None
    target = spec.sync_to or by_job
    if target is None or not is_being_copied(savepoint) or status.location is None or sync is None:
        return None  # the intent is not written yet, or it is over
    if remaining_seconds(sync.retry_time, now):
        return None
    name = spec.job_ref.name if spec.job_ref is not None else savepoint.meta.labels.get(LABEL_JOB)
    return CopyWanted(
        uid=savepoint.meta.uid,
        namespace=savepoint.meta.namespace,
        job=name or status.job_id or savepoint.meta.name,
        token=hashlib.sha256(normalise_location(status.location).encode()).hexdigest()[:32],
        location=status.location,
        target=target,
        job_id=status.job_id,
        format_type=status.format_type,
        flink_version=status.flink_version,
    )


def is_being_copied(savepoint: FlinkSavepoint) -> bool:
    """Whether a copy of its snapshot was begun and is not over."""
    status = savepoint.status
    under_way = status.sync is not None and status.sync.end_time is None
    return under_way and status.phase in (SavepointPhase.SYNCING, SavepointPhase.COMPLETED)


def follow_copy(
    savepoint: FlinkSavepoint,
    decision: SavepointDecision,
    seen: CopySeen | None,
    now: datetime,
    by_job: SyncToSpec | None = None,
    *,
    later: bool = False,
) -> SavepointDecision:
    """The decision about a FlinkSavepoint, with what its copy adds to it.

    Args:
        savepoint: as read.
        decision: about the snapshot itself.
        seen: how far the copy is; None where `wanted_copy` gave None.
        by_job: what its FlinkJob asks for, when it is this one's turn.
        later: it waits for another copy to the same place.
    """
    spec = savepoint.spec
    done = decision.status.phase is SavepointPhase.COMPLETED
    if spec is None or not done or savepoint.meta.deletion_time is not None:
        return _as_before(savepoint, decision)
    if spec.sync_to is not None:
        return _Follow(savepoint, decision, spec.sync_to, now).decide(seen, later=later)
    if by_job is not None:
        return _FollowByJob(savepoint, decision, by_job, now).decide(seen, later=later)
    return _without_turn(savepoint, decision, now)


def _without_turn(savepoint: FlinkSavepoint, decision: SavepointDecision, now: datetime) -> SavepointDecision:
    """Its FlinkJob asks for no copy of it (any more): what is over stays reported, what was begun is forgotten."""
    sync = savepoint.status.sync
    if sync is None:
        return decision
    if sync.end_time is None:
        return replace(decision, status=replace(decision.status, sync=None))
    return _FollowByJob(savepoint, decision, None, now).decide(None)


def _as_before(savepoint: FlinkSavepoint, decision: SavepointDecision) -> SavepointDecision:
    """A phase that only the view has is not written back."""
    if snapshot_view(savepoint) is savepoint or decision.status.phase is not SavepointPhase.COMPLETED:
        return decision
    return replace(
        decision, status=replace(decision.status, phase=savepoint.status.phase, error=savepoint.status.error)
    )


class _Follow:
    def __init__(
        self, savepoint: FlinkSavepoint, decision: SavepointDecision, sync: SyncToSpec | None, now: datetime
    ) -> None:
        self._savepoint = savepoint
        self._decision = decision
        self._spec = sync
        self._now = now
        self._before = savepoint.status.sync

    def decide(self, seen: CopySeen | None, *, later: bool = False) -> SavepointDecision:
        before = self._before
        if later and (before is None or before.end_time is None):
            waits = before or SyncStatus(start_time=self._now, observed_time=self._now)
            return self._working(
                waits, Reason.Syncing, "another savepoint is copied there first", requeue_after=LOOK_SECONDS
            )
        if before is None:
            begun = SyncStatus(start_time=self._now, observed_time=self._now)
            return self._working(begun, Reason.Syncing, "the copy is about to begin", requeue_after=FAST)
        if before.end_time is not None:
            return self._over(before)
        if seen is None:
            wait = (before.retry_time - self._now).total_seconds() + 0.05 if before.retry_time is not None else FAST
            message = before.error.message if before.error is not None else "the copy is about to begin"
            return self._working(
                before, Reason.BackOff if before.error else Reason.Syncing, message, requeue_after=wait
            )
        match seen.phase:
            case CopyPhase.WORKING:
                return self._progress(before, seen)
            case CopyPhase.DONE:
                return self._done(before, seen)
            case CopyPhase.FAILED:
                return self._failed(before, seen)

    def _progress(self, before: SyncStatus, seen: CopySeen) -> SavepointDecision:
        age = (self._now - (before.observed_time or self._now)).total_seconds()
        first = before.bytes_total is None and seen.bytes_total is not None
        if age < PROGRESS_SECONDS and not (first and before.error is None):
            message = _condition(self._savepoint.status, "Synced")
            return self._working(before, Reason.Syncing, message, requeue_after=max(PROGRESS_SECONDS - age, FAST))
        now = replace(_counted(before, seen), retry_time=None, observed_time=self._now)
        share = f"{readable_size(now.bytes)} of {readable_size(now.bytes_total or 0)} in {now.objects} files"
        return self._working(now, Reason.Syncing, share, requeue_after=LOOK_SECONDS)

    def _done(self, before: SyncStatus, seen: CopySeen) -> SavepointDecision:
        span = readable_duration(self._now - (before.start_time or self._now))
        now = replace(
            _counted(before, seen),
            observed_time=self._now,
            end_time=self._now,
            duration=span,
            verified=self._spec.verify if self._spec is not None else None,
            retry_time=None,
            error=None,
        )
        message = f"copy {now.sequence_number}: {now.uri}, {readable_size(now.bytes)} in {span}"
        event = PostEvent(type=EventType.NORMAL, reason=Reason.Synced, message=one_line(message))
        decision = self._over(now)
        return replace(decision, actions=(*decision.actions, event))

    def _failed(self, before: SyncStatus, seen: CopySeen) -> SavepointDecision:
        failures = before.failures + 1
        final = self._gives_up(seen, failures)
        error = SyncError(error_code=seen.code, message=one_line(seen.message), time=self._now)
        now = replace(_counted(before, seen), failures=failures, error=error, observed_time=self._now)
        if final:
            decision = self._over(replace(now, end_time=self._now, retry_time=None))
        else:
            pause = delay_seconds(failures, seed=self._savepoint.meta.uid, initial=2.0, maximum=self.LONGEST_PAUSE)
            now = replace(now, retry_time=self._now + timedelta(seconds=pause))
            decision = self._working(now, Reason.BackOff, seen.message, requeue_after=pause + 0.05)
        if not final and not self._deserves_event(before, error):
            return decision
        event = PostEvent(
            type=EventType.WARNING, reason=Reason.SyncFailed, message=one_line(f"{seen.code}: {seen.message}")
        )
        return replace(decision, actions=(*decision.actions, event))

    LONGEST_PAUSE = 300.0

    def _gives_up(self, seen: CopySeen, failures: int) -> bool:
        """Whether it is not tried again."""
        spec = self._savepoint.spec
        return seen.permanent or (spec is not None and failures > spec.backoff_limit)

    def _deserves_event(self, before: SyncStatus, error: SyncError) -> bool:
        """Whether a failure that is not the last one is worth an Event."""
        return True

    # what is written

    def _working(self, sync: SyncStatus, reason: Reason, message: str, *, requeue_after: float) -> SavepointDecision:
        status = replace(self._decision.status, phase=SavepointPhase.SYNCING, sync=sync)
        delays = [delay for delay in (requeue_after, self._decision.requeue_after) if delay is not None]
        status = self._conditions(status, reason, message, ready=False, reconciling=True, stalled=False, synced=False)
        return replace(self._decision, status=status, requeue_after=min(delays))

    def _over(self, sync: SyncStatus) -> SavepointDecision:
        status = replace(self._decision.status, sync=sync)
        if sync.error is None:
            message = f"copy {sync.sequence_number}: {sync.uri}"
            status = self._conditions(
                status, Reason.Synced, message, ready=True, reconciling=False, stalled=False, synced=True
            )
            return replace(self._decision, status=status)
        code, message = sync.error.error_code, sync.error.message
        details = sync.uri or (self._spec.uri if self._spec is not None else None)
        error = SavepointError(error_code=code, message=message, details=details)
        status = replace(status, phase=SavepointPhase.FAILED, error=error)
        status = self._conditions(status, code, message, ready=False, reconciling=False, stalled=True, synced=False)
        return replace(self._decision, status=status)

    def _conditions(
        self,
        status: FlinkSavepointStatus,
        reason: str,
        message: str,
        *,
        ready: bool,
        reconciling: bool,
        stalled: bool,
        synced: bool,
    ) -> FlinkSavepointStatus:
        rows = (("Ready", ready), ("Reconciling", reconciling), ("Stalled", stalled), ("Synced", synced))
        return replace(status, conditions=tuple(self._row(kind, true, reason, message) for kind, true in rows))

    def _row(self, kind: str, true: bool, reason: str, message: str) -> Condition:
        meta = self._savepoint.meta
        conditions = Conditions(self._savepoint.status.conditions, now=self._now, generation=meta.generation)
        state = ConditionStatus.TRUE if true else ConditionStatus.FALSE
        return conditions.next(kind, state, reason, one_line(message))


class _FollowByJob(_Follow):
    """The FlinkJob asks for the copy: the FlinkSavepoint stays Completed, and the copy is tried until it is made."""

    LONGEST_PAUSE = 60.0

    def _gives_up(self, seen: CopySeen, failures: int) -> bool:
        if seen.code is SavepointErrorCode.SNAPSHOT_NOT_SELF_CONTAINED:
            return True
        begun = self._before.start_time if self._before is not None else None
        tried_for = (self._now - (begun or self._now)).total_seconds()
        return seen.code in _OF_THE_SNAPSHOT and failures >= ATTEMPTS_OF_ONE and tried_for >= ATTEMPTS_LAST

    def _deserves_event(self, before: SyncStatus, error: SyncError) -> bool:
        known = before.error
        return known is None or (known.error_code, known.message) != (error.error_code, error.message)

    def _working(self, sync: SyncStatus, reason: Reason, message: str, *, requeue_after: float) -> SavepointDecision:
        delays = [delay for delay in (requeue_after, self._decision.requeue_after) if delay is not None]
        return replace(self._synced(sync, False, reason, message), requeue_after=min(delays))

    def _over(self, sync: SyncStatus) -> SavepointDecision:
        if sync.error is None:
            return self._synced(sync, True, Reason.Synced, f"copy {sync.sequence_number}: {sync.uri}")
        return self._synced(sync, False, sync.error.error_code, sync.error.message)

    def _synced(self, sync: SyncStatus, true: bool, reason: str, message: str) -> SavepointDecision:
        status = self._decision.status
        others = (each for each in status.conditions if each.type != "Synced")
        conditions = (*others, self._row("Synced", true, reason, message))
        return replace(self._decision, status=replace(status, sync=sync, conditions=conditions))


def _counted(before: SyncStatus, seen: CopySeen) -> SyncStatus:
    return replace(
        before,
        uri=seen.uri or before.uri,
        sequence_number=seen.sequence_number if seen.sequence_number is not None else before.sequence_number,
        objects=seen.objects,
        objects_total=seen.objects_total if seen.objects_total is not None else before.objects_total,
        bytes=seen.bytes,
        bytes_total=seen.bytes_total if seen.bytes_total is not None else before.bytes_total,
    )


def _condition(status: FlinkSavepointStatus, kind: str) -> str:
    return next((condition.message or "" for condition in status.conditions if condition.type == kind), "")
