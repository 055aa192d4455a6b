"""One HTTP exchange with Flink: sends, reads a bounded answer, turns every way of failing into the error tree.

Used by: the client's parts. Invariants: redirects are not followed; of each answer at most as many bytes are read as
`Limits` says, see `net/foreign.py`; an answer that is not Flink's JSON is `Unreachable`, whatever its status, because a
proxy's page says nothing about a job.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import httpx
import orjson
from pydantic import TypeAdapter, ValidationError

from flinkjob.core.errors import (
    FOREIGN_LIMIT,
    TRACE_LIMIT,
    Invalid,
    Rejected,
    Transient,
    Unreachable,
    clip,
    clip_middle,
    one_line,
    redact_urls,
)
from flinkjob.flink.error_texts import root_cause
from flinkjob.flink.pieces import in_turns
from flinkjob.net.checked import is_of_tls
from flinkjob.net.foreign import ACCEPT_IDENTITY, Budget, Refused, body_of, parse_json

MIB: Final = 1024 * 1024
SMALL_BYTES: Final = 1 * MIB
"""Longest answer about one thing, and longest error, in bytes."""
LARGE_BYTES: Final = 4 * MIB
"""Longest answer that holds texts of the job's program, or a list: checkpoints, configuration, jars, a plan, the result of
a trigger."""
LONG: Final = "long"
"""The extension of a request whose answer may take minutes: whoever makes connections keeps some apart for these."""
TOO_LARGE: Final = "too-large"
"""The reason of `Unreachable` where Flink has answered, with more than is read."""

SLACK: Final = 0.1
"""Seconds after the limit of an exchange at which it ends whatever it waits for; httpx, which says for what, is first."""

_MOST_ERRORS = 20
_DENIED = (401, 403, 407)
_NOT_NOW = (408, 425, 429, 502, 503, 504)

T = TypeVar("T")
V = TypeVar("V")
Parse = Callable[[bytearray], Awaitable[Any]]
"""From the bytes of an answer to its values; raises `Refused` and `orjson.JSONDecodeError`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What the answers of clusters may cost.

    Attributes:
        overview: longest `/jobs/overview`, in bytes: some 400 for each job.
        exceptions: longest `/jobs/:id/exceptions`, in bytes: a job's program writes them.
        budget: for all answers of all clusters that share it.
    """

    overview: int = 8 * MIB
    exceptions: int = 4 * MIB
    budget: Budget = field(default_factory=Budget)


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """Status and JSON body of an answer that is Flink's own: a 2xx, or an error with its `errors`."""

    status: int
    body: Any
    errors: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """True for a 2xx."""
        return 200 <= self.status < 300

    @property
    def cause(self) -> str:
        """The root cause, one line."""
        return root_cause(*self.errors)


async def _parse(body: bytearray) -> Any:
    return parse_json(body)


class FlinkRest:
    """Sends requests to one Flink cluster and understands what comes back."""

    def __init__(self, http: httpx.AsyncClient, base_url: str, *, timeout: float, limits: Limits | None = None) -> None:
        self._http = http
        self.limits = limits or Limits()
        self._base_url = base_url.rstrip("/")
        self.timeout = timeout
        self.where = redact_urls(self._base_url)

    async def call(
        self,
        method: str,
        path: str,
        *,
        json: Mapping[str, Any] | None = None,
        params: Mapping[str, str | int] | None = None,
        files: Mapping[str, Any] | None = None,
        timeout: float,
        limit: int = SMALL_BYTES,
        long: bool = False,
        parse: Parse = _parse,
    ) -> Answer:
        """Exchange one request for one answer.

        Args:
            path: begins with "/", its parts quoted already.
            limit: longest answer, in bytes.
            parse: makes values of the body.
            timeout: seconds for the whole exchange.
            long: whether it may take minutes.

        Raises:
            Unreachable: no usable answer came; `reached` says whether the request may have had its effect.
            Invalid: the address is no URL.
        """
        limits = httpx.Timeout(timeout, connect=min(timeout, self.timeout))
        body = None if json is None else orjson.dumps(json)
        headers = {"Accept": "application/json", **ACCEPT_IDENTITY}
        if body is not None:
            headers["Content-Type"] = "application/json"
        async with self._failures():
            request = self._http.build_request(
                method,
                self._base_url + path,
                content=body,
                headers=headers,
                params=params,
                files=files,
                timeout=limits,
                extensions={LONG: True} if long else None,
            )
            async with asyncio.timeout(timeout + SLACK):
                return await self._exchange(request, limit, parse)

    async def _exchange(self, request: httpx.Request, limit: int, parse: Parse) -> Answer:
        response = await self._http.send(request, stream=True, follow_redirects=False)
        try:
            most = limit if response.is_success else SMALL_BYTES
            async with body_of(response, most, self.limits.budget) as raw:
                return await self._understand(response, raw, parse)
        except Refused as refused:
            raise Unreachable(refused.reason, f"{self.where}: {refused}") from None
        finally:
            await response.aclose()

    async def _understand(self, response: httpx.Response, raw: bytearray, parse: Parse) -> Answer:
        status = response.status_code
        if status in _DENIED:
            raise Unreachable("denied", f"{self.where}: HTTP {status}, check the credentials")
        if response.has_redirect_location or 300 <= status < 400:
            target = clip(response.headers.get("location", ""), FOREIGN_LIMIT)
            # Flink itself answers an unknown cancel mode with 308 and no location, which no caller sends.
            raise Unreachable("redirect", f"{self.where}: HTTP {status} to {target or 'nowhere'}; not followed")
        try:
            body = await parse(raw)
        except orjson.JSONDecodeError:
            start = raw[:1024].lstrip()
            kind = "HTML" if start[:1] == b"<" else "no JSON" if start else "nothing"
            raise Unreachable("not-json", f"{self.where}: HTTP {status} with {kind} instead of Flink's JSON") from None
        errors = _errors(body)
        if status in _NOT_NOW:
            said = root_cause(*errors) if errors else f"HTTP {status}"
            raise Unreachable("unavailable", f"{self.where}: {said}")
        if 200 <= status < 300:
            return Answer(status=status, body=body)
        if errors is None:
            raise Unreachable("not-flink", f"{self.where}: HTTP {status} that Flink did not write")
        return Answer(status=status, body=body, errors=errors)

    @asynccontextmanager
    async def _failures(self) -> AsyncIterator[None]:
        """Translate whatever the HTTP client raises."""
        try:
            yield
        except httpx.ConnectTimeout:
            raise Unreachable("timeout", f"{self.where}: no connection in time", reached=False) from None
        except httpx.PoolTimeout:
            raise Unreachable("timeout", f"{self.where}: too many requests under way", reached=False) from None
        except (httpx.TimeoutException, TimeoutError):
            raise Unreachable("timeout", f"{self.where}: no answer in time") from None
        except httpx.ConnectError as error:
            raise self._not_connected(error) from None
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise Invalid(f"{self.where}: {error}") from None
        except (httpx.HTTPError, httpx.StreamError) as error:
            said = one_line(str(error)) or type(error).__name__
            raise Unreachable("cut", f"{self.where}: the connection broke: {said}") from None

    def _not_connected(self, error: httpx.ConnectError) -> Unreachable:
        said = one_line(str(error)) or "not connected"
        if is_of_tls(error):
            return Unreachable("tls", f"{self.where}: TLS: {said}", reached=False)
        return Unreachable("refused", f"{self.where}: {said}", reached=False)

    def parse(self, adapter: TypeAdapter[T], answer: Answer) -> T:
        """Validate the body of a 2xx.

        Raises:
            Unreachable: JSON, but not what Flink writes here.
        """
        return self.parse_values(adapter, answer.body)

    def parse_values(self, adapter: TypeAdapter[T], values: Any) -> T:
        """Validate a part of the body of a 2xx.

        Raises:
            Unreachable: JSON, but not what Flink writes here.
        """
        try:
            return adapter.validate_python(values)
        except ValidationError as error:  # the shapes of lists end with the first error, see `values.Many`
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            place = ".".join(str(part) for part in first["loc"]) or "answer"
            raise Unreachable("not-flink", f"{self.where}: unexpected answer, {place}: {first['msg']}") from None

    async def parse_entries(
        self, adapter: TypeAdapter[tuple[T, ...]], entries: Any, value: Callable[[T], V]
    ) -> list[V]:
        """The values of the entries of a list, however many there are, without stopping everything else.

        Args:
            adapter: of a list of them.
            value: what is made of one that is valid.

        Raises:
            Unreachable: JSON, but not what Flink writes here.
        """
        if not isinstance(entries, list | tuple):
            raise Unreachable("not-flink", f"{self.where}: unexpected answer: no list")

        def understand(some: Sequence[Any]) -> Iterator[V]:
            valid: tuple[T, ...] = self.parse_values(adapter, some)
            return map(value, valid)

        return await in_turns(entries, understand)

    def refusal(self, answer: Answer) -> Transient | Rejected:
        """The error for an answer that is none of those the endpoint documents."""
        said = answer.cause or f"HTTP {answer.status}"
        if answer.status >= 500:
            return Transient("server-error", f"{self.where}: {said}")
        return Rejected(answer.status, said)


def _errors(body: Any) -> tuple[str, ...] | None:
    """`errors` of Flink's error body; None when the body is not one."""
    listed = body.get("errors") if isinstance(body, dict) else None
    if not isinstance(listed, list):
        return None
    return tuple(clip_middle(text, TRACE_LIMIT) for text in listed[:_MOST_ERRORS] if isinstance(text, str))
