"""The places of work of the suites `integration` and `cases`, as fixtures: a plugin that `tests/conftest.py` loads.

One operator serves all tests that do not end it: it watches one namespace, where every test uses names of its own. What is
started serves both suites, once in each worker.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.controlplane import ControlPlane
from deploy.local.demojob import demo_jar as build_demo_jar
from deploy.local.fileserver import FileServer
from deploy.local.flink import FlinkCluster
from deploy.local.flinkdist import full_version
from deploy.local.pyflink import pyflink_python
from deploy.local.s3 import S3Server
from flinkjob.api.flink_options import PYTHON_EXECUTABLE
from tests.parallel.groups import suite_of
from tests.parallel.names import Names
from tests.support.kube import Kube
from tests.support.lab import Lab
from tests.support.operator import OperatorProcess
from tests.support.proxy import FlinkProxy
from tests.support.site import Site

SHARED = "shared"
SPARE = "spare"
OPTIONS: dict[str, str | int] = {"poll-fast-ms": 100, "poll-slow-ms": 1000}
OLDEST = full_version("1.20")
RESTARTABLE = {
    "web.refresh-interval": "200",
    "jobmanager.scheduler": "adaptive",
    "jobmanager.adaptive-scheduler.executing.cooldown-after-rescaling": "1s",
    "jobmanager.adaptive-scheduler.executing.resource-stabilization-timeout": "1s",
    "jobmanager.adaptive-scheduler.scaling-interval.min": "1s",
    "heartbeat.interval": "1000",
    "heartbeat.timeout": "4000",
    "jobstore.expiration-time": "8",
    "cluster.intercept-user-system-exit": "THROW",
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests marked `every_flink` also run on the oldest version that is supported; so do all cases where there is time.

    A word with the mark, such as `every_flink("Python on the oldest Flink")`, leaves that to `make test-all`.
    """
    if "version" not in metafunc.fixturenames:
        return
    every = metafunc.definition.get_closest_marker("every_flink")
    if every is not None or suite_of(metafunc.definition.nodeid) == "cases":
        later = every.args[:1] if every is not None else ("cases on the oldest Flink",)
        marks = pytest.mark.everything(*later) if later else ()
        versions = [pytest.param(None, id="default"), pytest.param(OLDEST, id=OLDEST, marks=marks)]
        metafunc.parametrize("version", versions, indirect=True)


@pytest.fixture
def version(request: pytest.FixtureRequest, flink_version: str) -> str:
    """The Flink version of this test."""
    return getattr(request, "param", None) or flink_version


@pytest.fixture(scope="session")
def oldest_flink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlinkCluster]:
    """A cluster of the oldest supported version."""
    config = {"web.refresh-interval": "200"}
    with FlinkCluster(tmp_path_factory.mktemp("flink-oldest"), version=OLDEST, config=config) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def kube(controlplane: Path) -> Iterator[Kube]:
    """The API server, as administrator."""
    with Kube(controlplane) as client:
        yield client


@pytest.fixture(scope="session")
def shared_operator(
    control_plane: ControlPlane, kube: Kube, demo_jar: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OperatorProcess]:
    """The operator of the shared namespace; it must not have complained at the end."""
    kube.create_namespace(SHARED)
    directory, base = tmp_path_factory.mktemp("operator"), tmp_path_factory.getbasetemp()
    with OperatorProcess(
        control_plane,
        directory,
        namespaces=[SHARED],
        identity="shared",
        artifact_dirs=[demo_jar.parents[2], base],
        options={**OPTIONS, "store-grants": f"{SHARED}=file://{base}", "allow-unmarked-jobs": "true"},
    ) as operator:
        yield operator
        assert operator.stop() == 0
    assert operator.complaints() == []


@pytest.fixture
def lab(
    request: pytest.FixtureRequest, kube: Kube, shared_operator: OperatorProcess, version: str, tmp_path: Path
) -> Iterator[Lab]:
    """A place of work below the shared operator; what the test made is deleted after it."""
    if "proxy" in request.fixturenames:
        request.getfixturevalue("proxy")  # made before, so that it outlives the clean-up
    flink: FlinkCluster = request.getfixturevalue("oldest_flink" if version == OLDEST else "flink")
    place = Lab(kube, flink, shared_operator, SHARED, build_demo_jar(version), tmp_path)
    yield place
    _note_names(request, place)
    place.clean()
    place.close()


@pytest.fixture(scope="session")
def python_flink(tmp_path_factory: pytest.TempPathFactory, flink_version: str) -> Iterator[FlinkCluster]:
    """A cluster for Python jobs: a TaskManager may end with one that is cancelled, by a fault of Beam's."""
    config = {"web.refresh-interval": "200", **dict.fromkeys(PYTHON_EXECUTABLE, str(pyflink_python(flink_version)))}
    with FlinkCluster(tmp_path_factory.mktemp("flink-python"), version=flink_version, config=config) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def oldest_python_flink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlinkCluster]:
    """The same of the oldest supported version, whose configuration names no Python."""
    config = {"web.refresh-interval": "200"}
    with FlinkCluster(tmp_path_factory.mktemp("flink-python-oldest"), version=OLDEST, config=config) as cluster:
        yield cluster


@pytest.fixture
def python_lab(
    request: pytest.FixtureRequest,
    kube: Kube,
    shared_operator: OperatorProcess,
    version: str,
    flink_version: str,
    tmp_path: Path,
) -> Iterator[Lab]:
    """A place of work on a cluster for Python jobs, below the shared operator."""
    cluster = "python_flink" if version == flink_version else "oldest_python_flink"
    flink: FlinkCluster = request.getfixturevalue(cluster)
    if not any(process.running for process in flink.taskmanagers.values()):
        flink.add_taskmanager()
    place = Lab(kube, flink, shared_operator, SHARED, build_demo_jar(version), tmp_path)
    yield place
    _note_names(request, place)
    place.clean()
    place.close()


@pytest.fixture
def forgetful_python_lab(
    request: pytest.FixtureRequest, kube: Kube, spare_operator: OperatorProcess, flink_version: str, tmp_path: Path
) -> Iterator[Lab]:
    """A cluster for Python jobs whose JobManager loses with its process what was uploaded, below the spare operator."""
    config = RESTARTABLE | {"web.upload.dir": ""} | dict.fromkeys(PYTHON_EXECUTABLE, str(pyflink_python(flink_version)))
    with FlinkCluster(tmp_path / "flink", version=flink_version, config=config) as flink:
        place = Lab(kube, flink, spare_operator, SPARE, build_demo_jar(flink_version), tmp_path)
        yield place
        _note_names(request, place)
        place.clean()
        place.close()


@pytest.fixture
def own_lab(
    kube: Kube,
    control_plane: ControlPlane,
    flink: FlinkCluster,
    demo_jar: Path,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> Iterator[Lab]:
    """A place of work with a namespace and an operator of its own, which the test may kill and start again.

    The fixture's parameter, when a test gives one, is more flags of the operator.
    """
    namespace = own_namespace(kube, request.node.name)
    operator = OperatorProcess(
        control_plane,
        tmp_path / "operator",
        namespaces=[namespace],
        identity=namespace,
        artifact_dirs=[demo_jar.parents[1], tmp_path],
        options=OPTIONS | getattr(request, "param", {}),
    )
    with operator:
        place = Lab(kube, flink, operator, namespace, demo_jar, tmp_path)
        yield place
        place.clean()
    place.close()
    assert operator.complaints() == []


@pytest.fixture(scope="session")
def spare_flink(tmp_path_factory: pytest.TempPathFactory, flink_version: str) -> Iterator[FlinkCluster]:
    """A cluster whose JobManager tests may end: scheduler adaptive, without HA; it forgets ended jobs after 8 s."""
    with FlinkCluster(tmp_path_factory.mktemp("flink-spare"), version=flink_version, config=RESTARTABLE) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def oldest_spare_flink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlinkCluster]:
    """The same of the oldest supported version."""
    with FlinkCluster(tmp_path_factory.mktemp("flink-spare-oldest"), version=OLDEST, config=RESTARTABLE) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def spare_operator(
    control_plane: ControlPlane, kube: Kube, demo_jar: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OperatorProcess]:
    """The operator of the spare namespace, which tests may restart; it can read what jobs leave behind."""
    kube.create_namespace(SPARE)
    base = tmp_path_factory.getbasetemp()
    with OperatorProcess(
        control_plane,
        tmp_path_factory.mktemp("operator-spare"),
        namespaces=[SPARE],
        identity=SPARE,
        artifact_dirs=[demo_jar.parents[2], base],
        options={**OPTIONS, "state-dirs": str(base)},
    ) as operator:
        yield operator
    assert operator.complaints() == []


@pytest.fixture
def spare_lab(
    request: pytest.FixtureRequest,
    kube: Kube,
    spare_operator: OperatorProcess,
    version: str,
    flink_version: str,
    tmp_path: Path,
) -> Iterator[Lab]:
    """A place of work on the spare cluster, below the spare operator."""
    cluster = "spare_flink" if version == flink_version else "oldest_spare_flink"
    flink: FlinkCluster = request.getfixturevalue(cluster)
    place = Lab(kube, flink, spare_operator, SPARE, build_demo_jar(version), tmp_path)
    yield place
    _note_names(request, place)
    if not spare_operator.running:
        spare_operator.restart()
    place.clean()
    place.close()


@pytest.fixture
def proxy(flink: FlinkCluster) -> Iterator[FlinkProxy]:
    """A proxy in front of the session's cluster."""
    with FlinkProxy(flink.url) as started:
        yield started


@pytest.fixture
def web(tmp_path: Path) -> Iterator[FileServer]:
    """An artifact server; its `directory` is the test's own."""
    with FileServer(tmp_path / "web", tmp_path / "web.log") as server:
        yield server


@pytest.fixture(scope="session")
def site(control_plane: ControlPlane, kube: Kube, demo_jar: Path, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """For operators of a test's own."""
    return Site(control_plane, kube, demo_jar, tmp_path_factory, OPTIONS)


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A store with a bucket for Flink and one for copies."""
    with S3Server(tmp_path_factory.mktemp("s3"), buckets=("flink", "backup")) as started:
        yield started


def own_namespace(kube: Kube, test: str) -> str:
    """A new namespace, named after the test."""
    short = "".join(c if c.isalnum() else "-" for c in test.removeprefix("test_").lower()).strip("-")[:40].strip("-")
    name = f"t-{short}"
    kube.create_namespace(name)
    return name


def _note_names(request: pytest.FixtureRequest, place: Lab) -> None:
    """Which FlinkJobs this module made in a namespace that modules share."""
    names: Names = request.config.pluginmanager.getplugin("flinkjob-names")
    names.note(place.namespace, place.names, request.module.__name__)
