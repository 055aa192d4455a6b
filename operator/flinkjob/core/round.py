"""What to do about a key in a round: a FlinkJob with its FlinkSavepoints and their copies, in one pure call.

`decide_round` is called by the reconciler until it has no more to ask; each question says about which object. The FlinkJob is
decided first, so that its FlinkSavepoints see what it is about to do, and carried out last. Invariants: the end of a
FlinkSavepoint is stored before its FlinkJob forgets the operation that made it; what is wrong with one FlinkSavepoint,
whatever it contains, ends the round of no other; each sees what is decided for those before it, so that two that exclude each
other never begin in one round; what is decided is not decided again after a question about another object.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from flinkjob.api.codec import FlinkJob, FlinkSavepoint
from flinkjob.api.constants import FINALIZER
from flinkjob.api.enums import SavepointPhase
from flinkjob.api.flinkjob_status import FlinkJobStatus
from flinkjob.core.actions import Action, DiscardArtifact, RemoveFinalizer, RunJob
from flinkjob.core.addresses import addresses
from flinkjob.core.copies.queue import CopyTurns, copy_turns, kept_until_copied
from flinkjob.core.copies.savepoint_copy import CopyPhase, CopyProgress, follow_copy, snapshot_view, wanted_copy
from flinkjob.core.facts import (
    Accessible,
    Address,
    Claims,
    JarOfOthers,
    Named,
    NeedFact,
)
from flinkjob.core.identity import Owner, prefix_of
from flinkjob.core.job.decide import decide_job
from flinkjob.core.model import JobDecision, JobInput, Observation, SavepointDecision, SavepointInput
from flinkjob.core.roundmodel import JOB, Decided, JobRound, Look, Question, Round, RoundInput, SavepointRound, Watch
from flinkjob.core.savepoint.after_end import needs_cluster
from flinkjob.core.savepoint.decide import decide_savepoint
from flinkjob.core.unreadable import mend, release

MOVING_BELOW = 2.5
"""A key that wants to be looked at again within so many seconds is moving: its cluster is polled fast."""


def decide_round(given: RoundInput) -> Round | Question:
    """Decide about all that a key stands for.

    Returns: what to carry out, or the question that comes first.
    """
    if given.job is None and not given.savepoints:
        return Round()
    if given.job is not None and given.job.status_error is not None:
        return _unreadable(given, given.job)
    return _Deciding(given).decide()


def is_over(job: FlinkJob | None, savepoints: Iterable[FlinkSavepoint], now: datetime) -> bool:
    """Whether nothing has to be known any more of what a key stands for, by what is left of it after a round."""
    return job is None and not any(needs_cluster(one, now) for one in savepoints)


class _Deciding:
    """One call of `decide_round`."""

    def __init__(self, given: RoundInput) -> None:
        self._given = given
        self._job = given.decided.job
        self._done: list[SavepointRound] = []
        self._latest = {one.meta.uid: one for one in given.savepoints}
        self._about = JOB
        for done in given.decided.savepoints:
            self._note(done)

    def decide(self) -> Round | Question:
        given = self._given
        try:
            observation = given.of(JOB)
            views = tuple(map(snapshot_view, given.savepoints))
            if given.job is not None and self._job is None:
                self._job = _job_decision(given, given.job, views, observation)
            turn = copy_turns(given.job.spec if given.job is not None else None, views, observation.now)
            for savepoint in _in_turn(given, self._done):
                self._about = savepoint.meta.uid
                self._note(self._alone(savepoint, turn))
            self._about = JOB
            job = _job_round(given, given.job, self._job) if given.job is not None and self._job is not None else None
        except NeedFact as missing:
            decided = Decided(job=self._job, savepoints=tuple(self._done))
            return Question(about=self._about, fact=missing.fact, decided=decided)
        return Round(
            savepoints=tuple(self._done),
            job=job,
            unreadable=_stay_unreadable(one.savepoint for one in self._done),
            requeue_after=min(given.paused.values(), default=None),
        )

    def _note(self, done: SavepointRound) -> None:
        """Those after it see what is decided for it."""
        self._done.append(done)
        uid, decision = done.savepoint.meta.uid, done.decision
        if decision is None:
            return
        if _is_removed(done.savepoint, decision.actions):
            del self._latest[uid]
        else:
            self._latest[uid] = replace(done.savepoint, status=decision.status)

    def _alone(self, savepoint: FlinkSavepoint, turn: CopyTurns) -> SavepointRound:
        """As `_decided`; what is wrong with one ends the round of no other."""
        uid = savepoint.meta.uid
        if uid in self._given.failed:
            return SavepointRound(savepoint=savepoint, copies=True, error=self._given.failed[uid])
        try:
            return self._decided(savepoint, turn)
        except NeedFact:
            raise
        except Exception as error:  # noqa: BLE001 - the reconciler logs it
            return SavepointRound(savepoint=savepoint, copies=True, error=error)

    def _decided(self, savepoint: FlinkSavepoint, turn: CopyTurns) -> SavepointRound:
        if savepoint.status_error is not None:
            return _released(self._given, savepoint, savepoint.status_error)
        decision = self._snapshot_decision(savepoint)
        watch = _watch_of_target(savepoint, decision)
        return _with_copy(self._given, savepoint, decision, turn, watch)

    def _snapshot_decision(self, savepoint: FlinkSavepoint) -> SavepointDecision:
        """What to do about the snapshot itself."""
        given, spec, meta = self._given, savepoint.spec, savepoint.meta
        observation, claims = _observation_for(given, savepoint), tuple[str, ...]()
        if spec is not None and spec.target is not None and needs_cluster(savepoint, given.of(JOB).now):
            claims = observation.need(Claims(spec.target.job_id, by_others=False))
        others = tuple(snapshot_view(one) for uid, one in self._latest.items() if uid != meta.uid)
        answer = decide_savepoint(
            SavepointInput(
                savepoint=snapshot_view(savepoint),
                job=given.job,
                job_status=self._job.status if self._job is not None else FlinkJobStatus(),
                observation=observation,
                outcome=self._job.outcome if self._job is not None else None,
                identity=given.identity,
                claims=claims,
                unmarked=given.unmarked,
                others=others,
                unwritten=frozenset(one.savepoint.meta.uid for one in self._done if _is_changed(one)),
                grants=given.grants,
            )
        )
        if isinstance(answer, SavepointDecision):
            return answer
        raise NeedFact(answer)


def _in_turn(given: RoundInput, done: Sequence[SavepointRound]) -> list[FlinkSavepoint]:
    """Those that are to be decided yet; first those that the last round had no time for."""
    over = {one.savepoint.meta.uid for one in done} | set(given.paused)
    waiting = (one for one in given.savepoints if one.meta.uid not in over)
    return sorted(waiting, key=lambda one: one.meta.uid not in given.missed)


def _observation_for(given: RoundInput, savepoint: FlinkSavepoint) -> Observation:
    """What a FlinkSavepoint is decided by: looked at for each that has to do with its cluster, as long as there is time."""
    spec, uid = savepoint.spec, savepoint.meta.uid
    if uid not in given.seen and needs_cluster(savepoint, given.of(JOB).now):
        raise NeedFact(Look(spec.target if spec is not None else None))
    return given.of(uid)


def _is_changed(one: SavepointRound) -> bool:
    return one.decision is not None and one.decision.status != one.savepoint.status


def _is_removed(savepoint: FlinkSavepoint, actions: Iterable[Action]) -> bool:
    """Whether the object goes with these actions; not while others hold it."""
    held_by_others = any(each != FINALIZER for each in savepoint.meta.finalizers)
    return any(isinstance(action, RemoveFinalizer) for action in actions) and not held_by_others


# the FlinkJob


def _job_decision(
    given: RoundInput, job: FlinkJob, savepoints: tuple[FlinkSavepoint, ...], observation: Observation
) -> JobDecision:
    answer = decide_job(
        JobInput(
            identity=given.identity,
            job=job,
            observation=observation,
            savepoints=savepoints,
            refused=given.refused,
            named=_named(job, observation),
            may_tick=given.may_tick,
            claims=_claims(given, job, observation),
            unmarked=given.unmarked,
        )
    )
    if isinstance(answer, JobDecision):
        return answer
    raise NeedFact(answer)


def _named(job: FlinkJob, observation: Observation) -> Mapping[str, FlinkSavepoint]:
    reference = job.spec.initial_state.savepoint_ref if job.spec is not None else None
    found = observation.need(Named(reference.name)) if reference is not None else None
    return {found.meta.name: snapshot_view(found)} if found is not None else {}


def _claims(given: RoundInput, job: FlinkJob, observation: Observation) -> tuple[str, ...]:
    """Which other FlinkJobs claim the job to be adopted, or the run's job unless its id shows that it is this one's."""
    candidate, run = observation.adoption_candidate, job.status.submission
    job_id = candidate.job_id if candidate is not None else run.job_id if run is not None and run.end is None else None
    if job_id is None or _owner(given, job).owns(job_id):
        return ()
    return observation.need(Claims(job_id, by_others=True))


def _owner(given: RoundInput, job: FlinkJob) -> Owner:
    return Owner(given.identity, job.meta.namespace, job.meta.name)


def _job_round(given: RoundInput, job: FlinkJob, decision: JobDecision) -> JobRound | None:
    """What is carried out of the decision about the FlinkJob, and what is watched then; None: it is left alone now."""
    if job.meta.uid in given.paused:
        return None
    observation = given.of(JOB)
    actions = tuple(action for action in decision.actions if _is_permitted(action, observation))
    watch = _watch_of_job(given, replace(job, status=decision.status), decision)
    return JobRound(
        decision=replace(decision, actions=actions), watch=watch if _may_connect(observation, watch.url) else None
    )


def _is_permitted(action: Action, observation: Observation) -> bool:
    """A jar is removed only where the cluster may still be asked, and where no other FlinkJob was started from it."""
    if not isinstance(action, DiscardArtifact):
        return True
    return _may_connect(observation, action.url) and not observation.need(JarOfOthers(action.digest))


def _may_connect(observation: Observation, url: str) -> bool:
    return url in observation.accessible or bool(observation.need(Accessible((Address(url),), most=1)))


def _watch_of_job(given: RoundInput, job: FlinkJob, decision: JobDecision) -> Watch:
    """The run's cluster, fast while something moves."""
    run, soon = job.status.submission, decision.requeue_after
    calls = any(isinstance(action, RunJob) for action in decision.actions)
    prefixes = set(_owner(given, job).prefixes)
    if run is not None and run.job_id:
        prefixes.add(prefix_of(run.job_id))  # an adopted job has somebody else's
    moving = calls or (soon is not None and soon <= MOVING_BELOW)
    return Watch(url=addresses(job)[0], prefixes=frozenset(prefixes), moving=moving)


# the FlinkSavepoints


def _watch_of_target(savepoint: FlinkSavepoint, decision: SavepointDecision) -> Watch | None:
    """While a snapshot of a `target`, which may be acted on, is in progress, its cluster is polled fast."""
    target = savepoint.spec.target if savepoint.spec is not None else None
    if target is None or decision.status.phase is not SavepointPhase.IN_PROGRESS:
        return None
    url = target.cluster.as_cluster().address(savepoint.meta.namespace)
    return Watch(url=url, prefixes=frozenset({prefix_of(target.job_id)}), moving=True)


def _with_copy(
    given: RoundInput, savepoint: FlinkSavepoint, decision: SavepointDecision, turn: CopyTurns, watch: Watch | None
) -> SavepointRound:
    """The decision about the snapshot, and what its copy adds to it."""
    uid, observation = savepoint.meta.uid, given.of(savepoint.meta.uid)
    job_spec = given.job.spec if given.job is not None and turn.by_job == uid else None
    by_job = job_spec.savepoints.sync_to if job_spec is not None else None
    now, later = observation.now, uid in turn.later
    wanted = wanted_copy(savepoint, decision.status, now, by_job) if not later else None
    seen = observation.need(CopyProgress(wanted)) if wanted is not None else None
    decision = follow_copy(savepoint, decision, seen, now, by_job, later=later)
    return SavepointRound(
        savepoint=savepoint,
        decision=kept_until_copied(savepoint, decision, now, is_awaited=uid in turn.awaited),
        watch=watch,
        copies=seen is not None,
        copied=seen is not None and seen.phase is not CopyPhase.WORKING,
    )


# what cannot be read


def _unreadable(given: RoundInput, job: FlinkJob) -> Round:
    """A FlinkJob with a status that cannot be read: only what is being deleted goes on."""
    why = f"FlinkJob {job.meta.name}: {job.status_error}"
    deleting = job.meta.deletion_time is not None and job.meta.uid not in given.paused
    savepoints = [_released(given, one, one.status_error or why) for one in _in_turn(given, ())]
    return Round(
        savepoints=tuple(savepoints),
        job=JobRound(decision=mend(job), follows=False) if deleting else None,
        unreadable=_stay_unreadable((job,)),
        requeue_after=min(given.paused.values(), default=None),
    )


def _released(given: RoundInput, savepoint: FlinkSavepoint, why: str) -> SavepointRound:
    """A FlinkSavepoint of which not everything can be read: it ends when it is being deleted."""
    if savepoint.meta.deletion_time is None:
        return SavepointRound(savepoint=savepoint, copies=True)
    return SavepointRound(savepoint=savepoint, decision=release(savepoint, why, given.now))


def _stay_unreadable(objects: Iterable[FlinkJob | FlinkSavepoint]) -> tuple[FlinkJob | FlinkSavepoint, ...]:
    return tuple(one for one in objects if one.status_error is not None and one.meta.deletion_time is None)
