"""What the operator is made of, and whether it is known to be vulnerable: `python -m deploy.local.supplychain sbom|audit`.

Run by `make sbom` and `make audit`. The tools are pinned by `requirements-audit.lock` and live in the cache, apart from the
operator's own dependencies. The audit needs the network; without it, it says so and is no failure, since it found nothing.
"""

import json
import re
import subprocess
import sys
import venv
from hashlib import sha256
from pathlib import Path
from typing import Any

from deploy.local.cache import cached
from deploy.local.environment import REPOSITORY
from deploy.local.progress import run_step, say

TOOLS = REPOSITORY / "requirements-audit.lock"
RUNTIME = REPOSITORY / "requirements.lock"
SBOM = REPOSITORY / ".local" / "sbom.cdx.json"
_OFFLINE = re.compile(
    r"ConnectionError|ConnectTimeout|Max retries exceeded|Name or service not known|Temporary failure in name resolution"
    r"|ServiceError|ProxyError|Connection refused|Network is unreachable"
)


def tool(name: str) -> Path:
    """The path of a tool; installs all of them when there are none. Raises StepFailed."""

    def build(target: Path) -> None:
        venv.create(target, with_pip=True, symlinks=True)
        command: list[str | Path] = [
            target / "bin" / "python",
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ]
        run_step("installing the tools of the audit (once)", [*command, "--require-hashes", "-r", TOOLS])

    digest = sha256(TOOLS.read_bytes()).hexdigest()[:16]
    return cached(f"audit-{digest}", build) / "bin" / name


def sbom(target: Path = SBOM) -> int:
    """Writes a CycloneDX bill of materials of the operator's dependencies; the same input gives the same file."""
    target.parent.mkdir(parents=True, exist_ok=True)
    project = REPOSITORY / "pyproject.toml"
    command: list[str | Path] = [tool("python"), "-m", "cyclonedx_py", "requirements", RUNTIME, "--pyproject", project]
    run_step("writing the bill of materials", [*command, "--output-reproducible", "--of", "JSON", "-o", target])
    components = json.loads(target.read_text())["components"]
    say(f"{len(components)} components: {target}")
    return 0


def audit() -> int:
    """Looks the pinned versions up in the database of known vulnerabilities; 1 when there are some."""
    command: list[str | Path] = [
        tool("python"),
        "-m",
        "pip_audit",
        "--require-hashes",
        "--disable-pip",
        "--progress-spinner=off",
    ]
    try:
        done = subprocess.run(
            [*command, "--format=json", "-r", RUNTIME],
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
            cwd=REPOSITORY,
        )
    except subprocess.TimeoutExpired:
        say("NOT AUDITED: the database of vulnerabilities did not answer within 300 s")
        return 0
    if not done.stdout.startswith("{"):
        if _OFFLINE.search(done.stderr):
            say(
                f"NOT AUDITED: the database of vulnerabilities cannot be reached: {done.stderr.strip().splitlines()[-1]}"
            )
            return 0
        print(done.stderr, end="", file=sys.stderr)
        return done.returncode or 1
    return verdict(json.loads(done.stdout)["dependencies"])


def verdict(dependencies: list[dict[str, Any]]) -> int:
    """Says what pip-audit found; 1 when something is vulnerable.

    Args:
        dependencies: as in its JSON; one that it could not look up has a `skip_reason`.
    """
    skipped = [each["name"] for each in dependencies if "skip_reason" in each]
    bad = [(each, found) for each in dependencies for found in each.get("vulns", ())]
    for each, found in bad:
        fixed = ", ".join(found["fix_versions"]) or "no version"
        print(f"{each['name']} {each['version']}: {found['id']}, fixed in {fixed}")
    if skipped:
        say(f"NOT AUDITED, unknown to the database that was asked: {len(skipped)} of {len(dependencies)}")
    say(f"{len(dependencies) - len(skipped)} dependencies audited, {len(bad)} known vulnerabilities")
    return 1 if bad else 0


def main(arguments: list[str]) -> int:
    """Returns the exit code."""
    match arguments:
        case ["sbom"]:
            return sbom()
        case ["audit"]:
            return audit()
        case _:
            print(__doc__, file=sys.stderr)
            return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
