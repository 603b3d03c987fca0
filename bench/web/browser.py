"""One page under observation: its trace, its memory over time, and what it says itself."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, CDPSession, Page, Playwright, Route

from bench.processes import PLACE
from bench.web.trace import BEGIN, END, PAUSE, RESUME

ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage",
    # The page comes from this process, its stream from loopback.
    "--disable-features=LocalNetworkAccessChecks",
    # A browser opens six HTTP/1.1 connections to one host: the page with many streams has several names for it.
    "--host-resolver-rules=" + ", ".join(f"MAP 127.0.1.{number} 127.0.0.1" for number in range(20)),
]  # fmt: skip
CATEGORIES = [
    "devtools.timeline", "disabled-by-default-devtools.timeline", "devtools.timeline.frame", "toplevel",
    "blink.user_timing",
]  # fmt: skip
BUILT = PLACE / "web" / "page"
TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css"}
GARBAGE_AT = (0.25, 0.5, 1.0)


def launch(playwright: Playwright) -> Browser:
    path = shutil.which("chromium")
    if path is None:
        raise RuntimeError("there is no `chromium` here: install Debian's package (`make system`)")
    return playwright.chromium.launch(executable_path=path, args=ARGUMENTS)


def open_page(browser: Browser, address: str, path: str) -> Page:
    """A page of the server; what lies below `/bench/` comes from what was built for this benchmark."""
    context: BrowserContext = browser.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(60_000)

    def serve(route: Route) -> None:
        name = route.request.url.split("?")[0].removeprefix(f"{address}/bench/") or "index.html"
        file = (BUILT / name).resolve()
        if not file.is_relative_to(BUILT) or not file.is_file():
            route.fulfill(status=404)
            return
        route.fulfill(body=file.read_bytes(), content_type=TYPES.get(file.suffix, "application/octet-stream"))

    if path.startswith("/bench/"):
        context.route(f"{address}/bench/**", serve)
    page = context.new_page()
    page.goto(f"{address}{path}")
    return page


class Watch:
    """Traces a page from the question to the answer's end, and looks at its memory once a second."""

    def __init__(self, browser: Browser, page: Page, expected: float, most: float) -> None:
        self._browser = browser
        self._page = page
        self._expected = expected
        self._most = most
        self._cdp: CDPSession = page.context.new_cdp_session(page)
        self._cdp.send("Performance.enable")
        self.memory: list[dict[str, float]] = []
        self.collected: list[dict[str, float]] = []
        self.timed_out = False

    def run(
        self, start: Callable[[], None], ended: str, every: Callable[[], None] | None = None
    ) -> list[dict[str, Any]]:
        """The trace's events. `start` asks, `ended` is an expression that is true once the answer is whole."""
        self._collect(0.0)
        self._browser.start_tracing(page=self._page, categories=CATEGORIES)
        self.mark(BEGIN)
        began = time.monotonic()
        start()
        left = list(GARBAGE_AT[:-1])
        while not self._page.evaluate(ended):
            elapsed = time.monotonic() - began
            if elapsed > self._most:
                self.timed_out = True
                break
            if left and elapsed >= left[0] * self._expected:
                self._collect(left.pop(0))
            self.memory.append({"at": elapsed, **self._metrics()})
            until = time.monotonic() + 1.0
            while every is not None and time.monotonic() < until - 0.2:
                every()
                self._page.wait_for_timeout(100)
            self._page.wait_for_timeout(max(0.0, until - time.monotonic()) * 1000)
        self.mark(END)
        self._page.wait_for_timeout(300)
        trace = json.loads(self._browser.stop_tracing())
        self._collect(GARBAGE_AT[-1])
        events: list[dict[str, Any]] = trace["traceEvents"]
        return events

    def mark(self, name: str) -> None:
        self._page.evaluate(f"performance.mark({json.dumps(name)})")

    def _collect(self, share: float) -> None:
        """The heap without garbage. What this costs is not the page's: it lies between two marks."""
        self.mark(PAUSE)
        self._cdp.send("HeapProfiler.collectGarbage")
        metrics = self._metrics()
        self.mark(RESUME)
        self.collected.append({"share": share, **metrics})

    def _metrics(self) -> dict[str, float]:
        metrics = {item["name"]: item["value"] for item in self._cdp.send("Performance.getMetrics")["metrics"]}
        return {"heap": metrics["JSHeapUsedSize"], "nodes": metrics["Nodes"]}


def save(events: list[dict[str, Any]], path: Path) -> None:
    """For a look at it in the browser's own tools."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"traceEvents": events}))
