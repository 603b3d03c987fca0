"""Errors in a stream of the `openai-responses` dialect. Before the first byte they are those of chat completions."""

from __future__ import annotations

import msgspec

from penstock.wire.events import Done, Error, Terminal


class Told(msgspec.Struct):
    """An error, as `response.failed` and `error` tell it."""

    code: str | None = None
    message: str | None = None


def read_told(told: Told | None) -> Error:
    """What an upstream's error in the stream means to it."""
    message = ((told.message if told else None) or "").strip()[:500] or "the upstream reported an error"
    return Error("upstream_error", message, retryable=True, outcome="upstream_error")


def error_block(last: Terminal, number: int) -> bytes:
    """The last block of an answer that did not end well. A cancelled stream says so as an error."""
    if isinstance(last, Done):
        last = Error("cancelled", "the stream was cancelled", retryable=False, outcome=last.outcome)
    told = {
        "type": "error",
        "sequence_number": number,
        "code": last.code,
        "message": last.message,
        "param": None,
        "retryable": last.retryable,
        "outcome": last.outcome,
    }
    return b"event: error\ndata: %b\n\n" % msgspec.json.encode(told)
