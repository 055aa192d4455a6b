"""Debian packages, unpacked into the cache and not installed: no root is needed, and nothing of the machine is changed."""

import os
import tempfile
from pathlib import Path

from deploy.local.cache import cached
from deploy.local.prerequisites import require
from deploy.local.progress import StepFailed, run_step


def unpacked(package: str, purpose: str, *, with_libraries: bool = False) -> Path:
    """The directory with the files of a package, fetched when it is not in the cache.

    Args:
        package: its name.
        purpose: what it is needed for, in a sentence of the error.
        with_libraries: whether also those packages are unpacked that it needs and the machine does not have.

    Raises:
        MissingPrerequisite, StepFailed: it cannot be had here.
    """

    def build(target: Path) -> None:
        apt, dpkg = require("apt-get", purpose), require("dpkg-deb", "it unpacks packages")
        with tempfile.TemporaryDirectory(dir=target.parent) as work:
            Path(work).chmod(0o755)
            try:
                _fetch(apt, package, Path(work), with_libraries)
            except StepFailed:
                if os.geteuid():
                    raise
                run_step("reading Debian's lists of packages", [apt, "-qq", "update"])
                _fetch(apt, package, Path(work), with_libraries)
            for each in sorted(Path(work).glob("*.deb")):
                run_step(f"unpacking {each.name}", [dpkg, "-x", each, target])
                each.unlink()

    return cached(f"{package}-debian", build)


def library_path(directory: Path) -> str:
    """The value of LD_LIBRARY_PATH with which a program of an unpacked package finds the libraries beside it."""
    return os.pathsep.join(sorted({str(each.parent) for each in directory.glob("usr/lib/*-linux-*/**/lib*.so*")}))


def _fetch(apt: str, package: str, directory: Path, with_libraries: bool) -> None:
    names = [package]
    if with_libraries:
        options = ("-qq", "--no-install-recommends", "--print-uris")
        listed = run_step(f"asking what {package} needs", [apt, *options, "install", package])
        names = [line.split()[1].partition("_")[0] for line in listed.splitlines() if line.startswith("'")]
    label = f"fetching Debian's package {package} (once)"
    run_step(label, [apt, "-qq", "-o", "APT::Sandbox::User=root", "download", *names], cwd=directory)
