"""`make ui`: the pages of `kubectl flinkjob ui` with jobs in them; `make screenshots`: pictures of those pages.

`python -m deploy.local.demopages [--pictures DIRECTORY]`. Where `make demo` is up, its jobs are shown. Else there is an
environment with the jobs of `gallery.py`, which is removed at the end.
"""

import argparse
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal

import httpx
import yaml

from deploy.local import plainhttp
from deploy.local.chromium import FLAGS, chromium
from deploy.local.demo import PREFIX, make_environment
from deploy.local.gallery import NAMESPACE, Gallery
from deploy.local.operatorprocess import Operator
from deploy.local.prerequisites import MissingPrerequisite
from deploy.local.processes import ProcessFailed
from deploy.local.progress import StepFailed, say

PAGES = {"fleet": "/", "job": f"/jobs/{NAMESPACE}/clicks", "savepoints": "/savepoints"}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
WIDTH, HIGHEST = 1280, 1200
"""Of a picture, in pixels."""
_SCRIPT = Path(sys.executable).with_name("kubectl-flinkjob")
_REQUEST_SECONDS = 2.0


def running_demo(below: Path) -> Path | None:
    """The kubeconfig of a `make demo` that is up.

    Args:
        below: where temporary directories are.
    """
    found = below.glob(f"{PREFIX}*/environment/controlplane/kubeconfig*")
    return next((each for each in sorted(found) if _answers(each)), None)


def _answers(kubeconfig: Path) -> bool:
    try:
        server = yaml.safe_load(kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
        plainhttp.get(f"{server}/readyz", timeout=_REQUEST_SECONDS)
    except (OSError, LookupError, TypeError, yaml.YAMLError, httpx.HTTPError):
        return False
    return True


@contextmanager
def _own_jobs() -> Iterator[Path]:
    """A kubeconfig of an environment with the gallery."""
    directory = Path(tempfile.mkdtemp(prefix="flinkjob-pages-"))
    try:
        environment = make_environment(directory)
        with environment, Operator(environment.controlplane, directory / "operator", environment.runners):
            say("starting jobs that differ: half a minute")
            Gallery(environment).hang()
            yield environment.controlplane.kubeconfig
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def _serve(kubeconfig: Path, stdout: IO[str] | int | None = None) -> subprocess.Popen[str]:
    command = [str(_SCRIPT), "ui", "--all-namespaces", "--kubeconfig", str(kubeconfig)]
    return subprocess.Popen(command, stdout=stdout, text=True)


def _show(kubeconfig: Path) -> None:
    with _serve(kubeconfig) as process:
        try:
            process.wait()
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)


def _draw(kubeconfig: Path, directory: Path) -> None:
    """Writes a picture of each page, light and dark."""
    from playwright.sync_api import sync_playwright  # a library for tests, which make ui does not need

    directory.mkdir(parents=True, exist_ok=True)
    with _serve(kubeconfig, subprocess.PIPE) as process:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        with sync_playwright() as driver:
            found = chromium()
            browser = driver.chromium.launch(
                executable_path=found.program, env=dict(found.environment), args=list(FLAGS)
            )
            page = browser.new_page(viewport={"width": WIDTH, "height": 800})
            page.goto(address)
            base = address.partition("/?")[0]
            for name, path in PAGES.items():
                page.goto(base + path)
                page.get_by_role("status").get_by_text("live", exact=True).wait_for()
                height = min(
                    float(page.evaluate("document.querySelector('main').getBoundingClientRect().bottom")), HIGHEST
                )
                for scheme in SCHEMES:
                    page.emulate_media(color_scheme=scheme)
                    picture = directory / f"{name}-{scheme}.png"
                    page.screenshot(
                        path=picture, full_page=True, clip={"x": 0, "y": 0, "width": WIDTH, "height": height}
                    )
                    say(f"{picture}: {picture.stat().st_size // 1024} KiB")
            browser.close()
        process.send_signal(signal.SIGINT)


def main(raw: Sequence[str]) -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.local.demopages", description="The pages, with jobs in them."
    )
    parser.add_argument("--pictures", type=Path, help="write pictures there and end")
    pictures: Path | None = parser.parse_args(raw).pictures
    demo = running_demo(Path(tempfile.gettempdir())) if pictures is None else None
    try:
        if demo is not None:
            say(f"the jobs of the demo that is up: {demo}")
            _show(demo)
            return 0
        with _own_jobs() as kubeconfig:
            if pictures is None:
                _show(kubeconfig)
            else:
                _draw(kubeconfig, pictures)
    except (MissingPrerequisite, ProcessFailed, StepFailed, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        say("stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
