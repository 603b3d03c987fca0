"""Errors of the `openai-chat` dialect: before the first byte as a status and a body, after it as data in the stream."""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.dialects.base import BROKEN_JSON
from penstock.exceptions import Refused, UpstreamFailed
from penstock.wire.events import Done, Error, Terminal

_ERROR_TYPE = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "invalid_request_error",
    429: "rate_limit_error",
}


class _Detail(msgspec.Struct):
    message: str | None = None
    code: str | int | None = None
    param: str | None = None


class _Body(msgspec.Struct):
    error: _Detail | str | None = None


class _Plain(msgspec.Struct):
    """An error that is told without the key `error`."""

    error: msgspec.Raw = msgspec.Raw(b"null")
    object: Any = None
    type: Any = None
    message: Any = None
    code: Any = None


_decode_body = msgspec.json.Decoder(_Body).decode
_decode_detail = msgspec.json.Decoder(_Detail | str | None).decode
_decode_plain = msgspec.json.Decoder(_Plain).decode


def error_body(refused: Refused) -> bytes:
    """What a client is told instead of an answer."""
    kind = _ERROR_TYPE.get(refused.status, "invalid_request_error" if refused.status < 500 else "server_error")
    error = {"message": refused.message, "type": kind, "param": refused.param, "code": refused.code}
    return msgspec.json.encode({"error": error})


def read_error(status: int, body: bytes, retry_after: float | None) -> UpstreamFailed:
    """What an upstream's refusal means to our client.

    A fault of the request (400, 404, 413, 422) keeps its status and the upstream's words. A limit keeps 429 and its
    Retry-After. A fault of the gateway's own credentials is not the client's: 502, and the upstream's words stay inside.
    """
    try:
        detail = _detail(_decode_body(body).error)
    except BROKEN_JSON:
        detail = _Detail()
    said = (detail.message or "").strip()[:500]
    if status in (400, 404, 413, 422):
        code = detail.code if isinstance(detail.code, str) and detail.code else "upstream_rejected"
        param = detail.param[:200] if detail.param else None
        return UpstreamFailed(status, code[:64], said or f"the upstream answered {status}", param=param)
    if status == 429:
        message = said or "the upstream's rate limit is reached"
        return UpstreamFailed(429, "upstream_rate_limited", message, retry_after=retry_after)
    if status in (401, 403):
        return UpstreamFailed(502, "upstream_error", "the upstream refused the gateway's credentials", retryable=False)
    return UpstreamFailed(502, "upstream_error", f"the upstream answered {status}", retry_after=retry_after)


def read_told(raw: msgspec.Raw) -> Error:
    """What the `error` of an upstream's stream means to it."""
    try:
        detail = _detail(_decode_detail(raw))
    except BROKEN_JSON:
        detail = _Detail()
    return _failure(detail.message)


def read_failure(data: bytes) -> Error:
    """What the data of an event with the name `error` means, whatever its shape."""
    try:
        told = _decode_plain(data)
    except BROKEN_JSON:
        return _failure(data.decode("utf-8", "replace"))
    return read_told(told.error) if bytes(told.error) != b"null" else _failure(told.message)


def read_plainly_told(data: bytes) -> Error | None:
    """The error that data without choices may be all the same: `{"object": "error", "message", "code"}`, or the like."""
    try:
        told = _decode_plain(data)
    except BROKEN_JSON:
        return None
    numbered = isinstance(told.code, int) and told.code >= 400 and isinstance(told.message, str)
    return _failure(told.message) if numbered or "error" in (told.object, told.type) else None


def _failure(said: Any) -> Error:
    message = said.strip()[:500] if isinstance(said, str) else ""
    return Error(
        "upstream_error", message or "the upstream reported an error", retryable=True, outcome="upstream_error"
    )


def error_block(last: Terminal) -> bytes:
    """The last block of an answer that did not end well.

    This dialect has no word for an answer that was cut short on purpose: a cancelled stream says so as an error.
    """
    if isinstance(last, Done):
        last = Error("cancelled", "the stream was cancelled", retryable=False, outcome=last.outcome)
    error = {
        "message": last.message,
        "type": "server_error",
        "param": None,
        "code": last.code,
        "retryable": last.retryable,
        "outcome": last.outcome,
    }
    return b"data: %b\n\n" % msgspec.json.encode({"error": error})


def _detail(told: _Detail | str | None) -> _Detail:
    return _Detail(message=told) if isinstance(told, str) else told or _Detail()
