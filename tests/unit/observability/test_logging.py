"""One line a record, with its context, without the secrets of URLs."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from flinkjob.observability import logging as logs


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    for name in logs.QUIET:
        logging.getLogger(name).setLevel(logging.NOTSET)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_json_lines_carry_the_context() -> None:
    stream = io.StringIO()
    logs.configure("json", "INFO", stream=stream)
    log = logging.getLogger("flinkjob.runtime")
    with logs.context(job="apps/clicks"), logs.context(step="Submit"):
        log.info("sent to %s", "http://alice:hunter2@flink:8081/jars?token=hunter2")
    log.warning("two\nlines")
    first, second = lines(stream)
    assert first["time"].endswith("Z")
    assert first == {
        "time": first["time"],
        "level": "info",
        "logger": "flinkjob.runtime",
        "message": "sent to http://flink:8081/jars",
        "job": "apps/clicks",
        "step": "Submit",
    }
    assert second["message"] == "two\nlines"
    assert "job" not in second


@pytest.mark.invariant(11)
@pytest.mark.threat("leaked-secrets")
def test_tracebacks_stay_on_the_line_and_lose_secrets() -> None:
    stream = io.StringIO()
    logs.configure("json", "INFO", stream=stream)
    try:
        raise ValueError("cannot reach https://alice:hunter2@store/x")
    except ValueError:
        logging.getLogger("flinkjob").exception("failed")
    (line,) = lines(stream)
    assert "ValueError: cannot reach https://store/x" in line["error"]
    assert "hunter2" not in stream.getvalue()


def test_text_for_people() -> None:
    stream = io.StringIO()
    logs.configure("text", "INFO", stream=stream)
    with logs.context(job="apps/clicks"):
        logging.getLogger("flinkjob").info("running\nnow")
        logging.getLogger("flinkjob").debug("not shown")
    (line,) = stream.getvalue().splitlines()
    assert line.endswith("INFO    flinkjob [job=apps/clicks] running now")


def test_what_json_cannot_hold() -> None:
    stream = io.StringIO()
    logs.configure("json", "INFO", stream=stream)
    logging.getLogger("flinkjob").info("bad \ud800 %s", object)
    assert lines(stream)[0]["message"].startswith("bad \\ud800 <class")


def test_noisy_libraries_are_capped() -> None:
    stream = io.StringIO()
    logs.configure("json", "DEBUG", stream=stream)
    logging.getLogger("httpx").info("GET http://flink/jobs")
    logging.getLogger("kopf.objects").debug("a whole object")
    logging.getLogger("flinkjob").debug("shown")
    assert [line["message"] for line in lines(stream)] == ["shown"]


async def test_tasks_inherit_the_context_and_do_not_leak_theirs() -> None:
    stream = io.StringIO()
    logs.configure("json", "INFO", stream=stream)

    async def work(name: str) -> None:
        with logs.context(task=name):
            await asyncio.sleep(0)
            logging.getLogger("flinkjob").info("works")

    with logs.context(job="apps/clicks"):
        await asyncio.gather(work("a"), work("b"))
        logging.getLogger("flinkjob").info("ends")
    logging.getLogger("flinkjob").info("outside")
    told = [(line["message"], line.get("job"), line.get("task")) for line in lines(stream)]
    job = "apps/clicks"
    assert told == [("works", job, "a"), ("works", job, "b"), ("ends", job, None), ("outside", None, None)]
