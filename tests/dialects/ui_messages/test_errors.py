"""Errors of the `ui-messages` dialect."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.dialects.ui_messages.errors import error_blocks, error_body, failed, read_error
from penstock.exceptions import Refused
from penstock.wire.events import Done, Error

from .grammar import legal


def test_a_refusal() -> None:
    assert json.loads(error_body(Refused(400, "invalid_request", "no", param="model"))) == {
        "error": {"code": "invalid_request", "message": "no", "retryable": False, "param": "model"}
    }
    assert "param" not in json.loads(error_body(Refused(503, "overloaded", "full")))["error"]


@pytest.mark.parametrize(
    ("status", "body", "code", "message", "answered"),
    [
        (400, b'{"error": {"message": "too long", "code": "context"}}', "context", "too long", 400),
        (400, b'{"error": "no such chat"}', "upstream_rejected", "no such chat", 400),
        (422, b'{"message": "no messages"}', "upstream_rejected", "no messages", 422),
        (404, b"Not Found\n", "upstream_rejected", "Not Found", 404),
        (404, b"<html><body>404</body></html>", "upstream_rejected", "the upstream answered 404", 404),
        (413, b"", "upstream_rejected", "the upstream answered 413", 413),
        (400, b'{"error": 7}', "upstream_rejected", "the upstream answered 400", 400),
        (400, b'{"error": "half', "upstream_rejected", "the upstream answered 400", 400),
        (400, b'{"error": ' + b"[" * 100_000, "upstream_rejected", "the upstream answered 400", 400),
        (400, b"line\x07", "upstream_rejected", "the upstream answered 400", 400),
        (429, b"slow down", "upstream_rate_limited", "slow down", 429),
        (429, b"{}", "upstream_rate_limited", "the upstream's rate limit is reached", 429),
        (401, b"bad key sk-1", "upstream_error", "the upstream refused the gateway's credentials", 502),
        (500, b"stack trace", "upstream_error", "the upstream answered 500", 502),
    ],
)  # fmt: skip
def test_an_upstreams_refusal(status: int, body: bytes, code: str, message: str, answered: int) -> None:
    told = read_error(status, body, 7.0)
    assert (told.code, told.message, told.status) == (code, message, answered)
    assert told.retryable is (status in (429, 500))
    assert told.retry_after == (7.0 if status in (429, 500) else None)


def test_long_words_are_cut() -> None:
    long = json.dumps({"error": {"message": "m" * 9000, "code": "c" * 9000}}).encode()
    assert len(error_body(read_error(400, long, None))) < 1000
    assert len(read_error(400, b"p" * 9000, None).message) == 500
    assert len(failed("m" * 9000).message) == 500


@given(st.integers(300, 599), st.binary(max_size=40))
def test_whatever_it_says(status: int, body: bytes) -> None:
    assert 400 <= read_error(status, body, None).status <= 599


@pytest.mark.parametrize(
    ("last", "told"),
    [
        (Error("stalled", "silent", True, "stalled"), {"type": "error", "errorText": "silent"}),
        (Done("cancelled"), {"type": "abort"}),
    ],
)
def test_a_bad_end(last: Any, told: Any) -> None:
    blocks = error_blocks(last)
    assert legal(blocks) == told["type"]
    assert json.loads(blocks[0][6:]) == told


def test_an_error_without_words() -> None:
    assert (
        failed(None) == failed(" ") == Error("upstream_error", "the upstream reported an error", True, "upstream_error")
    )
