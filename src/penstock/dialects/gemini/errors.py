"""Errors of the `gemini` dialect: a `google.rpc.Status`, as the body of a refusal and as data in a stream.

Reference: https://google.aip.dev/193 and https://ai.google.dev/gemini-api/docs/troubleshooting. The stable word of ours
travels where Google's own do: as the `reason` of an `ErrorInfo` among the details.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from penstock.dialects.base import BROKEN_JSON
from penstock.exceptions import Refused, UpstreamFailed
from penstock.wire.events import Done, Error, Terminal

_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    502: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_CODE = {"cancelled": 499, "stalled": 504, "limit_exceeded": 504, "interrupted": 503, "abandoned": 503}
"""An outcome as an HTTP status; all others are 502."""

_BAD_KEY = frozenset({"API_KEY_INVALID", "API_KEY_EXPIRED", "ACCESS_TOKEN_EXPIRED"})
"""Reasons that come with status 400, though it is the gateway's key that is at fault, and not the request."""

_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)s")


class _Info(msgspec.Struct, rename="camel"):
    """One of the details: of an `ErrorInfo` or a `RetryInfo`."""

    reason: str | None = None
    retry_delay: str | None = None
    """A duration such as `36s`."""
    metadata: dict[str, str] | None = None


class _Status(msgspec.Struct):
    code: int | None = None
    message: str | None = None
    status: str | None = None
    details: list[_Info] | None = None

    @property
    def words(self) -> str:
        return (self.message or "").strip()[:500]


class _LooseStatus(msgspec.Struct):
    """The same with details of shapes of their own."""

    code: int | None = None
    message: str | None = None
    status: str | None = None


class _Body(msgspec.Struct):
    error: msgspec.Raw = msgspec.Raw()


_decode_body = msgspec.json.Decoder(_Body | list[_Body]).decode
_decode_status = msgspec.json.Decoder(_Status).decode
_decode_loosely = msgspec.json.Decoder(_LooseStatus | str | None).decode


def error_body(refused: Refused) -> bytes:
    """What a client is told instead of an answer."""
    metadata = {"param": refused.param} if refused.param is not None else {}
    return msgspec.json.encode({"error": _status(refused.status, refused.message, refused.code, metadata)})


def read_error(status: int, body: bytes, retry_after: float | None) -> UpstreamFailed:
    """What an upstream's refusal means to our client.

    A fault of the request (400, 404, 413, 422) keeps its status and the upstream's words. A limit keeps 429, and when to
    come again, which Google tells in the body. A fault of the gateway's own credentials is not the client's: 502, and the
    upstream's words stay inside; a wrong key is told with 400, so its reason is looked at first.
    """
    told = _read_body(body)
    infos = told.details or []
    if retry_after is None:
        delays = [_DURATION.fullmatch(info.retry_delay) for info in infos if info.retry_delay]
        retry_after = next((min(float(delay[1]), 86400.0) for delay in delays if delay), None)
    if status in (401, 403) or any(info.reason in _BAD_KEY for info in infos):
        return UpstreamFailed(502, "upstream_error", "the upstream refused the gateway's credentials", retryable=False)
    if status in (400, 404, 413, 422):
        return UpstreamFailed(
            status, (told.status or "upstream_rejected")[:64], told.words or f"the upstream answered {status}"
        )
    if status == 429:
        message = told.words or "the upstream's rate limit is reached"
        return UpstreamFailed(429, "upstream_rate_limited", message, retry_after=retry_after)
    return UpstreamFailed(502, "upstream_error", f"the upstream answered {status}", retry_after=retry_after)


def read_told(raw: msgspec.Raw) -> Error:
    """What the `error` of an upstream's stream means to it."""
    told = _read_status(raw)
    code = told.code or 500
    if code in (401, 403):
        message = "the upstream refused the gateway's credentials"
    else:
        message = told.words or "the upstream reported an error"
    # Another gateway like this one says so itself (see `error_block`).
    said = next((info.metadata.get("retryable") for info in told.details or () if info.metadata), None)
    retryable = said == "true" if said else code in (408, 429) or not 400 <= code < 500
    return Error("upstream_error", message, retryable=retryable, outcome="upstream_error")


def error_block(last: Terminal) -> bytes:
    """The last block of an answer that did not end well; a cancelled one is told as an error too."""
    if isinstance(last, Done):
        last = Error("cancelled", "the stream was cancelled", retryable=False, outcome=last.outcome)
    metadata = {"outcome": last.outcome, "retryable": "true" if last.retryable else "false"}
    code = _CODE.get(last.outcome, 502 if last.retryable else 500)
    return b"data: %b\n\n" % msgspec.json.encode({"error": _status(code, last.message, last.code, metadata)})


def _status(code: int, message: str, reason: str, metadata: dict[str, str]) -> dict[str, Any]:
    info = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": reason,
        "domain": "penstock",
        "metadata": metadata,
    }
    status = _STATUS.get(code, "FAILED_PRECONDITION" if code < 500 else "INTERNAL")
    return {"code": code, "message": message, "status": status, "details": [info]}


def _read_body(body: bytes) -> _Status:
    try:
        told = _decode_body(body)
    except BROKEN_JSON:
        return _Status()
    if isinstance(told, list):  # without `alt=sse` a stream is an array, and so is its error
        told = told[0] if told else _Body()
    return _read_status(told.error)


def _read_status(raw: msgspec.Raw) -> _Status:
    try:
        return _decode_status(raw)
    except BROKEN_JSON:
        pass
    try:
        loose = _decode_loosely(raw)
    except BROKEN_JSON:
        return _Status()
    if isinstance(loose, str):
        return _Status(message=loose)
    return _Status(loose.code, loose.message, loose.status) if loose else _Status()
