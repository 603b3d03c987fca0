"""Answers in one piece of JSON, of any dialect: whether all that was said is in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tests.support.said import Part, words_of


def lacking(body: Any, said: Sequence[Part]) -> list[str]:
    """What is not there. Words stand in it as one string, or part by part; a call's arguments as a string or as a value."""
    inside = list(_values(body))
    strings = {value for value in inside if isinstance(value, str)}
    found = []
    for part in said:
        if part.kind != "call":
            if not {part.words, words_of(said, part.kind)} & strings:
                found.append(f"the whole answer lacks its {part.kind}: {part.words[:60]!r}")
        elif not ({part.id, part.name} <= strings and (part.words in strings or part.value in inside)):
            found.append(f"the whole answer lacks a call: {part}")
    return found


def _values(value: Any) -> Iterator[Any]:
    yield value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _values(part)
