"""Quoting a stranger's text inside Markdown so that it stays a quotation, whatever is in it. Pure and bounded."""

from __future__ import annotations

import re

EXCERPT_CHARACTERS = 600
EXCERPT_LINES = 12

_CONTROLS = {code: 0x2400 + code for code in range(0x20) if code not in (0x09, 0x0A)} | {0x7F: 0x2421}
_C1 = dict.fromkeys(range(0x80, 0xA0), 0xFFFD)
_SURROGATES = dict.fromkeys(range(0xD800, 0xE000), 0xFFFD)
_DIRECTION = dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A)])
_SEPARATORS = {0x2028: 0x0A, 0x2029: 0x0A}
_VISIBLE = _CONTROLS | _C1 | _SURROGATES | _DIRECTION | _SEPARATORS

_PLAIN_LINE = re.compile(r"[^\W\d_][\w .,?!'’;:()%-]{0,199}")
_TICKS = re.compile(r"`+")


def visible(text: str) -> str:
    """Make what cannot be seen visible (NUL becomes ␀) and drop what would turn the page's reading direction."""
    return text.replace("\r\n", "\n").replace("\r", "\n").translate(_VISIBLE)


def excerpt(text: str, characters: int = EXCERPT_CHARACTERS, lines: int = EXCERPT_LINES) -> str:
    """The beginning of the text, made visible: at most this many characters and lines, `…` where more was cut off."""
    head = visible(text[:characters])
    rows = head.split("\n")
    if len(text) > characters or len(rows) > lines:
        return "\n".join(rows[:lines]) + "…"
    return head


def fence(text: str, language: str = "text") -> str:
    """A code block that the text cannot close: its fence is longer than any run of backticks inside."""
    longest = max((len(run) for run in _TICKS.findall(text)), default=0)
    ticks = "`" * max(3, longest + 1)
    return f"{ticks}{language}\n{text}\n{ticks}"


def quote(text: str) -> str:
    """Quote an excerpt: as a Markdown quotation when it is one line of ordinary prose, else as a code block."""
    part = excerpt(text).strip("\n")
    if _PLAIN_LINE.fullmatch(part) and "_" not in part:
        return f"> {part}"
    return fence(part)


def span(text: str, characters: int = 60) -> str:
    """The text as inline code on one line, safe in a table's cell too: look-alikes stand for backtick and bar."""
    part = " ".join(excerpt(text, characters, 3).split())
    return f"`{part.replace('`', 'ˋ').replace('|', '¦') or ' '}`"
