"""The answer in one piece, for an `anthropic` client."""

from __future__ import annotations

import json
from typing import Any

import pytest
from anthropic.types import Message
from hypothesis import given

from penstock.exceptions import Refused, UpstreamFailed
from penstock.wire.events import Done, Error, Event, Finish, Reasoning, Refusal, Token, ToolCall, Usage
from tests.dialects.answers import ABOUT, START, answers

from .blocks import messages


def collected(*events: Event) -> Any:
    answer = json.loads(messages.collect(ABOUT, [START, *events]))
    Message.model_validate(answer)
    return answer


def test_text() -> None:
    assert collected(Token("Hel"), Token("lo"), Finish("length"), Usage(1, 2), Done("length")) == {
        "id": "msg_s1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [{"type": "text", "text": "Hello"}],
        "stop_reason": "max_tokens",
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 2},
    }


def test_nothing_at_all() -> None:
    answer = collected(Done("completed"))
    assert (answer["content"], answer["stop_reason"]) == ([], "end_turn")
    assert answer["usage"] == {"input_tokens": 0, "output_tokens": 0, "source": "unknown"}


def test_blocks_come_in_the_order_in_which_they_began() -> None:
    told = [Reasoning("Hm"), Reasoning("."), Token("a"), ToolCall(0, "x", "f", "{}"), Token("b"), Done("tool_calls")]
    answer = collected(*told)
    assert answer["content"] == [
        {"type": "thinking", "thinking": "Hm.", "signature": ""},
        {"type": "text", "text": "a"},
        {"type": "tool_use", "id": "x", "name": "f", "input": {}},
        {"type": "text", "text": "b"},
    ]
    assert answer["stop_reason"] == "tool_use"


def test_tool_calls_in_pieces() -> None:
    pieces = [
        ToolCall(1, "b", "g"),
        ToolCall(0, "a", "f"),
        ToolCall(0, arguments='{"x":'),
        ToolCall(1, arguments=""),
        ToolCall(0, "a", "f", "1}"),  # some repeat the name with every piece
        ToolCall(2, name="h", arguments='{"cut": "sho'),
        ToolCall(3, name="i", arguments="[1]"),
    ]
    content = collected(*pieces, Finish("completed"), Done("completed"))["content"]
    assert [(call["id"], call["name"], call["input"]) for call in content] == [
        ("b", "g", {}),
        ("a", "f", {"x": 1}),
        ("toolu_s1_2", "h", {"INVALID_JSON": '{"cut": "sho'}),
        ("toolu_s1_3", "i", {"INVALID_JSON": "[1]"}),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        ([Finish("completed")], "end_turn"),
        ([Finish("content_filter")], "refusal"),
        ([Refusal("No."), Finish("completed")], "refusal"),
        ([ToolCall(0, "a", "f", "{}"), Finish("completed")], "tool_use"),
        ([ToolCall(0, "a", "f", "{}"), Finish("length")], "max_tokens"),
    ],
)
def test_the_reason_of_the_end(events: list[Event], reason: str) -> None:
    assert collected(*events, Done("completed"))["stop_reason"] == reason


def test_only_the_first_choice_is_told() -> None:
    others = [
        Token("b", 1),
        Reasoning("b", 1),
        Refusal("b", 1),
        ToolCall(0, "x", "f", "", choice=2),
        Finish("length", 1),
    ]
    answer = collected(*others, Token("a"), Done("completed"))
    assert (answer["content"], answer["stop_reason"]) == ([{"type": "text", "text": "a"}], "end_turn")


def test_an_error_is_a_refusal() -> None:
    with pytest.raises(UpstreamFailed) as failed:
        collected(Token("half"), Error("stalled", "silent", True, "stalled"))
    assert (failed.value.code, failed.value.retryable) == ("stalled", True)


def test_a_cancelled_answer_is_none() -> None:
    with pytest.raises(Refused) as refused:
        collected(Token("half"), Done("cancelled"))
    assert (refused.value.status, refused.value.code) == (409, "cancelled")


@given(answers)
def test_says_what_was_said(events: list[Event]) -> None:
    content = json.loads(messages.collect(ABOUT, [*events, Done("completed")]))["content"]
    said = [event.text for event in events if isinstance(event, Token | Refusal) and event.index == 0]
    assert "".join(block["text"] for block in content if block["type"] == "text") == "".join(said)
    thought = [event.text for event in events if isinstance(event, Reasoning) and event.index == 0]
    assert "".join(block["thinking"] for block in content if block["type"] == "thinking") == "".join(thought)
    calls = {event.index for event in events if isinstance(event, ToolCall) and event.choice == 0}
    assert sum(block["type"] == "tool_use" for block in content) == len(calls)
