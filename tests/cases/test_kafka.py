"""A job that reads from Kafka with Flink's own connector, and no broker listens where it looks."""

from __future__ import annotations

from typing import Any

import pytest

from deploy.local.kafkabroker import KafkaBroker
from deploy.local.kafkajob import kafka_jar
from tests.support.integration import Lab, condition, conditions, free_port, submission, wait_until

pytestmark = [pytest.mark.kube, pytest.mark.flink]

LINES = 200
SHORT = ["--kafka.request.timeout.ms", "500", "--kafka.default.api.timeout.ms", "1000"]
"""By default Kafka's client looks for a broker for a minute before it gives up; until then all tasks run."""
RESTARTS = {
    "restart-strategy.type": "fixed-delay",
    "restart-strategy.fixed-delay.attempts": "100000",
    "restart-strategy.fixed-delay.delay": "500 ms",
}


def arguments(lab: Lab, name: str, address: str, *client: str) -> list[str]:
    """What the program reads where."""
    return ["--bootstrap-servers", address, "--topic", "clicks", "--out", str(lab.out(name)), *client]


def without_broker(lab: Lab, name: str) -> dict[str, Any]:
    """Applies a job that looks for a broker where nobody listens; returns its manifest."""
    jar = {"uri": f"file://{kafka_jar(lab.flink.version)}"}
    manifest = lab.job(name, jar=jar, flinkConfiguration=RESTARTS)
    manifest["spec"]["args"] = arguments(lab, name, f"localhost:{free_port()}", *SHORT)
    lab.apply(manifest)
    return manifest


def committed(lab: Lab, name: str) -> list[int]:
    """The lines in the files that the job has committed, sorted."""
    files = [file for file in (lab.out(name) / "records").glob("*") if not file.name.startswith(".")]
    return sorted(int(line) for file in files for line in file.read_text().split())


@pytest.mark.report("kafka-without-broker")
def test_a_kafka_job_without_a_broker_says_nothing_and_neither_a_correction_nor_a_deletion_gets_through(
    lab: Lab,
) -> None:
    with KafkaBroker(lab.directory / "kafka", topic="clicks", lines=LINES) as broker:
        manifest = without_broker(lab, "kafka")
        without_broker(lab, "kafka-too")
        found = lab.wait("kafka", lambda job: "lastFailure" in job["status"], "a cause")
        cause = found["status"]["lastFailure"]["rootCause"]
        assert cause.startswith("TimeoutException: ")
        assert cause.endswith("it caused RuntimeException: Failed to get metadata for topics [clicks].")
        assert conditions(found)["Ready"] == conditions(found)["Healthy"] == "False"
        assert cause in condition(found, "Ready")["message"]
        lab.told("Restarting", name="kafka")
        for name in ("kafka", "kafka-too"):
            lab.wait(name, lambda job: condition(job, "Ready")["reason"] == "CrashLooping", "CrashLooping")
        lab.delete("kafka-too")
        lab.gone("kafka-too")
        assert lab.live_jobs("kafka-too") == []
        broker.wait_ready()
        lab.edit(manifest, args=arguments(lab, "kafka", broker.address))
        found = lab.running("kafka", 2)
        wait_until(lambda: len(committed(lab, "kafka")) >= LINES, timeout=60, what="the lines of the topic")
        lab.checkpointed(submission(found)["jobId"], 2)
        assert committed(lab, "kafka") == list(range(LINES)), "each exactly once"
        lab.wait("kafka", lambda job: conditions(job)["Ready"] == "True", "Ready")
