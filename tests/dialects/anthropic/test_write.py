"""Writing an `anthropic` client's blocks."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from typing import Any

import pytest
from anthropic.types import RawMessageStreamEvent
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from penstock.dialects.anthropic.write import MESSAGE_STOP, as_input, usage_object
from penstock.dialects.base import Kind
from penstock.wire import sse
from penstock.wire.events import Done, Error, Event, Finish, Reasoning, Refusal, Token, ToolCall, Usage
from tests.dialects.answers import ABOUT, START, answers, partly_known, usages, written

from .blocks import messages

EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
COMPLETED = Done("completed")


def objects(blocks: Sequence[bytes]) -> list[Any]:
    for block in blocks:
        assert sse.event_name(block) == json.loads(sse.payload(block))["type"]
    return [json.loads(sse.payload(block)) for block in blocks]


def short(blocks: Sequence[bytes]) -> list[str]:
    """Blocks as one word each: `+0 text`, `0 words`, `-0`."""
    told = []
    for event in objects(blocks):
        at = event.get("index")
        match event["type"]:
            case "content_block_start":
                part = event["content_block"]
                name = f" {part['id']} {part['name']}" if part["type"] == "tool_use" else ""
                told.append(f"+{at} {part['type']}{name}")
            case "content_block_delta":
                words = [value for key, value in event["delta"].items() if key != "type"]
                told.append(f"{at} {words[0]}")
            case "content_block_stop":
                told.append(f"-{at}")
            case other:
                told.append(other)
    return told


def said(*events: Event, last: Any = COMPLETED) -> list[str]:
    return short(written(messages, [START, *events], None, last))


class TestEncoder:
    def test_an_answer(self) -> None:
        blocks = written(messages, [START, Token("a"), Token("b"), Finish("completed")], Usage(1, 2), COMPLETED)
        assert objects(blocks) == [
            {
                "type": "message_start",
                "message": {
                    "id": "msg_s1",
                    "type": "message",
                    "role": "assistant",
                    "model": "m",
                    "content": [],
                    "stop_reason": None,
                    "stop_sequence": None,
                    "usage": {"input_tokens": 0, "output_tokens": 0, "source": "unknown"},
                },
            },
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "a"}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "b"}},
            {"type": "content_block_stop", "index": 0},
            {
                "type": "message_delta",
                "delta": {"stop_reason": "end_turn", "stop_sequence": None},
                "usage": {"input_tokens": 1, "output_tokens": 2},
            },
            {"type": "message_stop"},
        ]
        assert blocks[-1] == MESSAGE_STOP

    def test_a_block_ends_when_something_else_comes(self) -> None:
        events = [Reasoning("hm"), Token("a"), ToolCall(0, "x", "f", "{}"), Token("b"), Token(""), Reasoning("so")]
        assert said(*events, Finish("completed")) == [
            "message_start", "+0 thinking", "0 hm", "-0", "+1 text", "1 a", "-1", "+2 tool_use x f", "2 {}", "-2",
            "+3 text", "3 b", "-3", "+4 thinking", "4 so", "-4", "message_delta", "message_stop",
        ]  # fmt: skip

    def test_an_end_without_a_reason_ends_the_open_block_too(self) -> None:
        assert said(Token("a"))[-4:] == ["0 a", "-0", "message_delta", "message_stop"]

    def test_no_block_without_words(self) -> None:
        assert said(Token(""), Reasoning(""), Finish("completed")) == ["message_start", "message_delta", "message_stop"]

    def test_only_the_first_choice_is_told(self) -> None:
        others = [Token("b", 1), Reasoning("b", 1), Refusal("b", 1), ToolCall(0, "x", "f", "{}", choice=1)]
        blocks = written(
            messages, [START, *others, Finish("length", 1), Token("a"), Finish("completed")], None, COMPLETED
        )
        assert short(blocks) == ["message_start", "+0 text", "0 a", "-0", "message_delta", "message_stop"]
        assert objects(blocks)[-2]["delta"]["stop_reason"] == "end_turn"

    @pytest.mark.parametrize(
        ("events", "reason"),
        [
            ([Finish("completed")], "end_turn"),
            ([Finish("length")], "max_tokens"),
            ([Finish("tool_calls")], "tool_use"),
            ([Finish("content_filter")], "refusal"),
            ([Refusal("No."), Finish("completed")], "refusal"),
            ([ToolCall(0, "a", "f", "{}"), Finish("completed")], "tool_use"),
            ([ToolCall(0, "a", "f", "{}"), Finish("length")], "max_tokens"),
            ([Token("x")], "end_turn"),
        ],
    )
    def test_the_reason_of_the_end(self, events: list[Event], reason: str) -> None:
        blocks = written(messages, [START, *events], None, COMPLETED)
        assert objects(blocks)[-2]["delta"] == {"stop_reason": reason, "stop_sequence": None}

    @pytest.mark.parametrize("outcome", ["completed", "length", "tool_calls", "content_filter"])
    def test_a_good_end(self, outcome: Any) -> None:
        encoder = messages.encoder(ABOUT, include_usage=True)
        encoder.encode([START, Finish(outcome)])
        assert short(encoder.end(None, Done(outcome))) == ["message_delta", "message_stop"]

    @pytest.mark.parametrize("last", [Error("stalled", "silent", True, "stalled"), Done("cancelled", 3)])
    def test_any_other_end_is_never_the_end_marker(self, last: Any) -> None:
        assert said(Token("a"), last=last) == ["message_start", "+0 text", "0 a", "error"]
        assert short(messages.encoder(ABOUT, include_usage=True).end(Usage(1, 2), last)) == ["error"]


class TestToolCalls:
    def test_in_pieces(self) -> None:
        pieces = [ToolCall(0, "x", "f"), ToolCall(0, arguments='{"a"'), ToolCall(0, "x", "f", ": 1}")]
        assert said(*pieces, Finish("tool_calls"))[1:5] == ["+0 tool_use x f", '0 {"a"', "0 : 1}", "-0"]

    def test_one_after_the_other_as_they_come(self) -> None:
        """Arguments that are whole let the next call through at once."""
        encoder = messages.encoder(ABOUT, include_usage=True)
        encoder.encode([START, ToolCall(0, "x", "f", '{"a": "}"'), ToolCall(0, arguments="}")])
        assert short(encoder.encode([ToolCall(1, "y", "g", '{"b')])) == ["-0", "+1 tool_use y g", '1 {"b']

    def test_pieces_in_turns(self) -> None:
        turns = [
            ToolCall(0, "x", "f", '{"a'),
            ToolCall(1, "y", "g", '{"b'),
            ToolCall(0, arguments='": 1'),
            ToolCall(1, arguments='": 2}'),
            Token("and"),
            ToolCall(0, arguments="}"),
            ToolCall(2, "z", "h", "{}"),
        ]
        encoder = messages.encoder(ABOUT, include_usage=True)
        told = [short(encoder.encode([event])) for event in [START, *turns]]
        assert told == [
            ["message_start"],
            ["+0 tool_use x f", '0 {"a'],
            [],
            ['0 ": 1'],
            [],
            [],
            ["0 }", "-0", "+1 tool_use y g", '1 {"b', '1 ": 2}', "-1", "+2 text", "2 and"],
            ["-2", "+3 tool_use z h", "3 {}"],
        ]

    def test_arguments_that_are_never_whole_hold_the_rest_until_the_end(self) -> None:
        events = [ToolCall(0, "x", "f", '{"a'), Token("b"), ToolCall(1, "y", "g", "{"), Reasoning("c")]
        rest = ["-0", "+1 text", "1 b", "-1", "+2 tool_use y g", "2 {", "-2", "+3 thinking", "3 c"]
        begun = ["message_start", "+0 tool_use x f", '0 {"a']
        assert said(*events) == [*begun, *rest, "-3", "message_delta", "message_stop"]
        assert said(*events, Finish("length")) == [*begun, *rest, "-3", "message_delta", "message_stop"]
        assert said(*events, last=Error("stalled", "silent", True, "stalled")) == [*begun, *rest, "error"]

    def test_a_call_without_arguments_waits_for_them(self) -> None:
        assert said(ToolCall(0, "x", "f"), Token("a"), ToolCall(0, arguments="{}"))[1:] == [
            "+0 tool_use x f", "0 {}", "-0", "+1 text", "1 a", "-1", "message_delta", "message_stop",
        ]  # fmt: skip

    def test_a_name_that_comes_late(self) -> None:
        pieces = [ToolCall(0, "x"), ToolCall(0, arguments="{"), ToolCall(0, name="f"), ToolCall(0, arguments="}")]
        assert said(*pieces)[1:5] == ["+0 tool_use x f", "0 {", "0 }", "-0"]
        assert said(ToolCall(0, "x", arguments="{}"))[1:4] == ["+0 tool_use x ", "0 {}", "-0"]

    def test_an_id_of_our_own_is_always_the_same(self) -> None:
        assert said(ToolCall(3, name="f"))[1] == "+0 tool_use toolu_s1_3 f"

    def test_more_after_the_end_of_the_arguments_is_no_part_of_them(self) -> None:
        events = [ToolCall(0, "x", "f", "{}"), Token("a"), ToolCall(0, arguments="\n"), Token("b")]
        assert said(*events)[1:7] == ["+0 tool_use x f", "0 {}", "-0", "+1 text", "1 a", "1 b"]

    @pytest.mark.parametrize(
        ("pieces", "whole"),
        [
            (["{}"], True),
            (["{", "}"], True),
            (['{"a": {"b": [1, 2]}}'], True),
            (['{"a": "', '}"', "}"], True),
            (['{"a": "\\', '"}"', "}"], True),
            (["[]"], True),
            (['{"a": {}'], False),
            (['{"a": "}'], False),
            (['{"a": "\\"}'], False),
            (['{"a": "\\', '"}'], False),
            (["1"], False),
            (['"{}"'], False),
            ([" "], False),
        ],
    )
    def test_when_arguments_are_whole(self, pieces: list[str], whole: bool) -> None:
        encoder = messages.encoder(ABOUT, include_usage=True)
        encoder.encode([START, ToolCall(0, "x", "f"), *(ToolCall(0, arguments=piece) for piece in pieces)])
        assert bool(encoder.encode([Token("next")])) is whole


class TestUsage:
    @pytest.mark.parametrize(
        ("usage", "told"),
        [
            (None, {"output_tokens": 0, "source": "unknown"}),
            (Usage(source="unknown"), {"output_tokens": 0, "source": "unknown"}),
            (Usage(0, 0), {"input_tokens": 0, "output_tokens": 0}),
            (Usage(7, None), {"input_tokens": 7, "output_tokens": 0, "source": "unknown"}),
            (Usage(None, 7), {"output_tokens": 7}),
            (Usage(10, 5, 4, 3), {"input_tokens": 6, "cache_read_input_tokens": 4, "output_tokens": 5,
                                  "output_tokens_details": {"thinking_tokens": 3}}),
            (Usage(10, 5, 4, cache_write_tokens=6), {"input_tokens": 0, "cache_read_input_tokens": 4,
                                                     "cache_creation_input_tokens": 6, "output_tokens": 5}),
            (Usage(10, 5, cache_write_tokens=0), {"input_tokens": 10, "cache_creation_input_tokens": 0,
                                                  "output_tokens": 5}),
            (Usage(3, 5, 4), {"input_tokens": 0, "cache_read_input_tokens": 4, "output_tokens": 5}),
            (Usage(3, 5, source="estimated"), {"input_tokens": 3, "output_tokens": 5, "source": "estimated"}),
        ],
    )  # fmt: skip
    def test_is_told_in_this_dialects_numbers(self, usage: Usage | None, told: Any) -> None:
        assert usage_object(usage, whole=False) == told
        assert usage_object(usage) == {"input_tokens": 0} | told | (
            {"source": "unknown"} if usage is None or usage.input_tokens is None else {}
        )

    @given(partly_known)
    def test_survives(self, usage: Usage) -> None:
        encoder, probe = messages.encoder(ABOUT, include_usage=True), messages.probe()
        for block in [*encoder.encode([START]), *encoder.end(usage, COMPLETED)]:
            probe(block)
        if usage.input_tokens is None or usage.input_tokens >= (usage.cached_tokens or 0):
            assert probe.usage == usage


class TestAsInput:
    @pytest.mark.parametrize(
        ("arguments", "value"),
        [
            ("", {}),
            (" \n", {}),
            ("{}", {}),
            ('{"a": [1, null]}', {"a": [1, None]}),
            ("null", {"INVALID_JSON": "null"}),
            ("[1]", {"INVALID_JSON": "[1]"}),
            ('{"a": ', {"INVALID_JSON": '{"a": '}),
            ('{"a": "\\ud800"}', {"INVALID_JSON": '{"a": "\\ud800"}'}),
        ],
    )
    def test_is_always_an_object(self, arguments: str, value: Any) -> None:
        assert as_input(arguments) == value

    def test_without_end(self) -> None:
        deep = '{"a":' * 50_000 + "1" + "}" * 50_000
        assert as_input(deep) == {"INVALID_JSON": deep}


class TestWhateverComes:
    """Also answers that have no words here: several choices, calls in turns, ends in the middle."""

    @given(answers, usages)
    def test_the_official_client_reads_every_block(self, events: list[Event], usage: Usage) -> None:
        for event in objects(written(messages, events, usage, COMPLETED)):
            EVENT.validate_python(event)

    @given(answers)
    def test_one_block_is_open_at_a_time_and_they_are_numbered(self, events: list[Event]) -> None:
        open_block: int | None = None
        started = 0
        for event in objects(written(messages, events, None, COMPLETED)):
            match event["type"]:
                case "content_block_start":
                    assert (open_block, event["index"]) == (None, started)
                    open_block, started = started, started + 1
                case "content_block_delta":
                    assert event["index"] == open_block
                case "content_block_stop":
                    assert event["index"] == open_block
                    open_block = None
        assert open_block is None

    @given(answers)
    def test_no_word_is_lost(self, events: list[Event]) -> None:
        deltas = [event["delta"] for event in objects(written(messages, events, None, COMPLETED)) if "delta" in event]
        spoken = [event.text for event in events if isinstance(event, Token | Refusal) and event.index == 0]
        assert "".join(delta.get("text", "") for delta in deltas) == "".join(spoken)
        thought = [event.text for event in events if isinstance(event, Reasoning) and event.index == 0]
        assert "".join(delta.get("thinking", "") for delta in deltas) == "".join(thought)

    @given(answers, usages, st.integers(0, 12))
    def test_is_deterministic_and_may_go_on_from_a_copy(self, events: list[Event], usage: Usage, at: int) -> None:
        encoder = messages.encoder(ABOUT, include_usage=True)
        blocks = encoder.encode(events[:at])
        copied = copy.deepcopy(encoder)
        encoder.encode([Token("only the first has this"), ToolCall(0, arguments="{")])
        blocks += copied.encode(events[at:]) + copied.end(usage, COMPLETED)
        assert blocks == written(messages, events, usage, COMPLETED)

    @given(answers)
    def test_blocks_are_canonical(self, events: list[Event]) -> None:
        blocks = written(messages, events, None, COMPLETED)
        assert sse.Splitter().feed(b"".join(blocks)) == blocks

    @given(answers)
    def test_an_error_is_never_an_end(self, events: list[Event]) -> None:
        blocks = written(messages, events, None, Done("cancelled"))
        assert [messages.probe()(block) for block in blocks][-1] is Kind.FAILED
        assert "message_stop" not in short(blocks)
