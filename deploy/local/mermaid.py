"""The program that draws the diagrams of the pages in a browser: `python -m deploy.local.mermaid FILE` copies it there.

The site carries it, so that no page fetches anything from another host. It comes from the package of its authors on the npm
registry, pinned by digest, and is kept in the cache.
"""

import hashlib
import shutil
import sys
import tarfile
from pathlib import Path

from deploy.local.cache import cached
from deploy.local.prerequisites import MissingPrerequisite, require
from deploy.local.progress import StepFailed, run_step

VERSION = "11.17.2"
SHA256 = "581ed7d74bd9048d0e3a91363927d72ef22942d7722546b27f7cc29e35390eb8"


def program() -> Path:
    """The script, which is fetched once.

    Raises:
        MissingPrerequisite: npm is not installed.
        StepFailed: it could not be had, or is not the pinned one.
    """
    return cached(f"mermaid-{VERSION}", _fetch) / "mermaid.min.js"


def _fetch(target: Path) -> None:
    npm = require("npm", "the diagrams of the documentation are drawn by a package of its registry")
    label = f"fetching mermaid {VERSION} (once)"
    target.mkdir()
    run_step(label, [npm, "pack", "--silent", "--pack-destination", target, f"mermaid@{VERSION}"])
    (packed,) = target.glob("*.tgz")
    with tarfile.open(packed) as archive:
        member = archive.extractfile("package/dist/mermaid.min.js")
        script = member.read() if member else b""
    packed.unlink()
    if hashlib.sha256(script).hexdigest() != SHA256:
        raise StepFailed(f"{label}: it is not the pinned one")
    (target / "mermaid.min.js").write_bytes(script)


def main(arguments: list[str]) -> int:
    """Returns the exit code."""
    (file,) = arguments
    try:
        shutil.copyfile(program(), file)
    except (MissingPrerequisite, StepFailed) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
