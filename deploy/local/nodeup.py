"""A node with the images of this repository: `make node-up`, and what `make prepare` makes for it.

Called by the command line. The images have the names that the chart and `deploy/examples/flink-session` use, so both are
installed as they are, without a registry.
"""

import os
import shutil
import subprocess
from pathlib import Path

from deploy.local.binaries import tool_binary
from deploy.local.flinkdist import DEFAULT_VERSION
from deploy.local.flinkimage import flink_archive_with_python, flink_image
from deploy.local.gobuild import build_caches
from deploy.local.node import Node
from deploy.local.node import prepare as prepare_programs
from deploy.local.nodecheck import missing_packages, obstacle
from deploy.local.operatorimage import operator_image
from deploy.local.prerequisites import MissingPrerequisite
from deploy.local.progress import StepFailed, run_step, say

OPERATOR = "docker.io/library/flinkjob-operator:0.1.0"
FLINK = f"docker.io/library/flink:{DEFAULT_VERSION}-java17"
_INSTALL_SECONDS = "300"


def make() -> None:
    """Builds what a node and its images are made of, where it is missing. Raises MissingPrerequisite, StepFailed."""
    if why := obstacle():
        raise MissingPrerequisite(f"no node can run here: {why}")
    with build_caches():
        prepare_programs()
        tool_binary("helm")
        images()


def images() -> dict[str, str | Path]:
    """The images, built where they are missing, by their names in the node. Raises MissingPrerequisite, StepFailed."""
    return {OPERATOR: operator_image(), FLINK: flink_image()}


class WholeNode(Node):
    """A node that has the images, and a volume for the state of one Flink cluster."""

    def start(self) -> None:
        """Starts it. Raises as `Node.start`."""
        super().start()
        self.volume("state", self.directory / "state")

    def variables(self) -> dict[str, str]:
        """Those of the node, and helm's path."""
        return {**super().variables(), "HELM": str(tool_binary("helm"))}


def whole_node(directory: Path) -> Node:
    """A node that is not started yet; all that it needs is made. Raises MissingPrerequisite, StepFailed."""
    make()
    return WholeNode(directory, images())


def prepare() -> None:
    """Installs the Debian packages where it may, and builds what is missing; where it cannot be, that is said and all."""
    try:
        _install_packages()
        if why := obstacle():
            raise MissingPrerequisite(why)
        prepare_programs()
        tool_binary("helm")
        flink_archive_with_python(FLINK)
    except (MissingPrerequisite, StepFailed, OSError) as error:  # whatever it is, the other tests do not need it
        say(f"NO NODE CAN RUN HERE, tests/node will be skipped: {error}")


def _install_packages() -> None:
    packages = missing_packages()
    if not packages or os.geteuid() or shutil.which("apt-get") is None:
        return
    options = ("-qq", "-o", "DPkg::Lock::Timeout=60", "-o", "Acquire::Retries=2")
    limited = ("timeout", _INSTALL_SECONDS, "apt-get", *options)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    words = [word for package in packages for word in package.split()]
    subprocess.run([*limited, "update"], env=environment, capture_output=True, check=False)
    install = [*limited, "install", "-y", "--no-install-recommends", *words]
    run_step(f"installing {' '.join(words)}", install, env=environment)
