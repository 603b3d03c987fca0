"""Errors of the `gemini` dialect."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.dialects.base import Kind
from penstock.dialects.gemini import Gemini
from penstock.dialects.gemini.errors import error_block, read_error, read_told
from penstock.exceptions import Refused
from penstock.wire import sse
from penstock.wire.events import Done, Error

gemini = Gemini()


def status(code: int, message: str, word: str, *details: Any) -> bytes:
    return json.dumps({"error": {"code": code, "message": message, "status": word, "details": list(details)}}).encode()


class TestErrorBody:
    @pytest.mark.parametrize(
        ("code", "word"),
        [
            (400, "INVALID_ARGUMENT"),
            (401, "UNAUTHENTICATED"),
            (404, "NOT_FOUND"),
            (410, "FAILED_PRECONDITION"),
            (429, "RESOURCE_EXHAUSTED"),
            (503, "UNAVAILABLE"),
            (504, "DEADLINE_EXCEEDED"),
            (599, "INTERNAL"),
        ],
    )
    def test_words(self, code: int, word: str) -> None:
        error = json.loads(gemini.error_body(Refused(code, "word", "text")))["error"]
        assert (error["code"], error["message"], error["status"]) == (code, "text", word)

    def test_our_own_word_is_the_reason(self) -> None:
        error = json.loads(gemini.error_body(Refused(400, "invalid_request", "text", param="contents")))["error"]
        (info,) = error["details"]
        assert info["@type"].endswith("google.rpc.ErrorInfo")
        assert (info["reason"], info["metadata"]) == ("invalid_request", {"param": "contents"})


BAD_KEY = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID", "domain": "googleapis.com"}
WAIT = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "36.5s"}


class TestReadError:
    @pytest.mark.parametrize(
        ("code", "body", "word", "message", "answered"),
        [
            (400, status(400, "Invalid value", "INVALID_ARGUMENT"), "INVALID_ARGUMENT", "Invalid value", 400),
            (404, status(404, "no such model", "NOT_FOUND"), "NOT_FOUND", "no such model", 404),
            (400, b"[" + status(400, "in a list", "INVALID_ARGUMENT") + b"]", "INVALID_ARGUMENT", "in a list", 400),
            (400, b"[]", "upstream_rejected", "the upstream answered 400", 400),
            (422, b"<html>", "upstream_rejected", "the upstream answered 422", 422),
            (413, b'{"error": "too large"}', "upstream_rejected", "too large", 413),
            (413, b'{"error": {"code": "x"}}', "upstream_rejected", "the upstream answered 413", 413),
            (400, b'{"error": {"message": "m", "details": 5}}', "upstream_rejected", "m", 400),
            (400, b'{"error": null}', "upstream_rejected", "the upstream answered 400", 400),
            (400, b'{"error": ' + b"[" * 100_000, "upstream_rejected", "the upstream answered 400", 400),
            (400, b'{"error": {"message": "\xff"}}', "upstream_rejected", "the upstream answered 400", 400),
            (429, status(429, "slow down", "RESOURCE_EXHAUSTED"), "upstream_rate_limited", "slow down", 429),
            (429, b"", "upstream_rate_limited", "the upstream's rate limit is reached", 429),
            (401, status(401, "key AIza1", "X"), "upstream_error", "the upstream refused the gateway's credentials", 502),
            (403, status(403, "key AIza1", "X"), "upstream_error", "the upstream refused the gateway's credentials", 502),
            (500, status(500, "stack trace", "INTERNAL"), "upstream_error", "the upstream answered 500", 502),
        ],
    )  # fmt: skip
    def test_statuses(self, code: int, body: bytes, word: str, message: str, answered: int) -> None:
        failed = read_error(code, body, 7.0)
        assert (failed.code, failed.message, failed.status) == (word, message, answered)
        assert failed.retryable is (code in (429, 500))
        assert failed.retry_after == (7.0 if code in (429, 500) else None)

    def test_a_wrong_key_is_not_the_clients_fault(self) -> None:
        """This API tells it with the status of a wrong request."""
        failed = read_error(400, status(400, "API key not valid: AIza1", "INVALID_ARGUMENT", BAD_KEY), None)
        assert (failed.status, failed.code, failed.retryable) == (502, "upstream_error", False)
        assert "AIza1" not in failed.message

    def test_when_to_come_again_is_in_the_body(self) -> None:
        limited = status(429, "slow down", "RESOURCE_EXHAUSTED", {"@type": "x"}, WAIT)
        assert read_error(429, limited, None).retry_after == 36.5
        assert read_error(429, limited, 2.0).retry_after == 2.0
        assert read_error(429, limited.replace(b"36.5s", b"soon"), None).retry_after is None

    def test_long_words_are_cut(self) -> None:
        long = status(400, "m" * 9000, "S" * 9000)
        assert len(gemini.error_body(read_error(400, long, None))) < 1000

    @given(st.integers(300, 599), st.binary(max_size=40))
    def test_whatever_it_says(self, code: int, body: bytes) -> None:
        assert 400 <= read_error(code, body, None).status <= 599


class TestInTheStream:
    @pytest.mark.parametrize(
        ("told", "message", "retryable"),
        [
            ({"code": 503, "message": "overloaded", "status": "UNAVAILABLE"}, "overloaded", True),
            ({"code": 429, "message": "slow down"}, "slow down", True),
            ({"code": 400, "message": "too long"}, "too long", False),
            ({"code": 403, "message": "key AIza1"}, "the upstream refused the gateway's credentials", False),
            ({"message": " "}, "the upstream reported an error", True),
            ({"message": "x" * 5000}, "x" * 500, True),
            ({"message": {"deep": 1}}, "the upstream reported an error", True),
            ("overloaded", "overloaded", True),
            (7, "the upstream reported an error", True),
        ],
    )
    def test_told_by_an_upstream(self, told: Any, message: str, retryable: bool) -> None:
        raw = msgspec.Raw(json.dumps(told).encode())
        assert read_told(raw) == Error("upstream_error", message, retryable, "upstream_error")

    @pytest.mark.parametrize(
        ("last", "code", "word"),
        [
            (Error("stalled", "silent", True, "stalled"), 504, "DEADLINE_EXCEEDED"),
            (Error("upstream_truncated", "cut", True, "upstream_truncated"), 502, "UNAVAILABLE"),
            (Error("upstream_error", "no", False, "upstream_error"), 500, "INTERNAL"),
            (Done("cancelled", 3), 499, "CANCELLED"),
        ],
    )
    def test_told_to_a_client(self, last: Any, code: int, word: str) -> None:
        block = error_block(last)
        error = json.loads(sse.payload(block))["error"]
        assert (error["code"], error["status"]) == (code, word)
        (info,) = error["details"]
        assert info["metadata"]["outcome"] == last.outcome
        assert info["reason"] == getattr(last, "code", "cancelled")
        probe = gemini.probe()
        assert probe(block) is Kind.FAILED
        assert probe.failure is not None
        assert probe.failure.retryable is getattr(last, "retryable", False)
