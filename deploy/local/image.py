"""Container images without a registry or Docker: a Python base made by debootstrap, and the operator's image on it.

Used by the node and by `python -m deploy.local image`. buildah works with chroot isolation here, which leaves no bridge
and no firewall rule behind. Needs root and the Debian packages buildah and debootstrap.
"""

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from deploy.local.cache import cached
from deploy.local.flinkdist import DEFAULT_VERSION, distribution
from deploy.local.prerequisites import require
from deploy.local.progress import run_step, say

REPOSITORY = Path(__file__).resolve().parents[2]
SUITE = "trixie"
MIRROR = "http://deb.debian.org/debian"
PYTHON = ("python3", "python3-pip", "python3-venv", "ca-certificates")
JAVA = ("openjdk-21-jre-headless",)
BASE = "localhost/python:3.13-slim"
OPERATOR = "localhost/flinkjob-operator:0.1.0"
FLINK = f"localhost/flink:{DEFAULT_VERSION}"
SMALL = "localhost/pause:local"
PAUSE = Path(__file__).with_name("node") / "pause.c"


def buildah(*arguments: str | Path, label: str = "") -> str:
    """Runs buildah; `label` is printed when it takes long. Raises MissingPrerequisite, StepFailed."""
    program = require("buildah", "images are built with it")
    environment = {**os.environ, "BUILDAH_ISOLATION": "chroot", "STORAGE_DRIVER": "overlay"}
    return run_step(label or f"buildah {arguments[0]}", [program, *arguments], env=environment)


def _has(image: str) -> bool:
    done = subprocess.run(["buildah", "inspect", "--type", "image", image], capture_output=True, check=False)
    return done.returncode == 0


def base_root() -> Path:
    """A tar file of a Debian with Python, made once. Raises MissingPrerequisite, StepFailed."""

    def build(target: Path) -> None:
        debootstrap = require("debootstrap", "the base image is made of Debian packages")
        root = target.parent / "root"
        run_step(
            f"installing Debian {SUITE} for the base image (once)",
            [debootstrap, "--variant=minbase", f"--include={','.join(PYTHON)}", SUITE, root, MIRROR],
        )
        for path in (*root.glob("usr/lib/python3*/EXTERNALLY-MANAGED"), *root.glob("var/cache/apt/archives/*.deb")):
            path.unlink()
        for path in (*root.glob("var/lib/apt/lists/*"), *root.glob("usr/share/doc/*"), *root.glob("usr/share/man/*")):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        (root / "usr/local/bin/python").symlink_to("/usr/bin/python3")
        run_step("packing the base image", ["tar", "-C", root, "--numeric-owner", "-cf", target, "."])

    return cached(f"base-{SUITE}/base.tar", build)


def build_base() -> str:
    """The name of the base image, which is loaded when there is none."""
    if not _has(BASE):
        container = buildah("from", "scratch").strip()
        buildah("add", "--quiet", container, base_root(), "/", label="loading the base image")
        buildah("config", "--env", "LANG=C.UTF-8", "--cmd", "/bin/bash", container)
        buildah("commit", "--quiet", "--rm", container, BASE, label="committing the base image")
    return BASE


def build_operator(tag: str = OPERATOR) -> str:
    """Builds the operator's image from the Dockerfile of the repository and says its size; returns its name."""
    build_base()
    started = time.monotonic()
    done = subprocess.run(["git", "-C", REPOSITORY, "log", "-1", "--format=%ct %H"], capture_output=True, text=True)
    stamp, _, revision = (done.stdout.strip() or "0 unknown").partition(" ")
    buildah(
        *("bud", "--quiet", "--layers", "--timestamp", stamp, *_trust()),
        *("--build-arg", f"BASE_IMAGE={BASE}", "--build-arg", f"SOURCE_DATE_EPOCH={stamp}"),
        *("--build-arg", f"REVISION={revision}", "--tag", tag, REPOSITORY),
        label="building the operator's image",
    )
    say(f"{tag}: {size(tag) / 2**20:.0f} MiB, built in {time.monotonic() - started:.0f} s")
    return tag


def build_flink() -> str:
    """Builds an image of Flink (base, Java, the distribution) for session clusters; returns its name."""
    if not _has(FLINK):
        build_base()
        directory = Path(__file__).with_name("node")
        buildah(
            *("bud", "--quiet", *_trust(), "--build-arg", f"BASE_IMAGE={BASE}", "--tag", FLINK),
            *("--build-arg", f"JAVA={' '.join(JAVA)}", "--build-arg", f"FLINK_VERSION={DEFAULT_VERSION}"),
            *("--file", directory / "Dockerfile.flink", distribution(DEFAULT_VERSION)),
            label="building the image of Flink (once)",
        )
    return FLINK


def build_pause() -> str:
    """The image of a Pod's first container: twenty lines of C."""
    if not _has(SMALL):
        compiler = require("gcc", "the pause container is compiled here")

        def build(target: Path) -> None:
            run_step("compiling pause", [compiler, "-Os", "-static", "-o", target, PAUSE])

        container = buildah("from", "scratch").strip()
        buildah("add", "--quiet", container, cached("pause/pause", build), "/pause")
        buildah("config", "--entrypoint", '["/pause"]', container)
        buildah("commit", "--quiet", "--rm", container, SMALL)
    return SMALL


def archive(image: str, target: Path) -> Path:
    """Writes an image into a tar file that containerd can import; returns `target`."""
    target.unlink(missing_ok=True)
    buildah("push", "--quiet", image, f"docker-archive:{target}:{image}", label=f"writing {image}")
    return target


def size(image: str) -> int:
    """Bytes of an image, unpacked."""
    with tempfile.TemporaryDirectory() as directory:
        return archive(image, Path(directory) / "image.tar").stat().st_size


def start_seconds(image: str) -> float:
    """How long the operator's program takes to start and say what its flags are."""
    container = buildah("from", image).strip()
    try:
        buildah("run", container, "--", "flinkjob-operator", "--help")  # the first one reads from the disk
        started = time.monotonic()
        buildah("run", container, "--", "flinkjob-operator", "--help")
        return time.monotonic() - started
    finally:
        buildah("rm", container)


def _trust() -> tuple[str, ...]:
    """What lets pip inside RUN trust this machine's own authorities, without a trace in the image."""
    bundle = os.environ.get("SSL_CERT_FILE")
    return ("--volume", f"{bundle}:/etc/ssl/certs/ca-certificates.crt:ro") if bundle else ()


if __name__ == "__main__":
    name = build_operator()
    print(f"{name}: {size(name) / 2**20:.0f} MiB unpacked, starts in {start_seconds(name):.1f} s")
