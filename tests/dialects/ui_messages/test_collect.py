"""The answer in one piece, for a `ui-messages` client."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from penstock.dialects.ui_messages import UIMessages
from penstock.exceptions import Refused, UpstreamFailed
from penstock.wire.events import Done, Error, Event, Finish, Reasoning, Refusal, Token, ToolCall, Usage
from tests.dialects.answers import ABOUT, START, answers

ui = UIMessages()


def collected(*events: Event) -> Any:
    return json.loads(ui.collect(ABOUT, [START, *events]))


def test_text() -> None:
    assert collected(Token("Hel"), Token("lo"), Finish("length"), Usage(1, 2), Done("length")) == {
        "id": "msg_s1",
        "role": "assistant",
        "metadata": {
            "stream": "s1",
            "model": "m",
            "outcome": "length",
            "usage": {"input_tokens": 1, "output_tokens": 2, "source": "final"},
        },
        "parts": [{"type": "step-start"}, {"type": "text", "text": "Hello", "state": "done"}],
    }


def test_nothing_at_all() -> None:
    answer = json.loads(ui.collect(ABOUT, []))
    assert answer["parts"] == [{"type": "step-start"}]
    assert answer["metadata"] == {"stream": "s1", "model": "m", "outcome": "completed"}


def test_parts_come_in_the_order_in_which_they_began() -> None:
    told = [Reasoning("Hm"), Reasoning("."), Token("a"), ToolCall(0, "x", "f", '{"n":'), Token("b")]
    answer = collected(*told, ToolCall(1, "y", "g", "{"), ToolCall(0, arguments="1}"), Done("tool_calls"))
    assert answer["parts"] == [
        {"type": "step-start"},
        {"type": "reasoning", "text": "Hm.", "state": "done"},
        {"type": "text", "text": "a", "state": "done"},
        {"type": "tool-f", "toolCallId": "x", "state": "input-available", "input": {"n": 1}},
        {"type": "text", "text": "b", "state": "done"},
        {
            "type": "tool-g",
            "toolCallId": "y",
            "state": "output-error",
            "rawInput": "{",
            "errorText": "the model's input for the tool is not JSON",
        },
    ]


def test_what_it_says_can_be_sent_again() -> None:
    answer = collected(Token("I look"), ToolCall(0, "x", "f", '{"n": 1}'), Done("tool_calls"))
    body = json.dumps({"model": "m", "messages": [{"role": "user", "parts": []}, answer]}).encode()
    _, said = ui.parse_request(body).messages
    assert (said.content, said.tool_calls) == (
        "I look",
        [{"id": "x", "type": "function", "function": {"name": "f", "arguments": '{"n":1}'}}],
    )


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
    parts = json.loads(ui.collect(ABOUT, [*events, Done("completed")]))["parts"]
    said = [event.text for event in events if isinstance(event, Token | Refusal) and event.index == 0]
    assert "".join(part["text"] for part in parts if part["type"] == "text") == "".join(said)
    thought = [event.text for event in events if isinstance(event, Reasoning) and event.index == 0]
    assert "".join(part["text"] for part in parts if part["type"] == "reasoning") == "".join(thought)
    calls = {event.index for event in events if isinstance(event, ToolCall) and event.choice == 0}
    assert sum(part["type"].startswith("tool-") for part in parts) == len(calls)
