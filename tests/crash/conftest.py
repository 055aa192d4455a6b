"""Several cases are played at the same time, each with a namespace and an operator of its own; a test waits for its case."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

import pytest

from deploy.local.controlplane import ControlPlane
from deploy.local.flink import FlinkCluster
from tests.crash.player import Case, Stage, play
from tests.crash.stories import STORIES
from tests.support.kube import Kube
from tests.support.operator import REPOSITORY, operator_kubeconfig
from tests.support.prefork import Prefork

AT_ONCE = 4
ADAPTIVE = {
    "web.refresh-interval": "200",
    "jobmanager.scheduler": "adaptive",
    "jobmanager.adaptive-scheduler.executing.cooldown-after-rescaling": "1s",
    "jobmanager.adaptive-scheduler.executing.resource-stabilization-timeout": "1s",
    "jobmanager.adaptive-scheduler.scaling-interval.min": "1s",
}


@pytest.fixture(scope="package")
def outcomes(
    request: pytest.FixtureRequest,
    control_plane: ControlPlane,
    flink: FlinkCluster,
    demo_jar: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[Case], None]]:
    """Gives the outcome of a case: returns when it went well, raises what went wrong."""
    wanted = dict.fromkeys(_cases(request.session.items))
    operator_kubeconfig(control_plane)
    directory = tmp_path_factory.mktemp("crash")
    adaptive = any(STORIES[case.story].adaptive for case in wanted)
    with (
        FlinkCluster(directory / "adaptive", config=ADAPTIVE) if adaptive else nullcontext() as rescaling,
        tempfile.TemporaryDirectory(prefix="fork-") as sockets,
        Prefork(Path(sockets), REPOSITORY) as prefork,
        Kube(control_plane.kubeconfig) as kube,
        ThreadPoolExecutor(AT_ONCE, thread_name_prefix="case") as threads,
    ):
        stage = Stage(control_plane, kube, flink, rescaling, demo_jar, directory, prefork)
        playing: dict[Case, Future[None]] = {case: threads.submit(play, stage, case) for case in wanted}

        def outcome(case: Case) -> None:
            playing[case].result()

        yield outcome
        for future in playing.values():
            future.cancel()


def _cases(items: list[pytest.Item]) -> Iterator[Case]:
    """The cases of the tests that will run, in their order."""
    for item in items:
        case = (
            item.callspec.params.get("case") if isinstance(item, pytest.Function) and hasattr(item, "callspec") else 0
        )
        if isinstance(case, Case):
            yield case
