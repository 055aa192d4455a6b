"""Values of ConfigMaps and Secrets: whose may be used, how old they may be, and what is remembered of them."""

from __future__ import annotations

import asyncio
import base64
import time
from typing import Any

import pytest

from flinkjob.api.variables_spec import MOST_VARIABLE_BYTES, VariablesSource
from flinkjob.core.facts import Variables
from flinkjob.core.hiding import HIDDEN, UNREAD
from flinkjob.core.seen import VariablesSeen
from flinkjob.kube.errors import Forbidden, KubeUnavailable
from flinkjob.runtime.operator_variables import OperatorVariables
from flinkjob.runtime.variables import FRESH_SECONDS, MOST_SECRET_CHARACTERS, PARALLEL, PAUSE_SECONDS, VariableSources

KEY = ("shop", "clicks")


class Desk:
    """An API server with the Secret `kafka` and the ConfigMap `settings`."""

    def __init__(self) -> None:
        self.secret: dict[str, bytes] | None = {"password": b"hunter2", "keystore": b"\xff\xfe", "not a name": b"x"}
        self.settings: dict[str, str] | None = {"topic": "clicks", "password": "weaker"}
        self.use = "variables"
        self.down = False
        self.now = 1000.0
        self.reads = 0
        self.labels: dict[str, str] | Exception = {"flinkjob.dev/operator-variables": "allowed"}
        self.shared: dict[str, str] | None = {"topic": "all", "region": "eu"}
        self.place("system/shared")

    def place(self, where: str | None) -> None:
        """The operator with its variables there."""
        self.sources = VariableSources(self, OperatorVariables(self, where), clock=lambda: self.now)

    async def namespace_labels(self, namespace: str) -> dict[str, str]:
        if isinstance(self.labels, Exception):
            raise self.labels
        return self.labels if namespace == "shop" else {}

    async def read_secret(self, namespace: str, name: str) -> dict[str, Any] | None:
        self.reads += 1
        if self.down:
            raise KubeUnavailable("timeout", "no answer")
        if self.secret is None or (namespace, name) != ("shop", "kafka"):
            return None
        data = {key: base64.b64encode(value).decode() for key, value in self.secret.items()}
        return {"metadata": {"annotations": {"flinkjob.dev/use": self.use}}, "data": data}

    async def read_configmap(self, namespace: str, name: str) -> dict[str, Any] | None:
        self.reads += 1
        if (namespace, name) == ("system", "shared"):
            return {"data": self.shared} if self.shared is not None else None
        return {"data": self.settings} if self.settings is not None and name == "settings" else None

    async def seen(
        self, *sources: VariablesSource, generation: int = 1, names: tuple[str, ...] | None = None, fresh: bool = True
    ) -> VariablesSeen:
        wanted = sources or (SETTINGS, KAFKA)
        return await self.sources.values(KEY, Variables(wanted, generation, names, fresh))

    def shown(self, text: str) -> str:
        """A text without what is known."""
        return self.sources.hiding(KEY)(text)


def source(**fields: Any) -> VariablesSource:
    return VariablesSource.model_validate(fields)


KAFKA = source(secretRef={"name": "kafka"})
VALUES = VariablesSeen(values={"password": "hunter2"}, secret=frozenset({"password"}))
SETTINGS = source(configMapRef={"name": "settings"})
OPERATOR = source(operator=True)
PERHAPS = source(operator=True, optional=True)


@pytest.fixture
def desk() -> Desk:
    return Desk()


async def test_a_later_source_is_stronger_and_a_prefix_makes_the_name(desk: Desk) -> None:
    assert (await desk.seen()).values == {"topic": "clicks", "password": "hunter2"}
    assert (await desk.seen()).secret == {"password"}
    assert (await desk.seen(KAFKA, SETTINGS)).secret == frozenset()
    prefixed = source(secretRef={"name": "kafka"}, prefix="kafka.")
    assert (await desk.seen(SETTINGS, prefixed)).values == {
        "topic": "clicks",
        "password": "weaker",
        "kafka.password": "hunter2",
    }


@pytest.mark.threat("borrowed-secret")
@pytest.mark.parametrize("use", ["", "cluster", "artifact"])
async def test_a_secret_for_something_else_is_not_used(desk: Desk, use: str) -> None:
    desk.use = use
    problem = (await desk.seen()).problem
    assert problem.startswith("Secret shop/kafka may not be sent to a job")
    assert problem.endswith("flinkjob.dev/use=variables")
    assert desk.shown("hunter2") == "hunter2"


async def test_what_is_missing(desk: Desk) -> None:
    desk.secret = None
    assert (await desk.seen()).problem == "Secret shop/kafka does not exist"
    optional = source(secretRef={"name": "kafka"}, optional=True)
    assert (await desk.seen(SETTINGS, optional)).values == desk.settings
    desk.secret = {"password": b"late"}
    desk.now += FRESH_SECONDS
    assert (await desk.seen(SETTINGS, optional)).values["password"] == "late"


async def test_what_was_read_counts_for_ten_seconds_unless_the_job_was_edited(desk: Desk) -> None:
    await desk.seen()
    desk.secret = {"password": b"rotated"}
    assert (await desk.seen()).values["password"] == "hunter2"
    assert desk.reads == 2
    assert (await desk.seen(generation=2)).values["password"] == "rotated"
    desk.now += FRESH_SECONDS
    await desk.seen(generation=2)
    assert desk.reads == 6


async def test_without_an_answer_what_is_known_counts_unless_the_job_was_edited(desk: Desk) -> None:
    await desk.seen()
    desk.down = True
    desk.now += FRESH_SECONDS
    assert (await desk.seen()).values["password"] == "hunter2"
    assert (await desk.seen(generation=2)).problem == "no answer"
    desk.down, desk.secret = False, None
    desk.now += FRESH_SECONDS
    assert (await desk.seen()).problem == "Secret shop/kafka does not exist"


async def test_where_nothing_is_started_it_is_read_once_and_rarely_tried_again(desk: Desk) -> None:
    for missing, pause, words in (
        (False, FRESH_SECONDS, "no answer"),
        (True, PAUSE_SECONDS, "Secret shop/kafka does not exist"),
    ):
        desk.reads, desk.down = 0, not missing
        kept, desk.secret = desk.secret, None if missing else desk.secret
        for generation in range(5):
            assert (await desk.seen(KAFKA, fresh=False, generation=generation)).problem == words
            desk.now += pause / 5 - 0.01
        assert desk.reads == 1
        desk.secret = kept
        desk.now += 1
    desk.reads, desk.down = 1, False
    for generation in range(5):
        assert await desk.seen(KAFKA, fresh=False, generation=generation) == VariablesSeen()
        desk.now += 10 * FRESH_SECONDS
    assert desk.reads == 2
    assert desk.shown("hunter2") == HIDDEN
    await desk.seen(KAFKA, fresh=False, names=("password",))
    await desk.seen(KAFKA, fresh=False)
    assert desk.reads == 3


@pytest.mark.threat("leaked-secrets")
async def test_while_the_secrets_of_a_run_cannot_be_read_nothing_is_shown(desk: Desk) -> None:
    desk.secret = None
    for _ in range(3):
        desk.sources.begin(KEY)
        await desk.seen(KAFKA, names=("password",), fresh=False)
        await desk.seen(SETTINGS, names=("topic",), fresh=False)
        assert desk.shown("was hunter2") == UNREAD
    desk.sources.begin(KEY)
    await desk.seen(SETTINGS, names=("topic",), fresh=False)
    assert desk.shown("was hunter2") == "was hunter2", "they are of no run any more"
    desk.secret = {"password": b"hunter2"}
    desk.now += PAUSE_SECONDS
    await desk.seen(KAFKA, names=("password",), fresh=False)
    assert desk.shown("was hunter2") == f"was {HIDDEN}"


async def test_what_is_to_be_started_and_cannot_be_read_hides_nothing_that_is_there(desk: Desk) -> None:
    desk.secret = None
    assert (await desk.seen(KAFKA)).problem
    assert desk.shown("it fails") == "it fails"


async def test_what_could_not_be_read_is_not_asked_for_in_every_round(desk: Desk) -> None:
    desk.secret = None
    for _ in range(5):
        assert (await desk.seen(KAFKA)).problem == "Secret shop/kafka does not exist"
    assert desk.reads == 1
    desk.secret = {"password": b"hunter2"}
    assert (await desk.seen(KAFKA, generation=2)).values == {"password": "hunter2"}


async def test_only_so_many_are_read_at_the_same_time(desk: Desk) -> None:
    under_way, most = 0, 0

    class Slow(Desk):
        async def read_secret(self, namespace: str, name: str) -> dict[str, Any] | None:
            nonlocal under_way, most
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(0)
            under_way -= 1
            return await super().read_secret(namespace, name)

    slow = Slow()
    fact = Variables((KAFKA,), 1, None, True)
    found = await asyncio.gather(*(slow.sources.values(("shop", str(number)), fact) for number in range(20)))
    assert [each.values["password"] for each in found] == ["hunter2"] * 20
    assert most == PARALLEL


async def test_only_what_is_used_is_kept(desk: Desk) -> None:
    desk.secret = {"password": b"hunter2", "key": b"sa", "other": b"x" * MOST_VARIABLE_BYTES}
    assert (await desk.seen(KAFKA, names=("password", "topic"))).values == {"password": "hunter2"}
    assert desk.shown("hunter2 xxxxxxx") == f"{HIDDEN} xxxxxxx"


@pytest.mark.threat("leaked-secrets")
async def test_every_secret_value_is_remembered_and_shown_nowhere(desk: Desk) -> None:
    seen = await desk.seen()
    desk.secret = {"password": b"rotated-2"}
    desk.now += FRESH_SECONDS
    await desk.seen()
    assert desk.shown("hunter2, rotated-2") == f"{HIDDEN}, {HIDDEN}"
    assert "hunter2" not in repr(seen)
    desk.sources.forget(KEY)
    assert desk.shown("hunter2") == "hunter2"


@pytest.mark.threat("leaked-secrets")
async def test_however_many_older_ones_there_are_the_present_ones_are_all_hidden(desk: Desk) -> None:
    for turn in range(40):
        desk.secret = {f"p{number}": f"value-{turn}-{number}.".encode() for number in range(100)}
        desk.now += FRESH_SECONDS
        assert not (await desk.seen(KAFKA)).problem
        for number in range(100):
            assert desk.shown(f"is value-{turn}-{number}.") == f"is {HIDDEN}"
    assert desk.shown("value-38-7.") == HIDDEN
    assert desk.shown("value-1-7.") == "value-1-7."


@pytest.mark.threat("leaked-secrets")
@pytest.mark.parametrize(
    ("value", "words"),
    [
        (b"abc", "password has no line of 4 characters, so that it could not be kept out of messages"),
        (b"a\nb\nc\nd", "password has no line of 4 characters"),
        (b"0123456" * 2400, f"the secret values that are used have more than {MOST_SECRET_CHARACTERS} characters"),
        (b"line\n" * 200, "the secret values that are used have more than 128 lines"),
        (b"1234 \n" * 160_000, f"the values that are used have more than {MOST_VARIABLE_BYTES} bytes"),
    ],
)
async def test_what_could_not_be_hidden_is_not_used(desk: Desk, value: bytes, words: str) -> None:
    desk.secret = {"password": value, "other": b"hunter2"}
    begun = time.thread_time()
    assert (await desk.seen(KAFKA)).problem.startswith(words)
    assert time.thread_time() - begun < 0.2
    assert not (await desk.seen(KAFKA, names=("other",))).problem
    desk.settings = {"password": value.decode()}
    if len(value) < MOST_VARIABLE_BYTES:
        assert (await desk.seen(KAFKA, SETTINGS)).values["password"] == value.decode()


async def test_an_empty_value_hides_nothing(desk: Desk) -> None:
    desk.secret = {"password": b""}
    assert (await desk.seen(KAFKA)).values == {"password": ""}
    assert desk.shown("as it is") == "as it is"


async def test_too_much_is_refused(desk: Desk) -> None:
    desk.settings = {"large": "x" * MOST_VARIABLE_BYTES}
    assert (await desk.seen()).problem == f"the values that are used have more than {MOST_VARIABLE_BYTES} bytes"


async def test_the_forms_of_a_value_are_kept_once_for_all_of_a_namespace(desk: Desk) -> None:
    for number in range(3):
        await desk.sources.values(("shop", f"job-{number}"), Variables((KAFKA,), 1, ("password",), False))
    known = [desk.sources._known[("shop", f"job-{number}")] for number in range(3)]
    assert len({id(each.forms["hunter2"]) for each in known}) == 1
    assert [each.values for each in known] == [{}] * 3, "nothing is started with them"


async def test_the_variables_of_the_operator_are_a_source_like_others(desk: Desk) -> None:
    assert (await desk.seen(OPERATOR, SETTINGS)).values == {"topic": "clicks", "password": "weaker", "region": "eu"}
    assert (await desk.seen(SETTINGS, OPERATOR)).values["topic"] == "all"
    assert (await desk.seen(OPERATOR)).secret == frozenset()


@pytest.mark.parametrize("wanted", [OPERATOR, PERHAPS])
async def test_a_namespace_without_the_label_has_no_variables_of_the_operator(
    desk: Desk, wanted: VariablesSource
) -> None:
    allow = "kubectl label namespace shop flinkjob.dev/operator-variables=allowed"
    for labels in ({}, {"flinkjob.dev/operator-variables": "true"}):
        desk.labels = labels
        seen = await desk.seen(wanted, generation=len(labels))
        assert seen.values == {}
        assert seen.problem.startswith("namespace shop may not use the operator's variables;")
        assert seen.problem.endswith(allow)
    desk.labels = Forbidden(403, "namespaces is forbidden")
    assert "may not read its variables" in (await desk.seen(wanted, generation=3)).problem


async def test_an_operator_without_variables(desk: Desk) -> None:
    desk.shared = None
    assert (await desk.seen(OPERATOR)).problem == "ConfigMap system/shared of the operator's variables does not exist"
    assert await desk.seen(PERHAPS) == VariablesSeen()
    desk.place(None)
    assert (await desk.seen(OPERATOR)).problem.endswith("(--variables-config-map) does not exist")
    assert await desk.seen(PERHAPS) == VariablesSeen()
