"""What is in ConfigMaps that a program names: put into the spec before anything is decided by it.

Of a script and of the files of a Python program the texts, of a jar the digest.

Called by the job decision. Invariants: what is decided by, and kept as a revision, has the texts and not their places, so
that a rollback runs the script that ran; while a text is missing the run that is there goes on by its own revision, and is
neither upgraded, moved nor restarted by wish.
"""

from __future__ import annotations

from collections.abc import Iterable

from flinkjob.api.enums import DesiredState
from flinkjob.api.fieldclass import FieldClass, field_class
from flinkjob.api.flinkjob_spec import FlinkJobSpec
from flinkjob.api.flinkjob_status import Rollback, Submission
from flinkjob.api.program_spec import MOST_SCRIPT_BYTES, ScriptInit, SqlSpec
from flinkjob.api.python_spec import FILE_NAME, MOST_FILES, PythonFile, PythonRequirements
from flinkjob.api.reasons import Reason
from flinkjob.api.source_spec import reached_as, sources_in
from flinkjob.core.facts import ConfigMapTexts, Revision
from flinkjob.core.job import variables
from flinkjob.core.job.draft import Draft, Halt
from flinkjob.core.program import program_field
from flinkjob.core.seen import TextPlace, TextsSeen


def places(spec: FlinkJobSpec | None) -> tuple[TextPlace, ...]:
    """Where the texts are that a spec names."""
    found: list[TextPlace] = []
    if spec is not None and spec.jar is not None and spec.jar.sha256 is None:
        jar = spec.jar.config_map_key_ref
        found += [TextPlace(jar.name, jar.key, binary=True)] if jar is not None else []
    if spec is not None and spec.sql is not None:
        named = [init.config_map_key_ref for init in spec.sql.init_from] + [spec.sql.config_map_key_ref]
        found += [TextPlace(ref.name, ref.key) for ref in named if ref is not None]
    if spec is not None and spec.python is not None:
        found += [TextPlace(ref.name) for file in spec.python.files if (ref := file.config_map_ref) is not None]
        key = spec.python.requirements.config_map_key_ref if spec.python.requirements is not None else None
        found += [TextPlace(key.name, key.key)] if key is not None else []
    return tuple(dict.fromkeys(found))


def resolve(draft: Draft) -> None:
    """Put the texts in; where one is missing, let the revision of the run stand for what runs, if there is one."""
    spec, wanted = draft.spec, places(draft.spec)
    if spec is None:
        return
    if draft.job.meta.deletion_time is not None:
        return
    if wanted:
        seen = draft.need(ConfigMapTexts(wanted, draft.job.meta.generation or 0))
        whole, wrong = (None, seen.problem) if seen.problem else _with_texts(spec, seen)
        draft.lacks = wrong and f"spec.{program_field(spec)}: {wrong}"
        if whole is not None and not wrong:
            draft.use(whole)
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
    taken_back = draft.status.rollback
    if taken_back is not None and taken_back.run_digest == draft.digest:
        return False
    scaled = run.parallelism is not None and spec.parallelism != run.parallelism
    changed = draft.digest != run.run_digest or scaled
    return changed or spec.initial_state.nonce not in (None, run.nonce) or draft.wanted_url != run.cluster_url


def _go_on_by_revision(draft: Draft, spec: FlinkJobSpec) -> None:
    run = draft.run
    revision, digest = _to_go_on_by(run, draft.status.rollback) if run is not None else (None, None)
    old = draft.need(Revision(revision)) if revision is not None else None
    if run is None or old is None:
        draft.spec, draft.digest = None, ""
        return
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
    known = {source.uri: source for source in sources_in(spec) if source.uri is not None}
    # the access that this one gives to the same address may have been mended since
    return spec.model_copy(update={name: reached_as(value, known) for name, value in run.items()})


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


def _with_texts(spec: FlinkJobSpec, seen: TextsSeen) -> tuple[FlinkJobSpec, str]:
    """The spec with what is in ConfigMaps, and what is wrong with that."""
    if spec.jar is not None:
        (digest,) = seen.texts.values()
        return spec.model_copy(update={"jar": spec.jar.model_copy(update={"sha256": digest})}), ""
    if spec.sql is not None:
        sql = _sql_with_texts(spec.sql, seen)
        return spec.model_copy(update={"sql": sql}), _wrong_with_script(sql, seen)
    assert spec.python is not None, "a rule of the spec"
    files = tuple(each for file in spec.python.files for each in _files(file, seen))
    needed = _requirements(spec.python.requirements, seen)
    python = spec.python.model_copy(update={"files": files, "requirements": needed})
    return spec.model_copy(update={"python": python}), _wrong_with_files(files, needed)


def _sql_with_texts(sql: SqlSpec, seen: TextsSeen) -> SqlSpec:
    first = tuple(
        ScriptInit.model_construct(script=seen.texts[TextPlace(ref.name, ref.key)])
        if (ref := init.config_map_key_ref)
        else init
        for init in sql.init_from
    )
    changes: dict[str, object] = {"init_from": first}
    if sql.config_map_key_ref is not None:
        place = TextPlace(sql.config_map_key_ref.name, sql.config_map_key_ref.key)
        changes |= {"config_map_key_ref": None, "script": seen.texts[place]}
    return sql.model_copy(update=changes)


def _wrong_with_script(sql: SqlSpec, seen: TextsSeen) -> str:
    if not all(seen.texts.values()):
        return f"the text of {next(place for place, text in seen.texts.items() if not text)} is empty"
    return _wrong_with_size([sql.script, *(init.script for init in sql.init_from)])


def _files(file: PythonFile, seen: TextsSeen) -> list[PythonFile]:
    """The files that one entry of the list stands for."""
    if file.config_map_ref is None:
        return [file]
    name = file.config_map_ref.name
    texts = {place.key: text for place, text in seen.texts.items() if place.name == name}
    return [PythonFile.model_construct(name=key, text=text) for key, text in sorted(texts.items())]


def _requirements(needed: PythonRequirements | None, seen: TextsSeen) -> PythonRequirements | None:
    if needed is None or (key := needed.config_map_key_ref) is None:
        return needed
    return PythonRequirements.model_construct(text=seen.texts[TextPlace(key.name, key.key)])


def _wrong_with_files(files: tuple[PythonFile, ...], needed: PythonRequirements | None) -> str:
    for file in files:
        if file.name is not None and not FILE_NAME.fullmatch(file.name):
            return f"a key of a ConfigMap, {file.name}, cannot be the name of a file"
    if len(files) > MOST_FILES:
        return f"with those of its ConfigMaps it has more than {MOST_FILES} files"
    return _wrong_with_size([*(file.text for file in files), needed.text if needed is not None else None])


def _wrong_with_size(texts: Iterable[str | None]) -> str:
    if sum(len(text.encode()) for text in texts if text) > MOST_SCRIPT_BYTES:
        return f"with the texts of its ConfigMaps it has more than {MOST_SCRIPT_BYTES} bytes"
    return ""
