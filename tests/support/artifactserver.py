"""An artifact server as teams run one: it asks who is there, knows versions and ranges, and can break off.

In the process of the test, on a port of its own; it serves a directory, to which files may be added.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self


def _set() -> threading.Event:
    event = threading.Event()
    event.set()
    return event


@dataclass
class ArtifactServer:
    """A context manager that starts and ends it.

    Attributes:
        authorization: the value of the header that each request must have; None: everybody may read.
        cut_after: each answer to a GET breaks off after so many bytes of its body; None: none does.
        after_cut: called when one has broken off.
        rest: each answer waits for it in the middle of its body.
        ranges: whether it knows them.
        forbidden: how the names of files end that nobody may read.
        requests: of each request so far its path and headers, with names in lower case.
    """

    directory: Path
    authorization: str | None = None
    cut_after: int | None = None
    after_cut: Callable[[], object] = bool
    rest: threading.Event = field(default_factory=_set)
    ranges: bool = True
    forbidden: tuple[str, ...] = ()
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def __enter__(self) -> Self:
        shop = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                shop.requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
                shop.answer(self)

            def log_message(self, *_: Any) -> None:
                """Nothing: what was asked for is in `requests`."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Its address, without a slash at the end."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        path = self.directory / request.path.partition("?")[0].lstrip("/")
        if self.authorization is not None and request.headers.get("Authorization") != self.authorization:
            _say(request, 401, b"")
        elif path.name.endswith(self.forbidden):
            _say(request, 403, b"")
        elif not path.resolve().is_relative_to(self.directory.resolve()) or not path.is_file():
            _say(request, 404, b"")
        else:
            self._send(request, path.read_bytes())

    def _send(self, request: BaseHTTPRequestHandler, content: bytes) -> None:
        etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
        if request.headers.get("If-None-Match") == etag:
            _say(request, 304, b"", ETag=etag)
            return
        asked, first, status, more = request.headers.get("Range", ""), 0, 200, {"ETag": etag}
        if self.ranges and asked.startswith("bytes=") and request.headers.get("If-Range") in (None, etag):
            first, status = int(asked.removeprefix("bytes=").partition("-")[0]), 206
            more["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
        if _say(request, status, content[first:], self.rest, cut_after=self.cut_after, **more):
            self.after_cut()


def _say(
    request: BaseHTTPRequestHandler,
    status: int,
    body: bytes,
    rest: threading.Event | None = None,
    cut_after: int | None = None,
    **headers: str,
) -> bool:
    """Whether the answer has broken off."""
    request.send_response(status)
    for name, value in {**headers, "Content-Length": str(len(body))}.items():
        request.send_header(name.replace("_", "-"), value)
    request.end_headers()
    if cut_after is not None and len(body) > cut_after:
        request.wfile.write(body[:cut_after])
        request.close_connection = True
        return True
    half = len(body) // 2
    request.wfile.write(body[:half])
    if rest is not None:
        rest.wait()
    request.wfile.write(body[half:])
    return False
