"""Many conversations in one browser: none is in another one's way, and nothing that was written in any of them is lost."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.chat import Chat
from tests.browser.place import DEADLINE, Place, cue

SOON = 20_000
"""Milliseconds in which an answer comes that nothing is in the way of: less than the slow ones here take."""


@pytest.mark.parametrize(
    ("how", "first", "slow"),
    [
        ("with slow words", {"tokens": 150, "pace": 0.1}, {"tokens": 300, "pace": 0.2}),
        ("with a late first word", {"tokens": 9, "first_token_delay": 12}, {"tokens": 9, "first_token_delay": 60}),
    ],
)
def test_many_conversations_at_once(
    chat: Chat, place: Place, how: str, first: dict[str, Any], slow: dict[str, Any]
) -> None:
    """Browsers allow six connections to a server, for all tabs together."""
    chat.asks(f"the first of seven {how} {cue(**first)}")
    expect(chat.entry(f"the first of seven {how}")).to_have_count(1)
    ids = []
    for number in range(2, 7):
        new_conversation(chat)
        chat.asks(f"number {number} of seven {how} {cue(**slow)}")
        expect(chat.entry(f"number {number} of seven {how}")).to_have_count(1, timeout=SOON)
        ids.append(chat.id)
    new_conversation(chat)
    chat.asks(f"the seventh {how} {cue(text='is heard')}")
    expect(chat.answer).to_have_text("is heard", timeout=SOON)
    other = chat.second_tab("/")
    # It shares the first tab's connections: a loaded machine may need a while until one is free.
    other.entry(f"number 6 of seven {how}").get_by_role("link").click(timeout=90_000)
    expect(other.said).to_contain_text("number 6", timeout=SOON)
    other.page.close()
    chat.entry(f"the first of seven {how}").get_by_role("link").click()
    chat.sees_the_end(1)
    assert chat.text == place.truth(f"the first of seven {how}").text[0].rstrip()
    for number in range(1, 7):
        assert place.asked(f"{'the first' if number == 1 else f'number {number}'} of seven {how}") == 1
    for id in ids:  # nobody waits for the slow ones
        chat.page.request.delete(f"{place.url}/v1/conversations/{id}")


def new_conversation(chat: Chat) -> None:
    chat.clicks("New conversation", within=chat.sidebar)
    expect(chat.page).to_have_url(re.compile("/$"))


def test_what_waits_in_a_conversation_is_sent_however_many_others_are_looked_at(chat: Chat, place: Place) -> None:
    for number in range(13):
        message = {"id": f"chosen-{number}", "text": f"chosen {number}."}
        asked = {"id": f"chosen-answer-{number}", "model": "brook", "message": message}
        assert chat.page.request.post(f"{place.url}/v1/conversations/chosen-{number}/answers", data=asked).ok
    chat.asks(f"left with something that waits {cue(text='late', first_token_delay=10)}")
    chat.asks("what waits and is sent")
    expect(chat.page.get_by_label("A message that waits")).to_have_count(1)
    conversation = chat.id
    for number in range(13):
        chat.entry(f"chosen {number}.").get_by_role("link").click()
        expect(chat.said).to_have_text(f"chosen {number}.")
    assert place.asked("what waits and is sent") == 1
    assert [message["text"] for message in place.messages(conversation)][2] == "what waits and is sent"


def test_a_conversation_that_is_deleted_sends_nothing_more(chat: Chat, place: Place) -> None:
    posted = posts(chat.page)
    chat.asks(f"deleted with a queue {cue(endless=True, pace=0.05)}")
    chat.reads_words(3)
    chat.asks("never to be sent")
    expect(chat.page.get_by_label("A message that waits")).to_have_count(1)
    conversation = chat.id
    delete(chat, "deleted with a queue")
    expect(chat.page).to_have_url(re.compile("/$"))
    assert place.truth("deleted with a queue").ended == "closed_by_peer"
    chat.page.wait_for_timeout(500)
    assert len(posted) == 1
    assert chat.page.request.get(f"{place.url}/v1/conversations/{conversation}").status == 404
    expect(chat.entry("deleted with a queue")).to_have_count(0)


def test_a_conversation_that_can_not_be_deleted_goes_on_with_all_that_waits(chat: Chat, place: Place) -> None:
    chat.asks(f"stays with its queue {cue(tokens=100, pace=0.05)}")
    chat.reads_words(3)
    chat.asks("sent after all of it")
    expect(chat.page.get_by_label("A message that waits")).to_have_count(1)
    chat.page.route(f"**/v1/conversations/{chat.id}", refuse_to_delete)
    delete(chat, "stays with its queue")
    expect(chat.page.get_by_role("alert").filter(has_text="Not deleted")).to_be_visible()
    chat.sees_the_end(2)
    assert chat.text == "You said: sent after all of it"
    whole = place.messages(chat.id)[1]
    assert (whole["outcome"], len(whole["text"].split())) == ("completed", 100)
    expect(chat.page.locator(".answer").first).to_have_text(whole["text"].rstrip())


def refuse_to_delete(route: Route) -> None:
    if route.request.method == "DELETE":
        route.abort("connectionreset")
    else:
        route.continue_()


def posts(page: Page) -> list[str]:
    """Every question that the page posts from now on."""
    posted: list[str] = []
    page.on("request", lambda request: posted.append(request.url) if request.url.endswith("/answers") else None)
    return posted


def delete(chat: Chat, title: str) -> None:
    entry = chat.entry(title)
    entry.hover()
    entry.locator("summary").click()
    chat.clicks("Delete", within=entry)
    chat.clicks("Delete", within=chat.page.get_by_role("group", name=re.compile(f"Delete {title}")))


def test_what_was_never_sent_is_sent_by_the_next_page_wherever_it_opens(chat: Chat, place: Place) -> None:
    chat.context.set_offline(True)
    chat.asks(f"the tab is closed before {cue(text='it is read')}")
    chat.sees("offline")
    other = chat.context.new_page()
    chat.page.close()
    chat.page = other
    chat.context.set_offline(False)
    chat.open("/")
    entry = chat.entry("the tab is closed before")
    expect(entry).to_have_count(1, timeout=DEADLINE)
    expect(chat.turns).to_have_count(0)
    entry.get_by_role("link").click()
    chat.sees_the_end(1)
    assert chat.text == "it is read"
    expect(chat.page.get_by_role("alert")).to_have_count(0)
    chat.reloads()
    chat.sees_the_end(1)
    assert place.asked("the tab is closed before") == 1
    assert len(place.messages(chat.id)) == 2


def test_what_waits_is_sent_after_a_reload_wherever_it_happens(chat: Chat, place: Place) -> None:
    chat.asks(f"answered over a reload {cue(tokens=80, pace=0.05)}")
    chat.reads_words(2)
    chat.asks("waits over a reload")
    expect(chat.page.get_by_label("A message that waits")).to_have_count(1)
    conversation = chat.id
    new_conversation(chat)
    chat.reloads()
    assert place.asked("waits over a reload") == 1
    _, answer, question, _ = place.messages(conversation)
    assert answer["outcome"] == "completed"
    assert (question["parent"], question["text"]) == (answer["id"], "waits over a reload")


def test_a_stop_that_was_not_heard_is_told_by_the_next_page_wherever_it_opens(chat: Chat, place: Place) -> None:
    chat.asks(f"stopped by a page that closes {cue(endless=True, pace=0.05)}")
    chat.reads_words(3)
    chat.context.set_offline(True)
    chat.clicks("Stop")
    chat.sees("^stopped$")
    other = chat.context.new_page()
    chat.page.close()
    chat.page = other
    chat.context.set_offline(False)
    chat.open("/")
    assert place.truth("stopped by a page that closes").ended == "closed_by_peer"


def test_a_conversation_that_was_looked_for_too_early_is_not_taken_for_deleted(chat: Chat, place: Place) -> None:
    chat.context.set_offline(True)
    chat.asks(f"looked for too early {cue(text='and found')}")
    chat.sees("offline")
    path = chat.path
    other = chat.context.new_page()
    chat.page.close()
    chat.page = other
    chat.context.set_offline(False)
    chat.page.route("**/events", lambda route: route.abort("connectionreset"))  # which would tell of it
    chat.page.route("**/answers", lambda route: route.abort("connectionreset"), times=2)
    chat.open(path)
    chat.sees_the_end(1)
    expect(chat.page.get_by_role("alert")).to_have_count(0)
    chat.asks("and it goes on")
    chat.sees_the_end(2)


def test_what_is_written_survives_a_reload_and_another_tab_has_its_own(chat: Chat) -> None:
    chat.prompt.fill("a draft that begins a conversation")
    chat.reloads()
    expect(chat.prompt).to_have_value("a draft that begins a conversation")
    chat.prompt.press("Enter")
    chat.sees_the_end(1)
    chat.reloads()
    chat.sees_the_end(1)
    expect(chat.prompt).to_have_value("")
    chat.prompt.fill("a draft in the middle of it")
    new_conversation(chat)
    expect(chat.prompt).to_have_value("")
    chat.prompt.fill("and another one")
    chat.page.go_back()
    expect(chat.prompt).to_have_value("a draft in the middle of it")
    chat.reloads()
    expect(chat.prompt).to_have_value("a draft in the middle of it")
    expect(chat.second_tab().prompt).to_have_value("")
    new_conversation(chat)
    expect(chat.prompt).to_have_value("and another one")


def test_what_is_written_in_a_conversation_that_was_deleted_elsewhere_stays(chat: Chat, place: Place) -> None:
    chat.asks("deleted in another tab")
    chat.sees_the_end(1)
    conversation = chat.id
    other = chat.second_tab()
    delete(other, "deleted in another tab")
    expect(other.page).to_have_url(re.compile("/$"))
    expect(chat.page.get_by_role("alert")).to_contain_text("This conversation was deleted")
    posted = posts(chat.page)
    chat.prompt.fill("these words are not lost")
    expect(chat.page.get_by_role("button", name="Send", exact=True)).to_be_disabled()
    chat.prompt.press("Enter")
    expect(chat.prompt).to_have_value("these words are not lost")
    expect(chat.said).to_have_count(1)
    assert posted == []
    assert chat.page.request.get(f"{place.url}/v1/conversations/{conversation}").status == 404
    chat.clicks("New conversation", within=chat.page.get_by_role("alert"))
    chat.asks("elsewhere it goes on")
    chat.sees_the_end(1)
