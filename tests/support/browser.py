"""The pages in a real browser: opened, looked at and used as a person does, by keyboard too."""

from __future__ import annotations

import importlib.resources
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from deploy.local.chromium import FLAGS, Chromium
from flinkjob.cli.main import INTERRUPTED
from tests.support.children import child

Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")
SCRIPT = Path(sys.executable).with_name("kubectl-flinkjob")
PATIENCE = 20_000
"""Milliseconds for whatever a page waits for."""
MOST_STOPS = 200
expect.set_options(timeout=PATIENCE)
_WATCH = """
window.refusals = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.refusals.push(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
"""
_FOCUSABLE = """
() => [...document.querySelectorAll("a[href], button, input, select, summary, [tabindex='0']")]
  .filter((each) => each.checkVisibility() && each.type !== "hidden")
  .map((each, place) => { each.dataset.place = place; return `${place} ${each.outerHTML.slice(0, 90)}`; })
"""
_HERE = """
() => {
  const here = document.activeElement;
  if (here === document.body) return null;
  const style = getComputedStyle(here);
  return { place: here.dataset.place ?? "", outline: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0 };
}
"""
_HOLD = """
(still) => {
  window.keep ??= (event) => { event.detail.shouldSwap = false; };
  const change = still ? "addEventListener" : "removeEventListener";
  document.body[change]("htmx:beforeSwap", window.keep);
}
"""


@contextmanager
def opened(chromium: Chromium) -> Iterator[Browser]:
    """The browser, started. Only tests that are no coroutines can use it."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=chromium.program, env=dict(chromium.environment), args=list(FLAGS)
        )
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def served(kubeconfig: Path, *options: str) -> Iterator[str]:
    """The address that `kubectl flinkjob ui` prints. It is interrupted at the end, and then ends as kubectl does."""
    command = [str(SCRIPT), "ui", "--kubeconfig", str(kubeconfig), *options]
    pipe = subprocess.PIPE
    with child(command, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        yield process.stdout.readline().strip()
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == INTERRUPTED
        said = process.stderr.read().splitlines()
        assert said == ["Open this address in a browser of this machine. Ctrl-C ends it."], said


@dataclass
class Visit:
    """A browser window with the pages of one server.

    Attributes:
        page: that is in front.
        complaints: what the browser's console says is wrong, and what scripts raised.
        foreign: addresses outside of the server that were asked for.
    """

    context: BrowserContext
    base: str
    complaints: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    page: Page = field(init=False)

    def __post_init__(self) -> None:
        self.page = self.new_page()

    def open(self, path: str) -> Page:
        """Go to a page, and wait until it is live."""
        answer = self.page.goto(self.base + path)
        assert answer is not None
        self.live()
        return self.page

    def live(self) -> None:
        """Wait until the server has told the page that it says what changes."""
        self.page.wait_for_function("() => document.getElementById('link').textContent === 'live'")

    def new_page(self) -> Page:
        """One more page of this window."""
        page = self.context.new_page()
        page.set_default_timeout(PATIENCE)
        page.add_init_script(_WATCH)
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: self.complaints.append(f"dialog: {dialog.message}"))
        page.on("request", lambda request: self._asked(request.url))
        return page

    def quiet(self) -> None:
        """Assert that nothing was refused, complained of, or loaded from elsewhere."""
        assert self.page.evaluate("window.refusals") == []
        assert self.complaints == []
        assert self.foreign == []

    def accessible(self) -> None:
        """Assert that axe finds nothing to complain of in the page."""
        self.page.evaluate(_axe())
        found = self.page.evaluate("() => axe.run(document, { resultTypes: ['violations'] })")["violations"]
        told = [f"{each['id']}: {each['help']}: {_targets(each)}" for each in found]
        assert told == [], f"{self.page.url}:\n" + "\n".join(told)

    def tabbed(self) -> None:
        """Assert that the Tab key reaches whatever can be used, in the order of the page, and that one sees where it is."""
        self.page.evaluate(_HOLD, True)  # a page that is exchanged under the Tab key has other places
        wanted: list[str] = self.page.evaluate(_FOCUSABLE)
        self.page.evaluate("() => { document.activeElement.blur(); getSelection().removeAllRanges(); scrollTo(0, 0); }")
        self.page.focus("a.skip")
        places, unseen = [], []
        for _ in range(MOST_STOPS):
            here: dict[str, Any] | None = self.page.evaluate(_HERE)
            if here is None or here["place"] in places:
                break
            places.append(here["place"])
            if not here["outline"]:
                unseen.append(here["place"])
            self.page.keyboard.press("Tab")
        self.page.evaluate(_HOLD, False)
        assert unseen == []
        assert places == [each.partition(" ")[0] for each in wanted], wanted

    def tab_to(self, words: str) -> None:
        """Press Tab until what has these words has the focus."""
        for _ in range(MOST_STOPS):
            if self.page.evaluate("() => document.activeElement.textContent.trim()") == words:
                return
            self.page.keyboard.press("Tab")
        raise AssertionError(f"Tab does not reach {words}")

    def _said(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def _asked(self, url: str) -> None:
        if not url.startswith(self.base):
            self.foreign.append(url)


@contextmanager
def visit(browser: Browser, address: str, scheme: Scheme = "light") -> Iterator[Visit]:
    """A window that has opened the address, which a server printed.

    Args:
        scheme: what the person prefers.
    """
    parts = urlsplit(address)
    context = browser.new_context(color_scheme=scheme, viewport={"width": 1280, "height": 800})
    try:
        made = Visit(context=context, base=f"{parts.scheme}://{parts.netloc}")
        made.page.goto(address)
        made.live()
        yield made
    finally:
        context.close()


def background(page: Page) -> tuple[int, int, int]:
    """The colour behind the text, as red, green and blue up to 255."""
    found = re.findall(r"\d+", page.evaluate("() => getComputedStyle(document.body).backgroundColor"))
    red, green, blue = map(int, found[:3])
    return red, green, blue


def _axe() -> str:
    return (importlib.resources.files("axe_playwright_python") / "axe.min.js").read_text()


def _targets(violation: dict[str, Any]) -> str:
    nodes = violation["nodes"]
    said = [f"{json.dumps(each['target'])} {each['failureSummary'].splitlines()[-1].strip()}" for each in nodes[:3]]
    return "; ".join(said)
