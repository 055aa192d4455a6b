"""`make ui`: the jobs that it starts can be used, and a demo that is up is found."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from deploy.local.demo import PREFIX, make_environment
from deploy.local.demopages import running_demo
from deploy.local.gallery import Gallery
from flinkjob.cli.manifests import Manifest
from flinkjob.cli.validate import findings
from tests.unit.kube.apiserver import api_server
from tests.unit.ui.world import answers

WHERE = "environment/controlplane"


def test_the_jobs_can_be_used(tmp_path: Path) -> None:
    jobs = Gallery(make_environment(tmp_path)).jobs()
    assert len(jobs) >= 5
    for name, job in jobs.items():
        assert job["metadata"]["name"] == name
        assert [each.words for each in findings(Manifest(place=name, body=job))] == []


async def test_a_demo_that_is_up_is_found(tmp_path: Path) -> None:
    ended, up = tmp_path / f"{PREFIX}a" / WHERE, tmp_path / f"{PREFIX}b" / WHERE
    for directory in (ended, up):
        directory.mkdir(parents=True)
    async with api_server(answers([], [], [])) as gone:
        gone.kubeconfig(ended)
    async with api_server(answers([], [], [])) as there:
        assert await asyncio.to_thread(running_demo, tmp_path) is None
        there.kubeconfig(up)
        found = await asyncio.to_thread(running_demo, tmp_path)
    assert found is not None
    assert found.parent == up


@pytest.mark.parametrize("text", ["", "[]", "clusters: []", "\0", "clusters: [{cluster: {server: nonsense}}]"])
def test_what_is_no_kubeconfig_is_no_demo(tmp_path: Path, text: str) -> None:
    directory = tmp_path / f"{PREFIX}a" / WHERE
    directory.mkdir(parents=True)
    (directory / "kubeconfig").write_text(text)
    assert running_demo(tmp_path) is None
