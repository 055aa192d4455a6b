"""The pages for many people, and what is said where they are not installed."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from flinkjob.core.access.hosts import HostRules
from flinkjob.ui.actions import ACTIONS
from flinkjob.ui.guard import Gate
from flinkjob.ui.shared import _to_flink, run
from tests.unit.cli.objects import running
from tests.unit.kube.apiserver import api_server
from tests.unit.ui.world import answers, tags, words, world

FOR_ALL = Gate(token=None, hosts=frozenset())


async def test_without_its_extra_the_command_says_in_a_line_what_to_install(tmp_path: Path) -> None:
    async with api_server(answers([], [], [])) as api:
        config = api.kubeconfig(tmp_path)
    code = "import sys; sys.modules['jinja2'] = None; from flinkjob import plugin; plugin.main()"
    command = [sys.executable, "-c", code, "ui", "--kubeconfig", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "Error: the pages are not installed: pip install 'flinkjob-operator[ui]'\n"


def test_without_its_extra_the_script_says_in_a_line_what_to_install() -> None:
    code = "import sys; sys.modules['typer'] = None; from flinkjob.ui import entry; entry.main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "flinkjob-ui: not installed as a whole: pip install 'flinkjob-operator[ui]'\n"


def test_what_cannot_be_served_is_said_in_a_line(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["--kubeconfig", str(tmp_path / "none")]) == 1
    assert "there is no kubeconfig" in capfd.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        run(["--allowed-hosts", "a b"])
    assert "--allowed-hosts: 'a b' is no address" in capfd.readouterr().err


@pytest.mark.threat("page-for-all")
@pytest.mark.parametrize("action", [each.name for each in ACTIONS])
async def test_there_is_no_action_whoever_asks_and_whatever_for(tmp_path: Path, action: str) -> None:
    async with world(tmp_path, [running()], gate=FOR_ALL) as there:
        for path in ("/", "/savepoints", "/jobs/shop/clicks"):
            page = await there.page(path)
            assert [each for each in tags(page, "form") if each.get("method") != "get"] == []
            assert there.gate.csrf not in page
        for end in ("", "/confirm"):
            for method in ("POST", "PUT", "PATCH", "DELETE"):
                path = f"/jobs/shop/clicks/{action}{end}"
                found = await there.browser.request(method, path, data={"csrf": there.gate.csrf})
                assert found.status_code == 405
        assert there.changes == []


@pytest.mark.threat("page-for-all")
@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("http://169.254.169.254", "host 169.254.169.254 is not allowed"),
        ("http://127.0.0.1:8081", "host 127.0.0.1 is not allowed"),
        ("http://localhost:8081", "host localhost is not allowed"),
        ("http://metadata.google.internal", "host metadata.google.internal is not allowed"),
        ("http://flink.team-a.svc:8081", "host flink.team-a.svc is not allowed"),
    ],
)
async def test_flink_is_asked_only_where_the_operator_would_ask(tmp_path: Path, address: str, said: str) -> None:
    job = running()
    job["status"]["submission"]["clusterUrl"] = address
    rules = HostRules.of(["*.team-b.svc"] if "team" in said else [])
    async with world(tmp_path, [job], gate=FOR_ALL, direct=partial(_to_flink, rules)) as there:
        shown = words(await there.page("/jobs/shop/clicks"))
        assert said in shown
        assert [each.path for each in there.api.seen if "/services/" in each.path] == []


async def test_several_namespaces_are_read_one_by_one(tmp_path: Path) -> None:
    async with world(tmp_path, [running()], gate=FOR_ALL, namespaces=["shop", "bank"]) as there:
        assert "shop, bank" in words(await there.page("/"))
        await there.page("/savepoints")
        asked = {each.path.removeprefix("/apis/flinkjob.dev/v1alpha1") for each in there.api.seen}
        kinds = ("flinkjobs", "flinksavepoints")
        assert asked == {f"/namespaces/{each}/{kind}" for each in ("shop", "bank") for kind in kinds}
        assert "only namespace shop, bank is shown" in await there.page("/jobs/kube-system/clicks", 502)


async def test_a_probe_gets_an_answer_without_a_question_to_the_api_server(tmp_path: Path) -> None:
    async with world(tmp_path, gate=FOR_ALL) as there:
        assert await there.page("/healthz") == "ok"
        assert there.api.seen == []
