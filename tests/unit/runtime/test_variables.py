"""Values of ConfigMaps and Secrets: whose may be used, how old they may be, and what is remembered of them."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

import pytest

from flinkjob.api.variables_spec import MOST_VARIABLE_BYTES, VariablesSource
from flinkjob.core.facts import Answers, Named, Variables
from flinkjob.core.model import Observation
from flinkjob.core.seen import ClusterSeen, JobGraphPhase, JobGraphSeen, RunPhase, RunSeen, VariablesSeen
from flinkjob.kube.errors import KubeUnavailable
from flinkjob.runtime.variables import FRESH_SECONDS, VariableSources

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
        self.sources = VariableSources(self, clock=lambda: self.now)

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
        return {"data": self.settings} if self.settings is not None and name == "settings" else None

    async def seen(self, *sources: VariablesSource, generation: int = 1, compared: bool = False) -> VariablesSeen:
        wanted = sources or (SETTINGS, KAFKA)
        return await self.sources.values(KEY, wanted, generation, compared=compared, salt="uid")


def source(**fields: Any) -> VariablesSource:
    return VariablesSource.model_validate(fields)


KAFKA = source(secretRef={"name": "kafka"})
SETTINGS = source(configMapRef={"name": "settings"})


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
    assert desk.sources.secrets(KEY) == frozenset()


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


async def test_no_answer_is_a_problem_and_not_an_old_password(desk: Desk) -> None:
    await desk.seen()
    desk.down = True
    desk.now += FRESH_SECONDS
    assert (await desk.seen()).problem == "no answer"


@pytest.mark.threat("leaked-secrets")
async def test_every_secret_value_is_remembered_and_shown_nowhere(desk: Desk) -> None:
    seen = await desk.seen()
    desk.secret = {"password": b"rotated-2"}
    desk.now += FRESH_SECONDS
    await desk.seen()
    assert desk.sources.secrets(KEY) == {"hunter2", "rotated-2"}
    assert "hunter2" not in repr(seen)
    desk.sources.forget(KEY)
    assert desk.sources.secrets(KEY) == frozenset()


@pytest.mark.threat("leaked-secrets")
async def test_what_clusters_say_is_without_them_and_the_values_are_not(desk: Desk) -> None:
    url = "http://flink:8081"
    silent = ClusterSeen(url=url, reachable=False, error="no, hunter2")
    fact = Variables((KAFKA,), 1, compared=False)
    values = await desk.seen(KAFKA)
    said = RunSeen(phase=RunPhase.REJECTED, message="main() says hunter2")
    answers = (
        Answers().having(fact, values).having(Named("x"), JobGraphSeen(phase=JobGraphPhase.REFUSED, message="hunter2!"))
    )
    seen = Observation(now=datetime.now(UTC), cluster=silent, target=silent, run=said, answers=answers)
    told = desk.sources.without_secrets(KEY, seen)
    assert (told.cluster.error, told.run.message) == ("no, ******", "main() says ******")
    assert told.answers.need(fact).values["password"] == "hunter2"
    assert "hunter2" not in repr(told)
    assert desk.sources.without_secrets(("shop", "other"), seen) is seen


async def test_the_digest_changes_with_the_values_alone(desk: Desk) -> None:
    assert (await desk.seen()).digest == ""
    first = (await desk.seen(compared=True)).digest
    desk.now += FRESH_SECONDS
    assert (await desk.seen(compared=True)).digest == first
    assert len(first) == 32
    desk.secret = {"password": b"rotated"}
    desk.now += FRESH_SECONDS
    assert (await desk.seen(compared=True)).digest != first


async def test_too_much_is_refused(desk: Desk) -> None:
    desk.settings = {"large": "x" * MOST_VARIABLE_BYTES}
    assert (await desk.seen()).problem == f"they have more than {MOST_VARIABLE_BYTES} bytes"
