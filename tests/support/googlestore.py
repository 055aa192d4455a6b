"""A store of Google's: a server of its interface, and before it what asks for a token as Google does, which that does not.

The token is the one that the client makes of a service account's key: signed with it, for that account, and not over.
"""

from __future__ import annotations

import base64
import contextlib
import json
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from deploy.local import plainhttp
from deploy.local.gcs import GcsServer

ACCOUNT = "jobs@local.iam.gserviceaccount.com"
_REFUSED = b"<Error><Code>AuthenticationRequired</Code><Message>Authentication required.</Message></Error>"
_PASSED = (
    "content-length",
    "content-range",
    "content-type",
    "etag",
    "last-modified",
    "accept-ranges",
    "x-goog-generation",
)


class GoogleStore:
    """A context manager that starts and ends it.

    Args:
        directory: for data, keys and logs; made when missing.
        bucket: that it has.

    Attributes:
        endpoint: its address.
        key: the file of the service account that may read it; `other_key` is one of somebody else's of the same name.
        asked: method, path and Range of each request that was let in.
    """

    def __init__(self, directory: Path, bucket: str) -> None:
        self._directory = directory
        self._inner = GcsServer(directory, bucket)
        self.endpoint = ""
        self.key = self.other_key = ""
        self.asked: list[tuple[str, str, str | None]] = []
        self._known: set[str] = set()

    def __enter__(self) -> Self:
        self._directory.mkdir(parents=True, exist_ok=True)
        self.key, self.other_key = self._key("key"), self._key("other")
        self._inner.__enter__()
        store = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                store._answer(self)

            do_GET = do_HEAD = answer  # noqa: N815

            def log_message(self, *_: Any) -> None:
                """Nothing: what was asked for is in `asked`."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._inner.__exit__()

    def put(self, name: str, content: bytes) -> None:
        """Stores an object."""
        self._inner.put(name, content)

    def _key(self, name: str) -> str:
        """A new key of the account, as the file that Google gives."""
        made = self._directory / f"{name}.pem"
        _openssl("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", made)
        _openssl("pkey", "-in", made, "-pubout", "-out", made.with_suffix(".pub"))
        fields = {"type": "service_account", "private_key_id": name, "client_email": ACCOUNT, "client_id": "1"}
        return json.dumps(fields | {"private_key": made.read_text()})

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        token = (request.headers.get("Authorization") or "").removeprefix("Bearer ")
        if token not in self._known and not self._is_good(token):
            _say(request, 401, {"content-length": str(len(_REFUSED))}, _REFUSED)
            return
        self._known.add(token)
        self.asked.append((request.command, request.path, request.headers.get("Range")))
        sent = {name: value for name, value in request.headers.items() if name.lower() not in ("host", "authorization")}
        answer = plainhttp.request(request.command, self._inner.endpoint + request.path, headers=sent, timeout=60)
        if answer.headers.get("etag") == request.headers.get("If-None-Match", ""):  # which the other one overlooks
            _say(request, 304, {"etag": answer.headers["etag"]}, b"")
            return
        headers = {name: value for name, value in answer.headers.items() if name in _PASSED}
        _say(request, answer.status_code, headers, answer.content)

    def _is_good(self, token: str) -> bool:
        try:
            signed, _, signature = token.rpartition(".")
            header, claims = (json.loads(_decoded(part)) for part in signed.split("."))
        except ValueError:
            return False
        fine = header.get("alg") == "RS256" and claims.get("iss") == ACCOUNT and claims.get("exp", 0) > time.time()
        written = self._directory / f"signature-{threading.get_ident()}"
        written.write_bytes(_decoded(signature))
        verify = ["dgst", "-sha256", "-verify", self._directory / "key.pub", "-signature", written]
        return fine and _openssl(*verify, given=signed.encode())


def _openssl(*arguments: str | Path, given: bytes = b"") -> bool:
    return subprocess.run(["openssl", *arguments], input=given, capture_output=True, check=False).returncode == 0


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _say(request: BaseHTTPRequestHandler, status: int, headers: dict[str, str], body: bytes) -> None:
    request.send_response(status)
    for name, value in headers.items():
        request.send_header(name, value)
    request.end_headers()
    if request.command != "HEAD":
        with contextlib.suppress(ConnectionError):  # who asked has seen enough
            request.wfile.write(body)
