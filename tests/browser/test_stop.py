"""Stop is stop: whenever it is pressed, whatever the line does, the model ends, and what was seen is what is kept."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.chat import Chat, OpenChat
from tests.browser.place import Place, cue
from tests.browser.plug import Plug

ENDLESS = cue(endless=True, pace=0.02)


def stopped_at(place: Place, conversation: str) -> str:
    """What is kept of an answer without end: it is there only once somebody has stopped it."""
    answer = place.messages(conversation)[-1]
    assert (answer["role"], answer["outcome"]) == ("assistant", "cancelled")
    text: str = answer["text"]
    return text


@pytest.mark.parametrize("milliseconds", [0, 3, 10, 30, 100])
def test_at_once_after_asking(chat: Chat, place: Place, milliseconds: int) -> None:
    """Stop may reach the server before the question does."""
    chat.prompt.fill(f"stopped after {milliseconds} ms {ENDLESS}")
    chat.presses("Enter")
    chat.page.wait_for_timeout(milliseconds)
    chat.presses("Escape")
    chat.sees("^stopped$")
    shown = chat.text
    assert stopped_at(place, chat.id).rstrip() == shown
    chat.reloads()
    chat.sees("^stopped$")
    assert chat.text == shown
    expect(chat.said).to_contain_text(f"stopped after {milliseconds} ms")


def test_at_once_and_then_the_tab_is_closed(chat: Chat, place: Place) -> None:
    chat.asks(f"stopped and left {ENDLESS}")
    conversation = chat.id
    chat.presses("Escape")
    chat.page.goto("about:blank")
    # The question may have been cut off on its way: then the next page sends it, and begins nothing.
    chat.open(f"/c/{conversation}")
    chat.sees("^stopped$")
    expect(chat.said).to_contain_text("stopped and left")
    stopped_at(place, conversation)


@pytest.mark.parametrize("round", range(4))
def test_at_first_sight_after_a_reload(chat: Chat, place: Place, round: int) -> None:
    """The words that are there already count as seen."""
    chat.asks(f"stopped at first sight {round} {ENDLESS}")
    chat.reads_words(30)
    chat.page.reload()
    chat.page.locator("article.turn.model .answer").first.wait_for()
    chat.presses("Escape")
    chat.sees("^stopped$")
    shown = chat.text
    assert len(shown.split()) >= 20
    assert stopped_at(place, chat.id).rstrip() == shown


def test_while_the_line_is_down_and_then_a_reload(open_chat: OpenChat, place: Place, plug: Plug) -> None:
    chat = open_chat(address=plug.url)
    chat.asks(f"stopped without a line {ENDLESS}")
    chat.reads_words(10)
    plug.pull()
    chat.presses("Escape")
    chat.sees("^stopped$")
    shown = chat.text
    plug.mend()
    chat.reloads()
    chat.sees("^stopped$")
    assert chat.text == shown
    assert stopped_at(place, chat.id).rstrip() == shown


def test_the_next_in_the_queue_begins_and_only_that(chat: Chat, place: Place) -> None:
    chat.asks(f"has others behind it {ENDLESS}")
    chat.reads_words(3)
    chat.asks(f"the second one {ENDLESS}")
    chat.asks("the third one")
    chat.clicks("Stop")
    expect(chat.answers).to_have_count(2)
    chat.reads_words(3)
    assert not chat.ended
    expect(chat.page.get_by_label("A message that waits")).to_have_count(1)
    chat.presses("Escape")
    chat.sees_the_end(3)
    outcomes = [message["outcome"] for message in place.messages(chat.id) if message["role"] == "assistant"]
    assert outcomes == ["cancelled", "cancelled", "completed"]


def test_one_of_two_side_by_side(chat: Chat, place: Place) -> None:
    chat.clicks("Two models side by side")
    chat.asks(f"one of both {cue(model='brook', endless=True, pace=0.02)} {cue(model='creek', tokens=40, pace=0.03)}")
    expect(chat.page.locator(".beside article")).to_have_count(2)
    chat.clicks("Stop this one", within=chat.page.locator(".beside article").first)
    expect(chat.page.locator(".beside .state")).to_have_text(["stopped", "complete"], timeout=30_000)
    assert [message["outcome"] for message in place.messages(chat.id)][1:] == ["cancelled", "completed"]
