"""Command line: `python -m deploy.local up|down|status|node-up|node-down|prepare`, used by the Makefile.

`up` leaves one environment running and writes `.local/env`; `hold` is the process that `up` leaves behind; `node-up`
and `node-hold` do the same with a node. `prepare` builds and downloads what is missing, with its progress, so that tests that
start afterwards wait for nothing; what only the node needs is said, and left out, where no node can run.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from deploy.local import background, nodeup, prometheus
from deploy.local.azure import azurite_directory, azurite_steps
from deploy.local.binaries import RARE, TOOLS, control_plane_binaries, control_plane_steps, program_binary, tool_binary
from deploy.local.chromium import chromium
from deploy.local.classdata import make_class_data
from deploy.local.controlplane import CONTROLLER_MANAGER, PROGRAMS
from deploy.local.demojob import demo_jar, demo_jar_steps
from deploy.local.environment import REPOSITORY, Environment
from deploy.local.flink import FlinkOptions
from deploy.local.flinkdist import DEFAULT_VERSION, DIGESTS, full_version
from deploy.local.gobuild import build_caches
from deploy.local.helm import keda_crd, monitoring_crds
from deploy.local.kafkabroker import broker_classes, broker_steps
from deploy.local.kafkajob import kafka_jar, kafka_jar_steps
from deploy.local.plan import Step
from deploy.local.prerequisites import MissingPrerequisite, require_java
from deploy.local.processes import ProcessFailed
from deploy.local.progress import StepFailed, plan, say
from deploy.local.pyflink import pyflink_python, pyflink_steps
from deploy.local.sqlrunner import runner_directory, runner_steps

ROOT = REPOSITORY / ".local"
NODE_ROOT = ROOT / "node"


def _option(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.local", description="A whole environment on one machine.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (("up", "start in the background"), ("hold", "start, and stop at SIGTERM")):
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("--flink-version", default=DEFAULT_VERSION, help=f"one of {', '.join(DIGESTS)}")
        command.add_argument("--taskmanagers", type=int, default=1)
        command.add_argument("--slots", type=int, default=16, help="of each TaskManager")
        command.add_argument("--s3", action="store_true", help="keep Flink's state in a local S3 server")
        command.add_argument("--ha", action="store_true", help="high availability through ZooKeeper")
        command.add_argument("--tls", action="store_true", help="serve Flink's REST over TLS with client certificates")
        command.add_argument(
            "--option", action="append", default=[], type=_option, metavar="KEY=VALUE", help="of Flink"
        )
        command.add_argument("--root", type=Path, default=ROOT, help="where it is kept")
    text = "build and download what is missing"
    command = commands.add_parser("prepare", help=text, description=text)
    command.add_argument("--root", type=Path, default=ROOT, help=argparse.SUPPRESS)
    command.add_argument("--tests", action="store_true", help="also the programs that only tests use")
    command.add_argument("--node", action="store_true", help="also what a node needs, Debian packages included")
    command.add_argument("versions", nargs="*", default=[DEFAULT_VERSION], help=f"of Flink: {', '.join(DIGESTS)}")
    for name, text in (
        ("node-up", "start a node in the background"),
        ("node-hold", "start a node, and stop it at SIGTERM"),
        ("node-down", "stop the node"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("--root", type=Path, default=NODE_ROOT, help="where it is kept")
    for name, text in (("down", "stop it"), ("status", "show what runs")):
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("--root", type=Path, default=ROOT, help="where it is kept")
    return parser


def _environment(directory: Path, arguments: argparse.Namespace) -> Environment:
    options = FlinkOptions(
        version=arguments.flink_version,
        taskmanagers=arguments.taskmanagers,
        slots=arguments.slots,
        config=dict(arguments.option),
        high_availability=arguments.ha,
        tls=arguments.tls,
        mutual_tls=arguments.tls,
    )
    return Environment(directory, options, with_s3=arguments.s3)


def _up(root: Path, arguments: Sequence[str], down: str, hold: str, prepare: Callable[[], object]) -> None:
    if background.is_running(root):
        say(f"already running: {root}/env (python -m deploy.local {down} stops it)")
        return
    started = time.monotonic()
    prepare()  # here and not in the holder, so that its progress is seen
    background.start(root, arguments, hold)
    say(f"ready after {time.monotonic() - started:.1f} s; {root}/env:")
    print((root / "env").read_text(), end="")


def _prepare(versions: Sequence[str], *, node: bool = False, s3: bool = False, tests: bool = False) -> None:
    require_java()
    programs = (*PROGRAMS, CONTROLLER_MANAGER)
    jobs: Sequence[tuple[Callable[[str], Path], Callable[[str], list[Step]]]] = (
        (demo_jar, demo_jar_steps),
        (runner_directory, runner_steps),
        *([(kafka_jar, kafka_jar_steps), (pyflink_python, pyflink_steps)] if tests else []),
    )
    plan.expect([*control_plane_steps(programs), *(each for v in versions for _, steps in jobs for each in steps(v))])
    plan.expect([*broker_steps(), *azurite_steps()] if tests else ())
    with build_caches(), ThreadPoolExecutor(2) as threads:
        jars = [threads.submit(job, version) for version in versions for job, _ in jobs]
        control_plane_binaries(programs)
        if node:
            nodeup.prepare()
        for tool in sorted(TOOLS.keys() - RARE) if tests else ("versitygw",) if s3 else ():
            tool_binary(tool)
        if tests:
            _prepare_debian()
            program_binary("gitops")
            broker_classes()
            azurite_directory()
            monitoring_crds()
            keda_crd()
        for jar in jars:
            jar.result()
        for version in versions if tests else ():
            make_class_data(version)


def _prepare_debian() -> None:
    """What comes as a Debian package, and what few tests need: what cannot be had is said."""
    wanted: Sequence[tuple[Callable[[], object], str]] = (
        (prometheus.program, "NO PROMETHEUS HERE, the queries of the dashboards are not tried"),
        (chromium, "NO CHROMIUM HERE, the pages are opened by no browser"),
    )
    for get, without in wanted:
        try:
            get()
        except (MissingPrerequisite, StepFailed) as error:
            say(f"{without}: {error}")


def _status(root: Path) -> int:
    if not background.is_running(root):
        print("not running")
        return 1
    for name, pid, alive, log in background.process_table(root):
        print(f"{name:24} {pid:>8} {'running' if alive else 'ended':8} {log}")
    return 0


def main(raw: list[str]) -> int:
    """Returns the exit code."""
    arguments = _parser().parse_args(raw)
    root = arguments.root = arguments.root.resolve()
    try:
        match arguments.command:
            case "up":
                version = full_version(arguments.flink_version)
                passed = [argument for argument in raw if argument != "up"]
                _up(root, passed, "down", "hold", lambda: _prepare([version], s3=arguments.s3))
            case "node-up":
                _up(root, (), "node-down", "node-hold", nodeup.make)
            case "node-hold":
                background.hold(root, nodeup.whole_node)
            case "hold":
                background.hold(root, lambda directory: _environment(directory, arguments))
            case "down" | "node-down":
                say("stopped" if background.stop(root) else "not running")
            case "prepare":
                _prepare(arguments.versions, node=arguments.node, tests=arguments.tests)
            case _:
                return _status(root)
    except (MissingPrerequisite, ProcessFailed, StepFailed, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
