"""Makes the class data that `jvm.class_data` names: both roles of Flink run the demo job once and write it at their end.

Half of the CPU of a start of Flink is reading and checking classes; with these archives (dynamic class data sharing)
Java maps them into memory. Called by `prepare --tests`; without them everything works as well, more slowly.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from deploy.local.cache import cached
from deploy.local.demojob import demo_jar
from deploy.local.flink import FlinkCluster
from deploy.local.flinkdist import full_version
from deploy.local.jvm import class_data_entry
from deploy.local.progress import say
from deploy.local.restdriver import RestDriver

_CHECKPOINTS = {"execution.checkpointing.interval": "200ms"}


def make_class_data(version: str) -> None:
    """Makes the archives of a Flink version that are missing.

    Raises:
        ProcessFailed: Flink does not run here.
    """
    version = full_version(version)

    def record(target: Path) -> None:
        say(f"reading the classes of Flink {version} once, about 20 s")
        target.mkdir()
        with TemporaryDirectory() as work, FlinkCluster(Path(work), version=version, class_data=target) as cluster:
            with cluster.http() as http:
                _run_a_job(RestDriver(http), demo_jar(version), Path(work) / "out")
            for process in (*cluster.taskmanagers.values(), cluster.jobmanager):
                process.stop(grace=60)

    cached(class_data_entry(version), record)


def _run_a_job(driver: RestDriver, jar: Path, out: Path) -> None:
    """From the upload to a restore, as nearly every test does it."""
    jar_id = driver.upload(jar)
    arguments = ("--rate", "200", "--out", str(out))
    job = driver.run(jar_id, *arguments, config=_CHECKPOINTS)
    driver.wait_state(job, ["RUNNING"])
    job = driver.run(jar_id, *arguments, parallelism=2, savepoint=driver.stop(job), config=_CHECKPOINTS)
    driver.wait_state(job, ["RUNNING"])
    driver.cancel(job)
