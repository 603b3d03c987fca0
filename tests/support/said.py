"""What an answer says: reasoning, text and calls of tools, in the order in which they were said."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

Kind = Literal["reasoning", "text", "call"]


class Piece(NamedTuple):
    """What one block says."""

    kind: Kind
    words: str = ""
    """Of a call: its arguments."""
    key: object = None
    """Pieces of one part have it in common. None: such a piece goes on with what was said last, if that is of its kind."""
    id: str = ""
    name: str = ""
    again: bool = False
    """No more words, but all words of the part once more, as some dialects end their parts."""


class Part(NamedTuple):
    """Reasoning or text up to where something else is said; or one call."""

    kind: Kind
    words: str
    id: str = ""
    name: str = ""
    blocks: int = 1
    """How many blocks had words of it."""

    @property
    def value(self) -> Any:
        """What a call's arguments mean; None for what is no JSON object, such as half of one."""
        return object_of(self.words) if self.kind == "call" else None


def only_text(words: str) -> list[Part]:
    """An answer that is text, and nothing else."""
    return [Part("text", words)] if words else []


def parts_of(pieces: Iterable[Piece]) -> list[Part]:
    """The parts that these pieces make."""
    parts: list[Part] = []
    places: dict[tuple[Kind, object], int] = {}
    for piece in pieces:
        if not piece.words and piece.kind != "call":
            continue
        place = places.get((piece.kind, piece.key)) if piece.key is not None else _last(parts, piece.kind)
        if place is None:
            places[piece.kind, piece.key] = len(parts)
            parts.append(Part(piece.kind, piece.words, piece.id, piece.name, int(bool(piece.words))))
        elif piece.again:
            if not _same(parts[place], piece.words):  # both are kept: that is no part of any answer
                parts[place] = parts[place]._replace(words=f"{parts[place].words!r} and then {piece.words!r}")
        else:
            part = parts[place]
            blocks = part.blocks + bool(piece.words)
            id, name = part.id or piece.id, part.name or piece.name
            parts[place] = Part(part.kind, part.words + piece.words, id, name, blocks)
    return merged(parts)


def merged(parts: Iterable[Part]) -> list[Part]:
    """With text that follows text, and reasoning that follows reasoning, as one part."""
    made: list[Part] = []
    for part in parts:
        if part.kind != "call" and made and made[-1].kind == part.kind:
            before = made.pop()
            part = part._replace(words=before.words + part.words, blocks=before.blocks + part.blocks)
        made.append(part)
    return made


def words_of(parts: Sequence[Part], kind: Kind | None = None) -> str:
    """All words, or those of one kind."""
    return "".join(part.words for part in parts if kind in (None, part.kind))


def differs(told: Part, true: Part, *, last: bool, values: bool) -> str | None:
    """How a part that was told is not the true one; None if it is. The `last` one may be its beginning only.

    `values`: the dialect has arguments as JSON, not as text, so that they can only be compared by what they mean.
    """
    if (told.kind, told.id, told.name) != (true.kind, true.id, true.name):
        return f"other {told.kind}: {told[:4]}, not {true[:4]}"
    if values and told.kind == "call":
        return None if told.value is not None and told.value == true.value else f"other arguments: {told}, not {true}"
    if told.words == true.words or (last and true.words.startswith(told.words)):
        return None
    pairs = enumerate(zip(told.words, true.words, strict=False))
    at = next((n for n, (a, b) in pairs if a != b), min(len(told.words), len(true.words)))
    return f"other {told.kind} from character {at} on: {told.words[at : at + 40]!r}, not {true.words[at : at + 40]!r}"


def object_of(words: str) -> Any:
    """The JSON object in words; None if they are none."""
    try:
        value = json.loads(words)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _last(parts: Sequence[Part], kind: Kind) -> int | None:
    return len(parts) - 1 if parts and parts[-1].kind == kind else None


def _same(part: Part, words: str) -> bool:
    return part.words == words or (part.value is not None and part.value == object_of(words))
