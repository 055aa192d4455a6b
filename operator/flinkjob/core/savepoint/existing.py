"""Mode Existing: register a snapshot that was made before, by its place or as the newest one of the job.

Part of `decide_savepoint`. Invariant: nothing is sent to Flink.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from flinkjob.api.enums import SavepointErrorCode, SavepointPhase, SnapshotKind
from flinkjob.api.flinkjob_status import Submission
from flinkjob.api.flinksavepoint_spec import FlinkSavepointSpec
from flinkjob.api.reasons import Reason
from flinkjob.core.facts import Checkpoints
from flinkjob.core.flinkmodel import Checkpoint, CheckpointStats
from flinkjob.core.model import SavepointDecision
from flinkjob.core.savepoint.trigger import TriggerRound
from flinkjob.core.seen import Presence
from flinkjob.core.units import readable_duration, readable_size

LOOK_AGAIN = 0.15
"""Seconds between two looks for statistics whose newest checkpoint is still there."""
ALL_DISCARDED_FOR = 60.0
"""Seconds after its creation for which a FlinkSavepoint waits for those."""


class ExistingRound(TriggerRound):
    """Mode Existing."""

    def _register(self, spec: FlinkSavepointSpec) -> SavepointDecision:
        if spec.location is not None:
            return self._found(spec.location, None, self._run)
        run = self._job_or_its_end(spec)
        if isinstance(run, SavepointDecision):
            return run
        if run.end is not None:
            kept = run.end.snapshot_kind in (SnapshotKind.SAVEPOINT, SnapshotKind.CHECKPOINT, SnapshotKind.RESTORED)
            place = run.end.snapshot if kept else None
            return self._found(place, None, run) if place is not None else self._nothing(run)
        if self.given.observation.job.presence is not Presence.PRESENT:
            self._requeue_after(1.0)
            return self._wait(Reason.Pending, f"waiting for an answer about job {run.job_id}")
        stats = self._checkpoints_of(run)
        newest = next((one for one in stats.snapshots() if one.is_usable), None) if stats is not None else None
        if newest is not None:
            return self._found(newest.external_path, newest, run)
        if stats is not None and stats.newest_completed() is not None and not self._waited_long():
            self._requeue_after(LOOK_AGAIN)
            return self._wait(Reason.Pending, "waiting for newer statistics: these list checkpoints that were replaced")
        restored = stats.restored.external_path if stats is not None and stats.restored is not None else None
        return self._found(restored, None, run) if restored is not None else self._nothing(run)

    def _waited_long(self) -> bool:
        """Whether it was looked for long enough while all that Flink told of was discarded already.

        Its statistics are up to 3 s old, but tell at once which of their checkpoints a newer one has replaced.
        """
        begun = self.meta.creation_time or self.now
        return (self.now - begun).total_seconds() > ALL_DISCARDED_FOR

    def _job_or_its_end(self, spec: FlinkSavepointSpec) -> Submission | SavepointDecision:
        run = self._run
        named = spec.job_ref.job_id if spec.job_ref is not None else None
        if run is not None and run.end is not None and named in (None, run.job_id):
            return run
        return self._accessible(spec)

    def _accessible(self, spec: FlinkSavepointSpec) -> Submission | SavepointDecision:
        """The job, once it may be looked at."""
        return self._job(spec)

    def _checkpoints_of(self, run: Submission) -> CheckpointStats | None:
        return self.given.observation.need(Checkpoints(run.flink_job_id))

    def _nothing(self, run: Submission) -> SavepointDecision:
        return self._fail(SavepointErrorCode.NO_SNAPSHOT, f"job {run.job_id} has completed no snapshot that is left")

    def _found(self, place: str | None, snapshot: Checkpoint | None, run: Submission | None) -> SavepointDecision:
        overview = self.given.observation.job.overview
        self.status = replace(
            self.before,
            phase=SavepointPhase.COMPLETED,
            location=place,
            job_id=run.job_id if run is not None else None,
            submission=(run.number or None) if run is not None else None,
            job_state=overview.state if overview is not None else None,
            origin=self._origin(),
            cluster_url=self.given.observation.cluster.url or None,
            flink_version=self.given.observation.cluster.flink_version,
            start_time=self.now,
            end_time=self.now,
        )
        if snapshot is not None:
            self._describe(snapshot)
        self._event(Reason.SavepointCompleted, f"registered {place}")
        return self._completed()

    def _describe(self, snapshot: Checkpoint) -> None:
        """What Flink tells of it."""
        lasted = timedelta(milliseconds=snapshot.duration_ms) if snapshot.duration_ms is not None else None
        self.status = replace(
            self.status,
            checkpoint_id=snapshot.checkpoint_id,
            start_time=snapshot.trigger_time or self.now,
            end_time=snapshot.latest_ack_time or self.now,
            duration=readable_duration(lasted) if lasted is not None else None,
            size_bytes=snapshot.state_bytes,
            size=readable_size(snapshot.state_bytes) if snapshot.state_bytes is not None else None,
        )
