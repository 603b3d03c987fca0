"""The place where one reads: it follows the newest words until the reader leaves them, and then it stays."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.chat import Chat
from tests.browser.place import cue

PARAGRAPHS = "\n\n".join(
    f"Paragraph {number}. " + "It says what it has to say about water. " * 4 for number in range(40)
)
DISTANCE = (
    "(() => { const s = document.querySelector('.scroll'); return s.scrollHeight - s.clientHeight - s.scrollTop; })()"
)
TOP = "document.querySelector('.scroll').scrollTop"


def long_answer(chat: Chat, pace: float = 0.004) -> None:
    chat.asks(f"at length {cue(text=PARAGRAPHS, pace=pace)}")
    chat.reads_until("Paragraph 8.")


def test_it_follows_the_newest_words(chat: Chat) -> None:
    long_answer(chat)
    for number in (12, 16, 20):
        chat.reads_until(f"Paragraph {number}.")
        chat.waits(lambda: int(chat.page.evaluate(DISTANCE) < 50))
        assert chat.page.evaluate(TOP) > 0
    chat.sees_the_end()
    chat.waits(lambda: int(chat.page.evaluate(DISTANCE) < 50))
    expect(chat.page.get_by_role("button", name="Newest words")).to_have_count(0)


def test_who_scrolls_up_is_left_there_until_they_come_back(chat: Chat) -> None:
    long_answer(chat)
    chat.page.locator(".scroll").hover()
    chat.page.mouse.wheel(0, -150)
    newest = chat.page.get_by_role("button", name="Newest words")
    expect(newest).to_be_visible()
    chat.page.wait_for_timeout(400)  # the wheel's own movement is over
    top = chat.page.evaluate(TOP)
    words = chat.words
    chat.waits(lambda: chat.words, words + 100)
    assert abs(chat.page.evaluate(TOP) - top) < 2
    newest.click()
    chat.waits(lambda: int(chat.page.evaluate(DISTANCE) < 50))
    expect(newest).to_have_count(0)
    chat.sees_the_end()
    chat.waits(lambda: int(chat.page.evaluate(DISTANCE) < 50))


def test_what_is_settled_stays_the_same_and_so_does_what_is_selected_in_it(chat: Chat) -> None:
    long_answer(chat)
    chosen = chat.page.evaluate(
        """() => {
          const paragraph = [...document.querySelectorAll(".answer p")].find((p) => p.textContent.startsWith("Paragraph 2."));
          window.marked = [...document.querySelectorAll(".answer p")].slice(0, 5);
          window.texts = window.marked.map((node) => node.textContent);
          getSelection().selectAllChildren(paragraph);
          return getSelection().toString();
        }"""
    )
    assert chosen.startswith("Paragraph 2. It says")
    chat.sees_the_end()
    assert chat.page.evaluate("getSelection().toString()") == chosen
    assert chat.page.evaluate(
        "window.marked.every((node, at) => node.isConnected && node.textContent === window.texts[at])"
    )
