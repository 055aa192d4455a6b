"""The commands that only look, against an API server."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from flinkjob.cli import reading
from flinkjob.cli.output import Output
from flinkjob.cli.session import Session
from flinkjob.kube.kubecontext import KubeContext
from flinkjob.kube.user import UserClient
from tests.unit.cli.objects import event, raw, running
from tests.unit.kube.apiserver import api_server, refuses, says


async def test_a_watch_bears_an_api_server_that_is_away_from_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(reading, "REFRESH_SECONDS", 0.0)
    away = refuses(503, "ServiceUnavailable")
    async with api_server(away, away, says({"items": [raw()]})) as api:
        chosen = KubeContext(kubeconfig=api.kubeconfig(tmp_path), namespace="shop")
        async with await UserClient.connect(chosen) as kube:
            session = Session(kube=kube, output=Output(), namespace="shop")
            watching = asyncio.create_task(reading.get(session, watch=True, output="name"))
            async with asyncio.timeout(20):
                while "flinkjob.flinkjob.dev/clicks" not in capsys.readouterr().out:
                    await asyncio.sleep(0.05)
            watching.cancel()
    assert len(api.seen) >= 3


async def test_events_of_all_savepoints_are_one_question(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def about(name: str) -> dict[str, Any]:
        return event("Submitted", 10, f"of {name}") | {"involvedObject": {"kind": "FlinkSavepoint", "name": name}}

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path.endswith("/events"):
            return web.json_response({"items": [about("clicks"), about("sp-1"), about("sp-2"), about("other")]})
        if request.path.endswith("/flinksavepoints"):
            return web.json_response({"items": [{"metadata": {"name": f"sp-{each}"}} for each in range(9)]})
        return web.json_response(running())

    async with api_server(answer) as api:
        chosen = KubeContext(kubeconfig=api.kubeconfig(tmp_path), namespace="shop")
        async with await UserClient.connect(chosen) as kube:
            await reading.events(Session(kube=kube, output=Output(), namespace="shop"), "clicks")
    shown = capsys.readouterr().out
    assert ["of clicks" in shown, "of sp-1" in shown, "of sp-2" in shown, "of other" in shown] == [
        True,
        True,
        True,
        False,
    ]
    assert len(api.seen) == 3
