"""Names a missing program in one line, with the command that installs it."""

import shutil

_PACKAGES = {
    "java": "openjdk-17-jre-headless",
    "javac": "openjdk-17-jdk-headless",
    "keytool": "openjdk-17-jre-headless",
    "mvn": "maven",
    "go": "golang-go",
    "node": "nodejs",
    "openssl": "openssl",
    "buildah": "--no-install-recommends buildah",
    "gcc": "gcc libc6-dev",
}


class MissingPrerequisite(Exception):
    """A program that the local environment needs is not installed; the message is one line."""


def require(program: str, purpose: str) -> str:
    """The path of a program.

    Args:
        program: its name, looked up in PATH.
        purpose: what it is needed for, used in the message.

    Raises:
        MissingPrerequisite: it is not installed.
    """
    if found := shutil.which(program):
        return found
    package = _PACKAGES.get(program, program)
    raise MissingPrerequisite(f"{program} is missing ({purpose}): sudo apt-get install -y {package}")


def require_java() -> None:
    """Asks for a JDK before anything is made that takes minutes. Raises MissingPrerequisite."""
    for program in ("java", "javac"):
        require(program, "Flink runs on Java 17, and the demo job is compiled")
