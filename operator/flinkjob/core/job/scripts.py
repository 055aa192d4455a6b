"""What is in ConfigMaps that a program names: put into the spec before anything is decided by it.

Of a script the text, of a jar the digest.

Called by the job decision. Invariants: what is decided by, and kept as a revision, has the texts and not their places, so
that a rollback runs the script that ran; while a text is missing the run that is there goes on by its own revision, and is
neither upgraded, moved nor restarted by wish.
"""

from __future__ import annotations

from typing import TypeVar

from flinkjob.api.enums import DesiredState
from flinkjob.api.fieldclass import FieldClass, field_class
from flinkjob.api.flinkjob_spec import FlinkJobSpec
from flinkjob.api.flinkjob_status import Rollback, Submission
from flinkjob.api.program_spec import MOST_SCRIPT_BYTES, DependenciesSpec, JarSpec, ScriptInit, SqlSpec
from flinkjob.api.reasons import Reason
from flinkjob.api.source_spec import SourceSpec
from flinkjob.core.facts import ConfigMapTexts, Revision
from flinkjob.core.job import variables
from flinkjob.core.job.draft import Draft, Halt
from flinkjob.core.seen import TextPlace, TextsSeen

S = TypeVar("S", bound=SourceSpec)


def places(spec: FlinkJobSpec | None) -> tuple[TextPlace, ...]:
    """Where the texts are that a spec names."""
    if spec is None:
        return ()
    if spec.jar is not None:
        key = spec.jar.config_map_key_ref
        return (TextPlace(key.name, key.key, binary=True),) if key is not None and spec.jar.sha256 is None else ()
    if spec.sql is None:
        return ()
    named = [init.config_map_key_ref for init in spec.sql.init_from] + [spec.sql.config_map_key_ref]
    return tuple(dict.fromkeys(TextPlace(ref.name, ref.key) for ref in named if ref is not None))


def resolve(draft: Draft) -> None:
    """Put the texts in; where one is missing, let the revision of the run stand for what runs, if there is one."""
    spec, wanted = draft.spec, places(draft.spec)
    if spec is None:
        return
    if draft.job.meta.deletion_time is not None:
        variables.known(draft, spec)
        return
    if wanted:
        seen = draft.need(ConfigMapTexts(wanted, draft.job.meta.generation or 0))
        draft.lacks = seen.problem or (_too_long(spec.sql, seen) if spec.sql is not None else "")
        if not draft.lacks:
            draft.use(_resolved(spec, seen))
    variables.known(draft, draft.spec or spec)
    if not draft.lacks and draft.spec is not None and _replaces_run(draft, draft.spec):
        draft.lacks = variables.problem(draft, draft.spec)
        draft.lacks_because = Reason.VariableNotFound if draft.lacks else None
    if draft.lacks:
        _go_on_by_revision(draft, spec)


def _replaces_run(draft: Draft, spec: FlinkJobSpec) -> bool:
    """Whether a live run may be stopped for one by this spec, for which all values must be there before."""
    run = draft.live_run
    if run is None or spec.state is not DesiredState.RUNNING:
        return False
    changed = draft.digest != run.run_digest or spec.parallelism != run.parallelism
    return changed or spec.initial_state.nonce not in (None, run.nonce) or draft.wanted_url != run.cluster_url


def _go_on_by_revision(draft: Draft, spec: FlinkJobSpec) -> None:
    run = draft.run
    revision, digest = _to_go_on_by(run, draft.status.rollback) if run is not None else (None, None)
    old = draft.need(Revision(revision)) if revision is not None else None
    if run is None or old is None:
        draft.spec, draft.digest = None, ""
        return
    variables.known(draft, old)
    draft.use(_without_new_wishes(with_run_fields_of(spec, old), run), digest)


def _to_go_on_by(run: Submission, taken_back: Rollback | None) -> tuple[str | None, str | None]:
    """The revision to go on by, and the digest of the run unless that is taken back and has to be replaced."""
    if taken_back is not None and taken_back.run_digest == run.run_digest:
        return taken_back.revision, None
    return run.revision, run.run_digest


def with_run_fields_of(spec: FlinkJobSpec, old: FlinkJobSpec) -> FlinkJobSpec:
    """A spec that runs what another one runs."""
    fields = type(old).model_fields
    run = {name: getattr(old, name) for name, field in fields.items() if field_class(field) is FieldClass.RUN}
    return spec.model_copy(update={name: _reached_as(spec, value) for name, value in run.items()})


def _reached_as(spec: FlinkJobSpec, old: object) -> object:
    """What another spec runs, with the access that this one gives to the same address: that may have been mended since."""
    present = [spec.jar, spec.sql, *(spec.dependencies.jars if spec.dependencies is not None else ())]
    known = {source.uri: source for source in present if source is not None and source.uri is not None}
    match old:
        case DependenciesSpec():
            return old.model_copy(update={"jars": tuple(_with_access(jar, known.get(jar.uri)) for jar in old.jars)})
        case JarSpec() | SqlSpec():
            return _with_access(old, known.get(old.uri or ""))
        case _:
            return old


def _with_access(old: S, present: SourceSpec | None) -> S:
    if present is None:
        return old
    return old.model_copy(update={"auth_secret_ref": present.auth_secret_ref, "store": present.store})


def _without_new_wishes(spec: FlinkJobSpec, run: Submission) -> FlinkJobSpec:
    """The spec without a new nonce, which would begin anew with the old script."""
    return spec.model_copy(update={"initial_state": spec.initial_state.model_copy(update={"nonce": run.nonce})})


def say(draft: Draft, halt: Halt | None) -> Halt | None:
    """What a decision ends with: that a text is missing is said beside what is done."""
    if not draft.lacks:
        return halt
    before = draft.given.job.status.plan
    names_jar = draft.job.spec is not None and draft.job.spec.jar is not None
    reason = draft.lacks_because or (Reason.ArtifactFailed if names_jar else Reason.ScriptNotFound)
    missing = draft.stall(reason, draft.lacks, requeue_after=30.0)
    if halt is not None and halt.plan is not None:
        return halt.after(missing)
    if before is None or before.reason != reason:
        draft.event(reason, draft.lacks, warning=True)
    return missing


def _resolved(spec: FlinkJobSpec, seen: TextsSeen) -> FlinkJobSpec:
    if spec.sql is not None:
        return spec.model_copy(update={"sql": _with_texts(spec.sql, seen)})
    assert spec.jar is not None, "a rule of the spec"
    (digest,) = seen.texts.values()
    return spec.model_copy(update={"jar": spec.jar.model_copy(update={"sha256": digest})})


def _with_texts(sql: SqlSpec, seen: TextsSeen) -> SqlSpec:
    first = tuple(
        ScriptInit(script=seen.texts[TextPlace(ref.name, ref.key)]) if (ref := init.config_map_key_ref) else init
        for init in sql.init_from
    )
    changes: dict[str, object] = {"init_from": first}
    if sql.config_map_key_ref is not None:
        place = TextPlace(sql.config_map_key_ref.name, sql.config_map_key_ref.key)
        changes |= {"config_map_key_ref": None, "script": seen.texts[place]}
    return sql.model_copy(update=changes)


def _too_long(sql: SqlSpec, seen: TextsSeen) -> str:
    if not all(seen.texts.values()):
        return f"spec.sql: the text of {next(place for place, text in seen.texts.items() if not text)} is empty"
    whole = _with_texts(sql, seen)
    texts = [whole.script, *(init.script for init in whole.init_from)]
    if sum(len(text.encode()) for text in texts if text) > MOST_SCRIPT_BYTES:
        return f"spec.sql: with the texts of its ConfigMaps it has more than {MOST_SCRIPT_BYTES} bytes"
    return ""
