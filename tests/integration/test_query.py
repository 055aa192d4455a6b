"""kubectl flinkjob query on real Flink: rows are shown, and nothing is left behind."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from deploy.local.processes import wait_until
from deploy.local.sqlrunner import runner_directory
from flinkjob.cli import main
from tests.support.children import child
from tests.support.integration import Lab

pytestmark = [pytest.mark.kube, pytest.mark.flink]

ENDLESS = "CREATE TABLE clicks (id INT) WITH ('connector' = 'datagen', 'rows-per-second' = '100', 'fields.id.min' = '7', 'fields.id.max' = '7')"  # noqa: E501


def ask(lab: Lab, *arguments: str) -> int:
    where = ["--kubeconfig", str(lab.kube.kubeconfig), "-n", lab.namespace, "--runner-dir", str(runner_directory())]
    return main.run(["query", *arguments, *where])


def left_behind(lab: Lab) -> list[str]:
    """Jars of queries, and jobs of queries that run."""
    jars = [jar["name"] for jar in lab.jars() if jar["name"].startswith("flinkjob-query-")]
    jobs = [job["jid"] for job in lab.rest("/jobs/overview")["jobs"] if job["name"] == "kubectl flinkjob query"]
    return jars + [
        job for job in jobs if lab.state_in_flink(job) not in ("CANCELED", "FINISHED", "FAILED", "CANCELLING")
    ]


def test_a_query_shows_rows_and_leaves_nothing_behind(lab: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    lab.apply(lab.job("asked", state="Suspended"))
    at = ("--cluster", lab.cluster_url)
    assert ask(lab, "SELECT 1 AS a, CAST(NULL AS STRING) AS b", "--mode", "batch", *at) == 0
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [["a", "b"], ["1", "NULL"]]
    assert ask(lab, f"{ENDLESS}; SELECT id FROM clicks", "--limit", "3", "--changelog", "--job", "asked") == 0
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [["OP", "id"], *[["+I", "7"]] * 3]
    assert ask(lab, f"{ENDLESS}; SELECT id FROM clicks WHERE id < 0", "--timeout", "1s", *at) == 3
    assert capsys.readouterr().err.splitlines()[-1] == "Error: 0 rows within 1s; the query was ended"
    assert left_behind(lab) == []


def test_a_query_that_is_terminated_leaves_nothing_behind(lab: Lab) -> None:
    where = [
        "--kubeconfig",
        str(lab.kube.kubeconfig),
        "--runner-dir",
        str(runner_directory()),
        "--cluster",
        lab.cluster_url,
    ]
    command = [sys.executable, "-m", "flinkjob.plugin", "query", f"{ENDLESS}; SELECT id FROM clicks WHERE id < 0"]
    with child([*command, *where, "--timeout", "5m"], stderr=subprocess.PIPE) as asking:
        wait_until(lambda: len(left_behind(lab)) == 2, timeout=60, what="a jar and a job")
        asking.send_signal(signal.SIGTERM)
        assert asking.wait(30) == 130
    assert left_behind(lab) == []


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("SELECT nosuch", "--cluster", "{url}"), 1, "statement 1 (line 1): "),
        (("SELECT 'x", "--cluster", "{url}"), 1, "line 1: a ' is not closed"),
        (("SELECT 1", "--cluster", "{url}", "--timeout", "60"), 2, "--timeout 60: such as 90s or 10m"),
        (("SELECT 1",), 2, "name the cluster by --job or by --cluster"),
        (("--cluster", "{url}"), 2, "give the statements, or a file of them by -f"),
        (("SELECT 1", "--job", "nobody"), 1, "there is no FlinkJob nobody"),
        (
            ("SELECT 1", "--cluster", "http://127.0.0.1:9"),
            1,
            "Flink cannot be reached: directly, at http://127.0.0.1:9: ",
        ),
    ],
)
def test_what_cannot_be_asked_is_one_line(
    lab: Lab, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], code: int, says: str
) -> None:
    assert ask(lab, *(each.format(url=lab.cluster_url) for each in arguments)) == code
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("Error: ")
    assert says in line
    assert left_behind(lab) == []
