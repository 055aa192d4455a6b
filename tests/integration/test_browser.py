"""The pages in a real Chromium, over the real API server and a real job: what a person sees and does there.

One job is looked at and suspended. What else the pages must stand is in objects that nobody acts on, in a namespace of
their own, and in a Flink that means harm.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
import yaml
from playwright.sync_api import Browser, Page, expect

from deploy.local import plainhttp
from deploy.local.chromium import chromium
from deploy.local.helm import NAMESPACE, Helm
from deploy.local.prerequisites import MissingPrerequisite
from deploy.local.processes import Process
from deploy.local.progress import StepFailed
from flinkjob.ui.actions import ACTIONS
from tests.support.browser import SCHEMES, SCRIPT, Scheme, background, opened, served, visit
from tests.support.integration import ControlPlane, Kube, Lab, Object, Refused, free_port, submission
from tests.unit.cli.objects import EVIL, JOB_ID, conditions, running, stamp

pytestmark = [pytest.mark.kube, pytest.mark.flink]

STILL = "t-browser"
"""The namespace of what nobody acts on."""
MARKUP = (
    "</td></pre><script>window.harmed = 1</script><img src=x onerror='window.harmed = 1'>"
    '"><svg onload="window.harmed = 1"><a href=\'javascript:harm()\'>{{7*7}}</a> https://evil.example/x.js'
)
FLEET = f"/?words={STILL}/"
"""The list of all namespaces without what other tests left there, which can fill pages of it."""
EVERY_PAGE = (FLEET, "/?words=no+such+job", "/savepoints", f"/jobs/{STILL}/hurt", f"/jobs/{STILL}/none", "/nowhere")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium; skipped, loudly, where it cannot be had."""
    try:
        found = chromium()
    except (MissingPrerequisite, StepFailed) as error:
        pytest.skip(f"NO CHROMIUM HERE: {str(error).splitlines()[0]}")
    with opened(found) as started:
        yield started


@pytest.fixture(scope="module")
def address(kube: Kube) -> Iterator[str]:
    """What `kubectl flinkjob ui -A` prints for an administrator."""
    with served(kube.kubeconfig, "-A") as printed:
        yield printed


@pytest.fixture(scope="module")
def harmful_flink() -> Iterator[str]:
    """The address of a Flink whose every word is markup."""
    words = f"{MARKUP}{EVIL}"
    failure = {"exceptionName": words, "stacktrace": f"{words}\n\tat {words}", "timestamp": 1_770_000_000_000}
    failed = {"id": 7, "status": "FAILED", "is_savepoint": False, "trigger_timestamp": 1_770_000_000_000}
    failed |= {"latest_ack_timestamp": 1_770_000_001_000, "state_size": 1, "end_to_end_duration": 9}
    answers = {
        "exceptions": {"exceptionHistory": {"entries": [failure | {"taskName": words}], "truncated": False}},
        "checkpoints": {"counts": {"completed": 0}, "history": [failed | {"failure_message": words}]},
        "metrics": [{"id": "busyTimeMsPerSecond", "max": 950.0}, {"id": "backPressuredTimeMsPerSecond", "max": 10.0}],
        JOB_ID: {"vertices": [{"id": "v", "name": words, "parallelism": 2, "tasks": {"RUNNING": 2, MARKUP: 1}}]},
    }

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps(answers.get(self.path.partition("?")[0].rpartition("/")[2], {})).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture(scope="module")
def hurt(kube: Kube, harmful_flink: str) -> Iterator[Object]:
    """A FlinkJob, its savepoint and an Event in which every text that somebody may choose is markup."""
    evil = f"{MARKUP}{EVIL}"
    kube.create_namespace(STILL)
    job = running(
        "hurt",
        phase="Held",
        conditions=conditions("False", "True", "ArtifactUnavailable", evil),
        plan={"step": "Waiting", "message": evil, "since": stamp(9)},
        lastFailure={"time": stamp(5), "rootCause": evil, "task": evil},
        history=[{"number": 3, "jobId": "3" * 32, "result": "Failed", "started": stamp(9000), "ended": stamp(3700)}],
        spec={"args": [evil], "flinkConfiguration": {"some.key": MARKUP}},
    )
    job["status"]["submission"]["clusterUrl"] = harmful_flink
    put(kube, job)
    place = f"s3://b/{MARKUP}"
    made = {"apiVersion": job["apiVersion"], "kind": "FlinkSavepoint", "metadata": {"name": "hurt-3"}}
    error = {"errorCode": "Timeout", "message": evil}
    put(
        kube,
        made
        | {"spec": {"jobRef": {"name": "hurt"}}}
        | {"status": {"phase": "Completed", "location": place, "endTime": stamp(60), "error": error}},
    )
    about = {"apiVersion": job["apiVersion"], "kind": "FlinkJob", "name": "hurt", "namespace": STILL}
    event = {"apiVersion": "v1", "kind": "Event", "metadata": {"name": "hurt.1", "namespace": STILL}}
    kube.apply(event | {"involvedObject": about, "reason": MARKUP, "message": evil, "type": "Warning"})
    yield job
    for kind, name in (("FlinkJob", "hurt"), ("FlinkSavepoint", "hurt-3")):
        kube.delete(kind, STILL, name)


def put(kube: Kube, obj: Object) -> None:
    """Stores an object with its status, in the namespace of what nobody acts on."""
    meta = {"name": obj["metadata"]["name"], "namespace": STILL}
    kube.apply({key: obj[key] for key in ("apiVersion", "kind", "spec")} | {"metadata": meta})
    kube.replace_status(obj["kind"], STILL, meta["name"], obj["status"])


def test_a_person_looks_at_a_real_job_and_suspends_it_by_keyboard(lab: Lab, browser: Browser, address: str) -> None:
    lab.start("browsed")
    lab.apply(lab.savepoint("browsed-1", "browsed"))
    lab.savepoint_phase("browsed-1", "Completed")
    lab.checkpointed(submission(lab.get("browsed"))["jobId"], 2)
    with visit(browser, address) as person:
        fleet = person.open(f"/?words={lab.namespace}/browsed")
        expect(fleet.get_by_role("row", name="browsed")).to_contain_text("Running")
        fleet.get_by_role("link", name="browsed").click()
        fleet.wait_for_url("**/browsed")
        person.live()
        page = person.page
        expect(page.get_by_role("table").first).to_contain_text("RUNNING")
        for picture in ("timeline", "lineage", "checkpoints"):
            expect(page.locator(f"svg.{picture}")).to_be_visible()
        expect(page.locator(".phase")).to_have_text("Running")
        page.evaluate("() => { window.same = true; }")
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            person.accessible()
        person.tabbed()

        watcher, person.page = page, person.new_page()
        person.open(f"/jobs/{lab.namespace}/browsed")
        person.tab_to("Suspend…")
        person.page.keyboard.press("Enter")
        person.page.wait_for_url("**/suspend/confirm")
        expect(person.page.get_by_role("status").last).to_contain_text("would be asked for")
        assert lab.get("browsed")["spec"]["state"] == "Running"
        person.accessible()
        person.page.keyboard.press("Enter")  # the button of the confirmation has the focus
        person.page.wait_for_url("**/suspend")
        expect(person.page.get_by_role("status").last).to_contain_text("asked for")
        person.accessible()
        lab.phase("browsed", "Suspended")
        assert lab.live_jobs("browsed") == []
        expect(watcher.locator(".phase")).to_have_text("Suspended")
        assert watcher.evaluate("window.same")

        catalogue = person.open("/savepoints")
        expect(catalogue.get_by_role("row", name=re.compile("^browsed-1 "))).to_contain_text("Completed")
        person.quiet()


@pytest.mark.threat("page-markup")
@pytest.mark.parametrize("scheme", SCHEMES)
def test_what_somebody_may_choose_stays_text_and_axe_finds_nothing(
    hurt: Object, browser: Browser, address: str, scheme: Scheme
) -> None:
    with visit(browser, address, scheme) as person:
        assert (max(background(person.page)) < 80) is (scheme == "dark")
        said = ""
        for path in EVERY_PAGE:
            page = person.open(path)
            page.locator("summary").evaluate_all("(found) => found.forEach((each) => each.click())")
            said += page.inner_text("body")
            assert page.evaluate("window.harmed") is None
            assert page.locator("main script, img, a[href^='javascript']").count() == 0
            person.accessible()
            person.tabbed()
        assert said.count("window.harmed = 1") > 20
        missing = [each for each in person.complaints if "status of 404" in each or "status of 502" in each]
        assert len(missing) == 2, "the two pages that there are not"
        person.complaints[:] = [each for each in person.complaints if each not in missing]
        person.quiet()


def test_what_a_person_opened_selected_or_stands_on_stays_when_the_page_changes(
    kube: Kube, hurt: Object, browser: Browser, address: str
) -> None:
    with visit(browser, address) as person:
        tell(kube, hurt, "the jar is gone")
        page = person.open(f"/jobs/{STILL}/hurt")
        expect(page.locator(".banner")).to_contain_text("the jar is gone")
        page.locator("#yaml-head").focus()
        page.keyboard.press("Enter")
        text = page.locator("#yaml-text")
        text.evaluate("(found) => { found.scrollTop = 40; }")
        before = page.evaluate("window.scrollY")
        tell(kube, hurt, "the jar is back")
        expect(page.locator(".banner")).to_contain_text("the jar is back")
        expect(page.locator("#yaml")).to_have_attribute("open", "")
        assert text.evaluate("(found) => found.scrollTop") == 40
        assert page.evaluate("document.activeElement.id") == "yaml-head"
        assert page.evaluate("window.scrollY") == before

        page.evaluate("() => getSelection().selectAllChildren(document.querySelector('.phase'))")
        with page.expect_response(f"**/jobs/{STILL}/hurt"):
            tell(kube, hurt, "the jar is lost")
        with page.expect_response(f"**/jobs/{STILL}/hurt"):
            tell(kube, hurt, "the jar is lost again")
        expect(page.locator(".banner")).to_contain_text("the jar is back")
        assert page.evaluate("getSelection().toString()").strip() == "Held"
        page.evaluate("() => getSelection().removeAllRanges()")
        expect(page.locator(".banner")).to_contain_text("the jar is lost again")
        person.quiet()


def test_pages_in_the_background_take_no_connection_from_those_that_are_seen(
    kube: Kube, hurt: Object, browser: Browser, address: str
) -> None:
    """A browser opens six connections to a server, and the stream of changes holds one."""
    with visit(browser, address) as person:
        hidden = []
        for _ in range(7):
            person.open(FLEET)
            show(person.page, seen=False)
            hidden.append(person.page)
            person.page = person.new_page()
        page = person.open(FLEET)
        expect(page.get_by_role("row", name="hurt")).to_be_visible()
        tell(kube, hurt, "seen by the page in front")
        expect(page.locator("#live")).to_contain_text("seen by the page in front")
        assert "seen by the page in front" not in hidden[0].inner_text("#live")
        show(page, seen=False)
        show(hidden[0], seen=True)
        expect(hidden[0].locator("#live")).to_contain_text("seen by the page in front")
        person.quiet()


@pytest.mark.threat("page-foreign-site")
def test_two_servers_of_a_machine_are_open_in_one_window(kube: Kube, browser: Browser, address: str) -> None:
    """A browser gives the cookies of a host to all of its ports."""
    with served(kube.kubeconfig, "-n", STILL) as other, visit(browser, address) as person:
        person.page.goto(other)
        person.live()
        for base in (person.base, other.partition("/?")[0], person.base):
            answer = person.page.goto(base)
            assert answer is not None
            assert answer.status == 200
            person.live()


def test_a_page_says_when_what_it_shows_is_gone_and_when_it_is_there_again(
    kube: Kube, hurt: Object, harmful_flink: str, browser: Browser, address: str
) -> None:
    going = running("going")
    going["status"]["submission"]["clusterUrl"] = harmful_flink
    put(kube, going)
    with visit(browser, address) as person:
        expect(person.open(FLEET).get_by_role("row", name="going")).to_be_visible()  # the list is that new
        live = person.open(f"/jobs/{STILL}/going").locator("#live")
        expect(live).to_contain_text("2 tasks are running")
        kube.delete("FlinkJob", STILL, "going")
        expect(live).to_contain_text("there is no FlinkJob going")
        person.accessible()
        put(kube, going)
        expect(live).to_contain_text("2 tasks are running")
        kube.delete("FlinkJob", STILL, "going")
        assert [each for each in person.complaints if "status of 502" not in each] == []


def show(page: Page, *, seen: bool) -> None:
    """What a browser does to a page that comes to the front or goes to the back."""
    page.evaluate(
        "(hidden) => { Object.defineProperty(document, 'hidden', { get: () => hidden, configurable: true });"
        " document.dispatchEvent(new Event('visibilitychange')); }",
        not seen,
    )


def tell(kube: Kube, job: Object, message: str) -> None:
    """Has the status of the job that nobody acts on say something else."""
    said: Sequence[Object] = conditions("False", "True", "ArtifactUnavailable", message)
    kube.patch("FlinkJob", STILL, job["metadata"]["name"], {"status": {"conditions": list(said)}}, status=True)


@pytest.mark.threat("page-for-all")
def test_the_pages_of_the_chart_have_the_rights_that_they_need_and_no_more(
    lab: Lab, control_plane: ControlPlane, browser: Browser, tmp_path: Path
) -> None:
    """The command of the chart's Deployment, with a token of the chart's ServiceAccount for it."""
    helm = Helm(tmp_path / "helm", control_plane.kubeconfig)
    hosts = json.dumps(["localhost", "127.0.0.0/8", "::1/128"])
    options = (
        f"--set=namespaces={{{lab.namespace}}}",
        "--set=ui.enabled=true",
        f"--set-json=operator.allowedHosts={hosts}",
    )
    objects = [each for each in helm.template(*options) if each["metadata"]["name"].endswith("-ui")]
    rights = [each for each in objects if each["kind"] in ("ServiceAccount", "Role", "RoleBinding")]
    lab.kube.create_namespace(NAMESPACE)
    control_plane.kubectl("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump_all(rights))
    (account,) = (each["metadata"]["name"] for each in rights if each["kind"] == "ServiceAccount")
    token = tmp_path / "ui.kubeconfig"
    control_plane.service_account_kubeconfig(NAMESPACE, account, token)
    (deployment,) = (each for each in objects if each["kind"] == "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    port = free_port()
    arguments = [each for each in container["args"] if not each.startswith("--port=")]
    command = (SCRIPT.with_name(*container["command"]), *arguments, f"--port={port}", f"--kubeconfig={token}")
    lab.start("browsed-by-all")
    lab.apply(lab.savepoint("browsed-by-all-1", "browsed-by-all"))
    lab.savepoint_phase("browsed-by-all-1", "Completed")
    before = lab.get("browsed-by-all")["metadata"]["generation"]
    process = Process("flinkjob-ui", command, log=tmp_path / "ui.log")
    try:
        address = f"http://127.0.0.1:{port}"
        process.wait_ready(lambda: answers(f"{address}/healthz"), timeout=30)
        with visit(browser, address) as person:
            expect(person.page.get_by_role("row", name="browsed-by-all")).to_contain_text("Running")
            page = person.open(f"/jobs/{lab.namespace}/browsed-by-all")
            expect(page.get_by_role("table").first).to_contain_text("RUNNING")  # of Flink itself
            expect(page.locator("#events-head")).to_be_visible()
            expect(page.locator("#savepoints")).to_contain_text("browsed-by-all-1")
            assert page.locator("button, main form").count() == 0
            assert "cannot" not in page.inner_text("body")
            person.accessible()
            expect(person.open("/savepoints").get_by_role("row", name="browsed-by-all-1 ")).to_contain_text("Completed")
            person.quiet()
        for action in ACTIONS:
            for end in ("", "/confirm"):
                path = f"{address}/jobs/{lab.namespace}/browsed-by-all/{action.name}{end}"
                assert plainhttp.post(path, data={"csrf": ""}).status_code == 405
        assert lab.get("browsed-by-all")["metadata"]["generation"] == before
        with Kube(token) as theirs:
            for kind in ("Secret", "ConfigMap"):
                with pytest.raises(Refused, match="403"):
                    theirs.all(kind, lab.namespace)
            with pytest.raises(Refused, match="403"):
                theirs.patch("FlinkJob", lab.namespace, "browsed-by-all", {"spec": {"state": "Suspended"}})
            with pytest.raises(Refused, match="403"):
                theirs.all("FlinkJob", "default")
    finally:
        process.stop()
    assert (tmp_path / "ui.log").read_text() == ""


def answers(address: str) -> bool:
    """Whether a server answers."""
    try:
        return plainhttp.get(address, timeout=5).is_success
    except httpx.TransportError:
        return False
