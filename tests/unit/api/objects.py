"""Smallest valid objects for the tests of the API."""

import dataclasses
import types
import typing
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, get_args, get_origin, get_type_hints

MINIMAL_SPEC: dict[str, Any] = {
    "cluster": {"url": "http://flink-jobmanager:8081"},
    "jar": {"uri": "https://repo.example.com/demo.jar"},
}


def job(spec: dict[str, Any] | None = None, status: dict[str, Any] | None = None, **meta: Any) -> dict[str, Any]:
    """A FlinkJob as the API server returns it; `spec` is laid over the minimal one."""
    return {
        "apiVersion": "flinkjob.dev/v1alpha1",
        "kind": "FlinkJob",
        "metadata": {"name": "demo", "namespace": "default", "uid": "u-1", "generation": 1, **meta},
        "spec": MINIMAL_SPEC | (spec or {}),
        "status": status or {},
    }


def savepoint(spec: dict[str, Any] | None = None, status: dict[str, Any] | None = None) -> dict[str, Any]:
    """A FlinkSavepoint as the API server returns it."""
    return {
        "apiVersion": "flinkjob.dev/v1alpha1",
        "kind": "FlinkSavepoint",
        "metadata": {"name": "demo-1", "namespace": "default", "uid": "u-2", "generation": 1},
        "spec": {"jobRef": {"name": "demo"}} | (spec or {}),
        "status": status or {},
    }


def filled(kind: Any) -> Any:
    """A value of a status's type with every field set, so that a forgotten one shows."""
    options = [option for option in get_args(kind) if option is not type(None)]
    match get_origin(kind):
        case types.UnionType | typing.Union:
            return filled(options[0])
        case origin if origin is tuple:
            return (filled(options[0]),)
        case _:
            pass
    if dataclasses.is_dataclass(kind):
        return kind(**{name: filled(hint) for name, hint in get_type_hints(kind).items() if name[0] != "_"})
    if issubclass(kind, StrEnum):
        return next(iter(kind))
    return {str: "file:/text", int: 3, bool: True, datetime: datetime(2026, 1, 1, 12, 30, 5, tzinfo=UTC)}[kind]
