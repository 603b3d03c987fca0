"""Errors of the `ui-messages` dialect: before the first byte as a status and a body, after it as an `error` part.

The client shows the body of a refusal as it is, and of an `error` its `errorText`; nobody has agreed on more.
"""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.dialects.base import BROKEN_JSON
from penstock.exceptions import Refused, UpstreamFailed
from penstock.wire.events import Done, Error, Terminal

DONE = b"data: [DONE]\n\n"


class _Detail(msgspec.Struct):
    message: str | None = None
    code: str | int | None = None


class _Body(msgspec.Struct):
    error: _Detail | str | None = None
    message: str | None = None


_decode_body = msgspec.json.Decoder(_Body).decode


def error_body(refused: Refused) -> bytes:
    """What a client is told instead of an answer: `{"error": {"code", "message", "retryable", "param"?}}`."""
    error: dict[str, Any] = {"code": refused.code, "message": refused.message, "retryable": refused.retryable}
    if refused.param is not None:
        error["param"] = refused.param
    return msgspec.json.encode({"error": error})


def read_error(status: int, body: bytes, retry_after: float | None) -> UpstreamFailed:
    """What an upstream's refusal means to our client.

    A fault of the request (400, 404, 413, 422) keeps its status and the upstream's words. A limit keeps 429 and its
    Retry-After. A fault of the gateway's own credentials is not the client's: 502, and the upstream's words stay inside.
    """
    said, code = _said(body)
    if status in (400, 404, 413, 422):
        return UpstreamFailed(status, code[:64] or "upstream_rejected", said or f"the upstream answered {status}")
    if status == 429:
        message = said or "the upstream's rate limit is reached"
        return UpstreamFailed(429, "upstream_rate_limited", message, retry_after=retry_after)
    if status in (401, 403):
        return UpstreamFailed(502, "upstream_error", "the upstream refused the gateway's credentials", retryable=False)
    return UpstreamFailed(502, "upstream_error", f"the upstream answered {status}", retry_after=retry_after)


def _said(body: bytes) -> tuple[str, str]:
    """The words and the code of a refusal. Routes are written by hand: most answer JSON or a line of plain text."""
    try:
        told = _decode_body(body)
    except msgspec.ValidationError:
        return "", ""
    except BROKEN_JSON:
        text = body.decode("utf-8", "replace").strip()
        plain = text.isprintable() and not text.startswith(("<", "{", "["))
        return (text[:500] if plain else ""), ""
    detail = _Detail(told.error) if isinstance(told.error, str) else told.error or _Detail()
    code = detail.code if isinstance(detail.code, str) else ""
    return (detail.message or told.message or "").strip()[:500], code


def failed(message: str | None) -> Error:
    """What an upstream's `error` or `abort` means to the stream."""
    text = (message or "").strip()[:500] or "the upstream reported an error"
    return Error("upstream_error", text, retryable=True, outcome="upstream_error")


def error_blocks(last: Terminal) -> list[bytes]:
    """The last blocks of an answer that did not end well. Parts that are open stay open: they are not whole."""
    if isinstance(last, Done):
        return [b'data: {"type":"abort"}\n\n', DONE]
    return [b"data: %b\n\n" % msgspec.json.encode({"type": "error", "errorText": last.message}), DONE]
