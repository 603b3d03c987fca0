"""One conversation in several tabs and on several devices: all see the same, and what one does shows in the others."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.browser.chat import Chat, OpenChat
from tests.browser.place import DEADLINE, Place, cue


def test_another_device_stops_it_for_both_at_what_it_showed(chat: Chat, open_chat: OpenChat, place: Place) -> None:
    chat.asks(f"stopped elsewhere {cue(endless=True, pace=0.02)}")
    chat.reads_words(10)
    other = open_chat(chat.path)
    other.reads_words(30)
    other.clicks("Stop")
    other.sees("^stopped$")
    shown = other.text
    chat.sees("^stopped$")
    assert place.truth("stopped elsewhere").ended == "closed_by_peer"
    question, answer = place.messages(chat.id)
    assert (answer["outcome"], answer["text"].rstrip()) == ("cancelled", shown)
    expect(chat.answer).to_have_text(shown)
    assert (other.text, chat.text) == (shown, shown)
    chat.reloads()
    chat.sees("^stopped$")
    assert chat.text == shown
    assert question["text"].startswith("stopped elsewhere")


def test_who_saw_more_than_the_one_who_stopped_it_goes_back_to_there(chat: Chat, place: Place) -> None:
    chat.asks(f"stopped by the slower {cue(endless=True, pace=0.02)}")
    chat.reads_words(40)
    (stream,) = {message["stream"] for message in place.get(f"/v1/conversations/{chat.id}")["messages"]} - {None}
    stopped = chat.page.request.post(f"{place.url}/v1/streams/{stream}/cancel", data={"seen": 20})
    assert stopped.ok
    chat.sees("^stopped$")
    _, answer = place.messages(chat.id)
    expect(chat.answer).to_have_text(answer["text"].rstrip())
    assert chat.words < 25
    chat.reloads()
    chat.sees("^stopped$")
    assert chat.text == answer["text"].rstrip()


def test_a_second_tab_follows_the_same_answer(chat: Chat, place: Place) -> None:
    chat.asks(f"two readers {cue(tokens=80, pace=0.03)}")
    chat.reads_words(10)
    other = chat.second_tab()
    expect(other.said).to_have_text(re.compile("^two readers"))
    expect(other.turn).to_have_attribute("aria-busy", "true")
    other.sees_the_end()
    chat.sees_the_end()
    assert chat.text == other.text == place.truth("two readers").text[0].rstrip()
    assert place.asked("two readers") == 1


def test_what_is_asked_in_one_tab_appears_and_streams_in_the_other(chat: Chat, place: Place) -> None:
    chat.asks("first of all")
    chat.sees_the_end(1)
    other = chat.second_tab()
    other.sees_the_end(1)
    other.asks(f"asked in the second tab {cue(tokens=100, pace=0.04)}")
    expect(chat.turns).to_have_count(4, timeout=DEADLINE)
    expect(chat.turn).to_have_attribute("aria-busy", "true")
    chat.reads_words(5)
    chat.asks(f"and then in the first {cue(text='as it should')}")
    chat.sees_the_end(3)
    other.sees_the_end(3)
    assert chat.said.all_text_contents() == other.said.all_text_contents()
    assert chat.page.locator(".answer").all_text_contents() == other.page.locator(".answer").all_text_contents()
    assert [message["role"] for message in place.messages(chat.id)] == ["user", "assistant"] * 3
    assert place.asked("asked in the second tab") == 1


def test_another_device_sees_the_name_and_the_end_of_a_conversation(chat: Chat, open_chat: OpenChat) -> None:
    chat.asks("a name that changes")
    chat.sees_the_end()
    other = open_chat()
    expect(other.entry("a name that changes")).to_have_count(1)
    chat.entry("a name that changes").hover()
    chat.entry("a name that changes").locator("summary").click()
    chat.clicks("Rename")
    chat.page.get_by_label("The conversation's name").fill("another name that stays")
    chat.presses("Enter")
    expect(other.entry("another name that stays")).to_have_count(1)
    expect(other.entry("a name that changes")).to_have_count(0)


def test_many_tabs_of_one_browser_all_follow(chat: Chat, place: Place) -> None:
    """Browsers allow six connections to a server: a tab must not use up what another one needs."""
    chat.asks(f"many readers {cue(tokens=150, pace=0.04)}")
    chat.reads_words(5)
    others = [chat.second_tab() for _ in range(2)]
    for one in (*others, chat):
        one.page.bring_to_front()
        one.sees_the_end()
        assert one.text == place.truth("many readers").text[0].rstrip()
