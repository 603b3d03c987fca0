"""What the demo model says: a pure function from the messages to an answer. Bounded, whatever the messages hold.

The answer is made of the prompt itself: quoted, counted, listed, tabulated; its shape follows the prompt's. Earlier
messages show in it too, so that anyone can see that the whole context arrived. It says that it is no AI, every time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from penstock.upstreams import demo_shapes as shapes
from penstock.upstreams.demo_quote import quote, visible

READ = 16_000
"""Characters of a message that are looked at; of a longer one the answer knows the beginning and the length."""

LABEL = "*Penstock's built-in demo model: no AI, only your own words, streamed.*"

_GREETING = re.compile(
    r"(hi|hello|hey|hallo|hola|salut|bonjour|ciao|moin|servus|good (morning|evening|day)|thanks?|thank you)\b", re.I
)
_QUESTION = re.compile(
    r"(who|what|when|where|why|how|which|whose|is|are|can|could|do|does|did|will|would|should)\b", re.I
)
_CODE_ASKED = re.compile(
    r"\b(code|script|program|function|python|javascript|typescript|rust|sql|regex|snippet)\b", re.I
)
_CODE_SENT = re.compile(
    r"```|^[ \t]*(?:def \w+\(|class \w+[:({]|import \w+|from \S+ import|function\b|const \w+|let \w+ ?=|"
    r"#include|SELECT\b|fn \w+\()",
    re.M,
)
_LIST_ASKED = re.compile(r"\b(list|bullets?|items|steps)\b", re.I)
_TABLE_ASKED = re.compile(r"\b(table|columns?|csv|spreadsheet)\b", re.I)
_LONG_ASKED = re.compile(r"\b(long|longer|essay|story|\d+ words)\b", re.I)


class Message(Protocol):
    """What the demo model reads of a message: who said it, and its plain text."""

    @property
    def role(self) -> str: ...
    @property
    def text(self) -> str: ...


class Answer(NamedTuple):
    reasoning: str
    text: str


def last_prompt(messages: Sequence[Message]) -> str:
    """The newest thing the person said; without any, the newest message."""
    for message in reversed(messages):
        if message.role == "user":
            return message.text
    return messages[-1].text if messages else ""


def compose(messages: Sequence[Message]) -> Answer:
    """Answer the conversation: always the same for the same messages."""
    prompt = last_prompt(messages)
    head = visible(prompt[:READ])
    name, shape = _shape(head)
    length = f"{len(prompt):,} characters" if len(prompt) > READ else shapes.count(len(head.split()), "word")
    before = shapes.count(len(messages) - 1, "message") if len(messages) > 1 else "nothing"
    reasoning = (
        f"I am a demo and cannot think, but I can look. The newest message has {length} and reads like {name}. "
        f"Before it came {before}. I will quote it, then put its words in order."
    )
    parts = [shape(head), *_context(messages), f"---\n\n{LABEL}"]
    return Answer(reasoning, "\n\n".join(parts))


def _shape(prompt: str) -> tuple[str, Callable[[str], str]]:
    """Choose the answer's shape: what was sent goes before what was asked for by name."""
    stripped = prompt.strip()
    words = len(stripped.split())
    if not stripped:
        return "silence", shapes.silence
    if words <= 4 and _GREETING.match(stripped):
        return "a greeting", shapes.greeting
    if shapes.table_rows(stripped):
        return "a table", shapes.table
    if _CODE_SENT.search(stripped):
        return "code", shapes.code
    if _LONG_ASKED.search(stripped):
        return "a wish for a long answer", shapes.long
    if _CODE_ASKED.search(stripped):
        return "a wish for code", shapes.code
    if len(shapes.list_items(stripped)) >= 3 or _LIST_ASKED.search(stripped):
        return "a list", shapes.listing
    if _TABLE_ASKED.search(stripped):
        return "a wish for a table", shapes.word_table
    if stripped.endswith("?") or _QUESTION.match(stripped):
        return "a question", shapes.question
    return "a statement", shapes.statement


def _context(messages: Sequence[Message]) -> list[str]:
    """Show that earlier messages arrived: how many, and the first of them; instructions and tool results as well."""
    parts: list[str] = []
    if messages and messages[-1].role == "tool":
        parts.append(f"The tool answered:\n\n{quote(messages[-1].text)}")
    system = next((message for message in messages[:1] if message.role in ("system", "developer")), None)
    if system is not None:
        parts.append(f"My instructions were:\n\n{quote(system.text)}")
    earlier = messages[1 if system is not None else 0 : -1]
    if earlier:
        came = "1 message came" if len(earlier) == 1 else f"{len(earlier):,} messages came"
        parts.append(f"### Before this\n\n{came} before this one. The first was:\n\n{quote(earlier[0].text)}")
    return parts
