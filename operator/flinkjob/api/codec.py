"""Between Kubernetes objects (dicts) and the models; called by handlers and the executor, nobody else reads raw
objects.

Invariants: parsing never raises on what a cluster can hold: a bad spec or status is a value of its own. What is
written parses back to an equal status, and never exceeds the bounds of the CRD.
"""

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from flinkjob.api.constants import MAX_ANNOTATION, MAX_STATUS_BYTES, READ_ANNOTATIONS, READ_LABELS
from flinkjob.api.flinkjob_spec import FlinkJobSpec
from flinkjob.api.flinkjob_status import FlinkJobStatus
from flinkjob.api.flinksavepoint_spec import FlinkSavepointSpec
from flinkjob.api.flinksavepoint_status import FlinkSavepointStatus

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)

_JOB_STATUS: Final = TypeAdapter(FlinkJobStatus)
_SAVEPOINT_STATUS: Final = TypeAdapter(FlinkSavepointStatus)


@dataclass(frozen=True, kw_only=True, slots=True)
class Meta:
    """The parts of `metadata` that decisions need.

    Attributes:
        labels, annotations: those that are read, cut at a length that none of the operator's own has: others, and what
            people write into these, may take a MiB.
    """

    namespace: str
    name: str
    uid: str
    generation: int
    resource_version: str
    creation_time: datetime | None = None
    deletion_time: datetime | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    finalizers: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class FlinkJob:
    """A FlinkJob as read. Exactly one of `spec` and `spec_error` is set."""

    meta: Meta
    spec: FlinkJobSpec | None
    spec_error: str | None = None
    status: FlinkJobStatus = field(default_factory=FlinkJobStatus)
    status_error: str | None = None
    """Set when the status could not be read; `status` is then what of it could be, and must not be acted on."""
    unreadable_status: Mapping[str, Any] = field(default_factory=dict)
    """The status as it is stored, where it could not be read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FlinkSavepoint:
    """A FlinkSavepoint as read. Exactly one of `spec` and `spec_error` is set."""

    meta: Meta
    spec: FlinkSavepointSpec | None
    spec_error: str | None = None
    status: FlinkSavepointStatus = field(default_factory=FlinkSavepointStatus)
    status_error: str | None = None


def parse_job(obj: Mapping[str, Any]) -> FlinkJob:
    """Reads a FlinkJob from the API server's object."""
    spec, spec_error = _parse_spec(FlinkJobSpec, obj)
    status, status_error = _parse_status(_JOB_STATUS, FlinkJobStatus(), obj)
    stored = obj["status"] if status_error is not None else None
    return FlinkJob(
        meta=parse_meta(obj),
        spec=spec,
        spec_error=spec_error,
        status=status,
        status_error=status_error,
        unreadable_status=stored if isinstance(stored, Mapping) else {},
    )


def parse_savepoint(obj: Mapping[str, Any]) -> FlinkSavepoint:
    """Reads a FlinkSavepoint from the API server's object."""
    spec, spec_error = _parse_spec(FlinkSavepointSpec, obj)
    status, status_error = _parse_status(_SAVEPOINT_STATUS, FlinkSavepointStatus(), obj)
    return FlinkSavepoint(
        meta=parse_meta(obj), spec=spec, spec_error=spec_error, status=status, status_error=status_error
    )


def dump_status(status: FlinkJobStatus | FlinkSavepointStatus) -> dict[str, Any]:
    """The status as the API server gets it.

    Returns: camelCase names; None and empty lists left out, so that equal statuses give equal dicts; texts for people
    cut at their limits; the oldest entries of `history` dropped while the whole is larger than 48 KiB.
    """
    adapter: TypeAdapter[Any] = _JOB_STATUS if isinstance(status, FlinkJobStatus) else _SAVEPOINT_STATUS
    dumped = adapter.dump_python(status, mode="json", by_alias=True, exclude_none=True)
    result = {key: value for key, value in dumped.items() if value not in ([], {})}
    while result.get("history") and len(json.dumps(result, ensure_ascii=False).encode()) > MAX_STATUS_BYTES:
        result["history"] = result["history"][:-1]
        if not result["history"]:
            del result["history"]
    return result


def fitting_status(status: FlinkJobStatus | FlinkSavepointStatus) -> tuple[dict[str, Any], str]:
    """The status as `dump_status` makes it, without what the CRD would refuse; and what that is, "" where all fits.

    What comes from outside is bounded where it comes in. Should something slip through, one field is missing then; a status
    that is refused as a whole would hold the object up for ever.
    """
    job = isinstance(status, FlinkJobStatus)
    adapter: TypeAdapter[Any] = _JOB_STATUS if job else _SAVEPOINT_STATUS
    dumped = _without_large_numbers(dump_status(status))
    try:
        adapter.validate_python(dumped)
    except ValidationError as error:
        default = FlinkJobStatus() if job else FlinkSavepointStatus()
        return dump_status(_readable(adapter, default, dumped, error)), _one_line("status", error)
    return dumped, ""


def _without_large_numbers(value: Any) -> Any:
    """Numbers beyond 64 bits are no numbers to the API server."""
    if isinstance(value, dict):
        return {key: _without_large_numbers(each) for key, each in value.items() if not _is_large(each)}
    return [_without_large_numbers(each) for each in value] if isinstance(value, list) else value


def _is_large(value: Any) -> bool:
    return isinstance(value, int) and not -(2**63) <= value < 2**63


def read_result(mark: str) -> FlinkSavepointStatus:
    """What an annotation `ANNOTATION_RESULT` of a FlinkSavepoint says, which people can write.

    Raises:
        ValueError: it says something else, or too much.
    """
    return _SAVEPOINT_STATUS.validate_python(_result(mark, _RESULT_FIELDS))


def write_result(status: FlinkSavepointStatus) -> str:
    """The annotation from which `read_result` makes this of a complete FlinkSavepoint."""
    found = dump_status(status)
    return json.dumps({name: found[name] for name in found.keys() & _RESULT_FIELDS}, sort_keys=True)


def read_job_result(mark: str) -> Mapping[str, Any]:
    """The same of a FlinkJob: its values are of any type.

    Raises:
        ValueError: it is no JSON object, or too long.
    """
    return _result(mark, None)


def _result(mark: str, fields: frozenset[str] | None) -> Mapping[str, Any]:
    if len(mark) > MAX_ANNOTATION:
        raise ValueError("too long")
    try:
        found = json.loads(mark)
    except RecursionError as error:
        raise ValueError("too deep") from error
    if not isinstance(found, dict) or any(map(_is_large, found.values())):
        raise ValueError("no object, or with numbers that no status can hold")
    return {name: value for name, value in found.items() if fields is None or name in fields}


_RESULT_FIELDS = frozenset(
    {"clusterUrl", "location", "jobId", "checkpointId", "submission", "sizeBytes", "duration", "endTime"}
)


def parse_meta(obj: Mapping[str, Any]) -> Meta:
    """Reads `metadata`; absent parts become empty."""
    meta = obj.get("metadata") or {}
    return Meta(
        namespace=meta.get("namespace") or "",
        name=meta.get("name") or "",
        uid=meta.get("uid") or "",
        generation=int(meta.get("generation") or 0),
        resource_version=meta.get("resourceVersion") or "",
        creation_time=_time(meta.get("creationTimestamp")),
        deletion_time=_time(meta.get("deletionTimestamp")),
        labels=_read_of(meta.get("labels"), READ_LABELS),
        annotations=_read_of(meta.get("annotations"), READ_ANNOTATIONS),
        finalizers=tuple(meta.get("finalizers") or ()),
    )


def _read_of(texts: Mapping[str, str] | None, names: frozenset[str]) -> dict[str, str]:
    """Those of these names; one more character than is allowed shows that a text is too long."""
    return {name: text[: MAX_ANNOTATION + 1] for name, text in (texts or {}).items() if name in names}


def _parse_spec(model: type[M], obj: Mapping[str, Any]) -> tuple[M | None, str | None]:
    try:
        return model.model_validate(obj.get("spec") or {}), None
    except ValidationError as error:
        return None, _one_line("spec", error)


def _parse_status(adapter: TypeAdapter[T], default: T, obj: Mapping[str, Any]) -> tuple[T, str | None]:
    try:
        return adapter.validate_python(obj.get("status") or {}), None
    except ValidationError as error:
        return _readable(adapter, default, obj["status"], error), _one_line("status", error)


def _readable(adapter: TypeAdapter[T], default: T, raw: Any, error: ValidationError) -> T:
    """The status without what cannot be read of it, and without what then lacks something."""
    if not isinstance(raw, Mapping):
        return default
    rest = dict(raw)
    own: dict[int, Any] = {id(rest): rest}
    while rest:
        for each in reversed(error.errors(include_url=False, include_input=False)):  # later entries of a list first
            _take_out(rest, each["loc"], own)
        try:
            return adapter.validate_python(rest)
        except ValidationError as again:
            error = again
    return default


def _take_out(rest: dict[str, Any], path: tuple[int | str, ...], own: dict[int, Any]) -> None:
    """Remove what is at the path, or where nothing is there what lacks it.

    Args:
        own: by their ids, the parts that are copies already: others are not changed, and what is not looked into, which may
            be nested without end, is not copied.
    """
    within: Any = rest
    found: list[tuple[Any, int | str]] = []
    for part in path:
        there = isinstance(within, list) and isinstance(part, int) and part < len(within)
        if not there and not (isinstance(within, dict) and part in within):
            break
        found.append((within, part))
        inner = within[part]
        if isinstance(inner, list | dict) and id(inner) not in own:
            inner = within[part] = copy.copy(inner)
            own[id(inner)] = inner
        within = inner
    if found:
        holder, part = found[-1]
        del holder[part]
    else:
        rest.clear()


def _one_line(root: str, error: ValidationError) -> str:
    """`spec.cluster.url: Field required`: the first error only, without the value (which may be a secret)."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    path = root
    for part in first["loc"]:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] != "rule":  # a rule's message names its field itself
        message = f"{path}: {message}"
    return " ".join(message.split())[:512]


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text).astimezone(UTC) if text else None
