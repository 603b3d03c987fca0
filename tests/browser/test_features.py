"""What can be done with a conversation: branches, other models, waiting messages, names, search, files."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

from playwright.sync_api import Browser, expect

from tests.browser.chat import Chat, OpenChat
from tests.browser.place import Place, cue, opened


def test_answering_again_makes_branches_that_stay(chat: Chat) -> None:
    chat.asks(f"again {cue(text='one way', times=1)} {cue(text='another way')}")
    chat.sees_the_end(1)
    chat.turn.get_by_label("Answer again").click()
    chat.clicks("Again with brook")
    expect(chat.answer).to_have_text("another way")
    chat.sees_the_end(1)
    expect(chat.turn.locator(".branches")).to_have_text("2/2")
    with chat.page.expect_response(lambda response: response.request.method == "PATCH"):
        chat.clicks("The branch before")
    expect(chat.answer).to_have_text("one way")
    chat.reloads()
    expect(chat.answer).to_have_text("one way")
    expect(chat.turn.locator(".branches")).to_have_text("1/2")


def test_an_edit_asks_again_in_another_branch(chat: Chat) -> None:
    chat.asks("my first words")
    chat.sees_the_end(1)
    chat.page.locator("article.person").hover()
    chat.clicks("Edit: asks again, in another branch")
    box = chat.page.get_by_label("Your message, changed")
    expect(box).to_be_focused()
    box.fill("my better words")
    box.press("Enter")
    expect(chat.said).to_have_text("my better words")
    chat.sees_the_end(1)
    expect(chat.answer).to_have_text("You said: my better words")
    chat.page.locator("article.person").hover()
    chat.clicks("The branch before", within=chat.page.locator("article.person"))
    expect(chat.said).to_have_text("my first words")
    expect(chat.answer).to_have_text("You said: my first words")


def test_an_edit_can_be_left(chat: Chat) -> None:
    chat.asks("these words stay")
    chat.sees_the_end(1)
    chat.page.locator("article.person").hover()
    chat.clicks("Edit: asks again, in another branch")
    chat.page.get_by_label("Your message, changed").fill("never mind")
    chat.presses("Escape")
    expect(chat.said).to_have_text("these words stay")


def test_two_models_answer_side_by_side_and_one_goes_on(chat: Chat, place: Place) -> None:
    chat.clicks("Two models side by side")
    expect(chat.page.get_by_role("combobox", name="Second model")).to_have_value("creek")
    chat.asks(
        f"to both {cue(model='brook', text='says brook', pace=0.05)} {cue(model='creek', text='says creek', pace=0.1)}"
    )
    expect(chat.page.locator(".beside article")).to_have_count(2)
    expect(chat.page.locator(".beside .answer")).to_have_text(["says brook", "says creek"])
    expect(chat.page.locator(".beside .state")).to_have_text(["complete", "complete"])
    chat.clicks("Two models side by side")
    with chat.page.expect_response(lambda response: response.request.method == "PATCH"):
        chat.clicks("Go on with this one")
    chat.asks("and then?")
    expect(chat.answers).to_have_count(3)
    chat.sees_the_end()
    (asked,) = place.sim_requests("and then?")
    assert asked.body["messages"][1] == {"role": "assistant", "content": "says creek"}
    assert place.asked("to both") == 2
    chat.reloads()
    expect(chat.page.locator(".beside .answer")).to_have_text(["says brook", "says creek"])


def test_side_by_side_on_a_phone_one_is_seen_whole(open_chat: OpenChat) -> None:
    chat = open_chat(viewport={"width": 390, "height": 844})
    chat.clicks("Two models side by side")
    chat.asks(f"in a narrow place {cue(text='```' + chr(10) + 'a line that is far too long, ' * 9 + chr(10) + '```')}")
    expect(chat.page.locator(".beside .state")).to_have_text(["complete", "complete"])
    first, second = (one.bounding_box() for one in chat.page.locator(".beside article").all())
    assert first is not None
    assert second is not None
    assert first["x"] >= 0
    assert first["x"] + first["width"] < 390
    assert second["x"] < 390, "the other one is seen to be there"


def test_a_model_for_each_message(chat: Chat, place: Place) -> None:
    chat.asks("for the first model")
    chat.sees_the_end(1)
    chat.page.get_by_role("combobox", name="Model", exact=True).select_option("creek")
    chat.asks("for the second model")
    chat.sees_the_end(2)
    expect(chat.answers.locator(".who")).to_have_text(["brook", "creek"])
    chat.reloads()
    expect(chat.answers.locator(".who")).to_have_text(["brook", "creek"])
    expect(chat.page.get_by_role("combobox", name="Model", exact=True)).to_have_value("creek")


def test_messages_wait_for_their_turn(chat: Chat, place: Place) -> None:
    chat.asks(f"takes its time {cue(tokens=60, pace=0.05)}")
    chat.reads_words(2)
    chat.asks("waits and is changed")
    chat.asks("waits and is taken back")
    waiting = chat.page.get_by_label("A message that waits")
    expect(waiting).to_have_count(2)
    waiting.first.fill("was changed while it waited")
    chat.clicks("Do not send it", within=chat.page.locator(".queue li").last)
    expect(waiting).to_have_count(1)
    chat.sees_the_end(2)
    expect(waiting).to_have_count(0)
    assert [message["text"] for message in place.messages(chat.id)][2] == "was changed while it waited"
    assert len(place.messages(chat.id)) == 4


def test_a_conversation_is_renamed_found_and_deleted(chat: Chat, place: Place) -> None:
    chat.asks("barnacles and limpets")
    chat.sees_the_end(1)
    menu(chat, "barnacles", "Rename")
    chat.page.get_by_label("The conversation's name").fill("On shells")
    chat.presses("Enter")
    expect(chat.entry("On shells")).to_have_count(1)
    expect(chat.page.get_by_role("heading", level=1)).to_have_text("On shells")
    search = chat.page.get_by_role("searchbox")
    search.fill("limpets")
    expect(chat.sidebar.locator(".entry")).to_have_count(1)
    search.fill("no such thing was ever said")
    expect(chat.sidebar).to_contain_text("Nothing found.")
    search.fill("")
    menu(chat, "On shells", "Delete")
    chat.clicks("Keep")
    expect(chat.entry("On shells")).to_have_count(1)
    conversation = chat.id
    menu(chat, "On shells", "Delete")
    chat.clicks("Delete")
    expect(chat.entry("On shells")).to_have_count(0)
    expect(chat.page).to_have_url(re.compile("/$"))
    assert chat.page.request.get(f"{place.url}/v1/conversations/{conversation}").status == 404


def menu(chat: Chat, title: str, name: str) -> None:
    chat.entry(title).hover()
    chat.entry(title).locator("summary").click()
    chat.clicks(name, within=chat.entry(title))


def test_a_conversation_is_exported(chat: Chat) -> None:
    chat.asks(f"for the file {cue(text='It says this.')}")
    chat.sees_the_end(1)
    with chat.page.expect_download() as markdown:
        menu(chat, "for the file", "Export as Markdown")
    written = Path(markdown.value.path()).read_text("utf-8")
    assert "for the file" in written
    assert "It says this." in written
    assert markdown.value.suggested_filename.endswith(".md")
    with chat.page.expect_download() as data:
        menu(chat, "for the file", "Export as JSON")
    kept = json.loads(Path(data.value.path()).read_text("utf-8"))
    assert [message["text"] for message in kept["messages"]][1] == "It says this."


def test_what_was_said_can_be_copied(open_chat: OpenChat) -> None:
    chat = open_chat(permissions=["clipboard-read", "clipboard-write"])
    code = "```python\nprint('water')\n```\n"
    chat.asks(f"copy {cue(text=code)}")
    chat.sees_the_end(1)
    chat.clicks("Copy", within=chat.turn.locator(".deeds"))
    expect(chat.turn.get_by_role("button", name="Copied")).to_be_visible()
    assert chat.page.evaluate("navigator.clipboard.readText()") == code
    chat.answer.get_by_role("button").click()
    chat.page.wait_for_timeout(100)
    assert chat.page.evaluate("navigator.clipboard.readText()").rstrip("\n") == "print('water')"


def test_an_address_leads_to_its_conversation_and_back(chat: Chat, open_chat: OpenChat) -> None:
    chat.asks("by its address")
    chat.sees_the_end(1)
    other = open_chat(chat.path)
    expect(other.said).to_have_text("by its address")
    other.clicks("New conversation", within=other.sidebar)
    expect(other.said).to_have_count(0)
    other.page.go_back()
    expect(other.said).to_have_text("by its address")


def test_an_address_of_nothing_shows_nothing(open_chat: OpenChat) -> None:
    chat = open_chat("/c/0123456789abcdef")
    expect(chat.turns).to_have_count(0)
    expect(chat.prompt).to_be_editable()


def test_keys_do_what_they_say(chat: Chat) -> None:
    expect(chat.prompt).to_be_focused()
    chat.presses("Control+k")
    expect(chat.page.get_by_role("searchbox")).to_be_focused()
    chat.page.locator(".scroll").focus()
    chat.presses("/")
    expect(chat.prompt).to_be_focused()
    expect(chat.prompt).to_have_value("")
    chat.presses("Control+/")
    expect(chat.page.get_by_role("dialog", name="Keys")).to_be_visible()
    chat.presses("Escape")
    expect(chat.page.get_by_role("dialog")).to_have_count(0)
    chat.presses("Control+b")
    expect(chat.sidebar).to_be_hidden()
    chat.presses("Control+b")
    expect(chat.sidebar).to_be_visible()


def test_settings_stay_and_the_theme_changes(chat: Chat) -> None:
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    chat.clicks("Settings")
    dialog = chat.page.get_by_role("dialog", name="Settings")
    dialog.get_by_role("radio", name="Light").check()
    light = chat.page.evaluate(ground)
    dialog.get_by_role("radio", name="Dark").check()
    assert chat.page.evaluate(ground) != light
    dialog.get_by_role("radio", name="Makes a new line").check()
    chat.presses("Escape")
    chat.reloads()
    assert chat.page.evaluate("document.documentElement.dataset.theme") == "dark"
    chat.prompt.fill("a line")
    chat.prompt.press("Enter")
    expect(chat.prompt).to_have_value("a line\n")
    chat.prompt.press("Control+Enter")
    chat.sees_the_end(1)


TENANT = """
[[tenant]]
name = "a"
key_hashes = ["sha256:{}"]
"""


def test_a_server_with_tenants_asks_for_a_key(browser: Browser) -> None:
    with opened(TENANT.format(hashlib.sha256(b"sesame").hexdigest())) as guarded:
        chat = Chat(browser.new_context(), guarded.url)
        chat.page.goto(guarded.url)
        dialog = chat.page.get_by_role("dialog", name="This server asks for a key")
        expect(dialog.get_by_label("Your key")).to_be_focused()
        chat.page.keyboard.type("open")
        chat.presses("Enter")
        expect(dialog.get_by_role("status")).to_contain_text("key")
        dialog.get_by_label("Your key").fill("sesame")
        chat.presses("Enter")
        expect(dialog).to_have_count(0)
        chat.is_ready()
        chat.asks("may I?")
        chat.sees_the_end(1)
        chat.reloads()
        expect(chat.answer).to_have_text("You said: may I?")
        assert "sesame" not in chat.page.locator("main").inner_html()
        chat.context.close()
        assert not chat.complaints


def test_a_long_question_is_folded(chat: Chat) -> None:
    pasted = "\n".join(f"line {number} of what was pasted" for number in range(40))
    chat.asks(f"{pasted}\n{cue(text='I see.')}")
    chat.sees_the_end(1)
    folded = chat.said.bounding_box()
    assert folded is not None
    chat.clicks("All of it")
    expect(chat.page.get_by_role("button", name="Less")).to_have_attribute("aria-expanded", "true")
    whole = chat.said.bounding_box()
    assert whole is not None
    assert whole["height"] > 3 * folded["height"]
    chat.clicks("Less")
    assert chat.said.bounding_box() == folded
