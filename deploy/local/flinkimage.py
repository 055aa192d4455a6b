"""An image of Flink for session clusters of Pods: the base, Java and the distribution from the Python package index.

Used by the node. It starts as the image on Docker Hub does, so `deploy/examples/flink-session` works with both.
"""

import shutil
import tempfile
from pathlib import Path

from deploy.local.flinkdist import DEFAULT_VERSION, distribution
from deploy.local.image import BASE, build_base, buildah, built_once, content_digest, trusted
from deploy.local.jvm import JAVA_OPTIONS

NAME = "localhost/flink"
JAVA = "openjdk-21-jre-headless"
DIRECTORY = Path(__file__).with_name("node")
SOURCES = ("Dockerfile.flink", "flink-entrypoint.sh")


def flink_image() -> str:
    """The name of the image, which is built when there is none.

    Raises:
        MissingPrerequisite, StepFailed: it cannot be built.
    """
    digest = content_digest((DIRECTORY / name for name in SOURCES), JAVA, *JAVA_OPTIONS)
    tag = f"{NAME}:{DEFAULT_VERSION}-{digest}"
    return built_once(tag, lambda: _build(tag), keep=1)


def _build(tag: str) -> None:
    build_base()
    with tempfile.TemporaryDirectory() as directory:
        scripts = Path(directory)
        shutil.copy(DIRECTORY / "flink-entrypoint.sh", scripts)
        (scripts / "java-options").write_text(" ".join(JAVA_OPTIONS) + "\n")
        (scripts / "java-options").chmod(0o644)
        (scripts / "flink-entrypoint.sh").chmod(0o755)
        buildah(
            *("bud", "--quiet", "--no-cache", *trusted(), "--build-arg", f"BASE_IMAGE={BASE}", "--tag", tag),
            *("--build-arg", f"JAVA={JAVA}", "--build-arg", f"FLINK_VERSION={DEFAULT_VERSION}"),
            *("--build-context", f"scripts={scripts}"),
            *("--file", DIRECTORY / "Dockerfile.flink", distribution(DEFAULT_VERSION)),
            label="building the image of Flink (once)",
        )
