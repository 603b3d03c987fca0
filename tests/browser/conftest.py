"""Real Penstock processes and a real Chromium; nothing between them but a socket, or a plug that can be pulled."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.chat import Chat, OpenChat
from tests.browser.place import Place, opened
from tests.browser.plug import Plug
from tests.support.serving import penstock

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"]


@pytest.fixture(scope="session")
def place() -> Iterator[Place]:
    """A server that is never killed, in front of a simulated model: one for all tests that leave it as it is."""
    with opened() as found:
        yield found


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The address of `penstock demo`."""
    with penstock("demo", "--port", "0") as served:
        yield served.url


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
def plug(place: Place) -> Iterator[Plug]:
    """The server behind a plug that can be pulled."""
    with Plug(place.port) as relay:
        yield relay


@pytest.fixture
def open_chat(place: Place, browser: Browser) -> Iterator[OpenChat]:
    """Opens the page as somebody new. In the end, nobody may have met a script error or a violation of the policy."""
    chats: list[Chat] = []

    def opened(path: str = "/", *, address: str = place.url, **options: object) -> Chat:
        context = browser.new_context(**options)  # type: ignore[arg-type]
        context.set_default_timeout(30_000)
        chat = Chat(context, address)
        chats.append(chat)
        return chat.open(path)

    yield opened
    complaints = [complaint for chat in chats for complaint in chat.complaints]
    strangers = [url for chat in chats for url in chat.strangers]
    for chat in chats:
        chat.context.close()
    assert not complaints
    assert not strangers


@pytest.fixture
def chat(open_chat: OpenChat) -> Chat:
    """One person with the page open."""
    return open_chat()
