"""The texts of ConfigMaps that a SQL or Python job names: put into the spec before anything is decided by it.

Called by the job decision. Invariants: what is decided by, and kept as a revision, has the texts and not their places, so
that a rollback runs the script that ran; while a text is missing the run that is there goes on by its own revision, and is
neither upgraded, moved nor restarted by wish.
"""

from __future__ import annotations

from collections.abc import Iterable

from flinkjob.api.fieldclass import FieldClass, field_class
from flinkjob.api.flinkjob_spec import FlinkJobSpec
from flinkjob.api.flinkjob_status import Rollback, Submission
from flinkjob.api.program_spec import MOST_SCRIPT_BYTES, ScriptInit, SqlSpec
from flinkjob.api.python_spec import FILE_NAME, MOST_FILES, PythonFile, PythonRequirements
from flinkjob.api.reasons import Reason
from flinkjob.core.facts import ConfigMapTexts, Revision
from flinkjob.core.job.draft import Draft, Halt
from flinkjob.core.seen import TextPlace, TextsSeen


def places(spec: FlinkJobSpec | None) -> tuple[TextPlace, ...]:
    """Where the texts are that a spec names."""
    found: list[TextPlace] = []
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
    if spec is None or not wanted or draft.job.meta.deletion_time is not None:
        return
    seen = draft.need(ConfigMapTexts(wanted, draft.job.meta.generation or 0))
    whole, problem = (None, seen.problem) if seen.problem else _with_texts(spec, seen)
    if whole is not None and not problem:
        draft.use(whole)
        return
    draft.lacks = f"spec.{'sql' if spec.sql is not None else 'python'}: {problem}"
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
    return spec.model_copy(update=run)


def _without_new_wishes(spec: FlinkJobSpec, run: Submission) -> FlinkJobSpec:
    """The spec without a new nonce, which would begin anew with the old script."""
    return spec.model_copy(update={"initial_state": spec.initial_state.model_copy(update={"nonce": run.nonce})})


def say(draft: Draft, halt: Halt | None) -> Halt | None:
    """What a decision ends with: that a text is missing is said beside what is done."""
    if not draft.lacks:
        return halt
    before = draft.given.job.status.plan
    missing = draft.stall(Reason.ScriptNotFound, draft.lacks, requeue_after=30.0)
    if halt is not None and halt.plan is not None:
        return halt.after(missing)
    if before is None or before.reason != Reason.ScriptNotFound:
        draft.event(Reason.ScriptNotFound, draft.lacks, warning=True)
    return missing


def _with_texts(spec: FlinkJobSpec, seen: TextsSeen) -> tuple[FlinkJobSpec, str]:
    """The spec with the texts in it, and what is wrong with them."""
    if spec.sql is not None:
        sql = _sql_with_texts(spec.sql, seen)
        return spec.model_copy(update={"sql": sql}), _wrong_with_script(sql, seen)
    assert spec.python is not None, "texts are named by nothing else"
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
