"""One answer, whatever happens to those who read it: reloads, cuts, other tabs, other people. No word lost or doubled."""

from __future__ import annotations

from playwright.sync_api import Route, expect

from tests.browser.chat import LONG, Chat, OpenChat
from tests.browser.plug import Plug


def test_reloading_in_the_middle(chat: Chat) -> None:
    resumed: list[str | None] = []
    chat.page.on("request", lambda request: resumed.append(request.headers.get("last-event-id")))
    chat.asks(LONG)
    chat.reads_until("1. The source")
    stream = chat.stream
    chat.reloads()
    # What was seen is not sent again.
    assert [position for position in resumed if position]
    chat.reads_until("2. The gate")
    chat.reloads()
    chat.sees_the_end()
    assert chat.stream == stream
    expect(chat.page.locator(".turn")).to_have_count(2)
    chat.has_every_word_once()


def test_reloading_while_it_thinks(chat: Chat) -> None:
    chat.asks("Why is the sea salty?")
    chat.sees("thinking")
    chat.reloads()
    chat.sees_the_end()
    chat.has_every_word_once()


def test_reloading_before_the_server_has_answered_asks_only_once(chat: Chat) -> None:
    keys: list[str] = []

    def swallow(route: Route) -> None:
        keys.append(route.request.headers["idempotency-key"])
        if len(keys) > 1:
            route.continue_()

    chat.page.route("**/v1/streams", swallow)
    chat.asks("hello")
    chat.sees("sending|sent")
    chat.reloads()
    chat.sees_the_end()
    assert len(keys) == 2
    assert len(set(keys)) == 1
    chat.has_every_word_once()


def test_a_reload_after_the_end_shows_it_without_asking(chat: Chat) -> None:
    chat.asks("hello")
    chat.sees_the_end()
    shown = chat.shown
    asked: list[str] = []
    chat.page.on("request", lambda request: asked.append(request.url))
    chat.reloads()
    chat.sees_the_end()
    assert chat.shown == shown
    assert not [url for url in asked if "/v1/streams" in url]


def test_the_plug_is_pulled_again_and_again(open_chat: OpenChat, plug: Plug) -> None:
    chat = open_chat(f"http://127.0.0.1:{plug.port}")
    chat.asks(LONG)
    for words in ("1. The source", "2. The gate", "3. The pipe"):
        chat.reads_until(words)
        plug.pull()
        chat.sees("reconnecting, attempt")
        plug.mend()
        chat.sees("^live$")
    chat.sees_the_end()
    expect(chat.turn.locator(".figures")).to_contain_text("reattached")
    chat.has_every_word_once()


def test_the_plug_is_pulled_before_the_server_answers(open_chat: OpenChat, plug: Plug) -> None:
    chat = open_chat(f"http://127.0.0.1:{plug.port}")
    plug.pull()
    chat.asks("hello")
    chat.sees("reconnecting, attempt 2")
    plug.mend()
    chat.sees_the_end()
    chat.has_every_word_once()


def test_stopping_while_the_plug_is_pulled(open_chat: OpenChat, plug: Plug) -> None:
    chat = open_chat(f"http://127.0.0.1:{plug.port}")
    chat.asks(LONG)
    chat.reads_until("1. The source")
    plug.pull()
    chat.sees("reconnecting")
    chat.page.press("#prompt", "Escape")
    chat.sees("^stopped$")
    plug.mend()
    # The cancel is delivered late: the words produced meanwhile were never seen, and are not part of the answer.
    assert chat.served()[-1][2]["outcome"] == "cancelled"
    chat.has_every_word_once()


def test_an_orderly_end_of_the_connection_is_not_the_end_of_the_answer(chat: Chat) -> None:
    def cut(route: Route) -> None:
        response = route.fetch()
        blocks = response.text().split("\n\n")
        route.fulfill(response=response, body="\n\n".join(blocks[:7]) + "\n\n" + blocks[7][:15])

    chat.page.route("**/v1/streams", cut)
    chat.asks("hello")
    chat.sees_the_end()
    chat.has_every_word_once()


def test_blocks_that_come_twice_are_taken_once(chat: Chat) -> None:
    def replay(route: Route) -> None:
        response = route.fetch(headers={k: v for k, v in route.request.headers.items() if k != "last-event-id"})
        route.fulfill(response=response)

    chat.page.route("**/v1/streams/*", replay)
    chat.asks(LONG)
    chat.reads_until("1. The source")
    chat.reloads()
    chat.sees_the_end()
    chat.has_every_word_once()


def test_a_second_tab_follows_the_same_answer(chat: Chat) -> None:
    chat.asks(LONG)
    chat.reads_until("1. The source")
    other = chat.second_tab(f"#{chat.stream}")
    expect(other.page.locator(".said")).to_have_text(LONG)
    other.sees("^live$")
    other.sees_the_end()
    chat.sees_the_end()
    chat.has_every_word_once()
    other.has_every_word_once()


def test_what_is_asked_in_one_tab_shows_in_the_other(chat: Chat) -> None:
    chat.asks("hello")
    chat.sees_the_end()
    other = chat.second_tab()
    chat.asks("Pack: tent, rope, lamp")
    expect(other.page.locator(".turn")).to_have_count(4)
    other.sees_the_end()
    chat.sees_the_end()
    assert other.shown == chat.shown


def test_another_person_follows_by_address_and_stops_it_for_both(chat: Chat, open_chat: OpenChat) -> None:
    chat.asks(LONG)
    chat.reads_until("1. The source")
    other = open_chat(fragment=f"#{chat.stream}")
    other.reads_until("2. The gate")
    other.page.press("#prompt", "Escape")
    other.sees("^stopped$")
    chat.sees("^stopped$")
    chat.has_every_word_once()
    other.has_every_word_once()
    assert chat.shown == other.shown


def test_who_saw_more_than_the_one_who_stopped_it_goes_back_to_there(chat: Chat) -> None:
    chat.asks(LONG)
    chat.reads_until("2. The gate")
    seen = chat.record["offset"] - 25
    chat.cancelled_elsewhere(seen)
    chat.sees("^stopped$")
    assert chat.served()[-1][2] == {"outcome": "cancelled", "kept": seen}
    chat.has_every_word_once()
    chat.reloads()
    chat.has_every_word_once()


def test_an_answer_that_is_no_longer_kept_is_said_to_be_so(open_chat: OpenChat) -> None:
    chat = open_chat(fragment="#0123456789abcdef01234567")
    expect(chat.turn.locator(".notice")).to_contain_text("no longer keeps this answer")
