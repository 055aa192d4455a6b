"""Smallest valid objects for the tests of the API."""

from typing import Any

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
