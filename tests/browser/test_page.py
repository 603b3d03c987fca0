"""The page in good weather: asking, watching, stopping, and what it says about it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.chat import Chat, OpenChat
from tests.browser.place import Place, cue, demo
from tests.support.serving import Served

STORY = "Tell me a long story, 200 words about rivers, gates and turbines"


@pytest.fixture(scope="module")
def shown_off() -> Iterator[Served]:
    with demo() as served:
        yield served


def test_the_demo_answers_word_by_word_and_says_that_it_is_one(open_chat: OpenChat, shown_off: Served) -> None:
    chat = open_chat(address=shown_off.url)
    expect(chat.page.locator(".welcome")).to_contain_text("no AI")
    chat.clicks("A question", exact=False)
    expect(chat.prompt).to_have_value("Why does a river never run backwards?")
    chat.prompt.press("Enter")
    seen: list[str] = []
    while not chat.ended:
        shown = chat.text
        if not seen or shown != seen[-1]:
            seen.append(shown)
    assert len(seen) > 20
    assert max(len(after.split()) - len(before.split()) for before, after in itertools.pairwise(seen)) < 30
    chat.sees_the_end()
    expect(chat.turn.locator(".figures > span")).to_have_text(
        [re.compile("first token"), re.compile("tokens/s"), re.compile("tokens")]
    )
    assert chat.page.title() == "Why does a river never run backwards? · Penstock"


def test_an_answer_is_what_the_model_said(chat: Chat, place: Place) -> None:
    chat.asks(f"what the model said {cue(text='Water runs down. It turns a wheel.', pace=0.03)}")
    chat.sees_the_end()
    assert chat.text == place.truth("what the model said").text[0] == "Water runs down. It turns a wheel."
    expect(chat.page).to_have_url(re.compile(r"/c/[A-Za-z0-9_-]{8,64}$"))


def test_the_conversation_goes_to_the_model(chat: Chat, place: Place) -> None:
    chat.asks(f"My boat is red. {cue(text='A fine boat.')}")
    chat.sees_the_end(1)
    chat.asks("And what did I say first?")
    chat.sees_the_end(2)
    (asked,) = place.sim_requests("And what did I say first?")
    said = [(one["role"], one["content"].split(" sim:")[0]) for one in asked.body["messages"]]
    assert said == [("user", "My boat is red."), ("assistant", "A fine boat."), ("user", "And what did I say first?")]


def test_the_settings_go_to_the_model(chat: Chat, place: Place) -> None:
    chat.clicks("Settings")
    dialog = chat.page.get_by_role("dialog", name="Settings")
    dialog.get_by_label("System prompt").fill("Speak of water only.")
    dialog.get_by_label("Temperature").fill("0.5")
    chat.clicks("Close", within=dialog)
    chat.asks("What are you told first?")
    chat.sees_the_end()
    (asked,) = place.sim_requests("What are you told first?")
    assert asked.body["messages"][0] == {"role": "system", "content": "Speak of water only."}
    assert asked.body["temperature"] == 0.5


def test_escape_stops_at_what_was_seen(chat: Chat, place: Place) -> None:
    chat.asks(f"stopped by a key {cue(endless=True, pace=0.02)}")
    chat.reads_words(15)
    chat.presses("Escape")
    chat.sees("^stopped$")
    shown = chat.text
    assert place.truth("stopped by a key").ended == "closed_by_peer"
    question, answer = place.messages(chat.id)
    assert (answer["outcome"], answer["text"].rstrip()) == ("cancelled", shown)
    chat.reloads()
    chat.sees("^stopped$")
    assert chat.text == shown
    assert question["role"] == "user"


def test_the_stop_button_stops(chat: Chat, place: Place) -> None:
    chat.asks(f"stopped by a button {cue(endless=True, pace=0.02)}")
    chat.reads_words(5)
    chat.clicks("Stop")
    chat.sees("^stopped$")
    assert place.truth("stopped by a button").ended == "closed_by_peer"
    expect(chat.page.get_by_role("button", name="Send")).to_be_visible()
    chat.asks("hello")
    chat.sees_the_end(2)


def test_stopping_before_the_first_word(chat: Chat, place: Place) -> None:
    chat.asks(f"stopped early {cue(text='never heard', first_token_delay=60)}")
    chat.sees("asked|thinking")
    place.asked("stopped early")
    chat.presses("Escape")
    chat.sees("^stopped$")
    assert place.truth("stopped early").ended == "closed_by_peer"
    chat.asks("hello")
    chat.sees_the_end(2)


def test_enter_sends_and_shift_enter_makes_a_line(chat: Chat) -> None:
    chat.page.keyboard.type("north,31")  # the message has the focus from the beginning
    chat.presses("Shift+Enter")
    chat.page.keyboard.type("south,22")
    expect(chat.turns).to_have_count(0)
    chat.presses("Enter")
    chat.sees_the_end()
    expect(chat.said).to_have_text("north,31\nsouth,22")
    expect(chat.prompt).to_have_value("")


def test_thoughts_are_shown_apart(chat: Chat, place: Place) -> None:
    chat.asks(f"think first {cue(reasoning='Let me see. ' * 20, text='Yes.', pace=0.02)}")
    thoughts = chat.turn.locator(".thinking")
    expect(thoughts.locator("summary")).to_contain_text("Let me see.")
    chat.sees_the_end()
    assert chat.text == "Yes."
    thoughts.locator("summary").click()
    expect(thoughts.locator("p")).to_contain_text("Let me see. " * 19)


def test_a_tool_call_is_shown_with_its_arguments(chat: Chat) -> None:
    chat.asks(f"add {cue(tool_calls=[{'name': 'add', 'arguments': {'first': 1, 'second': 2}}], pace=0.02)}")
    chat.sees("^wants a tool$")
    expect(chat.turn.locator(".call")).to_contain_text("wants to call add")
    expect(chat.turn.locator(".call pre")).to_have_text('{"first": 1, "second": 2}')


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_all_of_it_without_sideways_scrolling(open_chat: OpenChat, scheme: str) -> None:
    chat = open_chat(viewport={"width": 390, "height": 800}, color_scheme=scheme, has_touch=True, is_mobile=True)
    wide = f"{'counts' * 20}\n\n```\n{'x' * 300}\n```\n\n| {' | '.join('abcdefgh')} |\n|{'-|' * 8}\n| {'wide ' * 40}|\n"
    chat.asks(f"{'unbroken' * 20} {cue(text=wide)}")
    chat.sees_the_end()
    assert chat.page.evaluate("document.documentElement.scrollWidth") <= 390
    assert chat.page.evaluate("document.querySelector('.scroll').scrollWidth") <= 390


def test_a_drawer_holds_the_list_on_a_phone(open_chat: OpenChat) -> None:
    chat = open_chat(viewport={"width": 390, "height": 800}, has_touch=True, is_mobile=True)
    chat.asks("A drawer of papers")
    chat.sees_the_end()
    expect(chat.sidebar).to_be_hidden()
    chat.clicks("The list of conversations")
    expect(chat.sidebar).to_be_visible()
    chat.clicks("New conversation", within=chat.sidebar)
    expect(chat.sidebar).to_be_hidden()
    expect(chat.page.locator(".welcome")).to_be_visible()
    chat.clicks("The list of conversations")
    chat.entry("A drawer of papers").get_by_role("link").click()
    expect(chat.sidebar).to_be_hidden()
    expect(chat.said).to_have_text("A drawer of papers")
    chat.clicks("The list of conversations")
    chat.page.locator(".shade").click(position={"x": 380, "y": 400})
    expect(chat.sidebar).to_be_hidden()
