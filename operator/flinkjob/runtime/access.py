"""How a Flink cluster is reached: plain, with basic or bearer credentials, with TLS and client certificates from Secrets.

Used by `Connections` to make its clients. Invariants: a Secret or ConfigMap is read only in the namespace of the FlinkJob
that names it; what was read is used again for a minute, unless a server refuses it, and for ever when it cannot be read any
more (a deletion must end in a terminating namespace), but for ten minutes only when the permission is gone; a rotated
certificate is picked up without a restart; nothing of it is ever logged.
"""

from __future__ import annotations

import base64
import binascii
import re
import ssl
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import httpx

from flinkjob.api.cluster_spec import ClusterSpec, TlsSpec
from flinkjob.api.codec import FlinkJob
from flinkjob.api.constants import ANNOTATION_USE
from flinkjob.api.references import KeyRef
from flinkjob.core.errors import Transient, with_steps
from flinkjob.kube.errors import Forbidden
from flinkjob.net.backend import AddressCheck
from flinkjob.net.checked import CheckedTransport, is_of_tls
from flinkjob.net.denied import DENIED
from flinkjob.net.permits import Permits

FRESH_SECONDS = 60.0
"""How long a Secret that was read is used without looking again."""

AGAIN_SECONDS = 5.0
"""The same where a server has refused what it says: it may have been changed since."""

REFUSED_SECONDS = 600.0
"""How long a Secret that was read is used after the permission to read it is gone: a namespace that is being deleted loses
its RoleBindings before its FlinkJobs, and the deletion of those needs the credentials."""

SECRETS_ROLE_SUFFIX = "-secrets"
"""What follows the name of the operator's ServiceAccount in that of the ClusterRole which a namespace binds."""

_ACCOUNT = re.compile(r'User "system:serviceaccount:([a-z0-9-]{1,63}):([a-z0-9.-]{1,253})"')
"""How the API server names whom it refuses."""

NEVER_SENT = ("kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token", "helm.sh/release.v1")
"""Types of Secrets that are nobody's credentials for a cluster or a store."""


class SecretReader(Protocol):
    """What is needed of `KubeClient`."""

    async def read_secret(self, namespace: str, name: str) -> dict[str, Any] | None: ...
    async def read_configmap(self, namespace: str, name: str) -> dict[str, Any] | None: ...


class Use(StrEnum):
    """What a Secret may be used for, as its annotation `flinkjob.dev/use` says (several with commas).

    Whoever may write a FlinkJob chooses the Secret and the server that its values are sent to, so that whoever looks after
    the Secret has to agree.
    """

    CLUSTER = "cluster"
    STORE = "store"
    ARTIFACT = "artifact"
    VARIABLES = "variables"


_RECEIVERS = {
    Use.CLUSTER: "a cluster",
    Use.STORE: "a store",
    Use.ARTIFACT: "an artifact server",
    Use.VARIABLES: "a job",
}


@dataclass(frozen=True)
class _Found:
    """What was read of a Secret or ConfigMap, and what it may be used for."""

    data: Mapping[str, bytes]
    uses: frozenset[str] = frozenset()


class _Known(NamedTuple):
    """When something was looked for last, when it was read last, and what it was."""

    looked: float
    read: float
    found: _Found


@dataclass(frozen=True)
class Access:
    """How the FlinkJobs of a namespace reach one cluster; two with equal values share a connection."""

    namespace: str
    auth_secret: str | None = None
    tls: TlsSpec | None = None


def access_of(job: FlinkJob) -> Access | None:
    """What a FlinkJob says about reaching its cluster; None: plain, shared by all namespaces."""
    return access_to(job.spec.cluster, job.meta.namespace) if job.spec is not None else None


def access_to(cluster: ClusterSpec | None, namespace: str) -> Access | None:
    """What is said about reaching a cluster by an object of this namespace; None: plain."""
    if cluster is None or (cluster.auth_secret_ref is None and cluster.tls is None):
        return None
    auth = cluster.auth_secret_ref.name if cluster.auth_secret_ref is not None else None
    return Access(namespace, auth, cluster.tls)


class NotBound(Transient):
    """The operator may not read the Secrets and ConfigMaps of a namespace, which has to allow that itself."""

    def __init__(self, namespace: str, what: str, refusal: Forbidden) -> None:
        account = _ACCOUNT.search(refusal.message)
        message = f"{what} cannot be read: the operator may not"
        if account is not None:
            role = f"{account[2]}{SECRETS_ROLE_SUFFIX}"
            steps = f"kubectl create rolebinding {role} -n {namespace} --clusterrole={role} "
            steps += f"--serviceaccount={account[1]}:{account[2]}"
            message = with_steps(message, f"who looks after {namespace} can allow it: {steps}")
        super().__init__("credentials", message)


class NotThere(Transient):
    """A Secret or ConfigMap does not exist."""

    def __init__(self, where: str) -> None:
        super().__init__("credentials", f"{where} does not exist")


class Vault:
    """Secrets and ConfigMaps of one namespace, as last read."""

    def __init__(
        self,
        reader: SecretReader,
        namespace: str,
        clock: Callable[[], float] = time.monotonic,
        *,
        keeps_gone: bool = True,
    ) -> None:
        """
        Args:
            keeps_gone: whether what was read is used on when it does not exist any more.
        """
        self._keeps_gone = keeps_gone
        self._reader = reader
        self._namespace = namespace
        self._clock = clock
        self._known: dict[tuple[str, str], _Known] = {}

    async def secret(self, name: str, use: Use | None = None, *, fresh: bool = False) -> Mapping[str, bytes]:
        """The decoded data of a Secret.

        Args:
            use: what its values are sent to; None: they stay here, as a private key does.
            fresh: a server has refused what was read, so it is read again unless that was a moment ago.

        Raises:
            Transient: it cannot be had, or is not meant for that.
        """
        found = await self._get("Secret", name, fresh=fresh)
        if use is not None and use not in found.uses:
            found = await self._get("Secret", name, fresh=True)
        if use is not None and use not in found.uses:
            raise Transient(
                "credentials",
                f"Secret {self._namespace}/{name} may not be sent to {_RECEIVERS[use]}; who looks after it can allow that: "
                f"kubectl annotate secret -n {self._namespace} {name} {ANNOTATION_USE}={use}",
            )
        return found.data

    async def config_map(self, name: str) -> Mapping[str, bytes]:
        """The texts of a ConfigMap. Raises `Transient` where it cannot be had."""
        return (await self._get("ConfigMap", name)).data

    async def value(self, reference: KeyRef, *, fresh: bool = False) -> bytes:
        """One value of a Secret or ConfigMap; `fresh` as for `secret`."""
        kind, named = (
            ("Secret", reference.secret_key_ref)
            if reference.secret_key_ref
            else ("ConfigMap", reference.config_map_key_ref)
        )
        assert named is not None
        found = await self._get(kind, named.name, fresh=fresh)
        return required(found.data, named.key, f"{kind} {self._namespace}/{named.name}")

    async def _get(self, kind: str, name: str, *, fresh: bool = False) -> _Found:
        known, now = self._known.get((kind, name)), self._clock()
        if known is not None and now - known.looked < (AGAIN_SECONDS if fresh else FRESH_SECONDS):
            return known.found
        try:
            known = _Known(now, now, await self._read(kind, name))
        except Exception as error:
            gone = isinstance(error, NotThere) and not self._keeps_gone
            if known is None or gone or (isinstance(error, NotBound) and now - known.read >= REFUSED_SECONDS):
                self._known.pop((kind, name), None)
                raise
            known = known._replace(looked=now)
        self._known[kind, name] = known
        return known.found

    async def _read(self, kind: str, name: str) -> _Found:
        try:
            return await self._read_permitted(kind, name)
        except Forbidden as error:
            raise NotBound(self._namespace, f"{kind} {self._namespace}/{name}", error) from error

    async def _read_permitted(self, kind: str, name: str) -> _Found:
        where = f"{kind} {self._namespace}/{name}"
        if kind == "ConfigMap":
            found = await self._reader.read_configmap(self._namespace, name)
            if found is not None:
                return _Found({key: str(value).encode() for key, value in (found.get("data") or {}).items()})
        else:
            found = await self._reader.read_secret(self._namespace, name)
            if found is not None:
                if found.get("type") in NEVER_SENT:
                    raise Transient("credentials", f"{where} is of the type {found['type']}, which is never used")
                try:
                    data = {key: base64.b64decode(value) for key, value in (found.get("data") or {}).items()}
                    return _Found(data, _uses(found))
                except (binascii.Error, TypeError) as error:
                    raise Transient("credentials", f"{where} cannot be decoded") from error
        raise NotThere(where)


class SecretAuth(httpx.Auth):
    """Basic (`username`, `password`) or bearer (`token`) credentials from a Secret."""

    def __init__(self, vault: Vault, name: str, *, plain: bool = False) -> None:
        """
        Args:
            plain: whether they may be sent over http, where everybody on the way can read them.
        """
        self._vault = vault
        self._name = name
        self._plain = plain

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        check_scheme(request.url.scheme, self._name, plain=self._plain)
        data = await self._vault.secret(self._name, Use.CLUSTER)
        request.headers["Authorization"] = authorization(data, self._name)
        response = yield request
        if response.status_code in DENIED:  # what is asked next, in a moment, has what the Secret says by now
            await self._vault.secret(self._name, Use.CLUSTER, fresh=True)


def check_scheme(scheme: str, secret: str, *, plain: bool) -> None:
    """Whether a Secret may be sent over a connection.

    Args:
        plain: whether over http, where everybody on the way can read it.

    Raises:
        Transient: it may not.
    """
    if scheme.lower() != "https" and not plain:
        raise Transient("credentials", f"Secret {secret} is not sent over http (setting credentials-over-http)")


def authorization(data: Mapping[str, bytes], secret: str) -> str:
    """The header Authorization from the data of a Secret: bearer by `token`, or basic by `username` and `password`.

    Raises:
        Transient: it has neither, or a token that a header cannot have.
    """
    if "token" in data:
        return "Bearer " + header_value(data["token"].strip(), f"Secret {secret}: token")
    pair = b":".join(required(data, key, f"Secret {secret}") for key in ("username", "password"))
    return "Basic " + base64.b64encode(pair).decode()


def header_value(value: bytes, what: str) -> str:
    """A value that a header can have: visible characters of ASCII. Raises `Transient` for another one."""
    if not value or any(not 0x21 <= byte <= 0x7E for byte in value):
        raise Transient("credentials", f"{what} has other characters than a header may")
    return value.decode("ascii")


class RotatingTransport(httpx.AsyncBaseTransport):
    """Connections over TLS whose trust and client certificate come from Secrets, made anew when those change."""

    def __init__(
        self, vault: Vault, tls: TlsSpec, limits: httpx.Limits, check: AddressCheck, permits: Permits | None = None
    ) -> None:
        """
        Args:
            check, limits, permits: see `CheckedTransport`.
        """
        self._check = check
        self._permits = permits
        self._vault = vault
        self._tls = tls
        self._limits = limits
        self._material: tuple[bytes, ...] | None = None
        self._inner: CheckedTransport | None = None
        self._refused = False
        self._retired: list[CheckedTransport] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        fresh, self._refused = self._refused, False
        material = await self._read(fresh=fresh)
        if self._inner is None or material != self._material:
            if self._inner is not None:
                self._retired.append(self._inner)
            context = _context(self._tls, material)
            self._inner = CheckedTransport(self._check, verify=context, limits=self._limits, permits=self._permits)
            self._material = material
        await self._close_retired()
        if self._tls.server_name:
            request.extensions["sni_hostname"] = self._tls.server_name
        try:
            return await self._inner.handle_async_request(request)
        except httpx.TransportError as error:
            self._refused = is_of_tls(error)  # what is sent next, in a moment, goes by what the Secrets say by then
            raise

    async def aclose(self) -> None:
        for transport in (*self._retired, *([self._inner] if self._inner is not None else [])):
            await transport.aclose()

    async def _close_retired(self) -> None:
        """What was under way when the certificate changed goes on to its end."""
        idle = [transport for transport in self._retired if transport.idle]
        self._retired = [transport for transport in self._retired if transport not in idle]
        for transport in idle:
            await transport.aclose()

    async def _read(self, *, fresh: bool) -> tuple[bytes, ...]:
        ca = await self._vault.value(self._tls.ca, fresh=fresh) if self._tls.ca is not None else b""
        if self._tls.client_secret_ref is None:
            return ca, b"", b""
        name = self._tls.client_secret_ref.name
        data = await self._vault.secret(name, fresh=fresh)
        return ca, required(data, "tls.crt", f"Secret {name}"), required(data, "tls.key", f"Secret {name}")


def _context(tls: TlsSpec, material: tuple[bytes, ...]) -> ssl.SSLContext:
    ca, certificate, key = material
    try:
        context = ssl.create_default_context(cadata=ca.decode() if ca else None)
        if tls.insecure_skip_verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if certificate:
            with tempfile.TemporaryDirectory() as directory:  # the ssl module reads them from files only
                pair = Path(directory) / "pair.pem"
                pair.touch(mode=0o600)
                pair.write_bytes(certificate + b"\n" + key)
                context.load_cert_chain(pair)
    except (ssl.SSLError, ValueError) as error:
        raise Transient("credentials", "cluster.tls: a certificate or key cannot be read") from error
    return context


def _uses(secret: Mapping[str, Any]) -> frozenset[str]:
    annotations = (secret.get("metadata") or {}).get("annotations") or {}
    return frozenset(use.strip() for use in str(annotations.get(ANNOTATION_USE, "")).split(","))


def required(data: Mapping[str, bytes], key: str, where: str) -> bytes:
    """What a Secret or ConfigMap has under a key. Raises `Transient` where it has nothing."""
    try:
        return data[key]
    except KeyError:
        raise Transient("credentials", f"{where} has no key {key}") from None
