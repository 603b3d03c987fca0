"""Errors in a stream of the `openai-responses` dialect. Before the first byte they are those of chat completions."""

from __future__ import annotations

import msgspec

from penstock.dialects.base import BROKEN_JSON
from penstock.wire.events import Done, Error, Terminal

_NO_USE_TO_REPEAT = frozenset(
    (
        "bio_policy",
        "context_length_exceeded",
        "data_residency_mismatch",
        "image_content_policy_violation",
        "image_too_large",
        "image_too_small",
        "insufficient_quota",
        "model_not_found",
        "unsupported_image_media_type",
    )
)
"""Codes of errors that the same request would meet again, besides all `invalid_...`."""


class Told(msgspec.Struct):
    """An error, as `response.failed` and `error` tell it."""

    code: str | int | None = None
    message: str | None = None


_decode_told = msgspec.json.Decoder(Told | str | None).decode


def read_told(raw: msgspec.Raw, beside: Told | None = None) -> Error:
    """What an upstream's error in the stream means to it: `raw` is its `error`, empty if it has none.

    `beside` is what stands there without one: the reference has it so for `error`, and servers send both.
    """
    try:
        told = _decode_told(raw) if bytes(raw) else None
    except BROKEN_JSON:
        told = None
    told = Told(message=told) if isinstance(told, str) else told or beside or Told()
    message = (told.message or "").strip()[:500] or "the upstream reported an error"
    lasting = isinstance(told.code, str) and (told.code in _NO_USE_TO_REPEAT or told.code.startswith("invalid_"))
    return Error("upstream_error", message, retryable=not lasting, outcome="upstream_error")


def error_block(last: Terminal, number: int) -> bytes:
    """The last block of an answer that did not end well. A cancelled stream says so as an error.

    The reference has code and message beside `type`; the provider sends them in `error`, and the official clients raise
    only for that: others would take the answer for whole. So it is told in both places.
    """
    if isinstance(last, Done):
        last = Error("cancelled", "the stream was cancelled", retryable=False, outcome=last.outcome)
    error = {"code": last.code, "message": last.message, "param": None}
    told = {
        "type": "error",
        "sequence_number": number,
        **error,
        "error": {"type": "server_error", **error},
        "retryable": last.retryable,
        "outcome": last.outcome,
    }
    return b"event: error\ndata: %b\n\n" % msgspec.json.encode(told)
