"""How the API server is reached: a pooled HTTP client, credentials that are kept fresh, bounded retries.

Called by `client.KubeClient` and `user.UserClient`. Works on plain JSON objects: the typed models of the package are never
built, since they cost more than the request. Every HTTP request, repeated ones too, is counted through `on_request`.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import orjson
from kubernetes.aio import client, config

from flinkjob.kube.errors import KubeRejected, KubeUnavailable, rejection

# The package has no usable types of its own.
_config: Any = config
_client: Any = client

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
USER_AGENT = "flinkjob-operator"
CONNECT_TIMEOUT_SECONDS = 5.0
FIRST_DELAY_SECONDS = 0.1
RETRY_BUDGET_SECONDS = 10.0
"""No repetition starts later than this after the first request: a worker must not hold its key for longer."""
CREDENTIAL_AGE_SECONDS = 60.0
UNAUTHORIZED = 401
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """What the requests of one client may cost.

    Attributes:
        connections: at the same time; further requests wait.
        seconds: for one request, with the wait for a connection.
        attempts: how often it is sent while the API server is busy or away.
    """

    connections: int = 64
    seconds: float = 30.0
    attempts: int = 5


USUAL = Bounds()

OnRequest = Callable[[str, str, str], None]
"""Called with verb, resource and status code (or the kind of failure) of every request."""


def _ignore(_verb: str, _resource: str, _code: str) -> None:
    return None


class Connection:
    """One pooled client of one API server; closed by its owner."""

    def __init__(self, api: Any, bounds: Bounds, *, on_request: OnRequest | None = None) -> None:
        self._api = api
        self._bounds = bounds
        self._on_request = on_request or _ignore
        self._require: Callable[[], None] | None = None

    @classmethod
    async def open(
        cls,
        kubeconfig: Path | None,
        *,
        bounds: Bounds = USUAL,
        on_request: OnRequest | None = None,
        context: str | None = None,
        user_agent: str = USER_AGENT,
    ) -> Connection:
        """Reads credentials; nothing is sent yet.

        Args:
            kubeconfig: a file; None: the Pod's ServiceAccount, or where there is none, the user's kubeconfig.
            context: of the kubeconfig. None: its current one.
            user_agent: who asks, in the API server's audit log.

        Raises:
            KubeUnavailable: no usable credentials.
        """
        try:
            configuration = await load_configuration(kubeconfig, context)
            configuration.connection_pool_maxsize = bounds.connections
            configuration.proxy = configuration.proxy or environment_proxy(configuration.host)
            # else it looks for a proxy, and in ~/.netrc, at each request, each in a thread
            configuration.client_session_kwargs = {"trust_env": False}
        except (_config.ConfigException, OSError, TypeError) as error:
            raise KubeUnavailable("credentials", f"no usable Kubernetes credentials: {error}") from error
        api = _client.ApiClient(configuration)
        api.user_agent = user_agent
        return cls(api, bounds, on_request=on_request)

    def ask_before_writes(self, require: Callable[[], None]) -> None:
        """See `KubeClient`."""
        self._require = require

    async def close(self) -> None:
        """Closes all connections."""
        await self._api.close()

    async def request(
        self,
        verb: str,
        resource: str,
        path: str,
        *,
        subject: str = "",
        query: Mapping[str, str] | None = None,
        body: Any = None,
        content_type: str = JSON,
    ) -> dict[str, Any]:
        """Sends one request, repeated while the API server is busy or away, and returns the JSON answer.

        Args:
            verb: Kubernetes' word: get, list, create, patch, delete, update.
            resource: plural name, with the subresource (`flinkjobs/status`); a label of metrics.
            path: below the API server's root, already quoted (see `path_of`).
            subject: namespace/name for messages.

        Raises:
            KubeUnavailable: still no answer after the retries.
            KubeRejected: a definite no, by its subclasses.
            Transient: this process may not write now, see `ask_before_writes`.
        """
        what = f"{verb} {resource} {subject}".rstrip()
        url = self._api.configuration.host + path + (f"?{urlencode(query)}" if query else "")
        give_up_at = time.monotonic() + RETRY_BUDGET_SECONDS
        for attempt in range(1, self._bounds.attempts + 1):
            answer = await self._send(verb, resource, url, body, content_type)
            self._on_request(verb, resource, answer.code)
            if answer.status is not None and not _worth_repeating(answer.status):
                if answer.status > 299:
                    raise rejection(answer.status, answer.body, what)
                return _parsed(answer.body, what)
            delay = _delay(attempt, answer.retry_after)
            if attempt == self._bounds.attempts or time.monotonic() + delay > give_up_at:
                break
            await asyncio.sleep(delay)
        said = "does not accept the credentials" if answer.status == UNAUTHORIZED else "does not answer"
        raise KubeUnavailable("api-server", f"{what}: the API server {said}: {answer.problem}")

    async def pass_on(
        self, verb: str, path: str, body: bytes = b"", content_type: str = JSON, *, seconds: float | None = None
    ) -> tuple[int, bytes]:
        """One request that the API server passes on, not repeated, whatever is answered: HTTP status and body.

        Args:
            path: below the API server's root, already quoted, with its query.
            seconds: how long the answer may take; None: as of other requests.

        Raises:
            KubeUnavailable: no answer.
        """
        content: Any = body or None
        if body and content_type == JSON:
            content = json.loads(body)  # the package writes JSON itself
        url = self._api.configuration.host + path
        answer = await self._send(verb, "proxy", url, content, content_type, seconds=seconds)
        self._on_request(verb, "proxy", answer.code)
        if answer.status is None:
            raise KubeUnavailable("api-server", f"{verb} {path}: the API server does not answer: {answer.problem}")
        return answer.status, answer.body

    async def lines(
        self, resource: str, path: str, *, subject: str = "", query: Mapping[str, str], silence: float, most: int
    ) -> AsyncGenerator[bytes, None]:
        """The lines of a watch as they come, until it ends or is cut off; it is not begun again.

        Args:
            silence: seconds without a byte after which it is given up.
            most: bytes of a line.

        Raises:
            KubeUnavailable: no answer, silence, or too long a line.
            KubeRejected: a definite no, by its subclasses.
        """
        what = f"watch {resource} {subject}".rstrip()
        url = f"{self._api.configuration.host}{path}?{urlencode(query)}"
        patience = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_SECONDS, sock_read=silence)
        code, response = "", None
        try:
            response = await self._call("watch", resource, url, None, JSON, patience)
            code = str(response.status)
            if response.status > 299:
                raise _no(response.status, await response.read(), what)
            rest = b""
            async for part in response.response.content.iter_any():
                *whole, rest = (rest + part).split(b"\n")
                for line in whole:
                    yield line
                if len(rest) > most:
                    raise KubeUnavailable("api-server", f"{what}: a line is longer than {most} bytes")
        except TimeoutError as error:
            code = code or "timeout"
            raise KubeUnavailable("api-server", f"{what}: nothing within {silence:g} s") from error
        except (aiohttp.ClientError, OSError, _config.ConfigException) as error:
            if not code:
                code = type(error).__name__
                raise KubeUnavailable("api-server", f"{what}: the API server does not answer: {code}") from error
        finally:
            if response is not None:
                response.response.close()
            self._on_request("watch", resource, code)

    async def _call(
        self, verb: str, resource: str, url: str, body: Any, content_type: str, patience: aiohttp.ClientTimeout
    ) -> Any:
        headers = {"Accept": JSON, "Content-Type": content_type, **self._api.default_headers}
        await self._api.update_params_for_auth(headers, [], ["BearerToken"], url, verb, body)
        if self._require is not None and verb not in _READS and resource not in _EXEMPT:
            self._require()
        return await self._api.call_api(
            _METHODS[verb], url, header_params=headers, body=body, _request_timeout=patience
        )

    async def _send(
        self, verb: str, resource: str, url: str, body: Any, content_type: str, *, seconds: float | None = None
    ) -> _Answer:
        seconds = seconds or self._bounds.seconds
        patience = aiohttp.ClientTimeout(total=seconds, sock_connect=CONNECT_TIMEOUT_SECONDS)
        try:
            response = await self._call(verb, resource, url, body, content_type, patience)
            data: bytes = await response.read()
        except TimeoutError:
            return _Answer("timeout", problem=f"nothing within {seconds:g} s")
        except (aiohttp.ClientError, OSError, _config.ConfigException) as error:
            kind = type(error).__name__
            return _Answer(kind, problem=f"{kind}: {error}")
        return _Answer(
            str(response.status),
            problem=f"HTTP {response.status}",
            status=response.status,
            body=data,
            retry_after=_seconds(response.getheader("Retry-After")),
        )


@dataclass(frozen=True, slots=True)
class _Answer:
    """What came of one request."""

    code: str
    """HTTP status or kind of failure, for metrics."""
    problem: str
    """The same for people."""
    status: int | None = None
    """None: no complete answer."""
    body: bytes = b""
    retry_after: float | None = None
    """Seconds."""


def _parsed(body: bytes, what: str) -> dict[str, Any]:
    try:
        parsed = orjson.loads(body) if body else {}
    except orjson.JSONDecodeError as error:
        raise KubeUnavailable("api-server", f"{what}: the answer is not JSON: is this the API server?") from error
    return parsed if isinstance(parsed, dict) else {}


def _no(status: int, body: bytes, what: str) -> KubeUnavailable | KubeRejected:
    """The error of a watch that does not begin."""
    if _worth_repeating(status):
        return KubeUnavailable("api-server", f"{what}: the API server does not answer: HTTP {status}")
    return rejection(status, body, what)


_READS = ("get", "list", "watch")
_EXEMPT = ("leases", "events")
_METHODS = {
    "get": "GET",
    "list": "GET",
    "watch": "GET",
    "create": "POST",
    "patch": "PATCH",
    "update": "PUT",
    "delete": "DELETE",
}


def path_of(
    resource: str,
    *,
    group_version: str,
    namespace: str | None = None,
    name: str | None = None,
    subresource: str | None = None,
) -> str:
    """The path of a collection or object, every part quoted.

    `group_version` is `v1`, or `apps/v1` for named groups.
    """
    root = "/apis" if "/" in group_version else "/api"
    parts: Sequence[str | None] = (
        *(("namespaces", namespace) if namespace else ()),
        resource,
        name,
        subresource,
    )
    return f"{root}/{group_version}/" + "/".join(quote(part, safe="") for part in parts if part)


def _worth_repeating(status: int) -> bool:
    """401 too: the operator's own token is not a property of the object, and may be replaced in a moment."""
    return status in (401, 429) or status >= 500


def _delay(attempt: int, retry_after: float | None) -> float:
    if retry_after is not None:
        return retry_after * random.uniform(1.0, 1.25)
    backoff: float = FIRST_DELAY_SECONDS * 3.0 ** (attempt - 1)
    return backoff * random.uniform(0.5, 1.0)


def _seconds(header: str | None) -> float | None:
    try:
        return max(0.0, float(header)) if header else None
    except ValueError:
        return None


def environment_proxy(url: str) -> str | None:
    """The proxy that the environment names for an address (HTTPS_PROXY, NO_PROXY and their like); None: none."""
    parts = urlsplit(url)
    if parts.hostname is None or proxy_bypass(parts.hostname):
        return None
    return getproxies().get(parts.scheme)


async def load_configuration(kubeconfig: Path | None, context: str | None = None) -> Any:
    """The package's `Configuration`; its token (a file, or a plugin's answer) is read again each minute.

    Raises:
        ConfigException, OSError, TypeError: as the package raises them.
    """
    if kubeconfig is None and (SERVICE_ACCOUNT / "token").is_file():

        async def load(into: Any) -> None:
            # try_refresh_token=False: its own way of refreshing breaks on a line feed at the end of the file
            _config.incluster_config.InClusterConfigLoader(
                SERVICE_ACCOUNT / "token", str(SERVICE_ACCOUNT / "ca.crt"), try_refresh_token=False
            ).load_and_set(into)
            into.api_key["BearerToken"] = "Bearer " + (SERVICE_ACCOUNT / "token").read_text().strip()
    else:

        async def load(into: Any) -> None:
            file = str(kubeconfig) if kubeconfig else None
            await _config.load_kube_config(file, context=context, client_configuration=into, persist_config=False)

    configuration = _client.Configuration()
    await load(configuration)
    read_at = time.monotonic()

    async def refresh(used: Any) -> None:
        nonlocal read_at
        if time.monotonic() - read_at < CREDENTIAL_AGE_SECONDS:
            return
        read_at = time.monotonic()
        fresh = _client.Configuration()
        await load(fresh)
        used.api_key.update(fresh.api_key)

    configuration.refresh_api_key_hook = refresh
    return configuration
