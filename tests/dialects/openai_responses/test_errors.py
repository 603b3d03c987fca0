"""Errors that a Responses upstream tells in its stream, and ours to its clients."""

from __future__ import annotations

import json
from typing import Any

import pytest

from penstock.dialects.base import Kind
from penstock.dialects.openai_responses import OpenAIResponses
from penstock.dialects.openai_responses.errors import error_block
from penstock.exceptions import ProtocolError
from penstock.wire import sse
from penstock.wire.events import Done, Error, Token
from tests.dialects.answers import ABOUT

responses = OpenAIResponses()


def kind_and_failure(kind: str, **fields: Any) -> tuple[Kind, Error | None]:
    probe = responses.probe()
    return probe(sse.encode(json.dumps({"type": kind, **fields}), kind)), probe.failure


class TestProbe:
    @pytest.mark.parametrize(
        ("kind", "fields", "message", "retryable"),
        [
            ("error", {"code": "server_error", "message": "broke", "param": None}, "broke", True),
            ("error", {"error": {"code": "invalid_prompt", "message": "broke"}}, "broke", False),
            ("error", {"error": {"code": 500, "message": "broke"}}, "broke", True),
            ("error", {"code": 500, "message": "broke"}, "broke", True),
            ("error", {"error": "broke"}, "broke", True),
            ("error", {"error": [1], "message": "broke"}, "broke", True),
            ("error", {"message": "x" * 5000}, "x" * 500, True),
            ("error", {}, "the upstream reported an error", True),
            ("response.failed", {"response": {"error": {"code": "image_too_large", "message": "big"}}}, "big", False),
            ("response.failed", {"response": {"error": {"message": "broke"}, "usage": "much"}}, "broke", True),
            ("response.failed", {"response": None}, "the upstream reported an error", True),
        ],
    )
    def test_errors(self, kind: str, fields: Any, message: str, retryable: bool) -> None:
        told_error = Error("upstream_error", message, retryable, "upstream_error")
        assert kind_and_failure(kind, **fields) == (Kind.FAILED, told_error)

    @pytest.mark.parametrize(
        ("item", "started"),
        [
            ({"type": "message", "content": []}, False),
            ({"type": "reasoning", "summary": []}, False),
            ({"type": "function_call", "call_id": "c", "name": "f", "arguments": ""}, True),
            ({"type": "web_search_call", "id": "w"}, True),
            ({"type": "tool_search_call", "arguments": {"paths": ["crm"]}}, True),
            ({"type": "weather", "name": 5}, False),
        ],
    )
    def test_the_first_sign_of_life(self, item: Any, started: bool) -> None:
        probe = responses.probe()
        block = sse.encode(json.dumps({"type": "response.output_item.added", "output_index": 0, "item": item}))
        assert probe(block) is Kind.DATA
        assert probe.started is started
        assert [event for event in responses.decoder(ABOUT).decode(block) if isinstance(event, Token)] == []

    def test_a_function_call_of_another_shape_is_no_answer(self) -> None:
        with pytest.raises(ProtocolError):
            kind_and_failure("response.output_item.added", item={"type": "function_call", "arguments": {}})


@pytest.mark.parametrize(
    ("last", "code", "retryable"),
    [(Error("stalled", "silent", True, "stalled"), "stalled", True), (Done("cancelled", 3), "cancelled", False)],
)
def test_ours(last: Any, code: str, retryable: bool) -> None:
    block = error_block(last, 7)
    told = json.loads(sse.payload(block))
    assert (sse.event_name(block), told["type"], told["sequence_number"]) == ("error", "error", 7)
    assert (told["code"], told["param"], told["retryable"]) == (code, None, retryable)
    beside = {name: told[name] for name in ("code", "message", "param")}
    assert told["error"] == {"type": "server_error", **beside}, "the official clients raise for this, and only for this"
    assert responses.probe()(block) is Kind.FAILED
