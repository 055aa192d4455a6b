"""Structured logs: one JSON object a line, or text for people; each line knows the resource it is about.

Configured once by `app`; `runtime` opens a `context` around the work on one resource. Nothing else may add handlers.
Secrets are not filtered here: they must not reach a logger. As a second line, URLs lose userinfo, query and fragment.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import IO, Any, Literal

import orjson

from flinkjob.core.errors import redact_urls, visible

Format = Literal["json", "text"]

_fields: ContextVar[Mapping[str, str]] = ContextVar("log_fields", default={})  # noqa: B039 - never changed in place

QUIET = ("kopf", "httpx", "httpcore", "httpcore2", "aiohttp.access", "asyncio", "kubernetes")
"""Loggers that are capped at WARNING: Kopf logs bodies of objects at DEBUG, httpx every URL at INFO."""


@contextlib.contextmanager
def context(**fields: str) -> Iterator[None]:
    """Adds fields (`job="ns/name"`) to every line logged inside, tasks that are started inside included."""
    token = _fields.set({**_fields.get(), **fields})
    try:
        yield
    finally:
        _fields.reset(token)


def configure(format: Format, level: str, *, stream: IO[str] | None = None) -> None:
    """Replaces all handlers of the root logger.

    Args:
        format: `json` or `text`.
        level: `DEBUG`, `INFO`, `WARNING` or `ERROR`.
        stream: standard error unless given.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if format == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.captureWarnings(True)
    for name in QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


class JsonFormatter(logging.Formatter):
    """`time`, `level`, `logger`, `message`, the context's fields, and `error` with the traceback where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        line: dict[str, Any] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": redact_urls(record.getMessage()),
            **_fields.get(),
        }
        if record.exc_info:
            line["error"] = redact_urls(self.formatException(record.exc_info))
        text = orjson.dumps(_printable(line), option=orjson.OPT_NON_STR_KEYS)
        return text.decode()


class TextFormatter(logging.Formatter):
    """`12:00:00 INFO  flinkjob.runtime [ns/name] message`."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and the traceback where there is one."""
        fields = " ".join(f"{key}={value}" for key, value in _fields.get().items())
        message = visible(" ".join(redact_urls(record.getMessage()).splitlines()))
        text = f"{_time(record)} {record.levelname:<7} {record.name} {f'[{fields}] ' if fields else ''}{message}"
        if record.exc_info:
            text += "\n" + _shown(redact_urls(self.formatException(record.exc_info)))
        return text


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _printable(line: dict[str, Any]) -> dict[str, str]:
    return {key: _shown(str(value)) for key, value in line.items()}


def _shown(text: str) -> str:
    """Lines without characters that a terminal obeys."""
    return "\n".join(map(visible, text.splitlines()))
