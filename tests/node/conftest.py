"""One node for all tests here, with the operator's release, a Flink session cluster of Pods and a FlinkJob on it.

Each fixture is a step that the later ones build on; the tests change the same release and the same job, in the order of
their file. Where no node can run they are skipped, with the reason; `FLINKJOB_NODE=required` makes that a failure.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from deploy.local.flinkimage import flink_archive_with_python
from deploy.local.helm import Helm
from deploy.local.node import Node
from deploy.local.nodecheck import obstacle
from deploy.local.nodeup import FLINK, OPERATOR
from deploy.local.operatorimage import operator_image
from deploy.local.prerequisites import MissingPrerequisite
from deploy.local.processes import ProcessFailed
from deploy.local.progress import StepFailed
from deploy.local.release import PARTS, Release, build
from deploy.local.release import release as release_of
from tests.node.world import World
from tests.support.charts import write_later_chart

OFFLINE = ("NewConnectionError", "Max retries", "Temporary failure", "CERTIFICATE_VERIFY_FAILED", "Could not resolve")
"""What pip and apt say where a build has no network."""


def cannot(why: object) -> None:
    """Skips what needs a node, or fails where it is required."""
    line = f"NO NODE CAN RUN HERE: {str(why).strip().splitlines()[0]}"
    if os.environ.get("FLINKJOB_NODE") == "required":
        pytest.fail(f"{line}\n{why}", pytrace=False)
    pytest.skip(line)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Shows what runs on the node when a test has failed."""
    report = yield
    world = getattr(item, "funcargs", {}).get("world")
    if report.failed and isinstance(world, World):
        report.sections.append(("the node", world.described()))
    return report


@pytest.fixture(scope="session")
def machine() -> None:
    """Skips where no node can run."""
    if why := obstacle():
        cannot(why)


@pytest.fixture(scope="session")
def built_flink(machine: None) -> Path:
    """The image of Flink with PyFlink; not ours to test, so where it cannot be had there is no node."""
    try:
        return flink_archive_with_python(FLINK)
    except (MissingPrerequisite, StepFailed) as error:
        cannot(error)
        raise


@pytest.fixture(scope="session")
def built(built_flink: Path) -> str:
    """The operator's image, built from the Dockerfile."""
    try:
        return operator_image()
    except StepFailed as error:
        if any(word in str(error) for word in OFFLINE):
            cannot(f"no package index inside of a build: {error}")
        raise


@pytest.fixture(scope="session")
def files(built: str, tmp_path_factory: pytest.TempPathFactory) -> Release:
    """The files of a release that are installed here: that image, and the chart."""
    of = release_of(tmp_path_factory.mktemp("release") / "dist")
    assert build(of, [part for part in PARTS if part[0] in ("chart", "image")]) == []
    return of


@pytest.fixture(scope="session")
def node(built_flink: Path, files: Release, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A running node that has both images."""
    started = Node(tmp_path_factory.mktemp("node"), {OPERATOR: files.image, FLINK: built_flink})
    try:
        started.start()
    except (MissingPrerequisite, ProcessFailed, StepFailed) as error:
        started.stop()
        cannot(error)
    try:
        yield started
    finally:
        started.stop()


@pytest.fixture(scope="session")
def world(node: Node, files: Release, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The node with empty namespaces for the operator and a team."""
    with World(node, Helm(tmp_path_factory.mktemp("helm"), node.kubeconfig), files.chart) as made:
        yield made


@pytest.fixture(scope="session")
def release(world: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """... and the chart of the release installed, as it is but for the volume where the operator looks for checkpoints.

    Flink's Pods start meanwhile.
    """
    world.apply_flink()
    world.install(tmp_path_factory.mktemp("values") / "values.yaml")
    return world


@pytest.fixture(scope="session")
def session(release: World) -> World:
    """... and the Flink session cluster of `deploy/examples`, and a web server with the jar."""
    release.wait_flink()
    return release


@pytest.fixture(scope="session")
def job(session: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    """... and a FlinkJob that runs there."""
    session.start_job()
    return session


@pytest.fixture
def later_chart(tmp_path: Path) -> Path:
    """The chart of a later version, whose definition has one more column."""
    return write_later_chart(tmp_path / "chart")
