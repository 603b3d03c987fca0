"""What an answer will use, as well as can be known before it begins.

The prompt is measured in bytes, and how many of them make a token is learnt for each model from what its answers turned
out to use. For the answer the client's own `max_tokens` counts, for it is the most that can come; without one, what answers of
that model took lately. Pure.
"""

from __future__ import annotations

from typing import NamedTuple

from penstock.wire.events import Usage

BYTES_PER_TOKEN = 4.0
OUTPUT_TOKENS = 500.0
"""Both until something else is known."""

WEIGHT = 1 / 16
"""How much the latest answer changes what is expected of the next."""

LEAST_BYTES = 64
"""In a shorter prompt the tokens that no text was written for outweigh the others."""


class Expected(NamedTuple):
    """Tokens that an answer will use."""

    input: int
    output: int

    @property
    def total(self) -> int:
        return self.input + self.output


class Forecast:
    """What is expected of one model."""

    __slots__ = ("_bytes_per_token", "_output")

    def __init__(self) -> None:
        self._bytes_per_token = BYTES_PER_TOKEN
        self._output = OUTPUT_TOKENS

    def expect(self, prompt_bytes: int, max_tokens: int | None, choices: int = 1) -> Expected:
        """For a prompt of so many UTF-8 bytes, and so many answers to it."""
        output = round(self._output) if max_tokens is None else max(0, max_tokens)
        return Expected(-int(-prompt_bytes // self._bytes_per_token), output * choices)

    def learn(self, prompt_bytes: int, usage: Usage) -> None:
        """What an answer really used. An estimate teaches nothing."""
        if usage.source != "final":
            return
        if usage.input_tokens and prompt_bytes >= LEAST_BYTES:
            # Within bounds: a prompt may be mostly images, which have no bytes here.
            told = min(max(prompt_bytes / usage.input_tokens, 1.0), 8.0)
            self._bytes_per_token += (told - self._bytes_per_token) * WEIGHT
        if usage.output_tokens is not None:
            self._output += (usage.output_tokens - self._output) * WEIGHT
