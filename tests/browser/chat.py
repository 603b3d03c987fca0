"""A person at the page: what they do, and what they see."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any, Self

from playwright.sync_api import BrowserContext, ConsoleMessage, Dialog, Locator, Page, Request, expect

from tests.browser.place import DEADLINE

# What a browser says by itself about a connection that broke or a refusal: facts, no faults of the page.
NETWORK_TALK = re.compile(r"Failed to load resource|net::ERR_")


class Chat:
    def __init__(self, context: BrowserContext, address: str) -> None:
        self.context = context
        self.address = address
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
        if not request.url.startswith((f"{self.address}/", "data:", f"blob:{self.address}/")):
            self.strangers.append(request.url)

    # What the person does

    def open(self, path: str = "/") -> Self:
        self.page.goto(f"{self.address}{path}")
        self.is_ready()
        return self

    def is_ready(self) -> None:
        """The page knows its models: a question can be sent."""
        expect(self.page.get_by_role("combobox", name="Model", exact=True)).not_to_have_value("", timeout=DEADLINE)

    def second_tab(self, path: str | None = None) -> Self:
        """The same browser, another tab, at the same address if no other is given."""
        other = type(self).__new__(type(self))
        other.__dict__ |= self.__dict__
        other.page = self._tab()
        return other.open(self.path if path is None else path)

    def reopens(self) -> None:
        """Close the tab, and open another at the same address."""
        path = self.path
        self.page.close()
        self.page = self._tab()
        self.page.goto(f"{self.address}{path}")

    def reloads(self) -> None:
        self.page.reload()
        self.is_ready()

    def asks(self, prompt: str) -> None:
        self.prompt.fill(prompt)
        self.prompt.press("Enter")

    def presses(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def clicks(self, name: str, *, within: Locator | None = None, exact: bool = True) -> None:
        (within or self.page).get_by_role("button", name=name, exact=exact).click()

    def reads_until(self, words: str) -> None:
        """Wait until the newest answer shows these words."""
        expect(self.answer).to_contain_text(words, timeout=DEADLINE)

    def reads_words(self, count: int) -> int:
        """Wait until the newest answer shows so many words, or has ended; says how many there are."""
        return self.waits(lambda: max(self.words, count if self.ended else 0), count)

    def waits(self, found: Callable[[], int], least: int = 1) -> int:
        """Look again and again, until there is that much."""
        deadline = time.monotonic() + DEADLINE / 1000
        while (seen := found()) < least:
            assert time.monotonic() < deadline, f"{seen} of {least}, and no more comes"
            self.page.wait_for_timeout(20)
        return seen

    # What the person sees

    @property
    def path(self) -> str:
        return "/" + self.page.url.split("/", 3)[3]

    @property
    def id(self) -> str:
        """The conversation's id, as the address bar tells it."""
        expect(self.page).to_have_url(re.compile("/c/"), timeout=DEADLINE)
        return self.path.removeprefix("/c/")

    @property
    def prompt(self) -> Locator:
        return self.page.locator("#prompt")

    @property
    def turns(self) -> Locator:
        return self.page.locator("article.turn")

    @property
    def answers(self) -> Locator:
        return self.page.locator("article.turn.model")

    @property
    def turn(self) -> Locator:
        """The newest answer with all that belongs to it."""
        return self.answers.last

    @property
    def answer(self) -> Locator:
        """The newest answer's words."""
        return self.turn.locator(".answer")

    @property
    def said(self) -> Locator:
        """What was asked."""
        return self.page.locator("article.turn.person .said > p")

    @property
    def text(self) -> str:
        """The newest answer, every character as it stands in the page."""
        return "".join(self.answer.all_text_contents())

    @property
    def words(self) -> int:
        return len(self.text.split())

    @property
    def ended(self) -> bool:
        return self.page.locator("article.turn.model[aria-busy=false]").count() == self.answers.count() > 0

    @property
    def trouble(self) -> Locator:
        return self.turn.get_by_role("group", name="What went wrong")

    @property
    def sidebar(self) -> Locator:
        return self.page.get_by_role("navigation", name="Conversations")

    def entry(self, title: str | re.Pattern[str]) -> Locator:
        """A conversation in the list."""
        return self.sidebar.locator(".entry").filter(has_text=title)

    @property
    def spoken(self) -> Locator:
        """What a screen reader is told."""
        return self.page.get_by_role("status")

    def sees(self, state: str) -> None:
        """The newest answer's state, in words."""
        expect(self.turn.locator(".state")).to_have_text(re.compile(state), timeout=DEADLINE)

    def sees_the_end(self, count: int | None = None) -> None:
        """The newest answer is there, whole; it is the one of that number."""
        if count is not None:
            expect(self.answers).to_have_count(count, timeout=DEADLINE)
        self.sees("^complete$")
        expect(self.turn).to_have_attribute("aria-busy", "false")

    def axe(self, source: str) -> list[Any]:
        """What axe-core finds wrong with the page as it is."""
        self.page.evaluate(source)
        found: list[Any] = self.page.evaluate(
            """async () => {
              const once = document.getAnimations().filter((one) => one.effect.getTiming().iterations === 1);
              await Promise.all(once.map((one) => one.finished));
              const { violations } = await axe.run(document, { resultTypes: ["violations"] });
              const told = ({ target, failureSummary }) => `${target} ${failureSummary}`;
              return violations.map(({ id, nodes }) => [id, ...nodes.map(told)]);
            }"""
        )
        return found


OpenChat = Callable[..., Chat]
"""Opens the page as somebody new: `open_chat(path, address=..., **context_options)`."""
