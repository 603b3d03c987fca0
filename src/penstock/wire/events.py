"""Events: the facts an answer is made of, and the closed set of ways it can end.

A stream is a sequence of events: one `Start`, any number of `Token`, `Reasoning`, `Refusal`, `ToolCall`, `Finish`
and `Segment`, at most one `Usage`, and exactly one last one, `Done` or `Error`. The native dialect writes them to the wire
as they are; every other dialect translates to and from them.
"""

from __future__ import annotations

from typing import Literal, get_args

import msgspec

DoneOutcome = Literal["completed", "length", "tool_calls", "content_filter", "cancelled"]
"""Outcomes told by `done`. Every other outcome is told by `error`: a cut or stalled upstream is never a `done`."""

Outcome = Literal[
    DoneOutcome,
    "abandoned",
    "upstream_error",
    "upstream_truncated",
    "stalled",
    "limit_exceeded",
    "interrupted",
    "refused",
]
"""How a stream ended: the same word on the wire, in the ledger, in the metrics and in the trace."""

DONE_OUTCOMES: frozenset[str] = frozenset(get_args(DoneOutcome))

UsageSource = Literal["final", "estimated", "unknown"]


class Start(msgspec.Struct, frozen=True):
    """The answer begins. `stream` is the stream's id, `model` the public model name the client asked for."""

    stream: str
    model: str


class Token(msgspec.Struct, frozen=True, omit_defaults=True):
    """A piece of the answer's text, of choice `index` when several were asked for."""

    text: str
    index: int = 0


class Reasoning(msgspec.Struct, frozen=True, omit_defaults=True):
    """A piece of the model's visible thinking."""

    text: str
    index: int = 0


class Refusal(msgspec.Struct, frozen=True, omit_defaults=True):
    """A piece of the model's refusal to answer (the model's own words; not the gateway's)."""

    text: str
    index: int = 0


class ToolCall(msgspec.Struct, frozen=True, omit_defaults=True):
    """A piece of a tool call. `index` numbers the calls of one choice; `id` and `name` come once, `arguments` in pieces."""

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""
    choice: int = 0


class Finish(msgspec.Struct, frozen=True, omit_defaults=True):
    """One choice ended, and why, in the outcome's words. The stream itself goes on until `Done` or `Error`."""

    reason: Literal["completed", "length", "tool_calls", "content_filter"]
    index: int = 0


class Segment(msgspec.Struct, frozen=True):
    """Another upstream goes on with the answer, where the one before broke off. The first segment, 1, is not announced."""

    number: int


class Usage(msgspec.Struct, frozen=True):
    """Tokens used. `None` means that nobody said; an explicit zero stays zero.

    `input_tokens` counts the whole prompt, what was read from and written to the provider's cache included; `output_tokens`
    the whole answer, its reasoning included.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    source: UsageSource = "final"
    cache_write_tokens: int | msgspec.UnsetType = msgspec.UNSET
    """Only where the provider tells it: most know no such thing."""


class Error(msgspec.Struct, frozen=True):
    """The last event of an answer that did not end well. `code` is a stable word, `message` is for people.

    `retryable` says whether the same request may succeed if sent again; what was received so far stays valid.
    """

    code: str
    message: str
    retryable: bool
    outcome: Outcome


class Done(msgspec.Struct, frozen=True, omit_defaults=True):
    """The last event of an answer that ended as it should, or that was cancelled by its reader.

    After a cancel that told what was seen, `kept` is that offset: the answer's text is the text up to it, and the offsets
    between it and this event belong to what was produced but never shown to the person who stopped.
    """

    outcome: DoneOutcome
    kept: int | None = None


NAMES: dict[type, str] = {
    Start: "start",
    Token: "token",
    Reasoning: "reasoning",
    Refusal: "refusal",
    ToolCall: "tool_call",
    Finish: "finish",
    Segment: "segment",
    Usage: "usage",
    Error: "error",
    Done: "done",
}
"""The event's word on the wire."""

Event = Start | Token | Reasoning | Refusal | ToolCall | Finish | Segment | Usage | Error | Done
Terminal = Error | Done
