"""Container images without a registry or Docker: bases with Python made by debootstrap, and what all builds have in common.

Used by `operatorimage.py`, `flinkimage.py` and `node.py`. buildah works with chroot isolation here, which leaves no bridge
and no firewall rule behind, and with a store of its own in the cache, where images that nothing needs any more are removed.
Needs root and the Debian packages buildah and debootstrap.
"""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.local.cache import cache_root, cached, locked
from deploy.local.packing import files_below, write_tar
from deploy.local.prerequisites import require
from deploy.local.progress import StepFailed, run_step

MIRROR = "http://deb.debian.org/debian"
SMALL = "localhost/pause:local"
PIP_SETTINGS = "/etc/pip.conf"
AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
PAUSE = Path(__file__).with_name("node") / "pause.c"


@dataclass(frozen=True, slots=True)
class Base:
    """A Debian with Python that images are built on.

    Attributes:
        image: its name.
        suite: the release of Debian.
        packages: beside the smallest Debian.
    """

    image: str
    suite: str
    packages: tuple[str, ...]


OPERATOR_BASE = Base(
    "localhost/python:3.13-slim", "trixie", ("python3", "python3-pip", "python3-venv", "ca-certificates")
)
FLINK_BASE = Base("localhost/debian:bookworm-slim", "bookworm", ("python3", "ca-certificates"))
"""The Debian whose Python is as old as PyFlink wants it."""


def buildah(*arguments: str | Path, label: str = "") -> str:
    """Runs buildah; `label` is printed when it takes long. Raises MissingPrerequisite, StepFailed."""
    program = require("buildah", "images are built with it")
    environment = {**os.environ, "BUILDAH_ISOLATION": "chroot", "STORAGE_DRIVER": "overlay"}
    return run_step(label or f"buildah {arguments[0]}", [program, *_store(), *arguments], env=environment)


def _store() -> tuple[str, ...]:
    root = cache_root() / "images" / "store"
    name = hashlib.sha256(str(root).encode()).hexdigest()[:12]
    return (f"--root={root}", f"--runroot=/run/flinkjob-images-{name}")


def has(image: str) -> bool:
    """Whether the store has the image."""
    try:
        buildah("inspect", "--type", "image", image)
    except StepFailed:
        return False
    return True


def base_root(base: Base) -> Path:
    """A tar file of what is in a base, made once. Raises MissingPrerequisite, StepFailed."""

    def build(target: Path) -> None:
        debootstrap = require("debootstrap", "the base image is made of Debian packages")
        root = target.parent / "root"
        run_step(
            f"installing Debian {base.suite} for the base image (once)",
            [debootstrap, "--variant=minbase", f"--include={','.join(base.packages)}", base.suite, root, MIRROR],
        )
        for path in (*root.glob("usr/lib/python3*/EXTERNALLY-MANAGED"), *root.glob("var/cache/apt/archives/*.deb")):
            path.unlink()
        for path in (*root.glob("var/lib/apt/lists/*"), *root.glob("usr/share/doc/*"), *root.glob("usr/share/man/*")):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        (root / "usr/local/bin/python").symlink_to("/usr/bin/python3")
        run_step("packing the base image", ["tar", "-C", root, "--numeric-owner", "-cf", target, "."])

    return cached(f"base-{base.suite}/base.tar", build)


def build_base(base: Base) -> str:
    """The name of a base's image, which is loaded when there is none."""

    def build() -> None:
        container = buildah("from", "scratch").strip()
        buildah("add", "--quiet", container, base_root(base), "/", label="loading the base image")
        buildah("config", "--env", "LANG=C.UTF-8", "--cmd", "/bin/bash", container)
        buildah("commit", "--quiet", "--rm", container, base.image, label="committing the base image")

    return built_once(base.image, build, keep=1)


def pause_program() -> Path:
    """Twenty lines of C, linked statically: the first process of a Pod, and of a node."""

    def build(target: Path) -> None:
        compiler = require("gcc", "the pause container is compiled here")
        run_step("compiling pause", [compiler, "-Os", "-static", "-o", target, PAUSE])

    return cached("pause/pause", build)


def build_pause() -> str:
    """The image of a Pod's first container."""

    def build() -> None:
        container = buildah("from", "scratch").strip()
        buildah("add", "--quiet", container, pause_program(), "/pause")
        buildah("config", "--entrypoint", '["/pause"]', container)
        buildah("commit", "--quiet", "--rm", container, SMALL)

    return built_once(SMALL, build, keep=1)


def remove(image: str) -> None:
    """Removes an image from the store. Raises StepFailed: there is none."""
    buildah("rmi", image)


def configuration(image: str) -> dict[str, Any]:
    """What an image says of how it is run and what it is (OCI configuration: `User`, `Entrypoint`, `Labels` …)."""
    answer = json.loads(buildah("inspect", "--type", "image", image))
    return dict(answer["OCIv1"]["config"])


def archive(image: str, target: Path, name: str = "") -> Path:
    """Writes an image, under a name when there is one, into a tar file that containerd can import; returns `target`."""
    target.unlink(missing_ok=True)
    place = f"docker-archive:{target}:{name}" if name else f"docker-archive:{target}"
    buildah("push", "--quiet", image, place, label=f"writing {image}")
    return target


def oci_archive(image: str, target: Path, name: str, stamp: int) -> Path:
    """Writes an image as an OCI archive, the same bytes for the same image; returns `target`.

    Args:
        name: what it is called in the archive.
        stamp: seconds since 1970, the time of the archive's entries.
    """
    with tempfile.TemporaryDirectory() as directory:
        layout = Path(directory) / "layout"
        buildah("push", "--quiet", "--format", "oci", image, f"oci:{layout}:{name}", label=f"writing {name}")
        write_tar(target, files_below(layout), stamp, compressed=False)
    return target


def size(image: str) -> int:
    """Bytes of an image, unpacked."""
    with tempfile.TemporaryDirectory() as directory:
        return archive(image, Path(directory) / "image.tar").stat().st_size


def content_digest(paths: Iterable[Path], *more: str) -> str:
    """Twelve hex digits that change with the content of files and directories, and with `more`."""
    digest = hashlib.sha256(repr(more).encode())
    for root in paths:
        files = sorted(root.rglob("*")) if root.is_dir() else [root]
        for file in files:
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(repr((str(file.relative_to(root)), file.stat().st_mode & 0o111)).encode())
                digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def built_once(image: str, build: Callable[[], None], *, keep: int) -> str:
    """The image, built when there is none, by one process at a time; only the `keep` newest of its repository stay.

    Args:
        image: its name, whose tag tells what it was made of.
        build: makes it.
    """
    repository = image.rpartition(":")[0]
    with locked(cache_root() / "images" / f"{repository.replace('/', '-')}.lock"):
        if not has(image):
            build()
            _forget_old(image, repository, keep)
    return image


def _forget_old(image: str, repository: str, keep: int) -> None:
    used = cache_root() / "images" / f"{repository.replace('/', '-')}.txt"
    known = used.read_text().split() if used.exists() else []
    known = [each for each in known if each != image] + [image]
    for old in known[:-keep]:
        with contextlib.suppress(StepFailed):
            buildah("rmi", old)
    used.write_text("\n".join(known[-keep:]))


def trusted() -> tuple[str, ...]:
    """What lets programs inside RUN trust this machine's own authorities and use its package index.

    They are mounted while RUN lasts, so the last stage of an image, which has no RUN, holds no trace of them.
    """
    bundle = os.environ.get("SSL_CERT_FILE") or AUTHORITIES
    mounts = ((bundle, AUTHORITIES), (PIP_SETTINGS, PIP_SETTINGS))
    return tuple(word for here, there in mounts if Path(here).exists() for word in ("--volume", f"{here}:{there}:ro"))
