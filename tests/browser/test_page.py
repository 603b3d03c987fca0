"""The first page: asking, watching, stopping, and what it says about it."""

from __future__ import annotations

import itertools
import re
import shlex
import shutil
import subprocess

import pytest
from playwright.sync_api import Route, expect

from tests.browser.chat import LONG, Chat, OpenChat


def test_an_answer_appears_word_by_word(chat: Chat) -> None:
    chat.asks("Why is the sea salty?")
    chat.sees("thinking")
    expect(chat.turn).to_have_attribute("aria-busy", "true")
    seen: list[str] = []
    while chat.turn.get_attribute("data-state") != "done":
        shown = chat.answer.inner_text()
        if not seen or shown != seen[-1]:
            seen.append(shown)
    assert len(seen) > 20
    assert max(len(after.split()) - len(before.split()) for before, after in itertools.pairwise(seen)) < 30
    chat.sees_the_end()
    chat.has_every_word_once()
    expect(chat.turn).to_have_attribute("aria-busy", "false")
    expect(chat.page.locator("#status")).to_have_text("The answer is complete.")
    expect(chat.turn.locator(".figures > span")).to_have_text(
        [re.compile("s first token"), re.compile("tokens/s"), re.compile("tokens")]
    )


def test_the_conversation_goes_to_the_model(chat: Chat) -> None:
    chat.asks("My boat is red")
    chat.sees_the_end()
    chat.asks("And what did I say first?")
    expect(chat.page.locator(".turn.model")).to_have_count(2)
    chat.reads_until("2 messages came before this one")
    chat.sees_the_end()
    expect(chat.answer.locator("blockquote").last).to_have_text("My boat is red")
    chat.has_every_word_once()


def test_stopping_keeps_what_was_seen_and_ends_it_for_everyone(chat: Chat) -> None:
    chat.asks(LONG)
    chat.reads_until("1. The source")
    chat.page.press("#prompt", "Escape")
    chat.sees("^stopped$")
    shown = chat.shown
    _, event, data = chat.served()[-1]
    assert (event, data["outcome"]) == ("done", "cancelled")
    # What had been produced but not been shown yet, if anything, is no part of the answer.
    assert data.get("kept", chat.record["offset"]) == chat.record["offset"]
    chat.has_every_word_once()
    assert chat.shown == shown
    expect(chat.page.locator("#send")).to_have_text("Send")
    chat.asks("hello")
    chat.sees_the_end()


def test_the_stop_button_stops(chat: Chat) -> None:
    chat.asks(LONG)
    chat.reads_until("1. The source")
    chat.page.get_by_role("button", name="Stop").click()
    chat.sees("^stopped$")
    chat.has_every_word_once()


def test_stopping_before_the_server_answered(chat: Chat) -> None:
    chat.asks("hello")
    chat.page.press("#prompt", "Escape")
    chat.sees("^stopped$")
    expect(chat.turn.locator(".notice")).to_have_text("Stopped before the first word.")


def test_enter_sends_and_shift_enter_makes_a_line(chat: Chat) -> None:
    chat.page.keyboard.type("name,flow")
    chat.page.keyboard.press("Shift+Enter")
    chat.page.keyboard.type("north,31")
    expect(chat.page.locator(".turn")).to_have_count(0)
    chat.page.keyboard.press("Enter")
    chat.sees_the_end()
    expect(chat.page.locator(".said")).to_have_text("name,flow\nnorth,31")
    expect(chat.answer.locator("td")).to_have_text(["north", "31"])


def test_an_example_starts_a_conversation_and_new_leaves_it_until_back(chat: Chat) -> None:
    chat.page.get_by_role("button", name="A greeting").click()
    chat.sees_the_end()
    expect(chat.page.locator("#empty")).to_be_hidden()
    chat.page.click("#new")
    expect(chat.page.locator("#empty")).to_be_visible()
    expect(chat.page.locator(".turn")).to_have_count(0)
    chat.page.go_back()
    expect(chat.page.locator(".said")).to_have_text("Hello!")
    chat.has_every_word_once()


def test_the_line_for_the_terminal_reads_the_same_answer(chat: Chat) -> None:
    assert shutil.which("curl"), "there is no `curl` here: install Debian's package (`make system`)"
    chat.asks("Pack: tent, rope, lamp")
    chat.reads_until("Your list")
    line = shlex.split(chat.turn.locator(".tap code").inner_text())
    assert line[:2] == ["curl", "-N"]
    heard = subprocess.run([*line, "-s"], capture_output=True, text=True, timeout=60, check=True).stdout
    chat.sees_the_end()
    assert [line.removeprefix("id: ") for line in heard.split("\n") if line.startswith("id: ")] == [
        position for position, _, _ in chat.served()
    ]


def test_the_demo_says_that_it_is_one(chat: Chat) -> None:
    expect(chat.page.locator("#demo")).to_contain_text("no AI")
    expect(chat.page.locator("#demo code").last).to_have_text("penstock serve --config penstock.toml")


def test_a_refusal_is_told_and_can_be_asked_again(chat: Chat) -> None:
    told = '{"error": {"code": "model_not_allowed", "message": "Not this model.", "retryable": false}}'
    chat.page.route("**/v1/streams", lambda route: route.fulfill(status=403, body=told), times=1)
    chat.asks("hello")
    expect(chat.turn.locator(".notice")).to_contain_text("Not this model.")
    chat.sees("model_not_allowed")
    chat.page.get_by_role("button", name="Ask again").click()
    chat.sees_the_end()
    expect(chat.page.locator(".turn")).to_have_count(2)
    chat.has_every_word_once()


def test_an_error_in_the_middle_keeps_the_words_before_it(chat: Chat) -> None:
    told = (
        'id: a1:1\nevent: token\ndata: {"text": "Half a "}\n\nid: a1:2\nevent: token\ndata: {"text": "word"}\n\n'
        'id: a1:3\nevent: error\ndata: {"code": "upstream_truncated", "message": "It broke off.", "retryable": true,'
        ' "outcome": "upstream_truncated"}\n\n'
    )
    headers = {"content-type": "text/event-stream", "penstock-stream-id": "abc"}
    chat.page.route("**/v1/streams", lambda route: route.fulfill(headers=headers, body=told))
    chat.asks("hello")
    chat.sees("^ended: upstream_truncated$")
    expect(chat.answer).to_have_text("Half a word")
    expect(chat.turn.locator(".notice")).to_contain_text("It broke off.")
    expect(chat.page.locator("#status")).to_contain_text("It broke off.")


def test_a_busy_server_is_waited_for_in_sight(chat: Chat) -> None:
    keys: list[str] = []

    def busy(route: Route) -> None:
        keys.append(route.request.headers["idempotency-key"])
        if len(keys) > 1:
            route.continue_()
            return
        told = '{"error": {"code": "rate_limited", "message": "Too many.", "retryable": true}}'
        route.fulfill(status=429, headers={"retry-after": "2"}, body=told)

    chat.page.route("**/v1/streams", busy)
    chat.asks("hello")
    chat.sees("the server asks to wait: 2 s")
    chat.sees_the_end()
    assert len(keys) == 2
    assert len(set(keys)) == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_all_of_it_without_sideways_scrolling(open_chat: OpenChat, scheme: str) -> None:
    chat = open_chat(viewport={"width": 390, "height": 800}, color_scheme=scheme, has_touch=True, is_mobile=True)
    chat.asks("write a python program that " + "counts" * 20)
    chat.sees_the_end()
    width = "document.documentElement.scrollWidth"
    assert chat.page.evaluate(width) <= 390
    before = chat.page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    chat.page.click("#theme")
    assert chat.page.evaluate("getComputedStyle(document.documentElement).backgroundColor") != before
    chosen = "dark" if scheme == "light" else "light"
    chat.reloads()
    assert chat.page.evaluate("document.documentElement.dataset.theme") == chosen


def test_a_server_with_keys_asks_for_one(open_chat: OpenChat) -> None:
    def guarded(route: Route) -> None:
        if route.request.headers.get("authorization") == "Bearer sesame":
            route.continue_(headers={k: v for k, v in route.request.headers.items() if k != "authorization"})
            return
        told = '{"error": {"code": "unauthorized", "message": "A key, please.", "retryable": false}}'
        route.fulfill(status=401, body=told)

    chat = open_chat()
    expect(chat.page.locator("#key-row")).to_be_hidden()
    chat.page.route("**/v1/**", guarded)
    chat.page.reload()
    chat.page.fill("#key", "sesame")
    chat.page.press("#key", "Enter")
    expect(chat.page.locator("#key-row")).to_be_hidden()
    chat.asks("hello")
    chat.sees_the_end()
    expect(chat.turn.locator(".tap code")).to_contain_text('-H "Authorization: Bearer $PENSTOCK_KEY"')
    assert "sesame" not in chat.page.content()
