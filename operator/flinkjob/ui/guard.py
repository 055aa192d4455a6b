"""Who may ask for anything, and what a browser may do with the answers.

The server is on a loopback address, which every program of the machine and every page in the browser can send requests to.
So a request must name a host that the server is known by (a name that was made to point to this machine is refused) and carry
the token, and a change must come from a page of the server itself. The token comes once in an address, and is a cookie then.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import Final
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE: Final = "flinkjob-ui-"
"""Before the port: a browser gives the cookies of a host to all of its ports, so that each server needs its own name."""
FIELD: Final = "csrf"
HEADER: Final = "x-csrf-token"
TOKEN_PARAMETER: Final = "token"
READING: Final = frozenset({"GET", "HEAD"})
MOST_BODY: Final = 16 * 1024
"""Bytes of a form."""

POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
_PORT: Final = re.compile(r"[0-9]{1,5}")
HEADERS: Final = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


def new_token() -> str:
    """One that nobody guesses."""
    return secrets.token_urlsafe(32)


@dataclass(frozen=True, kw_only=True)
class Gate:
    """What is asked of a request.

    Attributes:
        token: None: none is asked for, which only a server that changes nothing may do.
        hosts: the values of the header Host that are the server's own, without ports; empty: any.
        changes: whether any is let through.
        csrf: what a change must bring along; the pages have it in their forms.
    """

    token: str | None
    hosts: frozenset[str]
    changes: bool = False
    csrf: str = field(default_factory=new_token)

    @property
    def read_only(self) -> bool:
        """Whether no change is let through, whoever asks."""
        return self.token is None or not self.changes


class Guard:
    """Lets through what the gate lets through; an ASGI middleware."""

    def __init__(self, app: ASGIApp, gate: Gate) -> None:
        self._app = app
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # no web socket is served: the connection is closed
        refused = self._refused(scope)
        await (refused or self._app)(scope, receive, _guarded(send))

    def _refused(self, scope: Scope) -> Response | None:
        gate, headers, method = self._gate, Headers(scope=scope), scope["method"]
        if gate.hosts and _host(headers.get("host", "")) not in gate.hosts:
            return PlainTextResponse("this is not the name of this server", 421)
        if gate.token is not None and not _same(_cookie(headers), gate.token):
            return self._first_visit(scope, method, cookie_name(headers.get("host", "")))
        if method in READING:
            return None
        if method != "POST" or gate.read_only:
            return PlainTextResponse("nothing is changed here", 405)
        if headers.get("sec-fetch-site", "same-origin") != "same-origin":
            return PlainTextResponse("another page asked for this", 403)
        return None

    def _first_visit(self, scope: Scope, method: str, cookie: str) -> Response:
        """The cookie for who has the token in the address, which then has it no more."""
        given = parse_qsl(scope["query_string"].decode("latin-1"))
        said = next((value for name, value in given if name == TOKEN_PARAMETER), "")
        token = self._gate.token or ""
        if method not in READING or not _same(said, token):
            return PlainTextResponse("open the address that kubectl flinkjob ui has printed", 403)
        rest = urlencode([each for each in given if each[0] != TOKEN_PARAMETER])
        path = "/" + scope["path"].lstrip("/")  # with two slashes it would be another host
        answer = RedirectResponse(path + (f"?{rest}" if rest else ""), 303)
        answer.set_cookie(cookie, token, httponly=True, samesite="strict", path="/")
        return answer


def allowed(gate: Gate, said: str) -> bool:
    """Whether a form, or a header, brings what only a page of this server has."""
    return not gate.read_only and _same(said, gate.csrf)


def _guarded(send: Send) -> Send:
    async def guarded(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
        await send(message)

    return guarded


def _host(header: str) -> str:
    """The host without its port."""
    if header.startswith("["):
        return header.partition("]")[0] + "]"
    return header.partition(":")[0].lower()


def cookie_name(host: str) -> str:
    """The name of the cookie of the server that a browser knows by this header Host."""
    port = host.rpartition(":")[2]
    return COOKIE + (port if _PORT.fullmatch(port) else "80")


def _cookie(headers: Headers) -> str:
    name = cookie_name(headers.get("host", ""))
    for header in headers.getlist("cookie"):
        try:
            found = SimpleCookie(header).get(name)
        except CookieError:
            continue
        if found is not None:
            return found.value
    return ""


def _same(said: str, wanted: str) -> bool:
    return secrets.compare_digest(said.encode(), wanted.encode())
