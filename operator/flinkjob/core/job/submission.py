"""Starting a run: artifact on the cluster, restore point chosen, intent written, run call sent; and its unclear answers.

Called by the job decision when no run is live, or when the live one was never seen. Invariants: a submission that was
never seen is repeated under the same id with the same restore point, never succeeded by another number; a new run is
intended only when its artifact is on the cluster, no other job of the FlinkJob lives there and its state is known.
"""

from __future__ import annotations

from dataclasses import replace

from flinkjob.api import flink_options
from flinkjob.api.common import duration_seconds
from flinkjob.api.constants import FINALIZER
from flinkjob.api.enums import (
    CheckpointingMode,
    CheckpointRetention,
    EndCause,
    RuntimeMode,
    SnapshotKind,
    SubmissionReason,
)
from flinkjob.api.flinkjob_spec import FlinkJobSpec
from flinkjob.api.flinkjob_status import Submission
from flinkjob.api.reasons import Reason
from flinkjob.core.actions import AddFinalizer, DiscardArtifact, RecordRevision, RunJob
from flinkjob.core.backoff import delay_seconds
from flinkjob.core.errors import SubmitRejection, one_line, with_steps
from flinkjob.core.facts import Artifact, Incarnation
from flinkjob.core.flinkmodel import ClaimMode, RunRequest
from flinkjob.core.identity import job_id, mark_parameters, revision_name
from flinkjob.core.job import cluster_requirements, lost_run, restore_failure, rollback, scripts, variables
from flinkjob.core.job.draft import Draft, Halt, Step
from flinkjob.core.job.observe_run import LOST_AFTER
from flinkjob.core.job.restore_point import Missing, redeploys, start_of_next
from flinkjob.core.parameters import with_parameters
from flinkjob.core.pauses import FAST, WOKEN
from flinkjob.core.program import program_field, program_of
from flinkjob.core.seen import ArtifactPhase, ArtifactRequest, ArtifactSeen, RunPhase

MAIN_ATTEMPTS = 3
"""How often a main() that throws, or a script that is refused, is tried before it counts as a fault of the spec."""
UNANSWERED_SECONDS = 600.0
"""How long a job that nobody wants any more may take to appear after a run call whose answer was lost."""

_RETENTION = {
    CheckpointRetention.RETAIN_ON_CANCELLATION: "RETAIN_ON_CANCELLATION",
    CheckpointRetention.DELETE_ON_CANCELLATION: "DELETE_ON_CANCELLATION",
}
_RUNTIME = {RuntimeMode.STREAMING: "STREAMING", RuntimeMode.BATCH: "BATCH", RuntimeMode.AUTOMATIC: "AUTOMATIC"}
_MISSING = (Reason.VariableNotFound, Reason.ScriptNotFound)
_MODE = {CheckpointingMode.EXACTLY_ONCE: "EXACTLY_ONCE", CheckpointingMode.AT_LEAST_ONCE: "AT_LEAST_ONCE"}


def artifact_ready(draft: Draft, spec: FlinkJobSpec, *, url: str, recorded: str | None) -> ArtifactSeen | Halt:
    """The artifact on the cluster, or what is waited for.

    Args:
        url: the cluster that needs it.
        recorded: digest of an earlier run of the very same spec, which must be used again.
    """
    if lacks := variables.problem(draft, spec):
        return draft.stall(Reason.VariableNotFound, lacks, requeue_after=30.0)
    attempts = draft.failures_of(Step.FETCH)
    if (halt := draft.pausing(Step.FETCH)) is not None:
        return halt
    program = program_of(spec)
    recipe = program.recipe
    own = recipe.jars[0].sha256 if recipe.jars and not recipe.is_built else None
    request = ArtifactRequest(
        url=url,
        recipe=recipe,
        digest=own or recorded,
        uploads=program.uploads,
        run=draft.digest,
        attempt=attempts,
    )
    seen = draft.need(Artifact(request))
    match seen.phase:
        case ArtifactPhase.READY:
            return seen
        case ArtifactPhase.WORKING:
            text = str(seen.progress or "") or "the jar is on its way to the cluster"
            return draft.wait(Step.FETCH, Reason.FetchingArtifact, text, requeue_after=1.0)
        case ArtifactPhase.FAILED if seen.permanent:
            changed = seen.other_content and own is None
            text = with_steps(seen.message, f"correct {_made_of(spec)}, or set a new restartNonce to look again")
            return draft.stall(Reason.ArtifactChanged if changed else Reason.ArtifactFailed, text)
        case ArtifactPhase.FAILED:
            pause = delay_seconds(attempts + 1, seed=draft.job.meta.uid, initial=2.0)
            return draft.retry(Step.FETCH, Reason.ArtifactFailed, seen.message, pause=pause, attempts=attempts + 1)


def _made_of(spec: FlinkJobSpec) -> str:
    """The fields that say what the jar is made of."""
    own = f"spec.{program_field(spec)}"
    return f"{own} or spec.dependencies" if spec.dependencies is not None and spec.dependencies.jars else own


def start(draft: Draft, spec: FlinkJobSpec, *, reason: SubmissionReason) -> Halt:
    """Intend and send the next run."""
    last = draft.run
    url = draft.wanted_url
    same = last is not None and last.run_digest == draft.digest
    recorded = last.artifact_digest if last is not None and same else rollback.recorded_artifact(draft)
    if reads_copies(spec, last) and isinstance(halt := artifact_ready(draft, spec, url=url, recorded=recorded), Halt):
        return halt  # what the newest copy is is asked last, right before the run
    source = start_of_next(draft, spec)
    if isinstance(source, Missing):
        return not_found(draft, source)
    artifact = artifact_ready(draft, spec, url=url, recorded=recorded)
    if isinstance(artifact, Halt):
        return artifact
    cluster = draft.need(Incarnation())
    number = (last.number if last is not None else 0) + 1
    nonce = spec.initial_state.nonce
    meta = draft.job.meta
    revision = revision_name(meta.name, meta.uid, draft.digest)
    run = Submission(
        number=number,
        reason=reason,
        job_id=job_id(draft.owner, meta.uid, number),
        cluster_url=url,
        incarnation=cluster.incarnation,
        high_availability=cluster.high_availability,
        revision=revision,
        run_digest=draft.digest,
        artifact_digest=artifact.digest,
        uploads=_uploads(spec),
        jar_id=artifact.jar_id,
        restored_from=source.location,
        restored_why=one_line(source.why),
        restored_copy=source.copy,
        claim=source.claim,
        allow_non_restored_state=spec.restore.allow_non_restored_state,
        nonce=nonce if nonce is not None or last is None else last.nonce,
        parallelism=spec.parallelism,
        intent_time=draft.now,
    )
    draft.status = replace(draft.status, submission=run, current_revision=revision, hold=None, operation=None)
    if FINALIZER not in meta.finalizers:
        draft.act(AddFinalizer())
    draft.act(_revision(draft, spec, revision, number))
    if artifact.note:
        draft.event(Reason.ClassesDiffer, artifact.note, warning=True)
    if last is not None:
        discard_artifacts(draft, last, unless=run)
    if source.fresh:
        draft.event(Reason.StartingFresh, source.why, warning=True)
    if foreign(draft, run):
        draft.event(Reason.SourceMayStillRun, f"started from {source.why}: does its job still run?", warning=True)
    if ignored := cluster_requirements.ignored_options(spec):
        draft.event(Reason.OptionsIgnored, ignored, warning=True)
    draft.event(Reason.Submitted, f"run {number} ({reason.lower()}) as job {run.job_id}, state: {source.why}")
    return _send(draft, spec, run, artifact)


def _uploads(spec: FlinkJobSpec) -> tuple[str, ...]:
    """The digests of what is uploaded beside the jar."""
    return tuple(dict.fromkeys(part.sha256 for part in program_of(spec).uploads))


def discard_artifacts(draft: Draft, run: Submission, *, unless: Submission | None = None) -> None:
    """Remove from its cluster what a run was started from, but for what another run needs."""
    kept = {unless.artifact_digest, *unless.uploads} if unless is not None else set()
    for digest in (run.artifact_digest, *run.uploads):
        if digest and digest not in kept and run.cluster_url:
            draft.act(DiscardArtifact(url=run.cluster_url, digest=digest))


def reads_copies(spec: FlinkJobSpec, last: Submission | None) -> bool:
    """Whether the next run starts from a copy in an object store."""
    return bool(spec.initial_state.copies) and (last is None or redeploys(spec, last))


def not_found(draft: Draft, missing: Missing) -> Halt:
    """Say what the run would start from is not there, or is still looked for."""
    before = draft.given.job.status.plan
    if missing.requeue_after is not None:
        draft.requeue_after(missing.requeue_after)
    if not missing.searching:
        return draft.stall(missing.reason, missing.message)
    if before is not None and before.reason == Reason.CopyNotFound:
        return draft.stall(Reason.CopyNotFound, before.message or "")  # as long as nothing else is known
    return draft.wait(Step.SUBMIT, missing.reason, missing.message)


def foreign(draft: Draft, run: Submission) -> bool:
    """Whether a run was started from a copy that another operator made, whose job may still run."""
    copy = run.restored_copy
    return copy is not None and copy.identity != draft.given.identity


def resume_unseen(draft: Draft, spec: FlinkJobSpec) -> Halt | None:
    """The live submission was never seen on the cluster: wait for its answer, or repeat it under the same id."""
    run = draft.live_run
    assert run is not None
    call = draft.observation.run
    changed = run.run_digest != draft.digest or run.parallelism != spec.parallelism
    match call.phase:
        case RunPhase.WORKING:
            text = "the run call was sent and has not been answered"
            if call.queued:
                text = "the run call waits for its turn: as many are under way as may be (--max-long-calls)"
            return draft.wait(Step.SUBMIT, Reason.Submitting, text, requeue_after=WOKEN)
        case RunPhase.ACCEPTED:
            draft.requeue_after(FAST)
            if draft.observation.job.absent_for > 2.0:
                return _repeat(draft, spec, run)
            text = "the run call was accepted; waiting for the job to appear"
            return draft.wait(Step.SUBMIT, Reason.Submitting, text)
        case RunPhase.REJECTED:
            return _rejected(draft, spec, run, changed=changed)
        case RunPhase.UNCLEAR:
            return draft.pausing(Step.SUBMIT) or _retry_or_repeat(draft, spec, run, Reason.SubmitFailed, call.message)
        case RunPhase.NONE:
            if run.rejected and not changed and (halt := _stalled_before(draft)) is not None:
                return halt
            return draft.pausing(Step.SUBMIT) or _repeat(draft, spec, run)


def was_refused(draft: Draft, run: Submission) -> bool:
    """Whether Flink refused every run call for certain, so that the job will not appear any more."""
    call = draft.observation.run
    if run.unanswered:
        return False
    leaves_job = call.rejection is not None and call.rejection.leaves_job
    return run.rejected or (call.phase is RunPhase.REJECTED and not leaves_job)


def is_superseded(draft: Draft, spec: FlinkJobSpec, run: Submission) -> bool:
    """Whether all of a run's calls were refused and another cluster or other state is wanted: repeating it is no use."""
    elsewhere = draft.wanted_url != run.cluster_url or redeploys(spec, run)
    return elsewhere and was_refused(draft, run)


def is_unanswered(draft: Draft, run: Submission) -> bool:
    """Whether an unanswered run call has had so long to show its job that it is no longer waited for.

    Should the job appear all the same it is taken up again (`observe_run`), and the next run repeats the same id (`restart`).
    """
    waited = (draft.now - run.intent_time).total_seconds() if run.intent_time is not None else 0.0
    return draft.observation.run.phase is not RunPhase.WORKING and waited >= UNANSWERED_SECONDS


def same_state(run: Submission) -> SnapshotKind:
    """What a run that never started leaves: the state that it would have started from."""
    return SnapshotKind.RESTORED if run.restored_from else SnapshotKind.EMPTY


def _held_before(draft: Draft) -> bool:
    before = draft.given.job.status.plan
    return before is not None and before.step == Step.HOLD and before.reason not in _MISSING  # it may be there again


def _stalled_before(draft: Draft) -> Halt | None:
    """A definite rejection, latched in status by an earlier process, stays until the spec changes."""
    before = draft.given.job.status.plan
    if before is None or not _held_before(draft):
        return None
    return draft.stall(Reason.of(before.reason, Reason.SubmitRejected), before.message or "")


def _rejected(draft: Draft, spec: FlinkJobSpec, run: Submission, *, changed: bool) -> Halt | None:
    call = draft.observation.run
    kind = call.rejection or SubmitRejection.OTHER
    if kind.leaves_job:
        if draft.observation.job.absent_for < LOST_AFTER:
            text = f"the cluster knows the job id; looking for the job: {call.message}"
            return draft.wait(Step.SUBMIT, Reason.Submitting, text, requeue_after=0.5)
        if kind is SubmitRejection.RESTORE_FAILED:
            draft.update(rejected=True)
            message = restore_failure.with_next_step(run, EndCause.RESTORE_FAILED, call.message)
            return draft.stall(Reason.RestoreFailed, message, requeue_after=0.5)
        lost_run.end_lost_run(draft, run, forgotten=True)  # it ran, and ended before it was seen: what is left decides
        draft.requeue_after(FAST)
        return None
    draft.update(rejected=True)
    if changed or kind is SubmitRejection.JAR_NOT_FOUND:
        return _repeat(draft, spec, run)
    tried_enough = kind is not SubmitRejection.PYTHON_BUSY and _failed_calls(draft, run) >= MAIN_ATTEMPTS
    if kind.permanent or tried_enough or _held_before(draft):
        text = _with_next_steps(kind, call.message)
        if not _held_before(draft):
            draft.event(Reason.SubmitRejected, text, warning=True)
        return draft.stall(Reason.SubmitRejected, text)
    return draft.pausing(Step.SUBMIT) or _retry_or_repeat(draft, spec, run, Reason.SubmitFailed, call.message)


def _with_next_steps(kind: SubmitRejection, message: str) -> str:
    match kind:
        case SubmitRejection.MAIN_THREW:
            steps = "correct the program or its args, or set a new restartNonce to try again"
            return with_steps(f"main() failed on the JobManager: {message}", steps)
        case SubmitRejection.SCRIPT:
            return with_steps(message, "correct spec.sql, or set a new restartNonce to try again")
        case _:
            return message


def _failed_calls(draft: Draft, run: Submission) -> int:
    """How many run calls in a row have failed, this one included, which the plan counts when its pause begins."""
    failures = draft.failures_of(Step.SUBMIT)
    return failures if failures > run.attempts else failures + 1


def _retry_or_repeat(draft: Draft, spec: FlinkJobSpec, run: Submission, reason: Reason, message: str) -> Halt:
    """First pause (once for each attempt: it is over where the artifact is waited for already), then repeat."""
    before = draft.given.job.status.plan
    paused = draft.failures_of(Step.SUBMIT) > run.attempts or (
        before is not None and before.step in (Step.FETCH, Step.HOLD)
    )
    if not paused:
        pause = delay_seconds(run.attempts + 1, seed=draft.job.meta.uid)
        draft.event(reason, message, warning=True)
        return draft.retry(Step.SUBMIT, reason, message, pause=pause, attempts=run.attempts + 1)
    return _repeat(draft, spec, run)


def _repeat(draft: Draft, spec: FlinkJobSpec, run: Submission) -> Halt:
    """Send the run call again under the same id and from the same state, with what the spec says now."""
    same = run.run_digest == draft.digest
    recorded = run.artifact_digest if same else None
    artifact = artifact_ready(draft, spec, url=run.address, recorded=recorded)
    if isinstance(artifact, Halt):
        return artifact
    meta = draft.job.meta
    revision = revision_name(meta.name, meta.uid, draft.digest)
    refused = run.rejected or draft.observation.run.phase is RunPhase.REJECTED
    draft.update(
        unanswered=run.unanswered or not refused,
        attempts=run.attempts + 1,
        rejected=False,
        run_digest=draft.digest,
        parallelism=spec.parallelism,
        revision=revision,
        artifact_digest=artifact.digest,
        uploads=_uploads(spec),
        jar_id=artifact.jar_id,
        allow_non_restored_state=spec.restore.allow_non_restored_state,
    )
    draft.status = replace(draft.status, current_revision=revision)
    draft.act(_revision(draft, spec, revision, run.number))
    current = draft.run
    assert current is not None
    return _send(draft, spec, current, artifact)


def _revision(draft: Draft, spec: FlinkJobSpec, name: str, number: int) -> RecordRevision:
    kept = RecordRevision(name=name, number=number, keep=spec.revision_history_limit)
    return replace(kept, sql=spec.sql, python=spec.python, jar=spec.jar) if scripts.places(draft.job.spec) else kept


def _send(draft: Draft, spec: FlinkJobSpec, run: Submission, artifact: ArtifactSeen) -> Halt:
    assert run.jar_id is not None
    draft.act(
        RunJob(
            url=run.address,
            jar_id=run.jar_id,
            attempt=run.attempts,
            request=run_request(draft, spec, run, artifact),
        )
    )
    return draft.wait(Step.SUBMIT, Reason.Submitting, f"starting job {run.job_id}", requeue_after=WOKEN)


def run_request(draft: Draft, spec: FlinkJobSpec, run: Submission, artifact: ArtifactSeen) -> RunRequest:
    """The run call's body: the spec's own configuration, its checkpoint settings, its program and the owner mark."""
    unfilled, spec = spec, variables.filled(draft, spec)
    meta = draft.job.meta
    configuration = {
        flink_options.JOB_NAME: spec.job_name or meta.name,
        flink_options.CHECKPOINT_RETENTION: _RETENTION[spec.checkpoint.retention],
    }
    if spec.runtime_mode is not None:
        configuration[flink_options.RUNTIME_MODE] = _RUNTIME[spec.runtime_mode]
    if spec.checkpoint.interval is not None:
        configuration[flink_options.CHECKPOINT_INTERVAL] = _flink_duration(spec.checkpoint.interval)
    if spec.checkpoint.mode is not None:
        configuration[flink_options.CHECKPOINT_MODE] = _MODE[spec.checkpoint.mode]
    if spec.checkpoint.directory is not None:
        configuration[flink_options.CHECKPOINT_DIRECTORY[0]] = spec.checkpoint.directory
    program = program_of(spec)
    configuration.update(spec.flink_configuration)
    configuration.update(program.configuration(artifact.places))
    mark = mark_parameters(draft.owner, meta.uid, run.number, run.run_digest or "")
    return RunRequest(
        job_id=run.flink_job_id,
        entry_class=program.entry_class,
        args=program.args_of(run.flink_job_id) if spec.sql is None else variables.for_script(draft, unfilled),
        parallelism=spec.parallelism,
        savepoint_path=run.restored_from,
        allow_non_restored_state=run.allow_non_restored_state,
        claim_mode=ClaimMode.CLAIM if run.claim else ClaimMode.NO_CLAIM,
        flink_configuration=with_parameters(configuration, mark),
    )


def _flink_duration(text: str) -> str:
    return f"{round(duration_seconds(text) * 1000)} ms"
