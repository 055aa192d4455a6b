"""Flink's configuration in a source, where the Apache operator also has wishes about jobs: sorted into a FlinkJob's fields.

What acts only in a cluster's own configuration is handed back, so that it can go to the session cluster that takes the job.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from flinkjob.api import flink_options
from flinkjob.api.cluster_options import acts_only_in_cluster
from flinkjob.api.reserved_keys import RESERVED_KEYS
from flinkjob.cli.migrate.fields import Migration, Weight

OPERATOR: Final = "kubernetes.operator."
_SHARED = "the operator itself is set up by its own flags (deploy/README.md)"
_SPAN = re.compile(r"([0-9]{1,12})\s*([a-zA-Z]*)")
_UNITS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("", "ms", "milli", "millis", "millisecond", "milliseconds"), "ms"),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), "s"),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), "m"),
    **dict.fromkeys(("h", "hour", "hours"), "h"),
    **dict.fromkeys(("d", "day", "days"), "d"),
}
_ISO = re.compile(r"P(?:([0-9]{1,9})D)?(?:T(?:([0-9]{1,9})H)?(?:([0-9]{1,9})M)?(?:([0-9]{1,9})S)?)?", re.IGNORECASE)
_RETENTION: Final[Mapping[str, str]] = {
    "RETAIN_ON_CANCELLATION": "RetainOnCancellation",
    "DELETE_ON_CANCELLATION": "DeleteOnCancellation",
}
FORMATS: Final[Mapping[str, str]] = {"CANONICAL": "Canonical", "NATIVE": "Native"}


def duration(text: Any) -> str | None:
    """A duration of Flink's (`10 min`, `30s`, `PT1H`, milliseconds) as the API writes it; None for what is none, or zero."""
    word = str(text).strip()
    if (iso := _ISO.fullmatch(word)) is not None:
        parts = zip(iso.groups(), "dhms", strict=True)
        written = "".join(f"{int(number)}{unit}" for number, unit in parts if number and int(number))
        return written or None
    found = _SPAN.fullmatch(word)
    if found is None or found.group(2).lower() not in _UNITS or not int(found.group(1)):
        return None
    return f"{int(found.group(1))}{_UNITS[found.group(2).lower()]}"


def schedule(text: Any) -> str | None:
    """A schedule of Quartz (seconds first) as cron with five fields; None where that cannot say the same."""
    parts = str(text).split()
    if len(parts) not in (6, 7) or parts[0] != "0" or (len(parts) == 7 and parts[6] != "*"):
        return None
    minute, hour, day, month, weekday = parts[1:6]
    if any(mark in day + weekday for mark in "LW#") or any(each.isdigit() for each in weekday):
        return None  # Quartz counts Sunday as 1
    return " ".join("*" if each == "?" else each for each in (minute, hour, day, month, weekday))


def sort(options: Mapping[str, Any], path: str, spec: dict[str, Any], migration: Migration) -> dict[str, str]:
    """Put the options of a source into a FlinkJob's spec, and report what has no equal.

    Args:
        spec: gets fields, and `flinkConfiguration` with the rest; what it has already stays.

    Returns: the options that act only in the configuration of a cluster.
    """
    cluster: dict[str, str] = {}
    own: dict[str, str] = {}
    for name, value in sorted(_flat(options).items()):
        where = f"{path}.{name}"
        if name in _KNOWN:
            _KNOWN[name](value, where, spec, migration)
        elif name.startswith(OPERATOR):
            migration.note(Weight.LOST, where, _words_of_operator(name))
        elif name.startswith("job.autoscaler."):
            migration.note(Weight.LOST, where, "there is no autoscaler inside: an HPA or KEDA scales a FlinkJob")
        elif name in RESERVED_KEYS:
            migration.note(Weight.LOST, where, f"is reserved: {RESERVED_KEYS[name]}")
        elif acts_only_in_cluster(name):
            cluster[name] = _text(value)
        else:
            own[name] = _text(value)
    if own:
        spec["flinkConfiguration"] = own
    return cluster


def _flat(options: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Options may be nested since Flink 2, as in its own file."""
    found: dict[str, Any] = {}
    for name, value in options.items():
        full = f"{prefix}{name}"
        found |= _flat(value, f"{full}.") if isinstance(value, Mapping) else {full: value}
    return found


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return ";".join(map(str, value)) if isinstance(value, list) else str(value)


def _words_of_operator(name: str) -> str:
    rest = name.removeprefix(OPERATOR)
    for start, words in _OPERATOR_WORDS.items():
        if rest.startswith(start):
            return words
    return f"is an option of the Apache operator; {_SHARED}"


_OPERATOR_WORDS: Final[Mapping[str, str]] = {
    "job.autoscaler": "there is no autoscaler inside: an HPA or KEDA scales a FlinkJob",
    "job.upgrade.inplace-scaling": "a FlinkJob is rescaled in place wherever Flink can",
    "snapshot.resource": "every savepoint is a FlinkSavepoint",
    "savepoint.cleanup": "without spec.savepoints.retention nothing is deleted",
    "periodic.checkpoint": "checkpoints are Flink's: set execution.checkpointing.interval",
    "cluster.health-check": "the condition Healthy and reason CrashLooping say it; an Event for each cause",
    "cluster.resource-view": "the session cluster is not the operator's",
    "jm-deployment": "the session cluster is not the operator's",
    "job.upgrade.ignore-pending-savepoint": "an upgrade waits for a FlinkSavepoint that is in progress",
    "job.upgrade.last-state.job-cancel": "LastState always cancels the job",
    "job.upgrade.last-state.max.allowed.checkpoint.age": "LastState takes the newest checkpoint; see restore.maxAge",
    "user.artifacts": "jars are fetched as spec.jar says; hosts are allowed by the operator's flags",
}


# options with a field of their own

Put = Callable[[Any, str, dict[str, Any], Migration], None]


def _at(spec: dict[str, Any], *names: str) -> dict[str, Any]:
    for name in names:
        spec = spec.setdefault(name, {})
    return spec


def _is_true(value: Any) -> bool:
    return str(value).lower() == "true"


def _parallelism(value: Any, path: str, spec: dict[str, Any], migration: Migration) -> None:
    if "parallelism" not in spec and str(value).isdecimal():
        spec["parallelism"] = int(value)
    elif str(spec.get("parallelism")) != str(value):
        migration.note(Weight.LOST, path, "the job names another parallelism, which counts")


def _savepoint_directory(value: Any, _path: str, spec: dict[str, Any], _migration: Migration) -> None:
    _at(spec, "savepoints").setdefault("directory", str(value))


def _retention(value: Any, path: str, spec: dict[str, Any], migration: Migration) -> None:
    word = _RETENTION.get(str(value).upper())
    if word is None:
        migration.note(
            Weight.CHECK, path, "checkpoints are kept only while the job runs: no state is left after a cancel"
        )
    _at(spec, "checkpoint")["retention"] = word or "DeleteOnCancellation"


def _periodic(value: Any, path: str, spec: dict[str, Any], migration: Migration) -> None:
    if (every := duration(value)) is not None:
        _at(spec, "savepoints")["interval"] = every
    elif (cron := schedule(value)) is not None:
        _at(spec, "savepoints")["schedule"] = cron
        migration.note(Weight.CHECK, path, "the schedule is in UTC unless savepoints.timeZone says otherwise")
    elif str(value).strip() not in ("0", "0s", "0 s", ""):
        migration.note(Weight.MUST, path, "is no duration, and no schedule that cron with five fields can say")


def _history(field: str) -> Put:
    def put(value: Any, path: str, spec: dict[str, Any], migration: Migration) -> None:
        kept = _at(spec, "savepoints", "retention")
        if field == "minCount" and str(value).isdecimal() and int(value):
            kept[field] = int(value)
        elif field == "minAge" and (age := duration(value)) is not None:
            kept[field] = age
        kept.setdefault("minCount", 10)
        kept.setdefault("minAge", "1d")
        words = (
            "a savepoint is deleted, with its data, only when both limits are exceeded; never the newest or one in use"
        )
        migration.note(Weight.CHECK, path, words)

    return put


def _format(value: Any, _path: str, spec: dict[str, Any], _migration: Migration) -> None:
    _at(spec, "savepoints")["formatType"] = FORMATS.get(str(value).upper(), "Canonical")


def _on_deletion(value: Any, _path: str, spec: dict[str, Any], _migration: Migration) -> None:
    _at(spec, "deletion")["policy"] = "Savepoint" if _is_true(value) else "Cancel"


def _fallback(value: Any, _path: str, spec: dict[str, Any], _migration: Migration) -> None:
    if not _is_true(value):
        _at(spec, "upgrade")["fallback"] = "Wait"


def _restart_failed(value: Any, _path: str, spec: dict[str, Any], _migration: Migration) -> None:
    _at(spec, "restart")["policy"] = "OnFailure" if _is_true(value) else "Never"


def _rollback(value: Any, _path: str, spec: dict[str, Any], _migration: Migration) -> None:
    if _is_true(value):
        _at(spec, "upgrade", "rollback")["policy"] = "Enabled"


def _readiness(value: Any, path: str, spec: dict[str, Any], migration: Migration) -> None:
    if (by := duration(value)) is not None:
        _at(spec, "upgrade", "rollback")["deadline"] = by
        migration.note(Weight.CHECK, path, "a run must be healthy by then, not only be there")


def _drain(value: Any, path: str, _spec: dict[str, Any], migration: Migration) -> None:
    if _is_true(value):
        migration.note(Weight.LOST, path, "a deletion never drains: set state: Drained before it")


_KNOWN: Final[Mapping[str, Put]] = {
    "parallelism.default": _parallelism,
    **dict.fromkeys(flink_options.SAVEPOINT_DIRECTORY, _savepoint_directory),
    flink_options.CHECKPOINT_RETENTION: _retention,
    f"{OPERATOR}periodic.savepoint.interval": _periodic,
    f"{OPERATOR}savepoint.history.max.count": _history("minCount"),
    f"{OPERATOR}savepoint.history.max.age": _history("minAge"),
    f"{OPERATOR}savepoint.format.type": _format,
    f"{OPERATOR}job.savepoint-on-deletion": _on_deletion,
    f"{OPERATOR}job.drain-on-savepoint-deletion": _drain,
    f"{OPERATOR}job.upgrade.last-state-fallback.enabled": _fallback,
    f"{OPERATOR}job.restart.failed": _restart_failed,
    f"{OPERATOR}deployment.rollback.enabled": _rollback,
    f"{OPERATOR}deployment.readiness.timeout": _readiness,
}
