"""What is measured, one page after the other: the same text from the same server, a new browser each."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import click
from playwright.sync_api import Page, sync_playwright

from bench.processes import CORES, PLACE, Running, free_port
from bench.web.browser import Watch, launch, open_page, save
from bench.web.document import document, script
from bench.web.figures import percentile, summary
from bench.web.trace import END, read
from penstock.sim.process import running

TITLES = {
    "studio": "Penstock studio",
    "view": "@penstock/markdown alone",
    "react-markdown": "react-markdown",
    "streamdown": "Streamdown",
    "many": "many at once",
}
FOLDER = PLACE / "web"
CONFIG = """\
[server]
host = "127.0.0.1"
allowed_origins = ["http://127.0.0.1:{port}"]

[[upstream]]
name = "sim"
dialect = "openai-chat"
base_url = "{origin}/v1"

[[route]]
model = "m"
targets = [{{ upstream = "sim", model = "m" }}]
timeouts = {{ total = 3600 }}
"""
# An observer of one attribute: the benchmark must not poll the page for the end of the answer.
END_OF_STUDIO = f"""() => {{
  const turn = document.querySelector("article.turn.model");
  if (!turn) return false;
  window.bench = {{ ended: 0 }};
  new MutationObserver(() => {{
    if (turn.getAttribute("aria-busy") === "true" || window.bench.ended) return;
    window.bench.ended = 1;
    performance.mark("{END}");
  }}).observe(turn, {{ attributes: true, attributeFilter: ["aria-busy"] }});
  return true;
}}"""


@dataclass(frozen=True)
class Settings:
    characters: int = 200_000
    seconds: float = 80.0
    """How long the answer takes to be said."""
    token: int = 20
    most: float = 120.0
    """A page that is not done after so long is cut off."""
    streams: int = 20
    many_characters: int = 30_000
    many_tokens_per_s: float = 50.0
    """Of each of the many answers."""
    keep_traces: bool = False

    @property
    def pace(self) -> float:
        return self.seconds * self.token / self.characters


@contextlib.contextmanager
def serving(text: str, token: int, pace: float) -> Iterator[str]:
    """`penstock serve` before `penstock sim`, which answers everything with this text. Gives the address."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with running(script(text, token, pace), truth=False) as sim:
        port = free_port()
        config = FOLDER / "penstock.toml"
        config.write_text(CONFIG.format(port=port, origin=sim.url))
        command = [sys.executable, "-m", "penstock", "serve", "--config", str(config), "--port", str(port)]
        with Running(command, set(CORES), FOLDER, "serve") as server:
            deadline = time.monotonic() + 20
            while "listening on" not in server.log.read_text(errors="replace"):
                if server.ended is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"penstock serve: {server.last_words()}")
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}"


def build() -> None:
    """The pages of the benchmark."""
    subprocess.run([sys.executable, "hatch_build.py", "bench"], cwd=PLACE.parent, check=True, stdout=subprocess.DEVNULL)


def measure(subject: str, settings: Settings) -> dict[str, Any]:
    """One page, from the question to the end of the answer."""
    many = subject == "many"
    characters = settings.many_characters if many else settings.characters
    text = document(characters)
    pace = 1 / settings.many_tokens_per_s if many else settings.pace
    expected = pace * characters / settings.token
    path = {"studio": "/", "many": f"/bench/?show={settings.streams}"}.get(subject, f"/bench/?show={subject}")
    with serving(text, settings.token, pace) as address, sync_playwright() as playwright:
        browser = launch(playwright)
        page = open_page(browser, address, path)
        watch = Watch(browser, page, expected, max(settings.most, 1.5 * expected))
        if subject == "studio":
            page.wait_for_selector(".composer option[value=m]", state="attached")
            page.fill("#prompt", "Write the long answer")
            events = watch.run(lambda: _ask_studio(page), "window.bench.ended >= 1")
            shown = None
        else:
            page.wait_for_function("window.bench && window.bench.ready")
            count = settings.streams if many else 1
            keys = (lambda: page.keyboard.press("Shift")) if many else None
            events = watch.run(lambda: page.evaluate("bench.start()"), f"bench.ended >= {count}", keys)
            shown = page.evaluate("bench.shown")
        if settings.keep_traces:
            save(events, FOLDER / "traces" / f"{subject}.json")
        run = read(events)
        last = int(shown[-1][1]) if shown else None
        result = {
            "subject": subject,
            "characters": characters,
            **summary(run, characters, None if many else shown),
            "shown": last,
            "words": page.evaluate(
                "(document.querySelector('.answer') ?? document.querySelector('#bench, #studio')).textContent.length"
            ),
            "timed_out": watch.timed_out,
            "memory": watch.memory,
            "collected": watch.collected,
        }
        if many:
            result |= _responsiveness(page, settings)
        browser.close()
    return result


def _ask_studio(page: Page) -> None:
    page.press("#prompt", "Enter")
    deadline = time.monotonic() + 20
    while not page.evaluate(END_OF_STUDIO):
        if time.monotonic() > deadline:
            raise RuntimeError("the studio shows no answer")
        page.wait_for_timeout(20)


def _responsiveness(page: Page, settings: Settings) -> dict[str, Any]:
    gaps, delays = page.evaluate("[bench.gaps, bench.inputDelays]")
    return {
        "streams": settings.streams,
        "tokens_per_s": settings.many_tokens_per_s,
        "gap": [percentile(gaps, 0.5), percentile(gaps, 0.95), max(gaps)],
        "input_delay": [percentile(delays, 0.5), percentile(delays, 0.95), max(delays, default=None)],
        "inputs": len(delays),
    }


def everything(subjects: list[str], settings: Settings) -> list[dict[str, Any]]:
    """All that was chosen, with progress on the terminal."""
    build()
    found = []
    for subject in subjects:
        click.echo(f"{TITLES[subject]} …", nl=False)
        before = os.getloadavg()[0]
        result = measure(subject, settings) | {"load": [before, os.getloadavg()[0]]}
        found.append(result)
        first, last = result["first"][1], result["last"][1]
        said = " / ".join("–" if value is None else f"{value:.1f}" for value in (first, last))
        click.echo(f" p95 first / last tenth {said} ms, {result['frames']} frames in {result['seconds']:.0f} s")
    return found
