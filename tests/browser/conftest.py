"""A real `penstock demo` process and a real Chromium; nothing between them but a socket, or a plug that can be pulled."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.chat import Chat, OpenChat
from tests.browser.plug import Plug

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"]


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The demo server's address."""
    command = [sys.executable, "-m", "penstock", "demo", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        said: list[str] = []
        address = None
        for line in process.stdout:
            said.append(line)
            if match := re.search(r"penstock listening on (http://\S+)", line):
                address = match[1]
                break
        assert address, f"penstock demo ended without listening:\n{''.join(said)}"
        # What it says from now on is nobody's concern, but a full pipe would stop it.
        drain = threading.Thread(target=process.stdout.read, daemon=True)
        drain.start()
        yield address
        process.terminate()
        process.wait(30)
        drain.join(10)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, for the tests of one file: Playwright keeps an event loop running, which others of this process can't have."""
    path = shutil.which("chromium")
    assert path, "there is no `chromium` here: install Debian's package (`make system`)"
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield launched
        launched.close()


@pytest.fixture
def plug(server: str) -> Iterator[Plug]:
    """The server behind a plug that can be pulled."""
    with Plug(int(server.rsplit(":", 1)[1])) as relay:
        yield relay


@pytest.fixture
def open_chat(server: str, browser: Browser) -> Iterator[OpenChat]:
    """Opens the page as somebody new. In the end, nobody may have met a script error or a violation of the policy."""
    chats: list[Chat] = []

    def opened(address: str = server, fragment: str = "", **options: object) -> Chat:
        context = browser.new_context(**options)  # type: ignore[arg-type]
        context.set_default_timeout(30_000)
        chat = Chat(context, address, server)
        chats.append(chat)
        chat.open(fragment)
        return chat

    yield opened
    complaints = [complaint for chat in chats for complaint in chat.complaints]
    strangers = [url for chat in chats for url in chat.strangers]
    for chat in chats:
        chat.context.close()
    assert not complaints
    assert not strangers


@pytest.fixture(scope="module")
def blank(server: str, browser: Browser) -> Iterator[Chat]:
    """The page with nothing asked, for tests that only call its parts: one for all tests of a file."""
    context = browser.new_context()
    context.set_default_timeout(30_000)
    page = Chat(context, server, server)
    page.open()
    yield page
    context.close()
    assert not page.complaints
    assert not page.strangers


@pytest.fixture
def chat(open_chat: OpenChat) -> Chat:
    """One person with the page open."""
    return open_chat()
