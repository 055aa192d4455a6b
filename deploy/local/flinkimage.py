"""Images of Flink for session clusters of Pods: Debian, Java, the distribution from the Python package index, and PyFlink.

Used by the node. They start as the image on Docker Hub does, so `deploy/examples/flink-session` works with each.
"""

import shutil
import tempfile
from pathlib import Path

from deploy.local.flinkdist import DEFAULT_VERSION, distribution
from deploy.local.image import FLINK_BASE, build_base, buildah, built_once, content_digest, trusted
from deploy.local.jvm import JAVA_OPTIONS
from deploy.local.pyflink import pyflink_lock, pyflink_packages

NAME = "localhost/flink"
NAME_WITH_PYTHON = "localhost/flink-python"
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


def flink_image_with_python() -> str:
    """The name of an image that has PyFlink besides, built when there is none.

    Raises:
        MissingPrerequisite, StepFailed: it cannot be built.
    """
    flink = flink_image()
    digest = content_digest((SOURCE_WITH_PYTHON, pyflink_lock(DEFAULT_VERSION)), flink)
    tag = f"{NAME_WITH_PYTHON}:{DEFAULT_VERSION}-{digest}"
    return built_once(tag, lambda: _build_with_python(tag, flink), keep=1)


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


def _build_with_python(tag: str, flink: str) -> None:
    packages = pyflink_packages(DEFAULT_VERSION)
    buildah(
        *("bud", "--quiet", "--no-cache", "--build-arg", f"FLINK_IMAGE={flink}", "--tag", tag),
        *("--build-context", f"packages={packages}"),
        *("--file", SOURCE_WITH_PYTHON, distribution(DEFAULT_VERSION)),
        label="building the image of Flink with Python (once)",
    )
