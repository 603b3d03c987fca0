"""Takes the pictures of the page: `python docs/images/take.py http://127.0.0.1:8080`, with `penstock demo` there."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

HERE = Path(__file__).parent
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"]
DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}


def ask(page: Page, text: str, *, wait: bool = True) -> None:
    """Ask, and wait for the end."""
    page.locator("#prompt").fill(text)
    page.keyboard.press("Enter")
    page.wait_for_timeout(500)
    if wait:
        page.locator(".gauge .state[data-kind=done]").last.wait_for(timeout=60_000)
        page.wait_for_function("!document.querySelector('[aria-busy=true]')", timeout=60_000)


def scene(page: Page, address: str) -> None:
    """Some conversations, and an answer in the middle."""
    page.goto(address)
    page.locator(".picker option").first.wait_for(state="attached")
    for text in ("Why does a river never run backwards?", "Pack for the river: tent, rope, lamp, map and kettle"):
        page.goto(address)
        ask(page, text)
    page.goto(address)
    ask(page, "Write python code about falling water")
    ask(page, "gate,width,flow\nnorth,2.4,31\nsouth,1.8,22\nspill,5,118", wait=False)
    page.locator("table tbody tr").nth(1).wait_for(timeout=60_000)


def main() -> None:
    address = sys.argv[1]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        for name, size, scheme in (
            ("studio-light", DESKTOP, "light"),
            ("studio-dark", DESKTOP, "dark"),
            ("studio-phone", PHONE, "dark"),
        ):
            context = browser.new_context(viewport=size, color_scheme=scheme, device_scale_factor=2)  # type: ignore[arg-type]
            page = context.new_page()
            scene(page, address)
            page.screenshot(path=HERE / f"{name}.png")
            context.close()
        browser.close()


if __name__ == "__main__":
    main()
