"""Who may ask the pages for anything: nobody without the token, no other name, no other page, and nothing changes by GET."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from flinkjob.ui.actions import ACTIONS
from flinkjob.ui.guard import HEADER, TOKEN_PARAMETER, Gate, cookie_name
from tests.unit.cli.objects import running
from tests.unit.ui.world import TOKEN, World, every_tag, tags, world

PAGES = ("/", "/savepoints", "/jobs/shop/clicks", "/static/ui.js", "/changes", "/nowhere")
ACTION = "/jobs/shop/clicks/savepoint"
OURS, OTHERS = cookie_name("127.0.0.1:4711"), cookie_name("127.0.0.1:4712")


@pytest.mark.threat("page-foreign-site")
@pytest.mark.parametrize("path", PAGES)
async def test_no_answer_without_the_token(tmp_path: Path, path: str) -> None:
    async with world(tmp_path, [running()]) as there:
        for cookies in ({}, {OURS: "another"}, {OURS: ""}, {OURS: TOKEN + "x"}, {OTHERS: TOKEN}):
            there.browser.cookies = cookies  # type: ignore[assignment]
            found = await there.browser.get(path)
            assert found.status_code == 403
            assert "clicks" not in found.text
        assert there.api.seen == []


async def test_the_token_in_the_address_becomes_a_cookie_and_leaves_the_address(tmp_path: Path) -> None:
    async with world(tmp_path, [running()]) as there:
        there.browser.cookies = {}  # type: ignore[assignment]
        found = await there.browser.get(f"/?{TOKEN_PARAMETER}={TOKEN}&phase=Running")
        assert (found.status_code, found.headers["location"]) == (303, "/?phase=Running")
        cookie = found.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert (await there.browser.get("/")).status_code == 200


@pytest.mark.threat("page-foreign-site")
async def test_two_servers_of_a_machine_keep_their_cookies(tmp_path: Path) -> None:
    """A browser sends the cookies of a host to each of its ports."""
    first, second = Gate(token="a", hosts=frozenset({"127.0.0.1"})), Gate(token="b", hosts=frozenset({"127.0.0.1"}))
    async with world(tmp_path, gate=first) as one, world(tmp_path, gate=second) as two:
        jar = httpx.Cookies()
        for port, there in ((4711, one), (4712, two), (80, one)):
            there.browser.cookies = jar
            name = "127.0.0.1" if port == 80 else f"127.0.0.1:{port}"
            token = there.gate.token or ""
            found = await there.browser.get(f"http://{name}/?{TOKEN_PARAMETER}={token}")
            assert found.status_code == 303
            jar.extract_cookies(found)
        for port, there in ((4711, one), (4712, two), (80, one)):
            there.browser.cookies = jar
            assert (await there.browser.get(f"http://127.0.0.1:{port}/")).status_code == 200


@pytest.mark.threat("page-foreign-site")
async def test_the_first_visit_leads_to_no_other_host(tmp_path: Path) -> None:
    async with world(tmp_path) as there:
        there.browser.cookies = {}  # type: ignore[assignment]
        found = await there.browser.get(f"http://127.0.0.1:4711//evil.example/?{TOKEN_PARAMETER}={TOKEN}")
        assert found.headers["location"] == "/evil.example/"


@pytest.mark.threat("page-foreign-site")
@pytest.mark.parametrize("host", ["evil.example:4711", "evil.example", "127.0.0.1.evil.example", "", "[::2]:1"])
async def test_a_name_that_was_made_to_point_here_is_refused(tmp_path: Path, host: str) -> None:
    """DNS rebinding: the browser takes the page of another site for this server's own."""
    async with world(tmp_path, [running()]) as there:
        assert (await there.browser.get("/", headers={"host": host})).status_code == 421
        found = await there.browser.get(f"/?{TOKEN_PARAMETER}={TOKEN}", headers={"host": host})
        assert "set-cookie" not in found.headers
        assert there.api.seen == []


@pytest.mark.threat("page-foreign-site")
@pytest.mark.parametrize(
    "path", [f"/jobs/shop/clicks/{each.name}{end}" for each in ACTIONS for end in ("", "/confirm")]
)
async def test_nothing_changes_by_get(tmp_path: Path, path: str) -> None:
    async with world(tmp_path, [running()]) as there:
        for method in ("GET", "HEAD", "PUT", "DELETE", "PATCH"):
            found = await there.browser.request(method, path, params={"csrf": there.gate.csrf})
            assert found.status_code in (404, 405)
        assert there.changes == []


@pytest.mark.threat("page-foreign-site")
async def test_no_change_by_a_form_of_another_page(tmp_path: Path) -> None:
    async with world(tmp_path, [running()]) as there:
        for body in ({}, {"csrf": ""}, {"csrf": "guess"}, {"csrf": TOKEN}):
            assert (await there.browser.post(ACTION, data=body)).status_code == 403
        long = {"csrf": there.gate.csrf, "more": "x" * 20_000}
        assert (await there.browser.post(ACTION, data=long)).status_code == 403
        elsewhere = {"sec-fetch-site": "cross-site"}
        assert (await there.browser.post(ACTION, data={"csrf": there.gate.csrf}, headers=elsewhere)).status_code == 403
        assert there.changes == []
        assert (await there.browser.post(ACTION, headers={HEADER: there.gate.csrf})).status_code == 200
        assert [each.method for each in there.changes] == ["POST"]


@pytest.mark.parametrize(
    "gate", [Gate(token=TOKEN, hosts=frozenset()), Gate(token=None, hosts=frozenset(), changes=True)]
)
async def test_read_only_has_no_actions_and_lets_no_change_through(tmp_path: Path, gate: Gate) -> None:
    """A server without a token, behind a proxy, is read-only whatever it is asked to be."""
    async with world(tmp_path, [running()], gate=gate) as there:
        assert tags(await there.page("/jobs/shop/clicks"), "button") == []
        assert (await there.post(ACTION)).status_code == 405
        assert (await there.post(f"{ACTION}/confirm")).status_code == 405
        assert there.changes == []


async def _all_pages(there: World) -> dict[str, str]:
    return {path: await there.page(path) for path in ("/", "/savepoints", "/jobs/shop/clicks")}


@pytest.mark.threat("page-markup")
async def test_a_browser_runs_and_loads_only_what_the_server_has_as_files(tmp_path: Path) -> None:
    async with world(tmp_path, [running()]) as there:
        for path in (*PAGES[:4], "/nowhere"):
            found = await there.browser.get(path)
            policy = found.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert "script-src 'self';" in policy
            assert found.headers["x-content-type-options"] == "nosniff"
            assert found.headers["cache-control"] == "no-store"
        for page in (await _all_pages(there)).values():
            for tag, attributes in every_tag(page):
                assert tag != "style"
                assert "style" not in attributes
                assert not any(name.startswith("on") for name in attributes)
                assert tag != "script" or str(attributes["src"]).startswith("/static/")


async def test_only_the_namespace_that_is_shown_can_be_asked_for(tmp_path: Path) -> None:
    async with world(tmp_path, [running()], namespaces=["shop"]) as there:
        assert "only namespace shop is shown" in await there.page("/jobs/kube-system/clicks", 502)
        assert (await there.post("/jobs/kube-system/clicks/savepoint")).status_code == 502
        assert there.api.seen == []
