"""Python with PyFlink for a Flink version: tests name it as `spec.python.executable`, and an image of Flink has its packages.

`pyflink_locks/` pins all packages by digest, for Python 3.11. Flink itself, which PyFlink's package would bring along again,
is left out: the jars are those of the distribution.
"""

import hashlib
import sys
from pathlib import Path

from deploy.local.cache import cache_root, cached
from deploy.local.flinkdist import DEFAULT_VERSION, full_version
from deploy.local.plan import Step
from deploy.local.progress import run_step

LOCKS = Path(__file__).with_name("pyflink_locks")
PYTHON = "3.11"
VERSIONS = tuple(sorted(lock.stem for lock in LOCKS.glob("*.lock")))
"""The Flinks whose PyFlink is pinned."""


def pyflink_python(version: str = DEFAULT_VERSION) -> Path:
    """The path of the Python, whose environment is made when there is none.

    Args:
        version: of Flink.

    Raises:
        StepFailed: a package could not be installed; or there is no Python 3.11, and none can be had.
    """
    version = full_version(version)
    lock, uv = pyflink_lock(version), Path(sys.executable).with_name("uv")

    def install(target: Path) -> None:
        python = target / "bin" / "python"
        run_step(_installing(version), [uv, "venv", "--quiet", "--relocatable", "--seed", "--python", PYTHON, target])
        run_step(
            _installing(version),
            [
                *(uv, "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--compile-bytecode"),
                *("--python", python, "-r", lock),
            ],
        )
        for script in target.glob("lib/*/site-packages/pyflink/bin/*.sh"):
            script.chmod(0o755)

    return cached(_entry(version), install) / "bin" / "python"


def pyflink_packages(version: str = DEFAULT_VERSION) -> Path:
    """The directory with PyFlink and all packages that it needs, for any Python 3.11. Raises StepFailed."""
    (packages,) = pyflink_python(version).parents[1].glob("lib/*/site-packages")
    return packages


def pyflink_lock(version: str) -> Path:
    """The file that pins the packages for a Flink version, in full."""
    return LOCKS / f"{version}.lock"


def pyflink_steps(version: str = DEFAULT_VERSION) -> list[Step]:
    """What `pyflink_python` would do."""
    entry = cache_root() / _entry(full_version(version))
    return [Step(_installing(full_version(version)), lambda: not entry.exists())]


def _installing(version: str) -> str:
    return f"installing PyFlink {version} (once)"


def _entry(version: str) -> str:
    return f"pyflink-{version}/{hashlib.sha256(pyflink_lock(version).read_bytes()).hexdigest()[:16]}"
