"""What the operator imports: nothing that it does not use."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

IMPORTED = "import json, sys, {module}; print(json.dumps([name for name, module in sys.modules.items() if module]))"
NEVER = {
    "httpx": ("httpx._main", "rich", "pygments"),
    "kubernetes": (
        "kubernetes.client",
        "kubernetes.dynamic",
        "kubernetes.aio.dynamic",
        "requests",
        "oauthlib",
        "websocket",
    ),
    "stores": ("obstore",),
}


def imported(module: str) -> set[str]:
    """All modules, and the packages that they are of, that a process has which imports this one."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED.format(module=module)], check=True, capture_output=True, text=True
    )
    return {part for name in json.loads(done.stdout) for part in (name, name.partition(".")[0])}


@pytest.fixture(scope="module")
def operator() -> set[str]:
    return imported("flinkjob.__main__")


@pytest.mark.parametrize("library", NEVER)
def test_the_operator_has_nothing_in_memory_that_it_does_not_use(operator: set[str], library: str) -> None:
    assert operator & set(NEVER[library]) == set()
    assert {"httpx", "kopf", "kubernetes.aio.client", "kubernetes.aio.config"} <= operator


def test_what_is_left_out_is_there_otherwise() -> None:
    """Else the test above would say nothing."""
    assert set(NEVER["kubernetes"]) <= imported("kubernetes") | imported("kubernetes.aio")
    assert set(NEVER["httpx"]) <= imported("httpx")
    assert set(NEVER["stores"]) <= imported("flinkjob.snapshots.child")
