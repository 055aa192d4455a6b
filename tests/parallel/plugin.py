"""The options and hooks: how many workers, which scheduler, what `make test` leaves out.

Loaded by `tests/conftest.py` in every process of a run.
"""

from __future__ import annotations

import os
from collections import Counter

import pytest
from xdist.remote import Producer

from deploy.local.ports import SHARE, share_of
from tests.parallel.accounts import Accounts
from tests.parallel.names import Names
from tests.parallel.progress import Progress
from tests.parallel.scheduler import GroupScheduling

GIB_A_WORKER = 3
WORKERS_A_CORE = 1.5
"""Most tests wait for Flink, but what each worker has started costs CPU even while it waits: with two for each core a run
takes a third longer."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("flinkjob")
    group.addoption("--everything", action="store_true", help="also the tests marked `everything`, as make test-all")
    group.addoption("--write-seconds", action="store_true", help="note how long each group took in seconds.json")


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Who controls workers shows progress; who runs tests counts."""
    config.pluginmanager.register(Names(), "flinkjob-names")
    if (worker := getattr(config, "workerinput", None)) is not None:
        os.environ[SHARE] = share_of(int(worker["workerid"].removeprefix("gw")), worker["workercount"])
    if config.getoption("tx", None) and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Progress(config), "flinkjob-progress")
    else:
        config.pluginmanager.register(Accounts(), "flinkjob-accounts")


def pytest_xdist_auto_num_workers() -> int:
    """As many as cores and memory allow."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**30
    return max(1, min(int(WORKERS_A_CORE * len(os.sched_getaffinity(0))), memory // GIB_A_WORKER))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> GroupScheduling:
    return GroupScheduling(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out what only `make test-all` runs, and counts it by the reason that the mark gives."""
    if config.getoption("--everything"):
        return
    marks = [item.get_closest_marker("everything") for item in items]
    out = Counter(mark.args[0] for mark in marks if mark)
    if out:
        config.hook.pytest_deselected(items=[item for item, mark in zip(items, marks, strict=True) if mark])
        items[:] = [item for item, mark in zip(items, marks, strict=True) if not mark]
    if (output := getattr(config, "workeroutput", None)) is not None:
        output["left_out"] = dict(out)
