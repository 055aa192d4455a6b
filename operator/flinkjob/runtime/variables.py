"""The values in ConfigMaps and Secrets that FlinkJobs name as variables.

Asked by the observer. Invariants: they are read only in the namespace of the FlinkJob that names them, and a Secret only if
it says that it is meant for this; what a round gets is at most ten seconds old, and newer than the last edit of its FlinkJob;
every value that was read from a Secret is remembered as long as its FlinkJob is there, so that it can be taken out of what
clusters say; nothing of it is logged.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from flinkjob.api.variables_spec import MOST_VARIABLE_BYTES, VariablesSource
from flinkjob.core.errors import FlinkJobError
from flinkjob.core.facts import Answers, Variables
from flinkjob.core.model import Observation
from flinkjob.core.seen import VariablesSeen
from flinkjob.core.variables import NAME, hidden, to_hide
from flinkjob.runtime.access import NotThere, Reader, Use, Vault
from flinkjob.runtime.queue import Key

FRESH_SECONDS = 10.0
"""For so long what was read is used without reading it again."""
READ_SECONDS = 10.0
"""So long reading all of them may take."""
MOST_SECRETS = 2000
"""Remembered of one FlinkJob; with more of them the old ones are forgotten."""
_COST = 2**14
"""Of the digest, in steps of scrypt: 16 MiB and 50 ms, so that nobody guesses a password by what it should have."""


@dataclass
class _Known:
    """What is known of the variables of one FlinkJob.

    Attributes:
        secret: the names of those that are of Secrets.
        secrets: what is taken out of texts, of all that was ever read.
    """

    sources: tuple[VariablesSource, ...] = ()
    generation: int = 0
    at: float = 0.0
    values: Mapping[str, str] = field(default_factory=dict, repr=False)
    secret: frozenset[str] = frozenset()
    digest: str = ""
    secrets: frozenset[str] = field(default_factory=frozenset, repr=False)

    def remember(self, secrets: frozenset[str]) -> None:
        """Take these out of texts from now on."""
        self.secrets = secrets | (self.secrets if len(self.secrets) < MOST_SECRETS else frozenset())


class VariableSources:
    """Knows the values."""

    def __init__(self, reader: Reader, clock: Callable[[], float] = time.monotonic) -> None:
        self._reader = reader
        self._clock = clock
        self._known: dict[Key, _Known] = {}

    def secrets(self, key: Key) -> frozenset[str]:
        """What is taken out of all that clusters say about a FlinkJob."""
        known = self._known.get(key)
        return known.secrets if known is not None else frozenset()

    def without_secrets(self, key: Key, seen: Observation) -> Observation:
        """What was seen for a FlinkJob, without them in any text but the values themselves."""
        if not (secrets := self.secrets(key)):
            return seen
        found = tuple(
            (fact, answer if isinstance(fact, Variables) else hidden(answer, secrets))
            for fact, answer in seen.answers.found
        )
        return replace(hidden(replace(seen, answers=Answers()), secrets), answers=Answers(found))

    def forget(self, key: Key) -> None:
        """The FlinkJob is gone."""
        self._known.pop(key, None)

    async def values(
        self, key: Key, sources: tuple[VariablesSource, ...], generation: int, *, compared: bool, salt: str
    ) -> VariablesSeen:
        """The values of the variables of a FlinkJob, or why they cannot be had.

        Args:
            compared: whether their digest is wanted.
            salt: of the digest.
        """
        known = self._known.setdefault(key, _Known())
        fresh = known.generation == generation and self._clock() - known.at < FRESH_SECONDS
        if known.sources != sources or not fresh:
            if problem := await self._read(key, known, sources):
                return VariablesSeen(problem=problem)
            known.generation = generation
        if compared and not known.digest:
            known.digest = await asyncio.to_thread(_digest, known.values, salt)
        return VariablesSeen(values=known.values, secret=known.secret, digest=known.digest if compared else "")

    async def _read(self, key: Key, known: _Known, sources: tuple[VariablesSource, ...]) -> str:
        """Read all of them anew; why that cannot be done, or ""."""
        sent, values, secret = self._clock(), dict[str, str](), frozenset[str]()
        try:
            async with asyncio.timeout(READ_SECONDS):
                for source in sources:
                    found = await self._of(key[0], known, source)
                    values |= found
                    secret = secret | found.keys() if source.secret_ref is not None else secret - found.keys()
        except TimeoutError:
            return f"the API server has not given them within {READ_SECONDS:g} s"
        except FlinkJobError as error:
            return error.message
        if sum(len(value.encode()) for value in values.values()) > MOST_VARIABLE_BYTES:
            return f"they have more than {MOST_VARIABLE_BYTES} bytes"
        if values != known.values:
            known.values, known.digest = values, ""
        known.sources, known.at, known.secret = sources, sent, secret
        return ""

    async def _of(self, namespace: str, known: _Known, source: VariablesSource) -> dict[str, str]:
        vault = Vault(self._reader, namespace)
        try:
            if source.secret_ref is not None:
                found = _texts(await vault.secret(source.secret_ref.name, Use.VARIABLES))
                known.remember(to_hide(found.values()))
            else:
                assert source.config_map_ref is not None, "a rule of the spec"
                found = _texts(await vault.config_map(source.config_map_ref.name))
        except NotThere:
            if source.optional:
                return {}
            raise
        named = {(source.prefix or "") + name: value for name, value in found.items()}
        return {name: value for name, value in named.items() if NAME.fullmatch(name)}


def _texts(data: Mapping[str, bytes]) -> dict[str, str]:
    """The values that are texts; a key store in a Secret is none."""
    found = {}
    for name, value in data.items():
        try:
            found[name] = value.decode()
        except UnicodeDecodeError:
            continue
    return found


def _digest(values: Mapping[str, str], salt: str) -> str:
    text = json.dumps(values, sort_keys=True).encode()
    return hashlib.scrypt(text, salt=salt.encode(), n=_COST, r=8, p=1, dklen=16).hex()
