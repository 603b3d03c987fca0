"""Who can't see or can't point: axe-core finds nothing, and a screen reader is told what matters, once."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.chat import Chat, OpenChat
from tests.browser.place import DEADLINE, Place, cue

AXE = (Path(__file__).parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js").read_text("utf-8")

ANSWER = """\
# A heading

Words with `code`, a [link](https://example.com/) and **weight**.

- one
- two

| gate | flow |
|------|-----:|
| north | 31 |

```python
def flow():  # a comment
    return "water", 42
```
"""


@pytest.fixture(scope="module")
def full(place: Place, browser: Browser) -> str:
    """The address of a conversation with one of everything."""
    context = browser.new_context()
    chat = Chat(context, place.url).open()
    chat.asks(f"one of everything {cue(text=ANSWER, reasoning='It is thought about.')}")
    chat.sees_the_end(1)
    chat.asks(f"a tool {cue(tool_calls=[{'name': 'add', 'arguments': {'first': 1}}])}")
    chat.sees("^wants a tool$")
    chat.asks(f"a failure {cue(text='half of it', error_after=1)}")
    expect(chat.trouble).to_be_visible(timeout=DEADLINE)
    chat.clicks("Two models side by side")
    chat.asks(f"both of you {cue(text='both of us')}")
    expect(chat.page.locator(".beside .state")).to_have_text(["complete", "complete"], timeout=DEADLINE)
    path = chat.path
    context.close()
    return path


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(open_chat: OpenChat, full: str, scheme: str, width: int) -> None:
    chat = open_chat(viewport={"width": width, "height": 900}, color_scheme=scheme)
    found = {"welcome": chat.axe(AXE)}
    chat.open(full)
    expect(chat.answers).to_have_count(5)
    found["conversation"] = chat.axe(AXE)
    for name, title, key in (("Settings", "Settings", None), ("", "Keys", "Control+/")):
        if key:
            chat.prompt.focus()
            chat.presses(key)
        else:
            if width < 500:
                chat.clicks("The list of conversations")
            chat.clicks(name)
        expect(chat.page.get_by_role("dialog", name=title)).to_be_visible()
        found[title] = chat.axe(AXE)
        chat.presses("Escape")
        expect(chat.page.get_by_role("dialog")).to_have_count(0)
    more_about(chat, "one of everything")
    found["list"] = chat.axe(AXE)
    assert {name: violations for name, violations in found.items() if violations} == {}


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_what_is_being_done(open_chat: OpenChat, scheme: str, width: int) -> None:
    """What is there only for a while: an answer that is coming, what waits for it, and every little form."""
    chat = open_chat(viewport={"width": width, "height": 900}, color_scheme=scheme)
    name = f"in {scheme}, {width} wide"
    chat.asks(f"{name} {cue(text=ANSWER * 20, reasoning='It is thought about.', pace=0.05)}")
    chat.reads_until("A heading")
    chat.asks("the next one")
    expect(chat.page.get_by_role("list", name="Sent after this answer")).to_be_visible()
    found = {"streaming": chat.axe(AXE)}
    assert not chat.ended
    chat.clicks("Do not send it")
    chat.clicks("Stop")
    chat.sees("^stopped$")
    chat.clicks("Edit: asks again, in another branch")
    expect(chat.page.get_by_role("textbox", name="Your message, changed")).to_be_focused()
    found["editing"] = chat.axe(AXE)
    chat.presses("Escape")
    more_about(chat, name)
    chat.clicks("Rename")
    expect(chat.page.get_by_role("textbox", name="The conversation's name")).to_be_focused()
    found["naming"] = chat.axe(AXE)
    chat.presses("Escape")
    more_about(chat, name)
    chat.clicks("Delete")
    expect(chat.page.get_by_role("group", name=f"Delete {name}")).to_be_visible()
    found["removing"] = chat.axe(AXE)
    assert {name: violations for name, violations in found.items() if violations} == {}


def more_about(chat: Chat, title: str) -> None:
    """Open what can be done with a conversation in the list, which a narrow page shows only when asked."""
    if not chat.sidebar.is_visible():
        chat.clicks("The list of conversations")
    entry = chat.entry(title)
    entry.hover()
    entry.locator("summary").click()
    expect(entry.get_by_role("button", name="Rename")).to_be_visible()


def test_axe_would_find_something(chat: Chat) -> None:
    chat.page.evaluate(
        "document.querySelector('main').append(document.createElement('img'), document.createElement('button'))"
    )
    assert {name for name, *_ in chat.axe(AXE)} >= {"image-alt", "button-name"}


RECORD = """() => {
  window.told = [];
  const region = document.querySelector("[aria-live=polite]");
  const heard = () => window.told.push(region.textContent);
  new MutationObserver(heard).observe(region, { childList: true, characterData: true, subtree: true });
}"""


def told(chat: Chat) -> list[str]:
    found: list[str] = chat.page.evaluate("window.told.filter((words) => words)")
    return found


def choose(chat: Chat, pacing: str) -> None:
    chat.clicks("Settings")
    chat.page.get_by_role("radio", name=pacing).check()
    chat.presses("Escape")
    expect(chat.page.get_by_role("dialog")).to_have_count(0)


def test_the_beginning_and_the_end_are_told_once(chat: Chat) -> None:
    expect(chat.page.locator("[aria-live=polite]")).to_have_count(1)
    chat.asks("hello")  # the first message makes the conversation
    chat.sees_the_end(1)
    chat.page.evaluate(RECORD)
    chat.asks(f"tell me {cue(text='One sentence. And another one, that is longer. ' * 5, reasoning='Hm.', pace=0.03)}")
    expect(chat.answers).to_have_count(2)
    expect(chat.turn).to_have_attribute("aria-busy", "true")
    chat.sees_the_end(2)
    expect(chat.spoken).to_have_text("The answer is complete.")
    assert told(chat) == ["The answer is coming.", "The answer is complete."]


def test_nothing_is_told_to_who_wants_nothing(chat: Chat) -> None:
    choose(chat, "Nothing")
    chat.asks("hello")
    chat.sees_the_end(1)
    chat.page.evaluate(RECORD)
    chat.asks(f"be quiet {cue(text='One sentence. And another.', pace=0.03)}")
    chat.sees_the_end(2)
    chat.page.wait_for_timeout(200)
    assert told(chat) == []


def test_each_sentence_is_told_once(chat: Chat) -> None:
    choose(chat, "Each sentence")
    chat.asks("hello")
    chat.sees_the_end(1)
    chat.page.evaluate(RECORD)
    text = " ".join(f"This is sentence number {number}, and it has some words." for number in range(8))
    chat.asks(f"read it to me {cue(text=text, pace=0.03)}")
    chat.sees_the_end(2)
    expect(chat.spoken).to_contain_text("The answer is complete.")
    spoken = told(chat)
    assert spoken[0] == "The answer is coming."
    assert len(spoken) > 4
    heard = " ".join(" ".join(spoken[1:]).removesuffix("The answer is complete.").split())
    assert heard == text
