"""At random moments of a streaming answer something goes wrong. No word is lost, none is doubled, nothing is asked twice.

PENSTOCK_SEED=7 PENSTOCK_MOMENTS=200 pytest tests/browser/test_moments.py -s     (or: make soak-page)
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator, Sequence

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.chat import Chat
from tests.browser.place import DEADLINE, Place, cue, opened
from tests.browser.plug import Plug

SEED = int(os.environ.get("PENSTOCK_SEED", random.randrange(2**32)))
MOMENTS = int(os.environ.get("PENSTOCK_MOMENTS", "14"))
ANSWERS_OF_ONE_PAGE = 20
"""Then somebody new opens the page, so that a long run is not the test of one ever longer list."""

WORDS = 90
PACE = 0.02
SYLLABLES = ("water", "gate", "wheel", "pipe", "weir", "sluice", "turbine", "Straße", "水車", "🌊")


@pytest.fixture(scope="module")
def mortal() -> Iterator[Place]:
    """A place whose server is killed now and then."""
    with opened() as found:
        yield found


@pytest.fixture(scope="module")
def line(mortal: Place) -> Iterator[Plug]:
    """Its line, which is cut now and then."""
    with Plug(mortal.port) as plug:
        yield plug


class Moment:
    """One thing that happens, and what it does to the person at the page."""

    def __init__(self, dice: random.Random, chat: Chat, place: Place, plug: Plug) -> None:
        self.dice, self.chat, self.place, self.plug = dice, chat, place, plug
        self.killed = False

    def rest(self, most: float = 0.8) -> None:
        self.chat.page.wait_for_timeout(1000 * self.dice.uniform(0, most))

    def cut_by_reset(self) -> None:
        self.plug.pull("reset")
        self.rest()
        self.plug.mend()

    def cut_in_good_order(self) -> None:
        self.plug.pull("eof")
        self.rest()
        self.plug.mend()

    def reload(self) -> None:
        self.chat.page.reload()

    def reopen(self) -> None:
        self.chat.reopens()

    def background(self) -> None:
        """As the page hears of it; `sleep` is what may happen to it there."""
        self.chat.page.evaluate(
            "Object.defineProperty(document, 'visibilityState', { configurable: true, value: 'hidden' })"
        )
        self.chat.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
        self.rest(1.5)
        self.chat.page.evaluate("delete document.visibilityState")
        self.chat.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")

    def sleep(self) -> None:
        """The page's process gets no time at all, as when the browser freezes a tab or the lid is closed."""
        browser = self.chat.page.context.browser
        assert browser is not None
        session = browser.new_browser_cdp_session()
        processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
        session.detach()
        pages = [process["id"] for process in processes if process["type"] == "renderer"]
        assert pages
        try:
            for page in pages:
                os.kill(page, signal.SIGSTOP)
            time.sleep(self.dice.uniform(0, 3))
        finally:
            for page in pages:
                os.kill(page, signal.SIGCONT)

    def kill(self) -> None:
        self.killed = True
        self.place.kill()
        self.rest()
        self.place.start()


def numbered(dice: random.Random) -> str:
    """Words that are all different: one that is lost or doubled shows, and where."""
    return " ".join(f"{dice.choice(SYLLABLES)}{number}" for number in range(WORDS))


KINDS = (
    Moment.cut_by_reset, Moment.cut_in_good_order, Moment.reload, Moment.reopen, Moment.background, Moment.sleep,
    Moment.kill,
)  # fmt: skip


@pytest.mark.timeout(120 + 15 * MOMENTS)
def test_whatever_happens_every_word_is_there_once(browser: Browser, mortal: Place, line: Plug) -> None:
    print(f"\nPENSTOCK_SEED={SEED} PENSTOCK_MOMENTS={MOMENTS}", flush=True)
    dice = random.Random(SEED)
    chat: Chat | None = None
    number = done = 0
    order: list[int] = []
    while done < MOMENTS:
        if chat is None or number % ANSWERS_OF_ONE_PAGE == 0:
            if chat is not None:
                leave(chat)
            chat = Chat(browser.new_context(), line.url)
        number += 1
        # All kinds in turn, each time in another order; up to three for one answer, and nothing after a kill.
        happening = []
        for _ in range(min(dice.randint(1, 3), MOMENTS - done)):
            if not order:
                order = dice.sample(range(len(KINDS)), len(KINDS))
            happening.append(KINDS[order.pop()])
            if happening[-1] is Moment.kill:
                break
        done += len(happening)
        names = ", ".join(kind.__name__ for kind in happening)
        told = f"PENSTOCK_SEED={SEED}, answer {number}: {names}"
        print(f"{done:4} {told}", flush=True)
        try:
            one_answer(dice, chat, mortal, line, number, happening)
        except Exception as error:
            error.add_note(told)
            raise
    assert chat is not None
    leave(chat)


def one_answer(
    dice: random.Random,
    chat: Chat,
    place: Place,
    plug: Plug,
    number: int,
    happening: Sequence[Callable[[Moment], None]],
) -> None:
    prompt, text = f"answer number {number}:", numbered(dice)
    chat.open()
    chat.asks(f"{prompt} {cue(text=text, pace=PACE, first_token_delay=dice.choice([0, 0.3]))}")
    conversation = chat.id
    moment = Moment(dice, chat, place, plug)
    seen = 0
    for kind in happening:
        expect(chat.answers).to_have_count(1, timeout=DEADLINE)
        seen = chat.reads_words(dice.randint(min(seen, WORDS - 10), WORDS - 10))
        kind(moment)
    if moment.killed:
        chat.sees("^(interrupted|complete)$")
    else:
        chat.sees_the_end()
    truth = place.truth(prompt).text[0]
    shown = chat.text
    question, answer = place.messages(conversation)
    assert (question["role"], answer["role"]) == ("user", "assistant")
    assert place.asked(prompt) == 1
    assert shown == answer["text"].rstrip()  # a blank at the end is not to be seen
    if answer["outcome"] == "interrupted":
        assert moment.killed
        chat.sees("^interrupted$")
        expect(chat.trouble).to_contain_text("It broke off here." if shown else "There is no answer.")
        assert truth.startswith(shown)
        assert text.startswith(shown)
    else:
        chat.sees_the_end()
        assert shown == truth == text


def leave(chat: Chat) -> None:
    chat.context.close()
    assert not chat.complaints
    assert not chat.strangers
