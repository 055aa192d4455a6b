"""Flink jobs that somebody starts past the operator. Used by the integration and crash suites."""

from __future__ import annotations

import uuid

from deploy.local.processes import wait_until
from tests.support.lab import Lab


def run_by_hand(lab: Lab, *args: str, with_id: str | None = None, mark: str = "") -> str:
    """Starts the demo job past the operator; returns its id."""
    chosen = with_id or uuid.uuid4().hex
    with lab.flink.http() as http, lab.jar.open("rb") as jar:
        up = http.post("/jars/upload", files={"jarfile": ("by-hand.jar", jar, "application/x-java-archive")})
        jar_id = up.raise_for_status().json()["filename"].rsplit("/", 1)[-1]
        configuration = {
            "execution.checkpointing.interval": "200ms",
            "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
            **({"pipeline.global-job-parameters": mark} if mark else {}),
        }
        body = {"jobId": chosen, "programArgsList": list(args), "flinkConfiguration": configuration}
        http.post(f"/jars/{jar_id}/run", json=body).raise_for_status()
        begun = {"RUNNING", "CANCELLING", "CANCELED"}
        wait_until(lambda: http.get(f"/jobs/{chosen}").json().get("state") in begun, timeout=30, what="running by hand")
        http.delete(f"/jars/{jar_id}")
    return chosen
