"""The real Chromium, for tests of the pages and for their pictures: Debian's, without windows, unpacked into the cache.

An installed one is used where there is one.
"""

import functools
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deploy.local.debian import library_path, unpacked
from deploy.local.progress import run_step

PACKAGE = "chromium-headless-shell"
FLAGS = ("--no-sandbox",)
"""It only opens pages of this machine, and its sandbox needs rights that root has not in a container."""


@dataclass(frozen=True)
class Chromium:
    """A program that starts.

    Attributes:
        environment: which it is to be started with.
    """

    program: Path
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))


@functools.cache
def chromium() -> Chromium:
    """The browser. Raises MissingPrerequisite, StepFailed: it cannot be had here."""
    if found := shutil.which(PACKAGE):
        return Chromium(Path(found))
    files = unpacked(PACKAGE, "Chromium comes as Debian's package", with_libraries=True)
    made = Chromium(
        files / "usr" / "lib" / "chromium" / PACKAGE, {**os.environ, "LD_LIBRARY_PATH": library_path(files)}
    )
    run_step("starting Chromium", [made.program, *FLAGS, "--version"], env=made.environment)
    return made
