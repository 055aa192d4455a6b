"""A FlinkSavepoint of a Flink job by address and id: no FlinkJob performs its stop, so all of it happens here.

Part of `decide_savepoint`, for a `target` that is not the current job of a FlinkJob of the namespace. Invariants: it is
known whose job it is before anything is sent; the intent is in the status before the call; two FlinkSavepoints of one job are
never at work at the same time, since two stops abort each other.
"""

from __future__ import annotations

from flinkjob.api.enums import FormatType, SavepointErrorCode, SavepointMode, SavepointPhase, SubmissionReason
from flinkjob.api.flinkjob_status import Submission
from flinkjob.api.flinksavepoint_spec import FlinkSavepointSpec
from flinkjob.api.reasons import Reason
from flinkjob.core.actions import CancelJob, StopJob
from flinkjob.core.errors import SavepointFailure
from flinkjob.core.facts import OwnerMark
from flinkjob.core.flinkmodel import FlinkJobState, SavepointFormat, TriggerResult, TriggerState
from flinkjob.core.identity import Owner
from flinkjob.core.model import SavepointDecision
from flinkjob.core.ownership import Evidence, refusal
from flinkjob.core.pauses import FAST
from flinkjob.core.savepoint.existing import ExistingRound
from flinkjob.core.seen import Presence

ABSENT_FOR = 5.0
"""Seconds for which a cluster must have said that it does not know the job."""


class TargetRound(ExistingRound):
    """The modes of a FlinkSavepoint with `target`."""

    @property
    def _run(self) -> Submission | None:
        """The job as if it were a FlinkJob's run, which has no number."""
        spec = self.given.savepoint.spec
        if spec is None or spec.target is None:
            return None
        url = self.given.observation.cluster.url
        return Submission(
            number=0, reason=SubmissionReason.ADOPTED, job_id=spec.target.job_id, cluster_url=url, seen=True
        )

    def _job(self, spec: FlinkSavepointSpec) -> Submission | SavepointDecision:
        found = self._accessible(spec)
        if isinstance(found, SavepointDecision):
            return found
        busy = next((one for one in self.given.others if one.status.phase is SavepointPhase.IN_PROGRESS), None)
        if busy is not None:
            self._requeue_after(1.0)
            return self._wait(Reason.Pending, f"waiting for FlinkSavepoint {busy.meta.name} of the same job")
        overview = self.given.observation.job.overview
        if overview is not None and overview.state.is_terminal:
            message = f"job {overview.job_id} is {overview.state}"
            return self._fail(SavepointErrorCode.JOB_NOT_RUNNING, message)
        if spec.is_stop:
            stats = self._checkpoints_of(found)
            if stats is not None and stats.savepoint_in_progress:
                self._requeue_after(1.0)
                return self._wait(Reason.Pending, "waiting for a savepoint of the job that is being written")
        return found

    def _accessible(self, spec: FlinkSavepointSpec) -> Submission | SavepointDecision:
        """The job, once it is known to be there and that it may be acted on."""
        run, observation = self._run, self.given.observation
        assert run is not None
        if observation.access_denied:
            return self._fail(SavepointErrorCode.CLUSTER_UNREACHABLE, observation.access_denied)
        if self._expired(spec):
            return self._give_up(spec)
        seen = observation.job
        if not observation.cluster.reachable or seen.presence is Presence.UNKNOWN:
            self._requeue_after(1.0)
            error = observation.cluster.error or f"job {run.job_id} does not answer"
            return self._wait(Reason.ClusterUnreachable, error)
        if seen.presence is Presence.ABSENT:
            if seen.absent_for >= ABSENT_FOR:
                message = f"no job {run.job_id} at {observation.cluster.url}"
                return self._fail(SavepointErrorCode.UNKNOWN_JOB, message)
            self._requeue_after(1.0)
            return self._wait(Reason.UnknownJob, f"looking for job {run.job_id} at {observation.cluster.url}")
        why = self._foreign()
        if why and seen.overview is not None and seen.overview.state.is_beginning:
            self._requeue_after(1.0)
            return self._wait(Reason.Pending, f"job {run.job_id} is being initialised")
        if why:
            return self._fail(SavepointErrorCode.OWNED_BY_OTHER, why)
        return run

    def _foreign(self) -> str:
        """Why the job may not be acted on; "" where it may."""
        job_id, given = self._target_id, self.given
        evidence = Evidence(
            mark=given.observation.need(OwnerMark(job_id)), claims=given.claims, unmarked=given.unmarked
        )
        asks = Owner(given.identity, self.meta.namespace, "")
        why = refusal(job_id, asks, evidence, any_name=True)
        return f"job {job_id} {why}" if why else ""

    @property
    def _target_id(self) -> str:
        spec = self.given.savepoint.spec
        assert spec is not None
        assert spec.target is not None
        return spec.target.job_id

    def _follow(self, spec: FlinkSavepointSpec) -> SavepointDecision:
        """What is in progress goes on only with the job that is named, as long as it may be acted on."""
        present = self.given.observation.job.presence is Presence.PRESENT
        if self.before.job_id != self._target_id:
            return self._fail(SavepointErrorCode.JOB_CHANGED, f"job {self.before.job_id} is not the one that is named")
        if present and (why := self._foreign()):
            return self._fail(SavepointErrorCode.OWNED_BY_OTHER, why)
        return super()._follow(spec)

    def _give_up(self, spec: FlinkSavepointSpec) -> SavepointDecision:
        observation = self.given.observation
        if not observation.cluster.reachable:
            return self._fail(SavepointErrorCode.CLUSTER_UNREACHABLE, observation.cluster.error)
        return self._fail(SavepointErrorCode.TIMEOUT, f"not done within {spec.timeout}")

    def _send(self, spec: FlinkSavepointSpec) -> None:
        if spec.mode is not SavepointMode.STOP:
            super()._send(spec)
            return
        status = self.status
        assert status.directory is not None
        self.actions.append(
            StopJob(
                url=self.given.observation.cluster.url,
                job_id=status.flink_job_id,
                trigger_id=status.trigger,
                directory=status.directory,
                format_type=SavepointFormat((status.format_type or FormatType.CANONICAL).upper()),
                drain=spec.drain,
            )
        )

    def _complete(self, spec: FlinkSavepointSpec, result: TriggerResult) -> SavepointDecision:
        """After a stop the job's end is waited for, so that its last state is told; a cancel is made sure of."""
        overview = self.given.observation.job.overview
        if not spec.is_stop or overview is None or overview.state.is_terminal or self._expired(spec):
            return super()._complete(spec, result)
        if spec.mode is SavepointMode.CANCEL and overview.state is not FlinkJobState.CANCELLING:
            self.actions.append(CancelJob(url=self.given.observation.cluster.url, job_id=overview.job_id))
        self._requeue_after(FAST)
        return self._in_progress()

    def _failed_once(
        self, spec: FlinkSavepointSpec, cause: str, failure: SavepointFailure, *, late: bool = False
    ) -> SavepointDecision:
        """A stop that failed may have made its savepoint, and ended the job, all the same."""
        result = self.given.observation.answers.get(self._triggered(spec))
        made = result.failure_path if result is not None else None
        overview = self.given.observation.job.overview
        if made is not None and overview is not None and overview.state.is_terminal:
            return super()._complete(spec, TriggerResult(state=TriggerState.COMPLETED, location=made))
        return super()._failed_once(spec, cause, failure, late=late)
