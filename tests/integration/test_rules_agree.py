"""The rules of the CRDs and of the models refuse the same objects: tried with every combination of the fields they name."""

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.local import plainhttp
from flinkjob.api.codec import parse_job, parse_savepoint
from flinkjob.api.reserved_keys import (
    DUPLICATE_KEYS,
    FIXED_KEYS,
    PYTHON_RESERVED_KEYS,
    RESERVED_KEYS,
    SQL_RESERVED_KEYS,
    SQL_UIDS,
)

pytestmark = pytest.mark.kube

ABSENT: Any = object()


class ApiServer:
    """Creates objects without keeping them, as `kubectl create --dry-run=server` does, but without a process for each."""

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        token = config["users"][0]["user"]["token"]
        self._http = plainhttp.client(
            base_url=config["clusters"][0]["cluster"]["server"],
            headers={"Authorization": f"Bearer {token}"},
            timeout=30,
        )

    def refusal(self, plural: str, obj: Mapping[str, Any]) -> str | None:
        """Why an object is refused; None where it is not."""
        answer = self._http.post(
            f"/apis/flinkjob.dev/v1alpha1/namespaces/default/{plural}", params={"dryRun": "All"}, json=obj
        )
        assert answer.status_code in (201, 422), answer.text
        return str(answer.json()["message"]) if answer.status_code == 422 else None

    def accepts(self, plural: str, obj: Mapping[str, Any]) -> bool:
        return self.refusal(plural, obj) is None

    def close(self) -> None:
        self._http.close()


@pytest.fixture(scope="module")
def server(controlplane: Path) -> Iterator[ApiServer]:
    server = ApiServer(controlplane)
    yield server
    server.close()


def combinations(**choices: tuple[Any, ...]) -> Iterator[dict[str, Any]]:
    for values in itertools.product(*choices.values()):
        yield {name: value for name, value in zip(choices, values, strict=True) if value is not ABSENT}


def job(spec: Mapping[str, Any]) -> dict[str, Any]:
    base = {"cluster": {"url": "http://flink:8081"}, "jar": {"uri": "https://repo.example.com/demo.jar"}}
    return {
        "apiVersion": "flinkjob.dev/v1alpha1",
        "kind": "FlinkJob",
        "metadata": {"name": "combined"},
        "spec": base | dict(spec),
    }


def disagreements(server: ApiServer, specs: Iterator[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        spec for spec in specs if server.accepts("flinkjobs", job(spec)) != (parse_job(job(spec)).spec_error is None)
    ]


ADDRESSES = (
    ("https://repo.example.com/a.jar", None),
    ("https://repo.example.com/a.jar?X-Signature=1", None),
    ("file:///jars/a.jar", None),
    ("https://u:p@repo.example.com/a.jar", "must not contain a user name or password"),
    ("https://token@repo.example.com/a.jar", "must not contain a user name or password"),
    ("y.jar", "must be an address such as https://repo.example.com/job.jar"),
    ("", "must be an address such as https://repo.example.com/job.jar"),
    ("https://repo.example.com/a.jar\n", "must be an address such as https://repo.example.com/job.jar"),
    ("s3://bucket/dir/a.jar", None),
    ("gs://bucket/a.jar", None),
    ("az://container/a.jar", None),
    ("maven:org.apache.flink:flink-connector-kafka:4.0.1-2.0", None),
    ("maven:org.apache:a:1.0:all", None),
    ("maven:org.apache:a", "must be an address such as https://repo.example.com/job.jar"),
    ("maven:org/apache:a:1.0", "must be an address such as https://repo.example.com/job.jar"),
    ("maven:org.apache:a:..", "must be an address such as https://repo.example.com/job.jar"),
    ("s3://bucket", "must be an address such as https://repo.example.com/job.jar, s3://bucket/job.jar"),
    ("s3://key:secret@bucket/a.jar", "must not contain a user name or password"),
    ("hdfs://host/a.jar", "must be an address such as https://repo.example.com/job.jar"),
)


PINNED = {"uri": "https://repo.example.com/dir/a.sql", "sha256": "a" * 64}
STORED = {"uri": "gs://bucket/a.zip", "sha256": "a" * 64, "store": {"credentialsSecretRef": {"name": "a"}}}
OPENED = {"authSecretRef": {"name": "a"}}
ONLY = ".authSecretRef: only with an http, https or maven uri"
BOTH = ": uri and sha256 only together"
SOURCES = (
    ({"jar": {"uri": "file:///jars/a.jar", "authSecretRef": {"name": "a"}}}, "spec.jar.authSecretRef: only with"),
    ({"jar": {"uri": "http://repo/a.jar", "authSecretRef": {"name": "a"}}}, None),
    ({"jar": {"uri": "http://repo/a.jar", "store": {"region": "a"}}}, "spec.jar.store: only with"),
    ({"jar": {"uri": "s3://repo/a.jar", "authSecretRef": {"name": "a"}}}, "spec.jar.authSecretRef: only with"),
    ({"jar": {"uri": "az://repo/a.jar", "store": {"credentialsSecretRef": {"name": "a"}}}}, None),
    (
        {"dependencies": {"jars": [{"uri": "file:///jars/a.jar", "authSecretRef": {"name": "a"}}]}},
        "spec.dependencies.jars.authSecretRef: only with",
    ),
    ({"jar": {"configMapKeyRef": {"name": "a", "key": "a.jar"}}}, None),
    ({"variables": {"a": "b"}, "variablesFrom": [{"secretRef": {"name": "a"}, "prefix": "x."}]}, None),
    ({"variablesFrom": [{"operator": True, "optional": True}]}, None),
    ({"variablesFrom": [{"operator": False}]}, "spec.variablesFrom: operator can only be true"),
    (
        {"variablesFrom": [{"optional": True}]},
        "spec.variablesFrom: exactly one of configMapRef, secretRef and operator",
    ),
    (
        {"variablesFrom": [{"secretRef": {"name": "a"}, "configMapRef": {"name": "a"}}]},
        "spec.variablesFrom: exactly one of configMapRef, secretRef and operator",
    ),
    ({"variables": {f"v{number}": "x" * 8000 for number in range(8)}}, None),
    ({"variables": {f"v{number}": "é" * 4096 for number in range(8)}}, "spec.variables: at most 65536 bytes together"),
    *(
        ({"flinkConfiguration": {key: "s3://$(bucket)/a"}}, f"spec.flinkConfiguration: {key} cannot have a variable")
        for key in FIXED_KEYS
    ),
    ({"flinkConfiguration": {FIXED_KEYS[0]: "s3://a/b", "rest.port": "$(port)"}}, None),
    ({"jar": {}}, "spec.jar: exactly one of uri, configMapKeyRef and id"),
    ({"jar": {"id": "1b2c_a.jar"}}, None),
    ({"jar": {"id": "../a.jar"}}, "spec.jar.id"),
    ({"jar": {"id": "a.jar", "sha256": "a" * 64}}, "spec.jar: not both id and sha256"),
    (
        {"jar": {"id": "a.jar"}, "dependencies": {"jars": [{"uri": "file:///a.jar"}]}},
        "spec.dependencies: not with jar.id",
    ),
    (
        {"jar": {"uri": "file:///a.jar", "configMapKeyRef": {"name": "a", "key": "b"}}},
        "spec.jar: exactly one of uri, configMapKeyRef and id",
    ),
    (
        {"jar": {"configMapKeyRef": {"name": "a", "key": "a.jar"}, "authSecretRef": {"name": "a"}}},
        "spec.jar.authSecretRef: only with",
    ),
    (
        {"jar": ABSENT, "sql": {"script": "INSERT", "authSecretRef": {"name": "a"}}},
        "spec.sql.authSecretRef: only with",
    ),
    ({"jar": ABSENT, "sql": PINNED | {"initFrom": [PINNED | OPENED]}}, None),
    (
        {"jar": ABSENT, "sql": {"script": "INSERT", "initFrom": [{"script": "SET"} | OPENED]}},
        f"spec.sql.initFrom{ONLY}",
    ),
    (
        {"jar": ABSENT, "sql": {"script": "INSERT", "initFrom": [{"uri": "https://a/b.sql"}]}},
        f"spec.sql.initFrom{BOTH}",
    ),
    (
        {"jar": ABSENT, "sql": PINNED | {"uri": "maven:a:b:1"}},
        "must be an address such as https://repo.example.com/dir/file",
    ),
    ({"jar": ABSENT, "python": {"module": "a", "files": [PINNED | OPENED], "requirements": STORED}}, None),
    ({"jar": ABSENT, "python": {"module": "a", "archives": [STORED | {"name": "b"}]}}, None),
    ({"jar": ABSENT, "python": {"module": "a", "files": [STORED | OPENED]}}, f"spec.python.files{ONLY}"),
    (
        {"jar": ABSENT, "python": {"module": "a", "requirements": {"text": ""} | OPENED}},
        f"spec.python.requirements{ONLY}",
    ),
    (
        {"jar": ABSENT, "python": {"module": "a", "archives": [STORED | OPENED | {"name": "b"}]}},
        f"spec.python.archives{ONLY}",
    ),
    (
        {"jar": ABSENT, "python": {"module": "a", "archives": [PINNED | {"name": "b", "store": {"region": "a"}}]}},
        "spec.python.archives.store: only with",
    ),
    (
        {"jar": ABSENT, "python": {"module": "a", "files": [PINNED | {"uri": "maven:a:b:1"}]}},
        "must be an address such as",
    ),
)


@pytest.mark.parametrize(("spec", "said"), SOURCES)
def test_a_refused_source_says_why(server: ApiServer, spec: dict[str, Any], said: str | None) -> None:
    manifest = job(spec)
    manifest["spec"] = {name: value for name, value in manifest["spec"].items() if value is not ABSENT}
    told, error = server.refusal("flinkjobs", manifest), parse_job(manifest).spec_error
    assert (told is None, error is None) == (said is None, said is None)
    assert said is None or (said in str(told) and said in str(error))


@pytest.mark.parametrize(("uri", "said"), ADDRESSES)
def test_a_refused_address_says_what_to_write(server: ApiServer, uri: str, said: str | None) -> None:
    obj = job({"jar": {"uri": uri}})
    refusals = (server.refusal("flinkjobs", obj), parse_job(obj).spec_error)
    if said is None:
        assert refusals == (None, None)
    for refusal in refusals:
        assert said is None or (refusal is not None and said in refusal and "spec.jar.uri" in refusal)
        assert "[^" not in (refusal or ""), "no regular expression"


def test_every_combination_of_a_savepoint(server: ApiServer) -> None:
    differing = []
    for spec in combinations(
        mode=(ABSENT, "Trigger", "Stop", "Cancel"),
        type=(ABSENT, "Savepoint", "Checkpoint"),
        checkpointType=(ABSENT, "Full"),
        directory=(ABSENT, "file:///a"),
        formatType=(ABSENT, "Native"),
        drain=(ABSENT, True, False),
        submission=(ABSENT, 1),
    ):
        obj = {
            "apiVersion": "flinkjob.dev/v1alpha1",
            "kind": "FlinkSavepoint",
            "metadata": {"name": "combined"},
            "spec": {"jobRef": {"name": "clicks"}} | spec,
        }
        if server.accepts("flinksavepoints", obj) != (parse_savepoint(obj).spec_error is None):
            differing.append(spec)
    assert differing == []


def test_every_combination_of_an_initial_state(server: ApiServer) -> None:
    states = combinations(
        strategy=(ABSENT, "Latest", "Custom", "None"),
        location=(ABSENT, "file:///a"),
        savepointRef=(ABSENT, {"name": "one"}),
        nonce=(ABSENT, 1),
    )
    assert disagreements(server, ({"initialState": state} for state in states)) == []


def test_every_combination_of_programs(server: ApiServer) -> None:
    """What runs, and what only a jar or only a script may have; `jar` is removed by None."""
    reference = {"name": "a", "key": "b"}
    scripts = combinations(
        script=(ABSENT, "a", "x" * 65536, "é" * 65536, "é" * 65537),
        configMapKeyRef=(ABSENT, reference),
        uri=(ABSENT, "https://a/b.sql"),
        sha256=(ABSENT, "a" * 64),
        initFrom=(ABSENT, [], [{}], [{"script": "x" * 65536}], [{"configMapKeyRef": reference}], [PINNED]),
    )
    specs = [{"jar": None, "sql": sql} for sql in scripts]
    keys = {**SQL_RESERVED_KEYS, SQL_UIDS: "", "pipeline.object-reuse": ""}
    for sql, jar in itertools.product(({}, {"sql": {"script": "a"}}), ({}, {"jar": None})):
        specs += [jar | sql | {"args": args} for args in ([], ["a"])]
        specs += [jar | sql | {"flinkConfiguration": {key: value}} for key in keys for value in ("Always", "DISABLED")]
    specs += python_programs()
    specs = [{key: value for key, value in job(spec)["spec"].items() if value is not None} for spec in specs]
    differing = []
    for spec in specs:
        obj = job({}) | {"spec": spec}
        if server.accepts("flinkjobs", obj) != (parse_job(obj).spec_error is None):
            differing.append(spec)
    assert differing == []


def python_programs() -> list[dict[str, Any]]:
    """Specs of Python jobs, and of those that are something else too."""
    half, most = "x" * 65536, "é" * 65536
    files = combinations(
        name=(ABSENT, "a.py"),
        text=(ABSENT, "", half),
        configMapRef=(ABSENT, {"name": "a"}),
        uri=(ABSENT, "https://a/b.py"),
        sha256=(ABSENT, "a" * 64),
    )
    whole = {"name": "a.py", "text": half}
    lists = [*([file] for file in files), [], [whole, whole], [whole, whole, {"name": "b", "text": "y"}]]
    lists += [[{"name": "b", "text": most}], [{"name": "b", "text": f"{most}é"}]]
    programs = [{"module": "a", "files": wanted} for wanted in lists]
    programs += combinations(file=(ABSENT, "a.py"), module=(ABSENT, "a"), files=(ABSENT, [], [whole]))
    specs: list[dict[str, Any]] = [{"jar": None, "python": program} for program in programs]
    other = {"python": {"module": "a"}}
    specs += [other, other | {"sql": {"script": "a"}}, other | {"jar": None, "sql": {"script": "a"}}]
    specs += [other | {"jar": None, "args": ["a"]}]
    keys = (*PYTHON_RESERVED_KEYS, "python.fn-execution.bundle.size")
    specs += [other | {"jar": None, "flinkConfiguration": {key: "a"}} for key in keys]
    return specs


@pytest.mark.report("options-without-effect")
@pytest.mark.threat("smuggled-names")
def test_every_reserved_or_doubled_key(server: ApiServer) -> None:
    fields = {
        "jobName": {"jobName": "a"},
        "runtimeMode": {"runtimeMode": "Batch"},
        "checkpoint.interval": {"checkpoint": {"interval": "1s"}},
        "checkpoint.mode": {"checkpoint": {"mode": "AtLeastOnce"}},
        "checkpoint.directory": {"checkpoint": {"directory": "file:///a"}},
        "checkpoint.retention": {"checkpoint": {"retention": "DeleteOnCancellation"}},
    }
    assert fields.keys() == DUPLICATE_KEYS.keys()
    keys = [*RESERVED_KEYS, *itertools.chain.from_iterable(DUPLICATE_KEYS.values()), "pipeline.object-reuse"]
    specs = [
        dict(spec) | {"flinkConfiguration": {key: "a"}}
        for spec in ({}, {"checkpoint": {}}, *fields.values())
        for key in keys
    ]
    assert disagreements(server, iter(specs)) == []


@pytest.mark.threat("too-large")
def test_budgets_of_bytes(server: ApiServer) -> None:
    """Of bytes and not of characters, and to the last one."""
    args = [
        ["x" * 8192] * 8,
        ["x" * 8192] * 8 + ["x"],
        ["ä" * 4096] * 8,
        ["ä" * 4096] * 8 + ["ä"],
        [],
        ["x" * 8192] * 256,
    ]
    options = [
        {f"k{size}": "x" * size} | {f"{key:08}": "x" * 8184 for key in range(count)} for size, count in ((9, 7), (9, 8))
    ]
    options += [
        {f"{key:08}": "ä" * 4092 for key in range(8)},
        {f"{key:08}": "ä" * 4092 for key in range(8)} | {"a": ""},
        {},
    ]
    specs = [{"args": each} for each in args] + [{"flinkConfiguration": each} for each in options]
    assert disagreements(server, iter(specs)) == []
    accepted = [server.accepts("flinkjobs", job(spec)) for spec in specs]
    assert accepted == [True, False, True, False, True, False, True, False, True, False, True]


VALUES: dict[str, tuple[str, ...]] = {
    "url": (
        "http://a", "https://a.b:1/c", "http://[::1]:8081", "http://a:b", "http://:1", "http://a@b", "http://a?b",
        "http://a#b", "HTTP://a:8081", "http://a b:8081", "http://a:123456", "ws://a:8081", "http://ä:8081", "http://a:8081/\n",
    ),
    "uri": (
        "https://a/b", "http://a:80/b?c=d", "https://a", "https://a@b/c", "file:///a", "file://a/b", "file:///a b", "s3://a/b",
        "https://a/b c", "https://a/b#c", "/a/b.jar", "file:///a\n",
    ),
    "location": (
        "/a", "file:/a", "file:///a", "s3://b/c", "abfss://a@b.c/d", "s3://k:s@b/c", "a/b", "a:", "s3:b", "file:///a\tb",
        "//a", "s3://b:9000/c", "/a:b@c", "s3://b/c:d@e", "file:///a\n",
    ),
    "duration": (
        "1s", "0s", "00s", "1h0m", "1", "s", "1m 1s", "1.5s", "-1s", "1S", "10ms", "1s\n", "1d2h3m4s5ms",
        "9" * 31 + "s", "9" * 32 + "s",
    ),
}  # fmt: skip


@pytest.mark.threat("smuggled-names")
@pytest.mark.parametrize("kind", VALUES)
def test_every_kind_of_string(server: ApiServer, kind: str) -> None:
    place = {
        "url": lambda text: {"cluster": {"url": text}},
        "uri": lambda text: {"jar": {"uri": text}},
        "location": lambda text: {"savepoints": {"directory": text}},
        "duration": lambda text: {"upgrade": {"timeout": text}},
    }[kind]
    assert disagreements(server, (place(text) for text in VALUES[kind])) == []
