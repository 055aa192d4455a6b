"""`make demo`: the life of a job in one terminal, on a real Kubernetes API server and a real Flink.

`python -m deploy.local.demo`; with `DEMO_EXIT=1` it ends after the story, else it stays up until Ctrl-C. Everything runs
in an environment of its own below a new temporary directory, which is removed at the end and kept after a failure. While it
stays up, `.local/demo.env` says where everything is, for shells and scripts. The exit code is 0 only when every step was
shown to be as promised.
"""

import os
import shlex
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType

import httpx
from rich.console import Console

from deploy.local.demostory import JOB, NAMESPACE, Disproved, Story
from deploy.local.environment import REPOSITORY, Environment
from deploy.local.operatorprocess import Operator
from deploy.local.prerequisites import MissingPrerequisite
from deploy.local.processes import ProcessFailed
from deploy.local.progress import StepFailed

PREFIX = "flinkjob-demo-"
"""What the temporary directory is called, before its own letters."""
console = Console(highlight=False, soft_wrap=True)
VARIABLES = REPOSITORY / ".local" / "demo.env"
UNREADABLE = (LookupError, TypeError, ValueError)
"""A component's answer is not made as it should be."""
FAILURES = (Disproved, MissingPrerequisite, ProcessFailed, StepFailed, httpx.HTTPError, OSError, *UNREADABLE)


def _say(label: str, text: str) -> None:
    first, *more = text.splitlines()
    console.print(f"[bold green]✓[/] [bold]{label:10}[/] {first}")
    for line in more:
        console.print(f"  {'':10} {line}", style="dim", markup=False)


def _show(story: Story, *arguments: str) -> None:
    shown = story.kubectl(*arguments, "--namespace", NAMESPACE).rstrip()
    console.print(f"[dim]  $ kubectl {' '.join(arguments)}[/]")
    console.print("\n".join(f"    {line}" for line in shown.splitlines()), markup=False)


def _tell(story: Story) -> None:
    """The story, in order; raises one of `FAILURES` at the first step that is not as promised."""
    _say("deploy", story.deploy())
    _show(story, "get", "fj")
    _say("savepoint", story.take_savepoint())
    _say("upgrade", story.upgrade())
    _say("suspend", story.suspend())
    _show(story, "get", "fj")
    _say("resume", story.resume())
    _say("delete", story.delete())
    _say("proof", story.counted())


def _stay(story: Story, environment: Environment, operator: Operator, directory: Path) -> None:
    """Puts the job back and waits for Ctrl-C."""
    story.apply("flinkjob.yaml", story.job())
    VARIABLES.parent.mkdir(exist_ok=True)
    VARIABLES.write_text("".join(f"{name}={shlex.quote(text)}\n" for name, text in environment.variables().items()))
    console.print(
        f"""
[bold]All of it stays up until Ctrl-C, and the job was applied once more.[/] In another terminal:

  set -a; . .local/demo.env; set +a
  export PATH="$(dirname "$KUBECTL"):$PWD/.venv/bin:$PATH"
  kubectl config set-context --current --namespace {NAMESPACE}

  kubectl get fj -w
  kubectl describe fj {JOB}
  kubectl patch fj {JOB} --type merge -p '{{"spec":{{"state":"Suspended"}}}}'     [dim]# and "Running"[/]
  kubectl scale fj {JOB} --replicas 2
  kubectl edit -f {directory}/flinkjob.yaml
  kubectl create -f {directory}/flinksavepoint.yaml
  kubectl get fsp,events
  make ui                                                                  [dim]# the same in a browser[/]

  Flink's web UI      {environment.flink.url}
  operator's log      {operator.log}
  operator's metrics  {operator.url}/metrics
  Flink's logs        {environment.flink.directory}/logs
"""
    )
    try:
        while operator.process.running:
            time.sleep(0.5)
    except KeyboardInterrupt:
        console.print("stopping")
        return
    finally:
        VARIABLES.unlink(missing_ok=True)
    raise ProcessFailed(f"the operator has ended; see {operator.log}")


def make_environment(directory: Path) -> Environment:
    """What the story runs in: without the controllers, whose program takes minutes to build and of which it needs none."""
    return Environment(directory / "environment", controllers=False)


def _run(directory: Path, *, stay: bool) -> None:
    started = time.monotonic()
    environment = make_environment(directory)
    with environment, Operator(environment.controlplane, directory / "operator", environment.runners) as operator:
        parts = f"Kubernetes {_kubernetes(environment)}, Flink {environment.flink.version}"
        _say("start", f"{parts} and the operator are ready after {time.monotonic() - started:.1f} s")
        story = Story(environment, directory)
        try:
            _tell(story)
            console.print(f"[bold]As promised, in {time.monotonic() - started:.0f} s.[/]")
            if stay:
                _stay(story, environment, operator, directory)
        finally:
            story.close()


def _kubernetes(environment: Environment) -> str:
    return environment.controlplane.kubectl("version").split("Server Version: ")[1].strip()


def _interrupted(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> int:
    """Returns the exit code."""
    signal.signal(signal.SIGTERM, _interrupted)
    stay = os.environ.get("DEMO_EXIT", "") in ("", "0")
    directory = Path(tempfile.mkdtemp(prefix=PREFIX))
    try:
        _run(directory, stay=stay)
    except FAILURES as error:
        reason = " ".join(str(error).split())[:600]
        if isinstance(error, UNREADABLE) or not reason:
            reason = f"{type(error).__name__} {reason}".strip()
        print(f"demo failed: {reason} (logs: {directory})", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        console.print("stopped")
        code = 130
    else:
        code = 0
    shutil.rmtree(directory, ignore_errors=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
