"""What goes wrong is told, keeps what came before it, and can be tried again; nothing is sent twice for it."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Route, expect

from tests.browser.chat import Chat, OpenChat
from tests.browser.place import DEADLINE, Place, cue, opened
from tests.browser.plug import Plug


def test_a_failure_before_the_first_word_can_be_asked_again(chat: Chat, place: Place) -> None:
    chat.asks(f"fails at first {cue(status=500, times=1)} {cue(text='and then it works')}")
    expect(chat.trouble).to_contain_text("There is no answer.", timeout=DEADLINE)
    expect(chat.trouble.locator("code")).to_have_text(re.compile("upstream"))
    chat.clicks("Ask again")
    chat.sees_the_end(1)
    assert chat.text == "and then it works"
    expect(chat.turns).to_have_count(2)
    assert place.asked("fails at first") == 2
    chat.reloads()
    chat.sees_the_end(1)
    expect(chat.said).to_have_count(1)


def test_a_failure_before_the_first_word_can_be_asked_again_after_a_reload(chat: Chat, place: Place) -> None:
    chat.asks(f"fails and is left {cue(status=500, times=1)} {cue(text='later it works')}")
    expect(chat.trouble).to_contain_text("There is no answer.", timeout=DEADLINE)
    chat.reloads()
    expect(chat.page.get_by_role("group", name="What went wrong")).to_contain_text("There is no answer.")
    chat.clicks("Ask again")
    chat.sees_the_end(1)
    assert chat.text == "later it works"
    assert len(place.messages(chat.id)) == 2


def test_a_failure_in_the_middle_keeps_the_words_and_asking_again_makes_a_branch(chat: Chat, place: Place) -> None:
    broken = cue(text="half of it came, and no more", error_after=4, pace=0.02, times=1)
    chat.asks(f"breaks off {broken} {cue(text='all of it came')}")
    chat.sees("^upstream error$")
    assert chat.text == "half of it came,"
    expect(chat.trouble).to_contain_text("It broke off here.")
    expect(chat.spoken).to_contain_text("The answer broke off")
    chat.clicks("Ask again")
    chat.sees_the_end(1)
    assert chat.text == "all of it came"
    expect(chat.turn.locator(".branches")).to_have_text("2/2")
    chat.clicks("The branch before")
    expect(chat.answer).to_have_text("half of it came,")
    expect(chat.trouble).to_be_visible()
    assert place.asked("breaks off") == 2


@pytest.mark.parametrize("how", ["eof", "reset"])
def test_an_upstream_that_breaks_off_is_told(chat: Chat, how: str) -> None:
    chat.asks(f"cut by {how} {cue(text='one two three four', cut_after=2, cut=how, pace=0.02)}")
    expect(chat.trouble).to_contain_text("It broke off here.", timeout=DEADLINE)
    assert chat.text == "one two"
    expect(chat.trouble.get_by_role("button", name="Ask again")).to_be_visible()


def test_a_busy_server_is_waited_for_in_sight(chat: Chat, place: Place) -> None:
    chat.asks(f"too many at once {cue(status=429, retry_after=3, times=1)} {cue(text='now there is room')}")
    seen = set()
    while not chat.ended:
        seen.update(chat.turn.locator(".state").all_text_contents())
    chat.sees_the_end(1)
    assert chat.text == "now there is room"
    assert len({words for words in seen if re.fullmatch(r"the server asks to wait: \d s", words)}) > 1, seen
    assert place.asked("too many at once") == 2


def test_a_server_without_room_for_long_is_told_of(chat: Chat) -> None:
    chat.asks(f"far too many {cue(status=429, retry_after=3600)}")
    expect(chat.trouble).to_contain_text("There is no answer.", timeout=DEADLINE)
    expect(chat.trouble.get_by_role("button", name="Ask again")).to_be_visible()


def test_a_message_written_while_offline_goes_out_once_when_back(chat: Chat, place: Place) -> None:
    chat.context.set_offline(True)
    chat.asks(f"written offline {cue(text='read online')}")
    chat.sees("offline: it goes on when you are back")
    expect(chat.turn).to_have_attribute("aria-busy", "true")
    chat.context.set_offline(False)
    chat.sees_the_end(1)
    assert chat.text == "read online"
    assert place.asked("written offline") == 1
    assert len(place.messages(chat.id)) == 2


def test_going_offline_in_the_middle_loses_nothing(chat: Chat, place: Place, open_chat: OpenChat, plug: Plug) -> None:
    # Playwright's offline leaves open connections as they are: the plug breaks them.
    chat = open_chat(address=plug.url)
    chat.asks(f"a tunnel {cue(tokens=80, pace=0.03)}")
    chat.reads_words(10)
    chat.context.set_offline(True)
    plug.pull()
    chat.sees("offline")
    plug.mend()
    chat.context.set_offline(False)
    chat.sees_the_end()
    assert chat.text == place.truth("a tunnel").text[0].rstrip()
    assert place.asked("a tunnel") == 1


def test_a_message_for_a_server_that_is_not_there_is_sent_once_it_is(
    open_chat: OpenChat, plug: Plug, place: Place
) -> None:
    chat = open_chat(address=plug.url)
    plug.pull()
    chat.asks(f"nobody there {cue(text='somebody there')}")
    chat.sees("connection lost; attempt [12]")
    plug.mend()
    chat.sees_the_end()
    assert chat.text == "somebody there"
    assert place.asked("nobody there") == 1
    assert len(place.messages(chat.id)) == 2


def test_a_message_that_could_not_be_sent_stays_and_can_be_sent(open_chat: OpenChat, plug: Plug, place: Place) -> None:
    chat = open_chat(address=plug.url)
    plug.pull()
    chat.asks(f"given up {cue(text='taken up')}")
    expect(chat.trouble).to_contain_text("The server could not be reached.", timeout=DEADLINE)
    chat.sees("^not sent$")
    plug.mend()
    chat.clicks("Ask again")
    chat.sees_the_end()
    assert chat.text == "taken up"
    assert place.asked("given up") == 1


def test_a_reload_with_an_unsent_message_sends_it_once(open_chat: OpenChat, plug: Plug, place: Place) -> None:
    chat = open_chat(address=plug.url)
    chat.asks("hello")
    chat.sees_the_end(1)
    chat.page.route("**/answers", lambda route: route.abort("internetdisconnected"))
    chat.asks(f"kept over a reload {cue(text='not forgotten')}")
    chat.sees("connection lost|offline")
    chat.page.unroute("**/answers")
    chat.reloads()
    chat.sees_the_end(2)
    assert chat.text == "not forgotten"
    chat.reloads()
    chat.sees_the_end(2)
    assert place.asked("kept over a reload") == 1
    assert len(place.messages(chat.id)) == 4


def test_a_first_message_survives_a_reload_before_the_server_has_it(chat: Chat, place: Place) -> None:
    chat.page.route("**/answers", lambda route: route.abort("internetdisconnected"))
    chat.asks(f"the very first {cue(text='is kept too')}")
    chat.sees("connection lost|offline")
    chat.page.unroute("**/answers")
    chat.reloads()
    chat.sees_the_end(1)
    assert place.asked("the very first") == 1
    assert len(place.messages(chat.id)) == 2


def test_a_question_whose_acceptance_was_lost_is_not_asked_twice(chat: Chat, place: Place) -> None:
    sent: list[object] = []

    def swallow(route: Route) -> None:
        sent.append(route.request.post_data_json["id"])
        if len(sent) == 1:
            route.fetch()  # the server has it, and the page never hears of that
            route.abort("connectionreset")
        else:
            route.continue_()

    chat.page.route("**/answers", swallow)
    chat.asks(f"lost on the way back {cue(text='there it is', pace=0.02)}")
    chat.sees_the_end(1)
    assert chat.text == "there it is"
    assert len(set(sent)) == 1
    assert place.asked("lost on the way back") == 1


def test_stopping_while_the_line_is_cut_is_delivered_later(open_chat: OpenChat, plug: Plug, place: Place) -> None:
    chat = open_chat(address=plug.url)
    chat.asks(f"stopped in the dark {cue(endless=True, pace=0.02)}")
    chat.reads_words(10)
    plug.pull()
    chat.sees("connection lost")
    chat.presses("Escape")
    chat.sees("^stopped$")
    shown = chat.text
    plug.mend()
    assert place.truth("stopped in the dark").ended == "closed_by_peer"
    assert place.messages(chat.id)[1]["text"].rstrip() == shown == chat.text


def test_a_server_that_is_killed_and_comes_back(open_chat: OpenChat) -> None:
    with opened() as mortal:
        chat = open_chat(address=mortal.url)
        chat.asks(f"cut short {cue(tokens=200, pace=0.03)}")
        chat.reads_words(20)
        mortal.kill()
        chat.sees("connection lost")
        mortal.start()
        chat.sees("^interrupted$")
        kept = mortal.messages(chat.id)[1]["text"].rstrip()
        assert chat.text == kept
        assert mortal.truth("cut short").text[0].startswith(kept)
        expect(chat.trouble).to_contain_text("It broke off here.")
        chat.clicks("Ask again")
        chat.reads_words(5)
        chat.clicks("Stop")
        expect(chat.turn.locator(".branches")).to_have_text("2/2")
        chat.context.close()


def test_the_page_says_when_the_server_cannot_be_reached(open_chat: OpenChat, plug: Plug) -> None:
    chat = open_chat(address=plug.url)
    chat.asks("before the night")
    chat.sees_the_end()
    plug.pull()
    chat.page.get_by_role("searchbox").fill("anything")
    expect(chat.page.get_by_role("alert")).to_contain_text("The server can't be reached")
    expect(chat.said).to_have_text("before the night")
    plug.mend()
    expect(chat.page.get_by_role("alert")).to_have_count(0, timeout=3 * DEADLINE)


def test_what_can_not_be_done_with_the_list_is_told(chat: Chat) -> None:
    chat.asks(f"a name that stays {cue(text='so it does')}")
    chat.sees_the_end(1)
    entry = chat.entry("a name that stays")
    chat.page.route(f"**/v1/conversations/{chat.id}", lambda route: route.abort("connectionreset"))
    entry.hover()
    entry.locator("summary").click()
    chat.clicks("Delete", within=entry)
    chat.clicks("Delete", within=chat.page.get_by_role("group", name="Delete a name that stays"))
    told = chat.page.get_by_role("alert").filter(has_text="Not deleted: the server can't be reached.")
    expect(told).to_be_visible()
    expect(chat.answers).to_have_count(1)
    chat.clicks("Dismiss", within=told)
    expect(told).to_have_count(0)


FORBIDDEN = """Object.defineProperty(window, "localStorage", {
  get() { throw new DOMException("Access is denied for this document.", "SecurityError"); },
});"""
FULL = """Storage.prototype.setItem = () => { throw new DOMException("exceeded", "QuotaExceededError"); };"""


@pytest.mark.parametrize(("storage", "script"), [("forbidden", FORBIDDEN), ("full", FULL)])
def test_a_browser_that_keeps_nothing_is_good_enough(chat: Chat, place: Place, storage: str, script: str) -> None:
    chat.page.add_init_script(script)
    chat.reloads()
    chat.asks(f"storage is {storage} {cue(text='and only there')}")
    chat.sees_the_end(1)
    chat.clicks("Settings")
    chat.page.get_by_role("radio", name="Dark").check()
    chat.presses("Escape")
    expect(chat.page.locator("html")).to_have_attribute("data-theme", "dark")
    chat.reloads()
    chat.sees_the_end(1)
    assert place.asked(f"storage is {storage}") == 1
