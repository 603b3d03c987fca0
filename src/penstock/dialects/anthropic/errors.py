"""Errors of the `anthropic` dialect: before the first byte as a status and a body, after it as `event: error`.

Both have the same shape, `{"type": "error", "error": {"type", "message"}}`; ours have a few facts more in `error`.
Reference: https://platform.claude.com/docs/en/api/errors.
"""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.dialects.base import BROKEN_JSON
from penstock.exceptions import Refused, UpstreamFailed
from penstock.wire.events import Done, Error, Terminal

_ERROR_TYPE = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}

_NO_USE_TO_REPEAT = frozenset(
    (
        "invalid_request_error",
        "authentication_error",
        "billing_error",
        "permission_error",
        "not_found_error",
        "request_too_large",
    )
)
"""Types of errors that the same request would meet again."""


class _Detail(msgspec.Struct):
    type: str | None = None
    message: str | None = None


class _Body(msgspec.Struct):
    error: _Detail | str | None = None


_decode_body = msgspec.json.Decoder(_Body).decode
_decode_detail = msgspec.json.Decoder(_Detail | str | None).decode


def error_body(refused: Refused) -> bytes:
    """What a client is told instead of an answer."""
    kind = _ERROR_TYPE.get(refused.status, "invalid_request_error" if refused.status < 500 else "api_error")
    error: dict[str, Any] = {"type": kind, "message": refused.message, "code": refused.code}
    if refused.param is not None:
        error["param"] = refused.param
    return msgspec.json.encode({"type": "error", "error": error})


def read_error(status: int, body: bytes, retry_after: float | None) -> UpstreamFailed:
    """What an upstream's refusal means to our client.

    A fault of the request (400, 404, 413, 422) keeps its status and the upstream's words. A limit keeps 429 and its
    Retry-After. A fault of the gateway's own credentials is not the client's: 502, and the upstream's words stay inside.
    An overloaded upstream (529) is a 502 like every other of its failures.
    """
    try:
        detail = _detail(_decode_body(body).error)
    except BROKEN_JSON:
        detail = _Detail()
    said = (detail.message or "").strip()[:500]
    if status in (400, 404, 413, 422):
        code = (detail.type or "upstream_rejected")[:64]
        return UpstreamFailed(status, code, said or f"the upstream answered {status}")
    if status == 429:
        message = said or "the upstream's rate limit is reached"
        return UpstreamFailed(429, "upstream_rate_limited", message, retry_after=retry_after)
    if status in (401, 403):
        return UpstreamFailed(502, "upstream_error", "the upstream refused the gateway's credentials", retryable=False)
    return UpstreamFailed(502, "upstream_error", f"the upstream answered {status}", retry_after=retry_after)


def read_told(raw: msgspec.Raw) -> Error:
    """What the `error` of an upstream's stream means to it; an empty `raw` is an error without a word."""
    try:
        detail = _detail(_decode_detail(raw))
    except BROKEN_JSON:
        detail = _Detail()
    message = (detail.message or "").strip()[:500] or "the upstream reported an error"
    retryable = detail.type not in _NO_USE_TO_REPEAT
    return Error("upstream_error", message, retryable=retryable, outcome="upstream_error")


def error_block(last: Terminal) -> bytes:
    """The last block of an answer that did not end well.

    This dialect has no word for an answer that was cut short on purpose: a cancelled stream says so as an error.
    """
    if isinstance(last, Done):
        last = Error("cancelled", "the stream was cancelled", retryable=False, outcome=last.outcome)
    error = {
        "type": "timeout_error" if last.outcome == "stalled" else "api_error",
        "message": last.message,
        "code": last.code,
        "retryable": last.retryable,
        "outcome": last.outcome,
    }
    return b"event: error\ndata: %b\n\n" % msgspec.json.encode({"type": "error", "error": error})


def _detail(told: _Detail | str | None) -> _Detail:
    return _Detail(message=told) if isinstance(told, str) else told or _Detail()
