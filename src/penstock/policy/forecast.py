"""What an answer will use, as well as can be known before it begins.

The prompt is measured in bytes, and how many of them make a token is learnt from what answers turned out to use. For the
answer the client's own `max_tokens` counts, for it is the most that can come; without one, the largest of the latest
answers. That is a guess: it is right about what is usual, and never about what an answer may do for the first time. Pure.
"""

from __future__ import annotations

from typing import NamedTuple

from penstock.wire.events import Usage

BYTES_PER_TOKEN = 4.0
"""Until something else is known."""

OUTPUT_TOKENS = 500.0
"""The same for an answer, and the least that is ever expected of one."""

ATTACHED_TOKENS = 1000
"""For an image or a file: about what providers count for a picture of the usual size, or for a page."""

WEIGHT = 1 / 16
"""How much the latest answer changes what is expected of the next."""

LEAST_BYTES = 64
"""In a shorter prompt the tokens that no text was written for outweigh the others."""


class Ask(NamedTuple):
    """What a request says of its size: UTF-8 bytes of text, the client's own `max_tokens` for each of `choices` answers."""

    prompt_bytes: int
    max_tokens: int | None = None
    choices: int = 1
    attachments: int = 0

    @property
    def bound(self) -> int:
        """The most tokens that the client lets come; 0 = it did not say."""
        return 0 if self.max_tokens is None else max(0, self.max_tokens) * self.choices


class Expected(NamedTuple):
    """Tokens that an answer will use."""

    input: int
    output: int

    @property
    def total(self) -> int:
        return self.input + self.output


class Forecast:
    """What is expected of one model, when one tenant asks it."""

    __slots__ = ("_bytes_per_token", "_output")

    def __init__(self) -> None:
        self._bytes_per_token = BYTES_PER_TOKEN
        self._output = OUTPUT_TOKENS

    def expect(self, ask: Ask) -> Expected:
        read = -int(-ask.prompt_bytes // self._bytes_per_token) + ask.attachments * ATTACHED_TOKENS
        return Expected(read, round(self._output) * ask.choices if ask.max_tokens is None else ask.bound)

    def learn(self, ask: Ask, usage: Usage) -> None:
        """What an answer really used. An estimate teaches nothing."""
        if usage.source != "final":
            return
        if usage.input_tokens and ask.prompt_bytes >= LEAST_BYTES and not ask.attachments:
            # Within bounds: an upstream's own words before the prompt may outweigh it.
            told = min(max(ask.prompt_bytes / usage.input_tokens, 1.0), 8.0)
            self._bytes_per_token += (told - self._bytes_per_token) * WEIGHT
        if usage.output_tokens is not None:
            # At once what is larger, slowly what is smaller: a mean would be passed by half of the answers.
            wrote = usage.output_tokens / ask.choices
            self._output = max(OUTPUT_TOKENS, wrote, self._output - (self._output - wrote) * WEIGHT)
