"""How an answer is delivered: as the route or the client says, or as is best for what was asked. Pure."""

from __future__ import annotations

from typing import Literal, NamedTuple

from penstock.dialects.base import Request
from penstock.streams.delivery import Delivery

Wish = Literal["stream", "buffer", "auto"]

SHORT_TOKENS = 32
"""An answer of at most so many tokens is read at one glance."""


class Choice(NamedTuple):
    """How, and why, in words for the trace."""

    delivery: Delivery
    why: str


def choose(asked: Wish | None, usual: Wish, request: Request) -> Choice:
    """What the client has `asked` for, or what is `usual` on its route. `auto` looks at the request."""
    wish = asked or usual
    if wish != "auto":
        return Choice(wish, "asked for" if asked else "the route's")
    if not request.stream:
        return Choice("buffer", "not streamed: a machine waits for the whole answer")
    if request.options.response_format is not None:
        return Choice("buffer", "structured output: a part of it is of no use")
    if request.max_tokens is not None and request.max_tokens <= SHORT_TOKENS:
        return Choice("buffer", f"a short answer, of at most {request.max_tokens} tokens")
    if request.tools:
        return Choice("tools", "tools: text as it comes, calls whole at the end")
    return Choice("stream", "text for people")
