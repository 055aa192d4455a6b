"""Changes as they are sent: of what was read, anew where that changed, and counted once where an answer was lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from flinkjob.cli import acting, changes, goals
from flinkjob.cli.adoption import must_live
from flinkjob.cli.errors import CommandFailed, WrongUsage
from flinkjob.cli.output import Output
from flinkjob.cli.sending import Asked, How, create, patch
from flinkjob.cli.session import Session
from flinkjob.kube.errors import AlreadyExists
from flinkjob.kube.kubecontext import KubeContext
from flinkjob.kube.user import UserClient
from tests.unit.cli.objects import JOB_ID, job, raw, running
from tests.unit.kube.apiserver import ApiServer, api_server, refuses, says

NOW = How(wait=False, timeout="1s", dry_run=False)


async def connect(api: ApiServer, directory: Path) -> UserClient:
    return await UserClient.connect(KubeContext(kubeconfig=api.kubeconfig(directory), namespace="shop"))


def session(kube: UserClient) -> Session:
    return Session(kube=kube, output=Output(), namespace="shop")


def at(version: str, **spec: Any) -> dict[str, Any]:
    found = running(spec=spec)
    found["metadata"]["resourceVersion"] = version
    return found


def by(change: Callable[[Any], changes.Change]) -> Any:
    async def ask(found: Mapping[str, Any]) -> Asked:
        asked = change(job(dict(found)))
        return Asked(asked, goals.running(asked.sets))

    return ask


async def test_a_change_is_made_anew_of_what_the_object_is_by_now(tmp_path: Path) -> None:
    """Two people restart at once: with the nonce that the first one set, nothing would happen for the second."""
    changed = refuses(409, "Conflict", "the object has been modified")
    script = (says(at("7", restartNonce=1)), changed, says(at("9", restartNonce=5)), says({}))
    async with api_server(*script) as api, await connect(api, tmp_path) as kube:
        await patch(session(kube), "clicks", by(changes.restart), NOW)
    sent = [each.body for each in api.seen if each.method == "PATCH"]
    assert [(each["spec"]["restartNonce"], each["metadata"]["resourceVersion"]) for each in sent] == [
        (2, "7"),
        (6, "9"),
    ]


async def test_a_change_whose_answer_was_lost_is_made_once(tmp_path: Path) -> None:
    changed = refuses(409, "Conflict", "the object has been modified")
    script = (says(at("7", parallelism=2)), changed, says(at("9", parallelism=8)))
    async with api_server(*script) as api, await connect(api, tmp_path) as kube:
        await patch(session(kube), "clicks", by(lambda found: changes.rescale(found, 8)), NOW)
    assert [each.method for each in api.seen] == ["GET", "PATCH", "GET"]


async def test_an_object_that_never_rests_ends_the_attempts(tmp_path: Path) -> None:
    versions = iter(range(100))

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.method == "GET":
            return web.json_response(at("7", restartNonce=next(versions) * 2))
        return await refuses(409, "Conflict", "the object has been modified")(request)

    async with api_server(answer) as api, await connect(api, tmp_path) as kube:
        with pytest.raises(CommandFailed, match="clicks changed 8 times"):
            await patch(session(kube), "clicks", by(changes.restart), NOW)


async def test_what_is_there_with_the_same_spec_counts_as_created(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    body = raw("clicks", parallelism=2)
    there = refuses(409, "AlreadyExists", "it exists")
    asked = Asked(changes.Change(asks="it", create=body), goals.running({}))
    same = {**body, "spec": {**body["spec"], "suspend": False}}
    async with api_server(there, says(same)) as api, await connect(api, tmp_path) as kube:
        await create(session(kube), "clicks", asked, NOW)
    assert "FlinkJob clicks is there, with the same spec" in capsys.readouterr().err
    for other in (raw("clicks", parallelism=3), raw("clicks")):
        async with api_server(there, says(other)) as api, await connect(api, tmp_path) as kube:
            with pytest.raises(AlreadyExists, match="it exists"):
                await create(session(kube), "clicks", asked, NOW)


def flink(state: str | None) -> Any:
    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path.endswith(f"/jobs/{JOB_ID}/status"):
            missing = {"errors": [f"org.apache.flink.runtime.messages.FlinkJobNotFoundException: {JOB_ID}"]}
            return web.json_response({"status": state} if state else missing, status=200 if state else 404)
        return web.json_response({"flink-version": "2.1.0", "features": {}})

    return answer


async def test_a_job_that_does_not_live_is_not_adopted(tmp_path: Path) -> None:
    async with api_server(says({})) as api, await connect(api, tmp_path) as kube:
        for state in ("RUNNING", "RESTARTING"):
            async with api_server(flink(state)) as cluster:
                await must_live(session(kube), job(raw(cluster={"url": cluster.url})), JOB_ID, force=False)
        for state, words in (("FINISHED", "it is FINISHED"), (None, "Flink does not know it")):
            async with api_server(flink(state)) as cluster:
                with pytest.raises(CommandFailed, match=words):
                    await must_live(session(kube), job(raw(cluster={"url": cluster.url})), JOB_ID, force=True)


async def test_a_cluster_that_cannot_be_asked_needs_force(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = raw(cluster={"url": "http://127.0.0.1:1"})
    async with api_server(says(found)) as api, await connect(api, tmp_path) as kube:
        with pytest.raises(CommandFailed, match=r"is not known: Flink cannot be reached: .*--force takes it on you"):
            await acting.adopt(session(kube), "clicks", JOB_ID)
        assert [each.method for each in api.seen] == ["GET"]
        await acting.adopt(session(kube), "clicks", JOB_ID, force=True)
    assert api.seen[-1].body["metadata"]["annotations"] == {"flinkjob.dev/adopt": JOB_ID}
    assert "Warning: whether job" in capsys.readouterr().err


async def test_a_manifest_is_only_created_where_its_job_lives(tmp_path: Path) -> None:
    file = tmp_path / "job.yaml"
    async with api_server(says(raw())) as api, await connect(api, tmp_path) as kube:
        for state, sent in (("CANCELED", []), ("RUNNING", ["POST"])):
            async with api_server(flink(state)) as cluster:
                file.write_text(
                    "apiVersion: flinkjob.dev/v1alpha1\nkind: FlinkJob\nmetadata: {name: clicks}\n"
                    f"spec: {{cluster: {{url: '{cluster.url}'}}, jar: {{uri: https://repo.example.com/a.jar}}}}\n"
                )
                try:
                    await acting.adopt(session(kube), "clicks", JOB_ID, file=file)
                except CommandFailed:
                    assert state == "CANCELED"
            assert [each.method for each in api.seen] == sent


@pytest.mark.parametrize("name", ["resume", "restart", "rollback", "rescale", "adopt"])
async def test_a_wrong_duration_is_said_before_anything_is_sent(name: str) -> None:
    arguments: dict[str, tuple[Any, ...]] = {"rescale": (2,), "adopt": (JOB_ID,)}
    with pytest.raises(WrongUsage, match="--steady soon: such as 90s or 10m"):
        await getattr(acting, name)(object(), "clicks", *arguments.get(name, ()), steady="soon")


@pytest.mark.parametrize("name", ["resume", "rollback", "adopt"])
@pytest.mark.parametrize("steady", ["5s", "1m"])
async def test_what_cannot_be_steady_in_time_is_refused_before_anything_is_sent(name: str, steady: str) -> None:
    arguments = (JOB_ID,) if name == "adopt" else ()
    with pytest.raises(WrongUsage, match=f"^--steady {steady} must be shorter than --timeout 5s$"):
        await getattr(acting, name)(object(), "clicks", *arguments, wait=True, timeout="5s", steady=steady)


async def test_a_short_timeout_can_be_reached_where_nothing_else_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = (says(running(number=3, spec={"state": "Suspended"})), says({}), says(running(spec={"state": "Running"})))
    async with api_server(*script) as api, await connect(api, tmp_path) as kube:
        await acting.resume(session(kube), "clicks", wait=True, timeout="2s")
    assert "reached once it has run for 1 s" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "arguments"), [("resume", ()), ("rescale", (2,))])
async def test_what_has_to_run_is_followed_until_it_has_run_for_a_while(
    name: str, arguments: tuple[Any, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    down = running(number=3, spec={"state": "Suspended"} if name == "resume" else {})
    runs = running(spec={"state": "Running", "parallelism": 2})
    async with api_server(says(down), says({}), says(runs)) as api, await connect(api, tmp_path) as kube:
        await getattr(acting, name)(session(kube), "clicks", *arguments, wait=True, steady="300ms")
    shown = capsys.readouterr()
    assert "Running: 2 tasks are running; reached once it has run for 0.3 s" in shown.err
    assert "run 4: Running: 2 tasks are running" in shown.out


@pytest.mark.parametrize(("name", "steady"), [("resume", {"steady": "0s"}), ("suspend", {})])
async def test_what_need_not_be_steady_is_reached_at_once(
    name: str, steady: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state, other = ("Running", "Suspended") if name == "resume" else ("Suspended", "Running")
    there = running(number=4, spec={"state": state}, phase=state)
    script = (says(running(number=3, spec={"state": other})), says({}), says(there))
    async with api_server(*script) as api, await connect(api, tmp_path) as kube:
        await getattr(acting, name)(session(kube), "clicks", wait=True, **steady)
    assert "reached once" not in capsys.readouterr().err
