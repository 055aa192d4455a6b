"""Where an image comes from: `python -m deploy.local.provenance [write|verify]`, an in-toto statement with SLSA's provenance.

Run by `make provenance`. The statement names the image by the digests of its configuration and layers, and what it was made
of: the commit, the base image, and every file that the build reads, each by its digest. It is not signed, for there is nobody
here whose signature would say more. It can be verified all the same: the same sources give the same image, so whoever builds
once more has the digests of the statement, or knows that it is wrong.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deploy.local.environment import REPOSITORY
from deploy.local.image import OPERATOR_BASE, base_root
from deploy.local.operatorimage import NAME, SOURCES, commit, layer_digests, operator_image
from deploy.local.progress import say

TARGET = REPOSITORY / ".local" / "provenance.intoto.json"
STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://slsa.dev/provenance/v1"
BUILD = "https://flinkjob.dev/build/buildah-dockerfile/v1"
"""What kind of build it was: `deploy/local/operatorimage.py` with the Dockerfile of the commit."""
BUILDER = "https://flinkjob.dev/builder/make-image"
"""Whoever calls `make image`: SLSA's level 1, for nothing keeps that person from writing something else."""


def sources(repository: Path = REPOSITORY) -> dict[str, str]:
    """The SHA-256 of every file that the build reads, by its path."""
    roots = [repository / name for name in SOURCES]
    files = [each for root in roots for each in (sorted(root.rglob("*")) if root.is_dir() else [root])]
    return {
        str(file.relative_to(repository)): _sha256(file)
        for file in files
        if file.is_file() and "__pycache__" not in file.parts
    }


def statement(layers: tuple[str, ...], read: Mapping[str, str], base: str, revision: tuple[str, str]) -> dict[str, Any]:
    """The statement about an image.

    Args:
        layers: digests of its configuration and of its layers.
        read: as `sources`.
        base: the SHA-256 of the base image's files.
        revision: when and what was committed last, as `operatorimage.commit`.
    """
    stamp, hashed = revision
    materials = [{"uri": f"file:{path}", "digest": {"sha256": digest}} for path, digest in read.items()]
    materials.append({"uri": "file:base.tar", "digest": {"sha256": base}})
    if hashed != "unknown":
        materials.append({"uri": "git+file:.", "digest": {"gitCommit": hashed}})
    return {
        "_type": STATEMENT,
        "subject": [{"name": f"{NAME}/{name}", "digest": {"sha256": Path(name).stem}} for name in layers],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD,
                "externalParameters": {"dockerfile": "Dockerfile", "SOURCE_DATE_EPOCH": stamp, "REVISION": hashed},
                "resolvedDependencies": materials,
            },
            "runDetails": {"builder": {"id": BUILDER}},
        },
    }


def differences(found: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What a statement says otherwise than another one: nothing where both are about the same image of the same sources."""

    def said(of: Mapping[str, Any]) -> dict[str, str]:
        about = {each["name"]: str(each["digest"]) for each in of["subject"]}
        made = of["predicate"]["buildDefinition"]["resolvedDependencies"]
        return about | {each["uri"]: str(each["digest"]) for each in made}

    one, other = said(found), said(now)
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def write(target: Path) -> None:
    """Writes the statement about the image of the sources as they are. Raises MissingPrerequisite, StepFailed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(_now(), indent=1) + "\n")
    say(f"unsigned provenance: {target}")


def _now() -> dict[str, Any]:
    """The statement about the image of the sources as they are, which is built where there is none."""
    layers = tuple(name for name in layer_digests(operator_image()) if "/" not in name)  # without links to the same
    return statement(layers, sources(), _sha256(base_root(OPERATOR_BASE)), commit())


def _sha256(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def main(arguments: list[str]) -> int:
    """Returns the exit code: 1 where the statement that is there is not about the image of the sources as they are."""
    match arguments:
        case [] | ["write"]:
            write(TARGET)
            return 0
        case ["verify"]:
            wrong = differences(json.loads(TARGET.read_text()), _now())
            for name in wrong:
                print(f"{name} is not what {TARGET} says", file=sys.stderr)
            return int(bool(wrong))
        case _:
            print(__doc__, file=sys.stderr)
            return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
