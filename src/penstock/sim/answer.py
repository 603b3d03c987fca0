"""What an answer says, whatever wire format it is said in: pieces, in order, and why they end."""

import random
import re
import time
from collections.abc import Iterator
from typing import Literal

import msgspec

from penstock.sim.cue import Cue

Kind = Literal["text", "reasoning", "refusal", "tool_call"]

ARGUMENT_PIECE = 8  # characters of tool arguments in one piece
ENDLESS_SECONDS = 600
STAMPS = 16  # how many, where the cue gives no count

_PLAIN = [
    "river", "gate", "water", "turn", "light", "stone", "wheel", "field", "night", "paper", "wind", "road", "bridge",
    "glass", "morning", "slow", "bright", "under", "over", "every", "other", "quiet", "small", "long", "again", "never",
]  # fmt: skip
_RICH = [
    "Straße", "naïve", "Ελλάδα", "привет", "水車", "안녕", "مرحبا", "नमस्ते", "🌊", "👩🏽‍🚀", "e\u0301", "𝒳",
    '"quoted"', "back\\slash", "tab\there", "line\nbreak", "\r\n", "\u2028", "\x7f", "</script>", "data: [DONE]",
    "\n\n",
]  # fmt: skip


class Ask(msgspec.Struct, kw_only=True):
    """What a request asks for, whatever wire format it came in."""

    model: str
    prompt: str
    """Text of the last user message."""
    stream: bool = False
    choices: int = 1
    limit: int | None = None
    """Most tokens in one choice."""
    wants_usage: bool = False
    prompt_tokens: int = 0


class Piece(msgspec.Struct, gc=False, frozen=True):
    """One streamed piece of an answer: what the table of cue keys calls a token."""

    kind: Kind
    choice: int
    text: str
    tool: int = 0
    """Index of the tool call within its choice."""
    id: str = ""
    name: str = ""
    """A tool call's first piece, and only that, has `id` and `name`."""


def split_words(text: str, size: int | None = None) -> list[str]:
    """Splits a text into words, each with the space before it, or into pieces of `size` characters; nothing is lost."""
    if size is not None:
        return [text[at : at + size] for at in range(0, len(text), size)]
    return re.findall(r"\s*\S+|\s+", text)


def count_tokens(text: str) -> int:
    """How many tokens the sim says a text has."""
    return len(split_words(text))


class Answer:
    """The pieces of one answer. Those of several choices take turns, as real servers' do."""

    def __init__(self, cue: Cue, ask: Ask, seed: int = 0) -> None:
        self._cue = cue
        self._ask = ask
        self._seed = f"{seed}/{cue.seed}/{ask.prompt}"
        self._limited: set[int] = set()

    def __iter__(self) -> Iterator[Piece]:
        rows = [self._choice(number) for number in range(self._ask.choices)]
        if len(rows) == 1:
            yield from rows[0]
            return
        while rows:
            for row in list(rows):
                piece = next(row, None)
                if piece is None:
                    rows.remove(row)
                else:
                    yield piece

    def finish_reason(self, choice: int) -> str:
        """Why a choice ended, in the words of OpenAI's chat completions; true once its pieces were all taken."""
        if self._cue.finish_reason is not None:
            return self._cue.finish_reason
        if choice in self._limited:
            return "length"
        return "tool_calls" if self._cue.tool_calls else "stop"

    def _choice(self, choice: int) -> Iterator[Piece]:
        limit = self._ask.limit
        for number, piece in enumerate(self._unlimited(choice)):
            if limit is not None and number >= limit:
                self._limited.add(choice)
                return
            yield piece

    def _unlimited(self, choice: int) -> Iterator[Piece]:
        cue = self._cue
        for text in split_words(cue.reasoning or "", cue.token_size):
            yield Piece("reasoning", choice, text)
        for text in split_words(cue.refusal or "", cue.token_size):
            yield Piece("refusal", choice, text)
        for text in self._texts(choice):
            yield Piece("text", choice, text)
        for tool, call in enumerate(cue.tool_calls or ()):
            arguments = call.argument_text()
            name = call.id or f"call_{choice}_{tool}"
            first = arguments[:ARGUMENT_PIECE]
            yield Piece("tool_call", choice, first, tool, name, call.name)
            for at in range(ARGUMENT_PIECE, len(arguments), ARGUMENT_PIECE):
                yield Piece("tool_call", choice, arguments[at : at + ARGUMENT_PIECE], tool)

    def _texts(self, choice: int) -> Iterator[str]:
        cue = self._cue
        if cue.text is not None:
            yield from split_words(cue.text, cue.token_size)
        elif cue.pieces is not None:
            yield from cue.pieces
        elif cue.stamp:
            padding = "." * cue.pad + " "
            for _ in self._turns(STAMPS):
                yield str(time.monotonic_ns()) + padding
        elif cue.endless or cue.tokens is not None:
            words = self._words(choice)
            for _ in self._turns(0):
                yield next(words)
        elif not cue.tool_calls and cue.refusal is None:
            said = " ".join(self._ask.prompt.split()[:64])
            yield from split_words(f"You said: {said}" if said else "You said nothing.", cue.token_size)

    def _turns(self, otherwise: int) -> Iterator[None]:
        """Once for every token to make."""
        if not self._cue.endless:
            for _ in range(otherwise if self._cue.tokens is None else self._cue.tokens):
                yield
            return
        deadline = time.monotonic() + ENDLESS_SECONDS
        while time.monotonic() < deadline:
            yield

    def _words(self, choice: int) -> Iterator[str]:
        dice = random.Random(f"{self._seed}/{choice}")
        source = _PLAIN + _RICH if self._cue.unicode else _PLAIN
        size = self._cue.token_size
        while True:
            word = dice.choice(source)
            if size is not None:
                while len(word) < size - 1:
                    word += dice.choice(source)
                word = word[: max(size - 1, 0)]
            yield word + " "
