"""The keyboard alone: keys mean what they are pressed on, and never fall off the page."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.browser.chat import Chat, OpenChat
from tests.browser.place import Place, cue

ENDLESS = cue(endless=True, pace=0.02)
EDIT = "Edit: asks again, in another branch"


def test_escape_stops_nothing_where_it_means_something_else(chat: Chat) -> None:
    chat.asks(f"goes on {ENDLESS}")
    chat.reads_words(3)
    search = chat.page.get_by_role("searchbox")
    chat.presses("Control+k")
    chat.page.keyboard.type("goes")
    chat.presses("Escape")
    expect(search).to_have_value("")
    chat.presses("Escape")
    expect(chat.prompt).to_be_focused()
    entry = chat.entry("goes on")
    for deed, gone in (("Rename", "The conversation's name"), ("Delete", "Delete goes on")):
        entry.hover()
        entry.locator("summary").click()
        chat.clicks(deed, within=entry)
        chat.presses("Escape")
        expect(chat.page.get_by_label(re.compile(gone))).to_have_count(0)
        expect(entry.locator("a")).to_be_focused()
    chat.page.get_by_role("combobox", name="Model", exact=True).focus()
    chat.presses("Escape")
    assert not chat.ended
    chat.prompt.focus()
    chat.presses("Escape")
    chat.sees("^stopped$")


def test_the_list_over_a_narrow_page_opens_and_closes_by_keys(open_chat: OpenChat) -> None:
    chat = open_chat(viewport={"width": 820, "height": 800})
    expect(chat.sidebar).to_be_hidden()
    chat.presses("Control+k")
    expect(chat.page.get_by_role("searchbox")).to_be_focused()
    chat.prompt.focus()
    chat.presses("Escape")
    expect(chat.sidebar).to_be_hidden()
    chat.presses("Control+b")
    expect(chat.sidebar).to_be_visible()
    chat.presses("Control+b")
    expect(chat.sidebar).to_be_hidden()


def test_what_is_edited_is_seen_wherever_it_is(chat: Chat) -> None:
    for number in range(3):
        chat.asks(f"message {number} {cue(text='A paragraph of the answer. ' * 30)}")
        chat.sees_the_end(number + 1)
    chat.page.evaluate("document.querySelector('.scroll').scrollTop = 0")
    chat.page.get_by_role("button", name=EDIT).first.focus()
    chat.presses("Enter")
    box = chat.page.get_by_role("textbox", name="Your message, changed")
    expect(box).to_be_focused()
    expect(box).to_be_in_viewport(ratio=1)
    chat.page.wait_for_timeout(300)
    expect(box).to_be_in_viewport(ratio=1)
    chat.presses("Escape")
    expect(chat.prompt).to_be_focused()


def test_the_keyboard_stays_on_the_branches(chat: Chat) -> None:
    chat.asks(f"one way {cue(text='this')}")
    chat.sees_the_end(1)
    chat.page.get_by_role("button", name=EDIT).first.focus()
    chat.presses("Enter")
    chat.page.keyboard.type(" or another")
    chat.presses("Enter")
    expect(chat.said).to_contain_text("or another")
    expect(chat.prompt).to_be_focused()
    chat.sees_the_end(1)
    before = chat.page.locator(".person").get_by_role("button", name="The branch before")
    before.focus()
    chat.presses("Enter")
    expect(chat.said).not_to_contain_text("or another")
    after = chat.page.locator(".person").get_by_role("button", name="The next branch")
    expect(after).to_be_focused()
    chat.presses("Enter")
    expect(chat.said).to_contain_text("or another")
    expect(before).to_be_focused()


def test_editing_after_a_reload_asks_who_is_chosen_with_what_is_set(chat: Chat, place: Place) -> None:
    chat.asks(f"before the edit {cue(text='fine')}")
    chat.sees_the_end(1)
    chat.clicks("Settings")
    chat.page.get_by_label("System prompt").fill("Be brief.")
    chat.page.get_by_label("Temperature").fill("7")
    expect(chat.page.get_by_label("Temperature")).to_have_value("2")
    chat.presses("Escape")
    chat.reloads()
    chat.page.get_by_role("combobox", name="Model", exact=True).select_option("creek")
    chat.page.locator("article.person").hover()
    chat.clicks(EDIT)
    chat.page.get_by_role("textbox", name="Your message, changed").fill(f"after the edit {cue(text='better')}")
    chat.presses("Enter")
    chat.sees_the_end(1)
    (asked,) = place.sim_requests("after the edit")
    assert asked.body["model"] == "creek"
    assert asked.body["temperature"] == 2
    assert asked.body["messages"][0] == {"role": "system", "content": "Be brief."}


def test_a_waiting_message_is_edited_where_the_cursor_is(chat: Chat) -> None:
    chat.asks(f"still coming {ENDLESS}")
    chat.reads_words(2)
    chat.asks("abcdef")
    waiting = chat.page.get_by_label("A message that waits")
    waiting.focus()
    chat.presses("Home")
    chat.page.keyboard.type("xyz")
    expect(waiting).to_have_value("xyzabcdef")
    chat.clicks("Do not send it")
    expect(chat.prompt).to_be_focused()
    chat.presses("Escape")
    chat.sees("^stopped$")


def test_an_address_of_nothing_says_so(chat: Chat, place: Place) -> None:
    chat.open("/c/nothing-was-here")
    expect(chat.page.get_by_role("alert")).to_contain_text("There is no such conversation")
    chat.clicks("New conversation", within=chat.page.get_by_role("alert"))
    expect(chat.page.get_by_role("alert")).to_have_count(0)
    chat.asks(f"but here {cue(text='it is')}")
    chat.sees_the_end(1)
    assert len(place.messages(chat.id)) == 2
