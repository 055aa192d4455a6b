"""What the pages show, from objects as the API server gives them."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web

from deploy.local import plainhttp
from flinkjob.cli.output import Output
from flinkjob.cli.session import Session
from flinkjob.kube import watching
from flinkjob.kube.kubecontext import KubeContext
from flinkjob.kube.user import UserClient
from flinkjob.ui import app
from flinkjob.ui.objects import Objects
from flinkjob.ui.pictures import lineage_graph
from flinkjob.ui.serving import serve
from tests.unit.cli.objects import EVIL, NOW, conditions, event, job, raw, refused, running, stamp
from tests.unit.kube.apiserver import Collection, api_server, refuses
from tests.unit.ui.world import answers, every_tag, tags, words, world

MARKUP = "</td><script src=https://evil.example/x.js></script><img src=x onerror=alert(1)>\"'{{7*7}}"


def stalled(name: str) -> dict[str, Any]:
    """A FlinkJob that needs a person."""
    said = conditions("False", "True", "ArtifactUnavailable", "there is no such jar")
    return running(name, phase="Held", conditions=said)


def savepoint(name: str, location: str | None = None, *, spec: Any = None, **status: Any) -> dict[str, Any]:
    """A FlinkSavepoint of the FlinkJob clicks."""
    meta = {"name": name, "namespace": "shop", "uid": name, "generation": 1, "resourceVersion": "1"}
    place = {"location": location} if location else {}
    found = {"jobRef": {"name": "clicks"}, **(spec or {})}
    return {"metadata": meta, "spec": found, "status": {"phase": "Completed", **place, **status}}


def rows(page: str) -> list[str]:
    """The names in the order of the table."""
    return [
        str(each["href"]).rsplit("/", 1)[-1] for each in tags(page, "a") if str(each.get("id", "")).startswith("job-")
    ]


async def test_what_needs_a_person_is_first(tmp_path: Path) -> None:
    jobs = [running("a-runs"), stalled("z-held"), running("b-moves", phase="Upgrading")]
    async with world(tmp_path, jobs) as there:
        page = await there.page("/")
    assert rows(page) == ["z-held", "b-moves", "a-runs"]
    assert "1 need a person" in words(page)
    assert "Needs a person. ArtifactUnavailable: there is no such jar" in words(page)


async def test_jobs_are_filtered_by_phase_and_words_and_sorted(tmp_path: Path) -> None:
    old, new = {"time": stamp(900)}, {"time": stamp(5)}
    jobs = [running("b", lastCheckpoint=new), running("a", lastCheckpoint=old), stalled("c"), raw("unseen")]
    async with world(tmp_path, jobs) as there:
        assert rows(await there.page("/?phase=Held")) == ["c"]
        assert rows(await there.page("/?words=such+JAR")) == ["c"]
        assert rows(await there.page("/?words=shop/a")) == ["a"]
        assert rows(await there.page("/?sort=name&order=down")) == ["unseen", "c", "b", "a"]
        assert rows(await there.page("/?sort=state&phase=Running")) == ["a", "b"]
        assert rows(await there.page("/?phase=Not+looked+at")) == ["unseen"]
        assert "None of 4 FlinkJobs" in words(await there.page("/?words=nothing"))
        for wrong in ("/?page=0", "/?page=-1", "/?page=x", "/?page=99999", "/?sort=evil", "/?page=²"):
            assert len(rows(await there.page(wrong))) == 4


async def test_a_thousand_jobs_come_in_parts_and_soon(tmp_path: Path) -> None:
    jobs = [running(f"job-{number:04}") for number in range(1000)]
    async with world(tmp_path, jobs) as there:
        first = await there.page("/?sort=name")
        assert rows(first) == [f"job-{number:04}" for number in range(100)]
        begin = time.process_time()
        last = await there.page("/?sort=name&page=10")
        assert time.process_time() - begin < 1
    assert rows(last)[-1] == "job-0999"
    assert len(first) < 200_000
    lists = [each for each in there.api.seen if each.path.endswith("/flinkjobs") and "watch" not in each.query]
    assert len(lists) == 1


async def test_the_page_of_a_job_shows_what_status_shows_and_pictures_of_it(tmp_path: Path) -> None:
    past = [{"number": 3, "jobId": "3" * 32, "result": "Stopped", "started": stamp(9000), "ended": stamp(3700)}]
    failure = {"time": stamp(1800), "rootCause": "OutOfMemoryError: heap", "task": "Sink"}
    made = [savepoint("clicks-3", "s3://state/sp/savepoint-3", endTime=stamp(3700), origin="Upgrade", size="4.0Mi")]
    told = [event("JobFailed", 1800, "the sink is full", type="Warning")]
    secret = {"flinkConfiguration": {"s3.secret-key": "hunter2", "a": "b"}}
    async with world(tmp_path, [running(history=past, lastFailure=failure, spec=secret)], made, told) as there:
        page = await there.page("/jobs/shop/clicks")
    said = words(page)
    for part in (
        "run 3: started",
        "Stopped",
        "savepoint clicks-3",
        "failure",
        "OutOfMemoryError: heap",
        "the sink is full",
    ):
        assert part in said
    assert "run 4 started from it" in said
    assert "hunter2" not in page
    assert "All tasks of the run are running" in said or "Running" in said
    drawn = tags(page, "svg")
    assert [each["class"] for each in drawn] == ["timeline", "lineage"]
    assert all(each["role"] == "img" and each["aria-label"] for each in drawn)
    heads = [each["aria-labelledby"] for each in tags(page, "section")]
    assert {f"{each}-head" for each in ("actions", "timeline", "lineage", "conditions", "savepoints", "events")} <= set(
        heads
    )


def test_a_run_that_flink_refused_is_drawn_as_bad_and_not_as_live() -> None:
    drawn = lineage_graph(job(refused()), [], NOW)
    assert drawn is not None
    assert (drawn.marks[-1].tone, drawn.marks[-1].words) == ("bad", "run 4 (Upgrade): refused by Flink")


@pytest.mark.threat("page-markup")
async def test_hostile_names_and_messages_stay_text(tmp_path: Path) -> None:
    evil = f"{MARKUP}{EVIL}"
    job = running(
        phase="Held",
        conditions=conditions("False", "True", MARKUP[:60], evil),
        plan={"message": evil, "since": stamp(9)},
        lastFailure={"time": stamp(5), "rootCause": evil, "task": evil},
        spec={"args": [evil], "flinkConfiguration": {MARKUP: evil}},
    )
    made = [savepoint("sp", f"s3://b/{MARKUP}", endTime=stamp(60), error={"errorCode": "Timeout", "message": evil})]
    told = [event(evil, 5, evil, type="Warning")]
    async with world(tmp_path, [job], made, told) as there:
        pages = [await there.page(each) for each in ("/", "/savepoints", "/jobs/shop/clicks")]
        pages.append(await there.page(f"/?words={MARKUP}&phase={MARKUP}"))
    for page in pages:
        scripts = [attributes.get("src") for tag, attributes in every_tag(page) if tag in ("script", "img")]
        assert scripts == ["/static/htmx.min.js", "/static/ui.js"]
        assert not any(name.startswith("on") for _, attributes in every_tag(page) for name in attributes)
        assert re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e]", page) is None
    assert "evil.example" in pages[2]
    assert "{{7*7}}" in words(pages[2])


@pytest.mark.parametrize("dry_run", [True, False])
async def test_an_action_is_checked_first_and_done_once_it_is_confirmed(tmp_path: Path, dry_run: bool) -> None:
    async with world(tmp_path, [running()]) as there:
        found = await there.post(f"/jobs/shop/clicks/restart{'/confirm' if dry_run else ''}")
        assert found.status_code == 200
    (sent,) = there.changes
    assert (sent.method, sent.body["spec"]) == ("PATCH", {"restartNonce": 1})
    assert (sent.query.get("dryRun") == "All") is dry_run
    assert ("to be restarted" in words(found.text)) is True
    targets = [each["action"] for each in tags(found.text, "form")]
    assert targets == (["/jobs/shop/clicks/restart"] if dry_run else [])


async def test_an_action_says_that_git_undoes_it_and_why_it_cannot_be(tmp_path: Path) -> None:
    job = running()
    job["metadata"]["labels"] = {"kustomize.toolkit.fluxcd.io/name": "apps"}
    async with world(tmp_path, [job]) as there:
        warned = words((await there.post("/jobs/shop/clicks/rescale/confirm", number="7")).text)
        refused = await there.post("/jobs/shop/clicks/resume/confirm")
        wrong = await there.post("/jobs/shop/clicks/rescale/confirm", number="many")
        missing = await there.post("/jobs/shop/other/restart/confirm")
    assert "Flux" in warned
    assert "parallelism 7" in warned
    assert "is not down" in words(refused.text)
    assert tags(refused.text, "form") == []
    assert "whole number" in words(wrong.text)
    assert "there is no FlinkJob other" in words(missing.text)


async def test_the_catalogue_says_who_uses_a_savepoint_and_what_a_deletion_would_do(tmp_path: Path) -> None:
    delete = {"deletion": {"policy": "Delete"}}
    made = [
        savepoint("used", "s3://state/sp/savepoint-3", spec=delete, endTime=stamp(60), size="4.0Mi"),
        savepoint("free", "s3://state/sp/savepoint-2", spec=delete, endTime=stamp(90)),
        savepoint("kept", "s3://state/sp/savepoint-1", endTime=stamp(120)),
        savepoint("begun", phase="InProgress", spec=delete),
    ]
    async with world(tmp_path, [running()], made) as there:
        said = words(await there.page("/savepoints"))
    assert "clicks: run 4 started from it" in said
    assert "The data are in use (clicks: run 4 started from it): after 5m the object goes and they stay." in said
    assert "Flink deletes the data, unless they are the newest state of a job." in said
    assert "Only the object goes; the data stay." in said
    assert "waits until the savepoint has ended" in said


async def test_an_api_server_that_says_no_is_said(tmp_path: Path) -> None:
    async with world(tmp_path) as there:
        assert "there is no FlinkJob clicks" in await there.page("/jobs/shop/clicks", 502)
        assert "no such page" in await there.page("/nowhere", 404)


async def test_the_server_says_when_something_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over a real connection: the printed address leads to the page, and a stream says that an object is another one."""
    monkeypatch.setattr(app, "PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(watching, "PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(watching, "REFUSED_SECONDS", 0.05)
    jobs, refusing = [running()], False
    listed, answer = Collection(jobs), answers([], [], [])

    async def perhaps(request: web.Request) -> web.StreamResponse:
        allowed = listed if request.path.endswith("/flinkjobs") else answer
        return await (refuses(403, "Forbidden", "you may not") if refusing else allowed)(request)

    out = tmp_path / "out"
    async with (
        api_server(perhaps) as api,
        await UserClient.connect(KubeContext(kubeconfig=api.kubeconfig(tmp_path), namespace="shop")) as kube,
    ):
        with out.open("w") as stream, (tmp_path / "err").open("w") as err:
            session = Session(kube=kube, output=Output(stream, err), namespace="shop")
            serving = asyncio.create_task(serve(session, everywhere=True, port=0, read_only=False))
            try:
                async with asyncio.timeout(20):
                    while not out.read_text():
                        stream.flush()
                        await asyncio.sleep(0.01)
                    address = out.read_text().strip()
                    assert address.startswith("http://127.0.0.1:")
                    async with plainhttp.async_client(follow_redirects=True) as browser:
                        while True:
                            try:
                                found = await browser.get(address)
                                break
                            except httpx.ConnectError:
                                await asyncio.sleep(0.01)
                        assert "shop/clicks" in found.text
                        url = address.partition("?")[0]
                        async with browser.stream("GET", f"{url}changes") as lines:
                            assert lines.headers["x-accel-buffering"] == "no"
                            heard = []
                            async for line in lines.aiter_lines():
                                if line.startswith("event: "):
                                    heard.append(line.removeprefix("event: "))
                                    refusing = heard[-1] == "changed"
                                    if refusing:
                                        listed.cut.set()
                                if heard == ["ready"]:
                                    jobs[0]["metadata"]["resourceVersion"] = "8"
                                if len(heard) == 4:
                                    break
                            assert heard == ["ready", "changed", "lost", "ready"]
            finally:
                serving.cancel()
                await asyncio.gather(serving, return_exceptions=True)


async def test_who_may_not_see_savepoints_still_sees_that_a_job_changes(tmp_path: Path) -> None:
    jobs = [running()]
    allowed = answers(jobs, [], [])

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path.endswith("/flinksavepoints"):
            return await refuses(403, "Forbidden", "you may not")(request)
        return await allowed(request)

    async with (
        api_server(answer) as api,
        await UserClient.connect(KubeContext(kubeconfig=api.kubeconfig(tmp_path), namespace="shop")) as kube,
    ):
        listed = Objects(kube)
        before, before_of_it = await listed.version(), await listed.version(("shop", "clicks"))
        jobs[0]["metadata"]["resourceVersion"] = "8"
        async with asyncio.timeout(10):
            while await listed.version() == before:
                await asyncio.sleep(0.01)
        assert await listed.version() != ""
        assert before_of_it != await listed.version(("shop", "clicks")) != ""


async def test_a_page_of_a_job_hears_of_what_belongs_to_it_alone(tmp_path: Path) -> None:
    jobs, made = [running("clicks"), running("other")], [savepoint("sp")]
    async with world(tmp_path, jobs, made) as there:
        listed = there.objects

        async def changed(obj: dict[str, Any], version: str) -> tuple[bool, bool]:
            """Whether the page of all, and that of clicks, hears that it is another one."""
            everything, of_it = await listed.version(), await listed.version(("shop", "clicks"))
            obj["metadata"]["resourceVersion"] = version
            async with asyncio.timeout(10):
                while await listed.version() == everything:
                    await asyncio.sleep(0.01)
            return await listed.version() != everything, await listed.version(("shop", "clicks")) != of_it

        assert await changed(jobs[0], "8") == (True, True)
        assert await changed(jobs[1], "9") == (True, False)
        assert await changed(made[0], "10") == (True, True)
        page = await there.page("/jobs/shop/clicks")
    assert tags(page, "body")[0]["data-changes"] == "/changes?namespace=shop&name=clicks"


async def test_how_many_look_costs_the_api_server_nothing(tmp_path: Path) -> None:
    """One list and one watch of each kind, while five look forty times each."""
    async with world(tmp_path, [running()], [savepoint("sp")]) as there:

        async def looks() -> None:
            for _ in range(40):
                await there.objects.version()
                await asyncio.sleep(0.01)

        await asyncio.gather(*(looks() for _ in range(5)), there.page("/"), there.page("/savepoints"))
        asked = sorted((each.path.rpartition("/")[2], each.query.get("watch", "")) for each in there.api.seen)
    assert asked == [("flinkjobs", ""), ("flinkjobs", "true"), ("flinksavepoints", ""), ("flinksavepoints", "true")]
