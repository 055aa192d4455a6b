"""The operator's image, built from the Dockerfile of the repository.

Used by `make image`, the node and the tests of the image. The same sources give the same image: its time and revision are
those of the last commit that changed them.
"""

import subprocess
import tempfile
import time
from pathlib import Path

from deploy.local.image import OPERATOR_BASE, archive, build_base, buildah, built_once, content_digest, size, trusted
from deploy.local.progress import say
from deploy.local.sqlrunner import runner_directory

REPOSITORY = Path(__file__).resolve().parents[2]
NAME = "localhost/flinkjob-operator"
SOURCES = (
    *("Dockerfile", ".dockerignore", "requirements.lock", "requirements-build.lock", "pyproject.toml"),
    *("README.md", "LICENSE", "operator"),
)
"""All that the build reads."""


def operator_image() -> str:
    """The name of the image of the sources as they are now, which is built when there is none.

    Raises:
        MissingPrerequisite, StepFailed: it cannot be built.
    """
    digest = content_digest((REPOSITORY / name for name in SOURCES), *commit())
    tag = f"{NAME}:{digest}"
    return built_once(tag, lambda: build_operator(tag), keep=3)


def build_operator(tag: str) -> None:
    """Builds the image and says its size; never from layers of former builds, whose history holds their time."""
    base = build_base(OPERATOR_BASE)
    started = time.monotonic()
    stamp, revision = commit()
    buildah(
        *("bud", "--quiet", "--no-cache", "--timestamp", stamp, *trusted()),
        *("--build-arg", f"BASE_IMAGE={base}", "--build-arg", f"SOURCE_DATE_EPOCH={stamp}"),
        *("--build-arg", "RUNNER=given", "--build-context", f"runners={runner_directory()}"),
        *("--build-arg", f"REVISION={revision}", "--tag", tag, REPOSITORY),
        label="building the operator's image",
    )
    say(f"{tag}: {size(tag) / 2**20:.0f} MiB, built in {time.monotonic() - started:.0f} s")


def commit() -> tuple[str, str]:
    """Seconds since 1970 and hash of the last commit that changed the sources; `0` and `unknown` without git."""
    command = ["git", "-C", str(REPOSITORY), "log", "-1", "--format=%ct %H", "--", *SOURCES]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    stamp, _, revision = (done.stdout.strip() or "0 unknown").partition(" ")
    return stamp, revision


def layer_digests(image: str) -> tuple[str, ...]:
    """The digests of the configuration and of the layers of an image, which are equal for equal images."""
    with tempfile.TemporaryDirectory() as directory:
        packed = archive(image, Path(directory) / "image.tar")
        listed = subprocess.run(["tar", "-tf", packed], capture_output=True, text=True, check=True).stdout.split()
        files = sorted(name for name in listed if name.endswith((".json", ".tar")) and name != "manifest.json")
    assert files, f"{image} has no layers"
    return tuple(files)


def start_seconds(image: str) -> float:
    """How long the operator's program takes to start and say what its flags are, its files being in memory."""
    container = buildah("from", image).strip()
    try:
        buildah("run", container, "--", "flinkjob-operator", "--help")
        started = time.monotonic()
        buildah("run", container, "--", "flinkjob-operator", "--help")
        return time.monotonic() - started
    finally:
        buildah("rm", container)


if __name__ == "__main__":
    name = operator_image()
    print(f"{name}: {size(name) / 2**20:.0f} MiB unpacked, starts in {start_seconds(name):.1f} s")
