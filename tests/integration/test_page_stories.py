"""The commands of the pages as a reader runs them: each page is a story on a real API server, with the operator as a process.

The clusters are simulated, but where a story needs real data. What a page takes for granted (a cluster's address, a jar, a
tool that is installed) is put in its place; what the reader has done before is in `STORIES`. `tests/support/pagecommands.py`
says which commands no test runs.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.local.binaries import control_plane_binary
from deploy.local.environment import REPOSITORY
from deploy.local.sqlrunner import runner_directory
from tests.flinksim.program import make_jar
from tests.places import OPTIONS
from tests.support import pagecommands, pages
from tests.support.forkedplugin import ForkedPlugin
from tests.support.integration import ControlPlane, FlinkCluster, Kube, OperatorProcess, S3Server
from tests.support.pages import Found
from tests.support.pagestories import NAMESPACE, PINNED, STORIES, Story
from tests.support.simfleet import SimFleet

pytestmark = [pytest.mark.kube, pytest.mark.flink, pytest.mark.slow]

LATER = {"docs/tasks/sql.md": pytest.mark.everything("the page on SQL, on a real Flink")}
"""Pages that `make test` leaves out: this one takes most for its number of commands, and test_query.py has the like."""

DEADLINE = 180
"""Seconds for one page."""
FOREIGN = {
    "FlinkSessionJob": "flink.apache.org/v1beta1",
    "Kustomization": "kustomize.toolkit.fluxcd.io/v1",
    "ScaledObject": "keda.sh/v1alpha1",
}
"""Kinds of other programs that pages speak of."""


def test_there_is_a_story_of_each_page() -> None:
    assert sorted(STORIES) == sorted(page for page, by in pagecommands.RUN.items() if pagecommands.STORIES in by)


@dataclass(frozen=True, kw_only=True)
class Reader:
    """Where the stories happen.

    Attributes:
        words: what stands for words of the pages where the cluster is simulated, and where it is real.
        environment: of the reader's shell.
        fixed: of a manifest that is for the real world, by what is there instead.
    """

    directory: Path
    words: Mapping[bool, Mapping[str, str]]
    environment: Mapping[str, str]
    fixed: Callable[[dict[str, Any]], None]

    def worded(self, text: str, story: Story) -> str:
        """With the words that hold here."""
        for old, new in {**self.words[story.real], **story.words}.items():
            text = text.replace(old, new)
        return text

    def manifest(self, number: int, text: str, story: Story) -> Path:
        """A manifest of a page as a file."""
        body = yaml.safe_load(self.worded(text, story))
        self.fixed(body)
        path = self.directory / f"manifest-{number}.yaml"
        path.write_text(yaml.safe_dump(body))
        return path

    def script(self, page: str, story: Story) -> tuple[list[str], list[str]]:
        """The shell's lines, and the commands of the page that are among them, as `pages.commands` has them."""
        lines, ran, number = [story.begin], [], 0
        for section, kind, text in pages.reading(page):
            if story.section and section != story.section:
                continue
            if kind == "yaml":
                if number in story.manifests:
                    path = self.manifest(number, text, story)
                    lines.append(f"MANIFEST={path}\n{story.manifests[number]}")
                number += 1
            elif (known := pages.known(text)) not in pagecommands.NOT_RUN:
                lines += [does for begin, does in story.before.items() if text.startswith(begin)]
                lines += [f"echo; echo {shlex.quote(f'$ {text}')}", self._ending(text, story)]
                ran.append(known)
        return [*lines, "echo; echo '$ end'", story.end], ran

    def _ending(self, text: str, story: Story) -> str:
        """The command, which ends as it should."""
        command = self.worded(text, story)
        if text.startswith(story.fails or "\0"):
            return f"code=0\n{command} || code=$?\ntest $code = 1"
        return command

    def terminal(self, lines: list[str]) -> str:
        """What the terminal shows; each command has to end well, and all of them in time."""
        done = subprocess.run(
            ["timeout", str(DEADLINE), "bash", "-euo", "pipefail", "-c", "\n".join((_SHELL, *lines))],
            cwd=self.directory,
            env=dict(self.environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"ended with {done.returncode}:\n{done.stdout}"
        return done.stdout


_SHELL = """
silence() { control silence $1; }
wake() { control wake $1; }
control() {
  exec 3<>/dev/tcp/${CONTROL#*//}; printf 'POST /%s/%s HTTP/1.0\\r\\n\\r\\n' $1 $2 >&3; cat <&3 >/dev/null; exec 3>&-
}
"""


@pytest.fixture(scope="module")
def reader(
    control_plane: ControlPlane,
    kube: Kube,
    flink: FlinkCluster,
    demo_jar: Path,
    s3: S3Server,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Reader]:
    """Somebody with a shell, in a checkout."""
    directory = tmp_path_factory.mktemp("s")
    kube.create_namespace(NAMESPACE)
    control_plane.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(map(foreign, FOREIGN)))
    crds = [f"crd/{foreign(kind)['metadata']['name']}" for kind in FOREIGN]
    control_plane.kubectl("wait", "--for=condition=Established", *crds, "--timeout=30s")
    for name in ("deploy", "crds"):
        (directory / name).symlink_to(REPOSITORY / name)
    (directory / "kubectl").symlink_to(control_plane_binary("kubectl"))
    with SimFleet(directory / "fleet", clusters=2, slots=16) as fleet, ForkedPlugin(directory):
        second = fleet.jar.with_name("second.jar")
        second.write_bytes(make_jar() + b"second")
        simulated = {
            "http://flink-jobmanager:8081": fleet.urls[0],
            "http://flink-blue:8081": fleet.urls[1],
            "https://repo.example.com/clicks.jar": f"file://{fleet.jar}",
            "https://repo.example.com/clicks-2.jar": f"file://{second}",
            "com.example.Clicks": "dev.flinkjob.demo.DemoJob",
            PINNED: hashlib.sha256(second.read_bytes()).hexdigest(),
        }
        real = {
            "http://flink-jobmanager:8081": flink.url,
            "https://repo.example.com/clicks.jar": f"file://{demo_jar}",
            "=KEY": f"={s3.access_key}",
            "=SECRET": f"={s3.secret_key}",
            "s3://flink-us/": "s3://backup/",
        }
        environment = {
            "PATH": f"{directory}:{os.environ['PATH']}",
            "HOME": str(directory),
            "KUBECONFIG": str(in_namespace(control_plane.kubeconfig, directory / "kubeconfig")),
            "FLINK_URL": fleet.urls[0],
            "CONTROL": fleet.control.replace(":", "/").replace("http///", "http://"),
            "FLINKJOB_RUNNER_DIR": str(runner_directory()),
            "COLUMNS": "200",
        }
        operator = OperatorProcess(
            control_plane,
            directory / "operator",
            namespaces=[NAMESPACE],
            identity=NAMESPACE,
            artifact_dirs=[fleet.jar.parent, demo_jar.parents[2]],
            options={**OPTIONS, "store-grants": f"{NAMESPACE}=file://{directory}"},
        )

        def fixed(body: dict[str, Any]) -> None:
            """Stores at home instead of at Amazon's."""
            spec = body["spec"]
            kept = spec.get("savepoints") or {}
            if "syncTo" in kept:
                kept["directory"] = f"file://{directory}/savepoints"
                kept["syncTo"].pop("source")
            copies = (spec.get("initialState") or {}).get("copies", [])
            for place in copies:  # the cluster has no S3 of its own, and reads what the store has as files
                place["flinkUri"] = f"file://{s3.bucket('backup')}/{place['uri'].removeprefix('s3://backup/')}"
            for place in (kept.get("syncTo"), *copies):
                if place is not None:
                    place["endpoint"] = s3.endpoint

        with operator:
            yield Reader(
                directory=directory, words={False: simulated, True: real}, environment=environment, fixed=fixed
            )
        assert operator.complaints() == []
    control_plane.kubectl("delete", *crds)


def foreign(kind: str) -> dict[str, Any]:
    """A CustomResourceDefinition of another program's, which takes any object."""
    group, _, version = FOREIGN[kind].partition("/")
    names = {"kind": kind, "plural": f"{kind.lower()}s", "singular": kind.lower()}
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    served = {"name": version, "served": True, "storage": True, "schema": schema}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names['plural']}.{group}"},
        "spec": {"group": group, "names": names, "scope": "Namespaced", "versions": [served]},
    }


def in_namespace(kubeconfig: Path, copy: Path) -> Path:
    """A kubeconfig whose context has the namespace of the stories."""
    config = yaml.safe_load(kubeconfig.read_text())
    for each in config["contexts"]:
        each["context"]["namespace"] = NAMESPACE
    copy.write_text(yaml.safe_dump(config))
    return copy


@pytest.fixture(scope="module")
def clicks(reader: Reader) -> Path:
    """The FlinkJob of the page on the first job, which the other pages take for granted."""
    (text,) = [text for _, kind, text in pages.reading("docs/tasks/first-job.md") if kind == "yaml"]
    return reader.manifest(0, text, Story()).rename(reader.directory / "clicks.yaml")


@pytest.fixture
def cleared(control_plane: ControlPlane) -> Iterator[None]:
    """Nothing of another story is there."""
    yield
    control_plane.kubectl("delete", "fj,fsp", "--all", "-n", NAMESPACE, "--timeout=60s")


@pytest.mark.usefixtures("cleared")
@pytest.mark.parametrize("page", [pytest.param(page, marks=LATER.get(page, ())) for page in STORIES])
def test_a_page(reader: Reader, clicks: Path, page: str) -> None:
    story = STORIES[page]
    lines, ran = reader.script(page, story)
    every = [each.text for each in pagecommands.run() if each.page == page]
    assert ran == every or (story.section and len(ran) > 5)
    shown = dict(printed(reader.terminal(lines)))
    for begin, pattern in story.shows.items():
        found = [output for command, output in shown.items() if command.startswith(begin)]
        assert found, f"no command of the page begins with {begin}"
        assert all(re.search(pattern, output, re.MULTILINE) for output in found), (begin, pattern, found)


def printed(transcript: str) -> Iterator[tuple[str, str]]:
    """Each command of the page, with what it printed."""
    for part in transcript.split("\n$ ")[1:]:
        command, _, output = part.partition("\n")
        yield command, output


def test_a_command_that_fails_is_found(reader: Reader) -> None:
    with pytest.raises(AssertionError, match="no-such-job"):
        reader.terminal(["kubectl flinkjob status no-such-job", "true"])
    assert Found("docs/tasks/first-job.md", "kubectl apply -f clicks.yaml") in pagecommands.run()
