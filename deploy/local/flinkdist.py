"""The Flink distributions that the local environment can run: one pinned patch release for each minor release.

The jars come from the package `apache-flink-libraries` on the Python package index, pinned by digest; the S3 file
system plugin comes from Maven Central. Both are installed once into the cache.
"""

import sys
from pathlib import Path

from deploy.local.cache import cache_root, cached
from deploy.local.maven import fetch_jars
from deploy.local.plan import Step
from deploy.local.progress import run_step

DEFAULT_VERSION = "2.3.0"
DIGESTS = {
    "1.20.5": "e6aee62ea1a1fe7b32e28894ad079f3f1a50a372a4caac3df52405267f4228c8",
    "2.0.2": "64dced9d0324a5f23f84e9cdf444d3fd64632169e477f001c21b422f39b995ba",
    "2.1.3": "b48d3944755b9303f99d205ea1a9bcb798fc563a872c782393fb466f16d4f91c",
    "2.2.1": "74dc5546fbd9add8fbcdf1222a237e09491f9b80296241aef8676ec56f8e686e",
    "2.3.0": "38ece876553286b3a285cf344c2d2038f8a7ca10da5df54d5107250386d64151",
}


def full_version(version: str) -> str:
    """The pinned patch release for `2.1` or `2.1.3`.

    Raises:
        ValueError: no such version is pinned; the message lists those that are.
    """
    for known in DIGESTS:
        if version in (known, known.rpartition(".")[0]):
            return known
    raise ValueError(f"Flink {version} is not one of {', '.join(DIGESTS)}")


def distribution(version: str) -> Path:
    """The directory with `lib/`, `opt/` and `bin/` of a Flink version (full number); installs it when needed.

    Raises:
        StepFailed: it could not be downloaded, or the digest is not the pinned one.
    """

    def install(target: Path) -> None:
        requirements = target.with_name("requirements.txt")
        requirements.write_text(f"apache-flink-libraries=={version} --hash=sha256:{DIGESTS[version]}\n")
        run_step(
            _installing(version),
            [
                *(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", "--no-cache-dir"),
                *("--require-hashes", "--disable-pip-version-check", "--target", target, "-r", requirements),
            ],
        )

    return cached(f"flink-{version}", install) / "pyflink"


def _installing(version: str) -> str:
    return f"installing Flink {version} (once)"


def distribution_steps(version: str) -> list[Step]:
    """What `distribution` would do."""
    entry = cache_root() / f"flink-{version}"
    return [Step(_installing(version), lambda: not entry.exists())]


def s3_plugins(version: str) -> Path:
    """A Flink plugins directory that holds `s3-fs-hadoop` of this version.

    Raises:
        MissingPrerequisite: Maven is not installed.
        StepFailed: the jar could not be downloaded.
    """

    def install(target: Path) -> None:
        jar = f"org.apache.flink:flink-s3-fs-hadoop:{version}"
        fetch_jars(f"fetching flink-s3-fs-hadoop {version} (once)", [jar], target / "s3-fs-hadoop")

    return cached(f"flink-plugins-{version}", install)
