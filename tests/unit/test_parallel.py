"""The groups in which tests go to workers, and who gets which."""

from __future__ import annotations

import subprocess
import sys
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.parallel import scheduler
from tests.parallel.accounts import cpu_seconds
from tests.parallel.groups import group_of, needs_of, seconds_of, suite_of
from tests.parallel.scheduler import GroupScheduling
from tests.support.children import child

TESTS = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("nodeid", "group"),
    [
        ("tests/unit/core/test_up.py::test_a[x/y::z]", "unit/core"),
        ("tests/unit/test_app.py::test_a", "unit"),
        ("tests/static/test_static.py::test_static[types]", "static: test_static[types]"),
        ("tests/crash/test_crash.py::test_killed_and_started_again[x]", "crash"),
        ("tests/node/test_node.py::test_a", "node"),
        ("tests/model/test_smoke.py::test_a", "model/test_smoke.py"),
        ("tests/integration/test_lost.py::test_a[sim-a]", "integration/test_lost.py"),
        ("tests/contract/test_stop.py::test_a[sim-2.3.0-ha]", "contract: simulator"),
        ("tests/contract/test_stop.py::test_a[flink-2.3.0]", "contract: flink-2.3.0"),
        ("tests/contract/test_stop.py::test_a[True-flink-1.20.5-adaptive]", "contract: flink-1.20.5-adaptive"),
        ("tests/contract/test_stop.py::test_without_target", "contract/test_stop.py"),
    ],
)
def test_what_stays_together(nodeid: str, group: str) -> None:
    assert group_of(nodeid) == group


def test_every_suite_is_a_folder() -> None:
    assert suite_of("tests/integration/test_lost.py::test_a") == "integration"
    assert suite_of("tests/unit/core/test_up.py::test_a[b/c]") == "unit"


def test_what_a_module_of_integration_or_of_cases_needs() -> None:
    assert needs_of("integration/test_lost.py") == {"lab", "spare"}
    assert needs_of("cases/test_own_parallelism.py") == {"lab", "spare"}
    assert needs_of("unit/core") == frozenset()


def test_a_group_that_was_never_timed_is_guessed() -> None:
    assert seconds_of("integration/test_new.py", 3) == 6.0


class Worker:
    """Stands for a worker of pytest-xdist: keeps what it was given."""

    def __init__(self, name: str) -> None:
        self.gateway = types.SimpleNamespace(id=name)
        self.given: list[int] = []
        self.shutting_down = False

    def send_runtest_some(self, indices: Sequence[int]) -> None:
        self.given += indices

    def shutdown(self) -> None:
        self.shutting_down = True


def played(monkeypatch: pytest.MonkeyPatch, needs: dict[str, set[str]], seconds: dict[str, float]) -> list[list[str]]:
    """The groups of three tests that each of two workers got, when both are equally fast."""
    monkeypatch.setattr(scheduler, "needs_of", lambda group: frozenset(needs.get(group, ())))
    monkeypatch.setattr(scheduler, "seconds_of", lambda group, _: seconds[group])
    option = types.SimpleNamespace(loadscopereorder=True, tx=["popen"] * 2, maxprocesses=None, dist="load")
    config: Any = types.SimpleNamespace(option=option, getvalue=lambda name: getattr(option, name))
    made = GroupScheduling(config, scheduler.Producer("test"))
    workers: list[Any] = [Worker("a"), Worker("b")]
    ids = [f"tests/integration/{group}::test_{number}" for group in seconds for number in range(3)]
    for worker in workers:
        made.add_node(worker)
        made.add_node_collection(worker, ids)
    monkeypatch.setattr(made, "_split_scope", lambda nodeid: nodeid.partition("::")[0].rpartition("/")[2])
    made.schedule()
    done = dict.fromkeys(workers, 0)
    while any(done[worker] < len(worker.given) for worker in workers):
        for worker in workers:
            if done[worker] < len(worker.given):
                index = worker.given[done[worker]]
                done[worker] += 1
                made.mark_test_complete(worker, index)
    assert sorted(index for worker in workers for index in worker.given) == list(range(len(ids)))
    return [list(dict.fromkeys(ids[index].split("/")[2].split("::")[0] for index in w.given)) for w in workers]


def test_the_longest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = played(monkeypatch, {}, {"short": 1, "long": 9, "middle": 5, "least": 0.5})
    assert (first[0], second[0]) == ("long", "middle")
    assert sorted(first + second) == ["least", "long", "middle", "short"]


def test_what_is_started_already_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    needs = {"a1": {"spare"}, "a2": {"spare"}, "a3": {"spare"}}
    first, second = played(monkeypatch, needs, {"a1": 90, "b1": 80, "a2": 70, "b2": 60, "a3": 50, "b3": 40})
    assert set(first) == {"a1", "a2", "a3"}
    assert set(second) == {"b1", "b2", "b3"}


def test_nobody_idles_for_the_sake_of_what_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = played(monkeypatch, {"a1": {"spare"}, "a2": {"spare"}}, {"a1": 90, "b": 80, "a2": 70})
    assert sorted(first + second) == ["a1", "a2", "b"]


BUSY = "import time\nwhile time.process_time() < 0.5: pass\nprint(flush=True)\ninput()"


def test_cpu_of_living_and_of_ended_descendants_counts() -> None:
    before = cpu_seconds()
    command = [sys.executable, "-c", BUSY]
    with child(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as busy:
        assert busy.stdout
        busy.stdout.readline()
        living = cpu_seconds()
        busy.communicate("\n")
    assert living - before >= 0.4
    assert cpu_seconds() - before >= 0.4


SHARING = """
import pytest

@pytest.fixture
def used(request):
    names = request.config.pluginmanager.getplugin("flinkjob-names")
    names.note("shared", ["a"], request.module.__name__)
"""


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_run_fails_in_which_two_modules_share_a_name(tmp_path: Path, workers: str) -> None:
    """Each test passes, whoever runs them, and in whatever order."""
    (tmp_path / "conftest.py").write_text(SHARING)
    for module in ("one", "two"):
        (tmp_path / f"test_{module}.py").write_text("def test_it(used): pass\n")
    plugins = ["-p", "tests.parallel.plugin", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
    command = [sys.executable, "-m", "pytest", "-n", workers, "-c", "/dev/null", *plugins, str(tmp_path)]
    ended = subprocess.run(command, cwd=TESTS.parent, capture_output=True, text=True)
    assert "shared/a is used by test_one and test_two" in ended.stdout
    assert "2 passed" in ended.stdout
    assert ended.returncode == 1
