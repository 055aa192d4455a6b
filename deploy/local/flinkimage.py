"""Images of Flink for session clusters of Pods: Debian, Java, the distribution from the Python package index, and PyFlink.

Used by the node. They start as the image on Docker Hub does, so `deploy/examples/flink-session` works with each.
"""

import shutil
import tempfile
from pathlib import Path

from deploy.local.cache import cached
from deploy.local.flinkdist import DEFAULT_VERSION, distribution
from deploy.local.image import (
    FLINK_BASE,
    archive,
    build_base,
    buildah,
    built_once,
    content_digest,
    remove,
    trusted,
)
from deploy.local.jvm import JAVA_OPTIONS
from deploy.local.pyflink import pyflink_lock, pyflink_packages

NAME = "localhost/flink"
WITH_PYTHON = "localhost/flink-python:local"
JAVA = "openjdk-17-jre-headless"
DIRECTORY = Path(__file__).with_name("node")
SOURCES = ("Dockerfile.flink", "flink-entrypoint.sh")
SOURCE_WITH_PYTHON = DIRECTORY / "Dockerfile.flink-python"


def flink_image() -> str:
    """The name of the image, which is built when there is none.

    Raises:
        MissingPrerequisite, StepFailed: it cannot be built.
    """
    digest = content_digest((DIRECTORY / name for name in SOURCES), JAVA, *JAVA_OPTIONS)
    tag = f"{NAME}:{DEFAULT_VERSION}-{digest}"
    return built_once(tag, lambda: _build(tag), keep=1)


def flink_archive_with_python(name: str) -> Path:
    """An image that has PyFlink besides, as a tar file that a node imports, made once; it is not in the store.

    Args:
        name: of the image in the node.

    Raises:
        MissingPrerequisite, StepFailed: it cannot be built.
    """
    flink = flink_image()

    def make(target: Path) -> None:
        _build_with_python(flink)
        archive(WITH_PYTHON, target, name)
        remove(WITH_PYTHON)

    digest = content_digest((SOURCE_WITH_PYTHON, pyflink_lock(DEFAULT_VERSION)), flink, name)
    made = cached(f"images/flink-python/{digest}.tar", make)
    for outdated in {*made.parent.glob("*.tar")} - {made}:
        outdated.unlink(missing_ok=True)
    return made


def _build(tag: str) -> None:
    base = build_base(FLINK_BASE)
    with tempfile.TemporaryDirectory() as directory:
        scripts = Path(directory)
        shutil.copy(DIRECTORY / "flink-entrypoint.sh", scripts)
        (scripts / "java-options").write_text(" ".join(JAVA_OPTIONS) + "\n")
        (scripts / "java-options").chmod(0o644)
        (scripts / "flink-entrypoint.sh").chmod(0o755)
        buildah(
            *("bud", "--quiet", "--no-cache", *trusted(), "--build-arg", f"BASE_IMAGE={base}", "--tag", tag),
            *("--build-arg", f"JAVA={JAVA}", "--build-arg", f"FLINK_VERSION={DEFAULT_VERSION}"),
            *("--build-context", f"scripts={scripts}"),
            *("--file", DIRECTORY / "Dockerfile.flink", distribution(DEFAULT_VERSION)),
            label="building the image of Flink (once)",
        )


def _build_with_python(flink: str) -> None:
    buildah(
        *("bud", "--quiet", "--no-cache", "--build-arg", f"FLINK_IMAGE={flink}", "--tag", WITH_PYTHON),
        *("--build-context", f"packages={pyflink_packages(DEFAULT_VERSION)}"),
        *("--file", SOURCE_WITH_PYTHON, distribution(DEFAULT_VERSION)),
        label="building the image of Flink with Python (once)",
    )
