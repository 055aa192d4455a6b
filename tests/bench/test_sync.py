"""Copying a snapshot of 1 GiB to an S3 server: how fast beside a plain copy, how much memory, what others notice."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.controlplane import ControlPlane
from deploy.local.flink import FlinkCluster
from deploy.local.processes import wait_until
from deploy.local.s3 import S3Server
from tests.bench.measure import SMALL, Usage, lower_priority, most_memory, stopwatch, until
from tests.bench.report import Figure, Goal, Report
from tests.support.kube import Kube, secret
from tests.support.lab import Lab, observed, submission
from tests.support.operator import OperatorProcess
from tests.support.snapshots import MIB, write_snapshot

NAMESPACE = "bench-sync"
SIZES = {f"state-{number:02}": 64 * MIB for number in range(16)} | {
    f"small-{number:02}": 20_000 for number in range(32)
}
ROUNDS = 1 if SMALL else 3
PROBES = 3 if SMALL else 10
MOST_TIME = 1.25
"""Of a plain copy's: a throughput of at least 0.8."""
MOST_MEMORY = 128.0
MOST_REACTION = 1.5

pytestmark = [pytest.mark.kube, pytest.mark.flink, pytest.mark.slow]

PLAIN = """
import asyncio, os, sys
import obstore
from obstore.store import LocalStore, S3Store
source, bucket, prefix, endpoint, key, secret, parallel = sys.argv[1:]
local = LocalStore(source)
config = {"endpoint": endpoint, "access_key_id": key, "secret_access_key": secret, "region": "us-east-1"}
target = S3Store(bucket, prefix=prefix, config=config, client_options={"allow_http": True})
names = iter([entry["path"] for batch in obstore.list(local) for entry in batch])
async def worker():
    for name in names:
        await obstore.put_async(target, name, await obstore.get_async(local, name))
async def main():
    await asyncio.gather(*(worker() for _ in range(int(parallel))))
asyncio.run(main())
os._exit(0)  # without a race between the end of the interpreter and the library's threads
"""
"""The same bytes by the same library, without a checksum or a manifest; 4 files at a time."""


@pytest.fixture(scope="module")
def s3() -> Iterator[S3Server]:
    """On another machine in life: so it gets what others leave of the processor, and writes to memory where it can."""
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with (
        tempfile.TemporaryDirectory(dir=memory) as directory,
        S3Server(Path(directory), buckets=("backup",)) as started,
    ):
        for process in started.processes:
            lower_priority(process.pid)
        yield started


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    directory = write_snapshot(tmp_path_factory.mktemp("state") / "savepoint-1", SIZES)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def sync_lab(
    control_plane: ControlPlane,
    flink: FlinkCluster,
    demo_jar: Path,
    snapshot: Path,
    s3: S3Server,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Lab]:
    """A FlinkJob that runs, below an operator that may read the snapshot."""
    directory = tmp_path_factory.mktemp("bench-sync")
    operator = OperatorProcess(
        control_plane,
        directory / "operator",
        namespaces=[NAMESPACE],
        identity=NAMESPACE,
        artifact_dirs=[demo_jar.parents[1]],
        options={"store-grants": f"{NAMESPACE}=file://{snapshot.parent}"},
    )
    with Kube(control_plane.kubeconfig) as kube:
        kube.create_namespace(NAMESPACE)
        kube.apply(secret(NAMESPACE, "store", accessKeyId=s3.access_key, secretAccessKey=s3.secret_key))
        with operator:
            place = Lab(kube, flink, operator, NAMESPACE, demo_jar, directory)
            place.start("saved")
            yield place
            place.clean()
            place.close()
    assert operator.complaints() == []


class Copies:
    """Copies of the snapshot, each to a place of its own, which is deleted when it was measured."""

    def __init__(self, lab: Lab, s3: S3Server, snapshot: Path) -> None:
        self._lab, self._s3, self._snapshot = lab, s3, snapshot
        self._number = 0

    def plain(self) -> None:
        """By a program that does nothing else."""
        where = self._where()
        server = self._s3
        arguments = [str(self._snapshot), "backup", where, server.endpoint, server.access_key, server.secret_key, "4"]
        subprocess.run([sys.executable, "-c", PLAIN, *arguments], check=True, timeout=600)
        self._check(server.data / "backup" / where)

    def begin(self) -> str:
        """By the operator; returns the name of the FlinkSavepoint."""
        where = self._where()
        sync = {
            "uri": f"s3://backup/{where}",
            "endpoint": self._s3.endpoint,
            "credentialsSecretRef": {"name": "store"},
        }
        manifest = self._lab.savepoint(
            where, "saved", mode="Existing", location=f"file://{self._snapshot}", syncTo=sync
        )
        self._lab.apply(manifest)
        return where

    def phase(self, name: str) -> str:
        """Of the FlinkSavepoint."""
        found = self._lab.kube.get("FlinkSavepoint", NAMESPACE, name) or {}
        phase = str(found.get("status", {}).get("phase"))
        assert phase != "Failed", found
        return phase

    def begun(self, name: str) -> None:
        """Waits until it is being copied."""
        until(lambda: self.phase(name) in ("Syncing", "Completed"), f"{name} begun")

    def end(self, name: str) -> None:
        """Waits until it is complete, looking rarely: looks take what copies need."""
        wait_until(lambda: self.phase(name) == "Completed", timeout=300, what=f"{name} copied", interval=0.1)

    def remove(self, name: str) -> None:
        """Its data, after a look whether they are all there."""
        directory = self._s3.data / "backup" / name
        (copy,) = (directory / NAMESPACE / "saved").glob("*-7")
        self._check(copy)

    def _where(self) -> str:
        self._number += 1
        return f"copy-{self._number}"

    def _check(self, directory: Path) -> None:
        for name, size in SIZES.items():
            assert (directory / name).stat().st_size == size
        shutil.rmtree(self._s3.data / "backup" / directory.relative_to(self._s3.data / "backup").parts[0])


@pytest.fixture(scope="module")
def copies(sync_lab: Lab, s3: S3Server, snapshot: Path) -> Copies:
    made = Copies(sync_lab, s3, snapshot)
    made.plain()  # the snapshot is in the page cache, for both
    return made


@pytest.mark.copying("throughput")
@pytest.mark.threat("greedy-copy")
def test_throughput_and_memory(sync_lab: Lab, copies: Copies, report: Report) -> None:
    pid = sync_lab.operator.process.pid
    idle = Usage.of(pid).rss
    operator: list[float] = []
    plain: list[float] = []
    most: list[float] = []
    for _ in range(ROUNDS):
        with stopwatch(plain):
            copies.plain()
        with most_memory(pid, most), stopwatch(operator):
            name = copies.begin()
            copies.end(name)
        copies.remove(name)
    gib = sum(SIZES.values()) / MIB / 1024
    goal = Goal(kind="times", value=MOST_TIME)
    time = Figure.of(f"a snapshot of {gib:.2f} GiB → copied to S3, in status", operator, plain, goal, grain=0.5)
    most_more = Goal(kind="most", value=MOST_MEMORY)
    memory = Figure(name="… memory above idle", unit="MiB", value=max(most) - idle, goal=most_more, grain=10)
    report.add(time, memory)
    assert [figure for figure in (time, memory) if not figure.met] == []


@pytest.mark.copying("throughput")
def test_reaction_of_other_jobs(sync_lab: Lab, copies: Copies, report: Report) -> None:
    """Taken in turns. What an edit costs that changes no run is told without a goal: of its 20 ms a part is the
    processor's, which a copy by another program on the same machine takes as well."""
    others = Others(sync_lab)
    edited: dict[bool, list[float]] = {True: [], False: []}
    upgraded: dict[bool, list[float]] = {True: [], False: []}
    for look, into in ((others.edit, edited), (others.upgrade, upgraded)):
        look([])
        while len(into[True]) < PROBES:
            before = len(into[True])
            name = copies.begin()
            copies.begun(name)
            while copies.phase(name) == "Syncing":
                found: list[float] = []
                look(found)
                if copies.phase(name) == "Syncing":  # until its end
                    into[True] += found
            copies.end(name)
            copies.remove(name)
            for _ in range(len(into[True]) - before):
                look(into[False])
    goal = Goal(kind="times", value=MOST_REACTION)
    figure = Figure.of("another one's edit → upgraded, during a copy", upgraded[True], upgraded[False], goal)
    report.add(Figure.of("edit of another FlinkJob → observed, during a copy", edited[True], edited[False]), figure)
    assert figure.met, figure


class Others:
    """Another FlinkJob of the same operator, which is edited."""

    def __init__(self, lab: Lab) -> None:
        self._lab, self._manifest = lab, lab.start("other")
        self._number = 1

    def edit(self, into: list[float]) -> None:
        """So that nothing happens to its run; until the operator has seen it."""
        self._number += 1
        with stopwatch(into):
            self._manifest = self._lab.edit(self._manifest, revisionHistoryLimit=2 + self._number % 5)
            until(lambda: observed(self._lab.get("other")), "the edit observed")

    def upgrade(self, into: list[float]) -> None:
        """So that its run is replaced, with a savepoint; until the new one runs."""
        number = submission(self._lab.get("other"))["number"]
        args = [*self._manifest["spec"]["args"], "--name", f"v{number}"]
        with stopwatch(into):
            self._lab.edit(self._manifest, args=args)
            self._lab.running("other", number + 1)
