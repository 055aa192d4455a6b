"""The values in ConfigMaps and Secrets that FlinkJobs name as variables.

Asked by the observer. Invariants: they are read only in the namespace of the FlinkJob that names them, but for those of the
operator, and a Secret only if it says that it is meant for this; what a run is started with is at most ten seconds old, and
newer than the last edit of its FlinkJob, unless the API server does not answer; only what is used is kept; the values of
Secrets that were handed out are remembered as long as their FlinkJob is there, the present ones all, of older ones the
newest, so that they can be taken out of what clusters say, and while they cannot be read for a run that is there, no words of
its job are shown; nothing of it is logged.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from weakref import WeakValueDictionary

from flinkjob.api.variables_spec import MOST_VARIABLE_BYTES, VariablesSource
from flinkjob.core.errors import FlinkJobError
from flinkjob.core.facts import Variables
from flinkjob.core.hiding import EVERYTHING, LEAST_HIDDEN, MOST_FORMS, NOTHING, Hiding, forms
from flinkjob.core.seen import VariablesSeen
from flinkjob.core.variables import NAME
from flinkjob.kube.errors import KubeUnavailable
from flinkjob.runtime.access import NotThere, SecretReader, Use, Vault
from flinkjob.runtime.operator_variables import OperatorVariables
from flinkjob.runtime.queue import Key

FRESH_SECONDS = 10.0
"""For so long what was read is used without reading it again."""
PAUSE_SECONDS = 60.0
"""After a read that failed, where nothing is to be started, unless the API server did not answer."""
READ_SECONDS = 10.0
"""So long reading all of them may take, with the wait for their turn."""
MOST_READ = 16
"""Sets of names of one FlinkJob that are known to have been read, or not to be there."""
MOST_SECRET_CHARACTERS = 16 * 1024
"""Of a FlinkJob's secret values together, in all forms of which they are looked for."""
PARALLEL = 4
"""FlinkJobs whose variables are read at the same time."""


@dataclass(frozen=True)
class _Failure:
    """Why values cannot be had.

    Attributes:
        generation, at: for which and when it was tried.
        passing: it was no answer.
    """

    problem: str
    generation: int
    at: float
    passing: bool

    def counts(self, fact: Variables, now: float) -> bool:
        """Whether it was tried too short a time ago to try it again."""
        if fact.fresh and self.generation != fact.generation:
            return False
        return now - self.at < (FRESH_SECONDS if fact.fresh or self.passing else PAUSE_SECONDS)


@dataclass
class _Known:
    """What is known of the variables of one FlinkJob.

    Attributes:
        wanted: sources and names of what was read last.
        at: when.
        read: all sources and names that were read: what nothing is to be started with needs no more.
        failed: what could not be read, if that was later.
        unread: whether it is not known in this round what must not be shown.
        secret: the names of those that are of Secrets.
        forms: of all values of Secrets that were handed out, the newest last.
    """

    wanted: object = None
    generation: int = -1
    at: float = 0.0
    read: set[object] = field(default_factory=set)
    failed: dict[object, _Failure] = field(default_factory=dict)
    unread: bool = False
    values: Mapping[str, str] = field(default_factory=dict, repr=False)
    secret: frozenset[str] = frozenset()
    forms: dict[str, frozenset[str]] = field(default_factory=dict, repr=False)
    hiding: Hiding = NOTHING

    def remember(self, present: dict[str, frozenset[str]]) -> None:
        """Take these out of texts from now on, and of older ones as many as there is room for."""
        old = {value: found for value, found in self.forms.items() if value not in present}
        room, space, kept = MOST_FORMS, MOST_VARIABLE_BYTES, dict[str, frozenset[str]]()
        for value, found in reversed(old.items()):
            room, space = room - len(found), space - len(value)
            if room < 0 or space < 0:
                break
            kept[value] = found
        now = dict(reversed(kept.items())) | present
        if now.keys() != self.forms.keys():
            self.hiding = Hiding(form for found in now.values() for form in found)
        self.forms = now


class VariableSources:
    """Knows the values."""

    def __init__(
        self, reader: SecretReader, operator: OperatorVariables, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._reader = reader
        self._operator = operator
        self._clock = clock
        self._known: dict[Key, _Known] = {}
        self._turns = asyncio.Semaphore(PARALLEL)
        self._forms: WeakValueDictionary[tuple[str, str], frozenset[str]] = WeakValueDictionary()

    def hiding(self, key: Key) -> Hiding:
        """What takes the values of Secrets out of all that is said about a FlinkJob."""
        known = self._known.get(key)
        if known is None:
            return NOTHING
        return EVERYTHING if known.unread else known.hiding

    def begin(self, key: Key) -> None:
        """A round begins, which asks again for what it must not show."""
        if (known := self._known.get(key)) is not None:
            known.unread = False

    def forget(self, key: Key) -> None:
        """The FlinkJob is gone."""
        self._known.pop(key, None)

    async def values(self, key: Key, fact: Variables) -> VariablesSeen:
        """The values of the variables of a FlinkJob, or why they cannot be had."""
        known = self._known.setdefault(key, _Known())
        if not fact.fresh:
            return await self._seen_once(key, known, fact)
        failure = known.failed.get(_wanted(fact))
        if failure is not None and failure.counts(fact, self._clock()):
            return VariablesSeen(problem=failure.problem)
        if not self._is_fresh(known, fact):
            if failure := await self._read(key, known, fact):
                return VariablesSeen(problem=failure.problem)
            known.generation = fact.generation
        return VariablesSeen(values=known.values, secret=known.secret)

    async def _seen_once(self, key: Key, known: _Known, fact: Variables) -> VariablesSeen:
        """Have the values read, if they were not yet; until then nothing is shown."""
        if _wanted(fact) in known.read:
            return VariablesSeen()
        failure = known.failed.get(_wanted(fact))
        if failure is None or not failure.counts(fact, self._clock()):
            failure = await self._read(key, known, fact)
        if failure is None:
            return VariablesSeen()
        known.unread = True
        return VariablesSeen(problem=failure.problem)

    def _is_fresh(self, known: _Known, fact: Variables) -> bool:
        """Whether what was read last needs no other read."""
        same = known.wanted == _wanted(fact) and known.generation == fact.generation
        return same and self._clock() - known.at < FRESH_SECONDS

    async def _read(self, key: Key, known: _Known, fact: Variables) -> _Failure | None:
        """Read all of them anew; why that cannot be done."""
        problem, passing = await self._try_to_read(key, known, fact)
        known.failed.pop(_wanted(fact), None)
        if not problem:
            return None
        if len(known.failed) >= MOST_READ:
            known.failed.clear()
        known.failed[_wanted(fact)] = _Failure(problem, fact.generation, self._clock(), passing)
        return known.failed[_wanted(fact)]

    async def _try_to_read(self, key: Key, known: _Known, fact: Variables) -> tuple[str, bool]:
        """Why that cannot be done, or "", and whether nobody answered."""
        sent, values, secret = self._clock(), dict[str, str](), frozenset[str]()
        unchanged = known.wanted == _wanted(fact) and known.generation == fact.generation
        try:
            async with asyncio.timeout(READ_SECONDS), self._turns:
                for source in fact.sources:
                    found = await self._of(key[0], source, fact.names)
                    values |= found
                    secret = secret | found.keys() if source.secret_ref is not None else secret - found.keys()
        except (TimeoutError, KubeUnavailable) as error:
            late = f"the API server has not given them within {READ_SECONDS:g} s"
            if unchanged:
                known.at = sent
                return "", False
            return error.message if isinstance(error, KubeUnavailable) else late, True
        except FlinkJobError as error:
            return error.message, False
        hidden = {name: values[name] for name in sorted(secret) if values[name]}
        if problem := _problem(values, hidden):
            return problem, False
        known.remember({value: self._forms_of(key[0], value) for value in hidden.values()})
        if fact.fresh:
            known.wanted, known.at, known.values, known.secret = _wanted(fact), sent, values, secret
        if len(known.read) >= MOST_READ:
            known.read.clear()
        known.read.add(_wanted(fact))
        return "", False

    def _forms_of(self, namespace: str, value: str) -> frozenset[str]:
        """The same object for all FlinkJobs of a namespace that have this value."""
        found = self._forms.get((namespace, value))
        if found is None:
            found = self._forms[namespace, value] = forms(value)
        return found

    async def _of(self, namespace: str, source: VariablesSource, names: tuple[str, ...] | None) -> dict[str, str]:
        vault = Vault(self._reader, namespace)
        try:
            if source.secret_ref is not None:
                found = await vault.secret(source.secret_ref.name, Use.VARIABLES)
            elif source.operator:
                found = await self._operator.of(namespace)
            else:
                assert source.config_map_ref is not None, "a rule of the spec"
                found = await vault.config_map(source.config_map_ref.name)
        except NotThere:
            if source.optional:
                return {}
            raise
        named = {(source.prefix or "") + name: value for name, value in found.items()}
        wanted = named.keys() if names is None else named.keys() & names
        return _texts({name: named[name] for name in wanted if NAME.fullmatch(name)})


def _wanted(fact: Variables) -> object:
    return fact.sources, fact.names


def _problem(values: Mapping[str, str], hidden: Mapping[str, str]) -> str:
    """Why values cannot be used, or "".

    Args:
        hidden: those of Secrets.
    """
    if sum(len(value.encode()) for value in values.values()) > MOST_VARIABLE_BYTES:
        return f"the values that are used have more than {MOST_VARIABLE_BYTES} bytes"
    if sum(map(len, hidden.values())) > MOST_SECRET_CHARACTERS:
        return f"the secret values that are used have more than {MOST_SECRET_CHARACTERS} characters together"
    plain = "put it into a ConfigMap or spec.variables if it is no secret"
    if short := next((name for name, value in hidden.items() if not any(map(_is_long, value.splitlines()))), None):
        return (
            f"{short} has no line of {LEAST_HIDDEN} characters, so that it could not be kept out of messages; {plain}"
        )
    if sum(len(value.splitlines()) for value in hidden.values()) > MOST_FORMS // 4:
        return (
            f"the secret values that are used have more than {MOST_FORMS // 4} lines, too many to keep out of messages"
        )
    return ""


def _is_long(line: str) -> bool:
    return len(line.strip()) >= LEAST_HIDDEN


def _texts(data: Mapping[str, bytes]) -> dict[str, str]:
    """The values that are texts; a key store in a Secret is none."""
    found = {}
    for name, value in data.items():
        try:
            found[name] = value.decode()
        except UnicodeDecodeError:
            continue
    return found
