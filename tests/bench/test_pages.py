"""The pages over a thousand FlinkJobs, in a real Chromium: how long one waits, and whether the browser stutters."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from deploy.local.chromium import chromium
from deploy.local.controlplane import ControlPlane
from deploy.local.prerequisites import MissingPrerequisite
from deploy.local.progress import StepFailed
from tests.bench.measure import SMALL, stopwatch
from tests.bench.report import Figure, Goal, Report
from tests.support.browser import Visit, opened, served, visit
from tests.support.kube import Kube
from tests.unit.cli.objects import conditions, running, stamp

FEW, MANY = (20, 200) if SMALL else (100, 1000)
TIMES = 2 if SMALL else 7
NAMESPACE = "pages"
STUTTER = 0.1
"""Seconds of a task of the browser from which on a person feels that nothing moves."""
_LONGEST = """
window.longest = 0;
new PerformanceObserver((list) => list.getEntries().forEach((each) => { longest = Math.max(longest, each.duration); }))
  .observe({ type: "longtask", buffered: true });
"""

pytestmark = [pytest.mark.kube, pytest.mark.slow]


@pytest.fixture(scope="module")
def person(control_plane: ControlPlane) -> Iterator[Visit]:
    """Somebody who looks at all FlinkJobs."""
    try:
        found = chromium()
    except (MissingPrerequisite, StepFailed) as error:
        pytest.skip(f"NO CHROMIUM HERE: {str(error).splitlines()[0]}")
    with (
        opened(found) as browser,
        served(control_plane.kubeconfig, "-n", NAMESPACE) as address,
        visit(browser, address) as made,
    ):
        made.page.add_init_script(_LONGEST)
        yield made


def test_a_thousand_jobs(control_plane: ControlPlane, person: Visit, report: Report) -> None:
    """The limit is what the same page takes with a hundred FlinkJobs: a page shows a hundred rows."""
    few, many = Looks(), Looks()
    with Kube(control_plane.kubeconfig) as kube:
        kube.create_namespace(NAMESPACE)
        fill(kube, range(FEW))
        few.take(person, kube)
        fill(kube, range(FEW, MANY))
        many.take(person, kube)
    most = Goal(kind="most", value=STUTTER)
    report.add(
        Figure.of(f"{MANY} jobs: opened", many.opened, few.opened),
        Figure.of(f"{MANY} jobs: filtered by words", many.filtered, few.filtered),
        Figure.of(f"{MANY} jobs: changed → shown", many.changed, few.changed, grain=1.0),
        Figure(name="longest task of the browser", unit="s", value=max(many.tasks), goal=most, grain=0.05),
    )


class Looks:
    """What somebody who looks at the fleet waited for, in seconds, and the longest task of the browser each time."""

    def __init__(self) -> None:
        self.opened: list[float] = []
        self.filtered: list[float] = []
        self.changed: list[float] = []
        self.tasks: list[float] = []

    def take(self, person: Visit, kube: Kube) -> None:
        """Looks several times."""
        page = person.page
        for number in range(TIMES):
            with stopwatch(self.opened):
                person.open("/?sort=name")
            message = f"look {len(self.opened)} of {number}"
            with stopwatch(self.changed):
                tell(kube, 7, message)
                page.get_by_text(message).first.wait_for()
            self._task(person)
            page.get_by_role("searchbox").fill(f"{NAMESPACE}/job-00{number % (FEW // 10)}")
            with stopwatch(self.filtered):
                page.keyboard.press("Enter")
                page.get_by_text("10 of").wait_for()
            self._task(person)

    def _task(self, person: Visit) -> None:
        self.tasks.append(float(person.page.evaluate("longest")) / 1000)


def fill(kube: Kube, numbers: range) -> None:
    """FlinkJobs that nobody acts on, each with a status as one that runs has it."""
    for number in numbers:
        job = running(f"job-{number:04}", lastCheckpoint={"time": stamp(number), "id": 7})
        meta = {"name": job["metadata"]["name"], "namespace": NAMESPACE}
        kube.apply({key: job[key] for key in ("apiVersion", "kind", "spec")} | {"metadata": meta})
        kube.patch("FlinkJob", NAMESPACE, meta["name"], {"status": job["status"]}, status=True)


def tell(kube: Kube, number: int, message: str) -> None:
    """Has the status of a FlinkJob say something else."""
    said = conditions("True", "False", "Running", message)
    kube.patch("FlinkJob", NAMESPACE, f"job-{number:04}", {"status": {"conditions": said}}, status=True)
