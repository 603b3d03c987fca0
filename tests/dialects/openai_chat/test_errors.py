"""Errors of the `openai-chat` dialect."""

from __future__ import annotations

import json

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.dialects.openai_chat import OpenAIChat, read_error
from penstock.exceptions import Refused

chat = OpenAIChat()


class TestErrors:
    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (400, "invalid_request_error"),
            (401, "authentication_error"),
            (409, "invalid_request_error"),
            (503, "server_error"),
        ],
    )
    def test_error_body(self, status: int, kind: str) -> None:
        error = json.loads(chat.error_body(Refused(status, "word", "text", param="n")))["error"]
        assert error == {"message": "text", "type": kind, "param": "n", "code": "word"}

    @pytest.mark.parametrize(
        ("status", "body", "code", "message", "answered"),
        [
            (400, b'{"error": {"message": "too long", "code": "context"}}', "context", "too long", 400),
            (404, b'{"error": "no such model"}', "upstream_rejected", "no such model", 404),
            (422, b"<html>", "upstream_rejected", "the upstream answered 422", 422),
            (413, b'{"error": {"code": 7}}', "upstream_rejected", "the upstream answered 413", 413),
            (429, b'{"error": {"message": "slow down"}}', "upstream_rate_limited", "slow down", 429),
            (429, b"", "upstream_rate_limited", "the upstream's rate limit is reached", 429),
            (401, b'{"error": "bad key sk-1"}', "upstream_error", "the upstream refused the gateway's credentials", 502),
            (500, b'{"error": "stack trace"}', "upstream_error", "the upstream answered 500", 502),
            (302, b"", "upstream_error", "the upstream answered 302", 502),
            (400, b'{"error": ' + b"[" * 100_000, "upstream_rejected", "the upstream answered 400", 400),
            (400, b'{"error": "\xff"}', "upstream_rejected", "the upstream answered 400", 400),
            (400, b'{"error": null}', "upstream_rejected", "the upstream answered 400", 400),
        ],
    )  # fmt: skip
    def test_read_error(self, status: int, body: bytes, code: str, message: str, answered: int) -> None:
        failed = read_error(status, body, 7.0)
        assert (failed.code, failed.message, failed.status) == (code, message, answered)
        assert failed.retryable is (status not in (400, 401, 404, 413, 422))
        assert failed.retry_after == (7.0 if status in (429, 500, 302) else None)

    def test_long_words_are_cut(self) -> None:
        long = json.dumps({"error": {"message": "m" * 9000, "code": "c" * 9000, "param": "p" * 9000}}).encode()
        assert len(chat.error_body(read_error(400, long, None))) < 1000

    @given(st.integers(300, 599), st.binary(max_size=40))
    def test_whatever_it_says(self, status: int, body: bytes) -> None:
        assert 400 <= read_error(status, body, None).status <= 599


def test_the_official_client_knows_the_errors() -> None:
    """Its class hierarchy is by status; our body has the fields it reads."""
    error = json.loads(chat.error_body(Refused(429, "rate_limited", "slow down")))["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert issubclass(openai.RateLimitError, openai.APIStatusError)
