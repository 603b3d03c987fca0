"""A person at the page: what they do, and what they see."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Callable
from typing import Any, Self

from playwright.sync_api import BrowserContext, ConsoleMessage, Dialog, Page, Request, expect

LONG = "Tell me a long story, 200 words about rivers, gates and turbines"
DEADLINE = 60_000

# What a browser says by itself about a connection that broke or a refusal: facts, no faults of the page.
NETWORK_TALK = re.compile(r"Failed to load resource")


class Chat:
    def __init__(self, context: BrowserContext, address: str, server: str) -> None:
        self.context = context
        self.address = address
        self.server = server
        self.complaints: list[str] = []
        self.strangers: list[str] = []
        self.page: Page = self._tab()

    def _tab(self) -> Page:
        page = self.context.new_page()
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", self._dismiss)
        page.on("request", self._watch)
        return page

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not NETWORK_TALK.search(message.text):
            self.complaints.append(message.text)

    def _dismiss(self, dialog: Dialog) -> None:
        self.complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _watch(self, request: Request) -> None:
        if not request.url.startswith((f"{self.address}/", "data:")):
            self.strangers.append(request.url)

    # What the person does

    def open(self, fragment: str = "") -> None:
        self.page.goto(f"{self.address}/{fragment}")
        expect(self.page.locator("#model option")).not_to_have_count(0)

    def second_tab(self, fragment: str = "") -> Self:
        """The same browser, another tab."""
        other = type(self).__new__(type(self))
        other.__dict__ |= self.__dict__
        other.page = self._tab()
        other.open(fragment)
        return other

    def asks(self, prompt: str) -> None:
        self.page.fill("#prompt", prompt)
        self.page.press("#prompt", "Enter")

    def reads_until(self, words: str) -> None:
        """Wait until the newest answer shows these words."""
        expect(self.answer).to_contain_text(words, timeout=DEADLINE)

    def reloads(self) -> None:
        self.page.reload()
        expect(self.page.locator("#model option")).not_to_have_count(0)

    def cancelled_elsewhere(self, seen: int) -> None:
        """Somebody without a page stops the answer, having seen it up to this offset."""
        address = f"{self.server}/v1/streams/{self.stream}/cancel"
        body = json.dumps({"seen": seen}).encode()
        request = urllib.request.Request(address, body, {"content-type": "application/json"})
        urllib.request.urlopen(request, timeout=30).close()

    # What the person sees

    @property
    def turn(self) -> Any:
        return self.page.locator(".turn.model").last

    @property
    def answer(self) -> Any:
        return self.turn.locator(".answer")

    def sees(self, state: str) -> None:
        """The newest answer's state, in words."""
        expect(self.turn.locator(".state")).to_have_text(re.compile(state), timeout=DEADLINE)

    def sees_the_end(self) -> None:
        self.sees("^ended: completed$")

    @property
    def shown(self) -> str:
        """The newest answer, as rendered."""
        html: str = self.answer.inner_html()
        return html

    @property
    def record(self) -> dict[str, Any]:
        """The newest answer, as the page keeps it."""
        kept = self.page.evaluate(
            """() => JSON.parse(localStorage.getItem("penstock.chat." + sessionStorage.getItem("penstock.tab")))"""
        )
        newest: dict[str, Any] = kept[-1]
        return newest

    @property
    def stream(self) -> str:
        """The newest answer's stream id, as the address bar tells it."""
        return self.page.url.partition("#")[2]

    def rendered(self, markdown: str, pieces: list[str] | None = None) -> str:
        """What the page's renderer makes of a text, given at once or in pieces."""
        html: str = self.page.evaluate(
            """async (pieces) => {
              const { Markdown } = await import("/static/markdown.js");
              const host = document.createElement("div");
              const markdown = new Markdown(host);
              for (const piece of pieces) markdown.push(piece);
              markdown.end();
              return host.innerHTML;
            }""",
            pieces if pieces is not None else [markdown],
        )
        return html

    # What the server says

    def served(self) -> list[tuple[str, str, dict[str, Any]]]:
        """The whole stream as the server tells it to anybody: (id, event, data)."""
        with urllib.request.urlopen(f"{self.server}/v1/streams/{self.stream}?format=native", timeout=60) as response:
            body = response.read().decode()
        blocks = []
        for block in body.strip().split("\n\n"):
            fields = dict(line.split(": ", 1) for line in block.split("\n") if not line.startswith(":"))
            if fields:
                blocks.append((fields["id"], fields["event"], json.loads(fields["data"])))
        return blocks

    def served_text(self) -> str:
        return "".join(data["text"] for _, event, data in self.served() if event == "token")

    def has_every_word_once(self) -> None:
        """What is kept and what is shown are what the server's log says: nothing lost, nothing doubled."""
        text = self.served_text()
        assert self.record["text"] == text
        assert self.shown == self.rendered(text)


OpenChat = Callable[..., Chat]
"""Opens the page as somebody new: `open_chat(address, fragment, **context_options)`."""
