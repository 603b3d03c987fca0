"""Errors of the `anthropic` dialect."""

from __future__ import annotations

import json

import anthropic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.dialects.anthropic.errors import error_block, read_error
from penstock.dialects.base import Kind
from penstock.exceptions import Refused
from penstock.wire import sse
from penstock.wire.events import Done, Error

from .blocks import messages


class TestErrors:
    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (400, "invalid_request_error"),
            (401, "authentication_error"),
            (403, "permission_error"),
            (404, "not_found_error"),
            (409, "invalid_request_error"),
            (413, "request_too_large"),
            (429, "rate_limit_error"),
            (500, "api_error"),
            (502, "api_error"),
            (503, "overloaded_error"),
            (504, "timeout_error"),
        ],
    )
    def test_error_body(self, status: int, kind: str) -> None:
        body = json.loads(messages.error_body(Refused(status, "word", "text")))
        assert body == {"type": "error", "error": {"type": kind, "message": "text", "code": "word"}}

    def test_the_field_is_named(self) -> None:
        body = json.loads(messages.error_body(Refused(400, "word", "text", param="system")))
        assert body["error"]["param"] == "system"

    @pytest.mark.parametrize(
        ("status", "body", "code", "message", "answered"),
        [
            (400, b'{"type": "error", "error": {"type": "invalid_request_error", "message": "too long"}}',
             "invalid_request_error", "too long", 400),
            (404, b'{"error": "no such model"}', "upstream_rejected", "no such model", 404),
            (422, b"<html>", "upstream_rejected", "the upstream answered 422", 422),
            (413, b'{"error": {"type": 7}}', "upstream_rejected", "the upstream answered 413", 413),
            (429, b'{"error": {"message": "slow down"}}', "upstream_rate_limited", "slow down", 429),
            (429, b"", "upstream_rate_limited", "the upstream's rate limit is reached", 429),
            (401, b'{"error": "bad key sk-1"}', "upstream_error", "the upstream refused the gateway's credentials", 502),
            (403, b"", "upstream_error", "the upstream refused the gateway's credentials", 502),
            (500, b'{"error": "stack trace"}', "upstream_error", "the upstream answered 500", 502),
            (529, b'{"error": {"type": "overloaded_error"}}', "upstream_error", "the upstream answered 529", 502),
            (400, b'{"error": ' + b"[" * 100_000, "upstream_rejected", "the upstream answered 400", 400),
            (400, b'{"error": "\xff"}', "upstream_rejected", "the upstream answered 400", 400),
            (400, b'{"error": null}', "upstream_rejected", "the upstream answered 400", 400),
        ],
    )  # fmt: skip
    def test_read_error(self, status: int, body: bytes, code: str, message: str, answered: int) -> None:
        failed = read_error(status, body, 7.0)
        assert (failed.code, failed.message, failed.status) == (code, message, answered)
        assert failed.retryable is (status not in (400, 401, 403, 404, 413, 422))
        assert failed.retry_after == (7.0 if status in (429, 500, 529) else None)

    def test_long_words_are_cut(self) -> None:
        long = json.dumps({"error": {"message": "m" * 9000, "type": "c" * 9000}}).encode()
        assert len(messages.error_body(read_error(400, long, None))) < 1000

    @given(st.integers(300, 599), st.binary(max_size=40))
    def test_whatever_it_says(self, status: int, body: bytes) -> None:
        assert 400 <= read_error(status, body, None).status <= 599


class TestErrorBlock:
    @pytest.mark.parametrize(
        ("last", "kind", "code"),
        [
            (Error("stalled", "silent", True, "stalled"), "timeout_error", "stalled"),
            (Error("upstream_truncated", "cut", False, "upstream_truncated"), "api_error", "upstream_truncated"),
            (Done("cancelled", 3), "api_error", "cancelled"),
        ],
    )
    def test_says_everything(self, last: Error | Done, kind: str, code: str) -> None:
        block = error_block(last)
        assert sse.event_name(block) == "error"
        told = json.loads(sse.payload(block))
        assert told["type"] == "error"
        message = last.message if isinstance(last, Error) else "the stream was cancelled"
        assert told["error"] == {
            "type": kind,
            "message": message,
            "code": code,
            "retryable": isinstance(last, Error) and last.retryable,
            "outcome": last.outcome,
        }
        assert messages.probe()(block) is Kind.FAILED


def test_the_official_client_knows_the_errors() -> None:
    """Its class hierarchy is by status; it looks for the type in the body."""
    body = json.loads(messages.error_body(Refused(429, "rate_limited", "slow down")))
    assert set(body) == {"type", "error"}
    assert issubclass(anthropic.RateLimitError, anthropic.APIStatusError)
