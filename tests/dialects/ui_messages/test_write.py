"""Writing a `ui-messages` client's blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from penstock.dialects.base import Ending
from penstock.dialects.ui_messages import UIMessages
from penstock.dialects.ui_messages.write import UIEncoder, ending
from penstock.wire.events import Done, Error, Event, Finish, Reasoning, Refusal, Token, ToolCall, Usage
from tests.dialects.answers import ABOUT, START, written

from .grammar import legal, parts_of

ui = UIMessages()
COMPLETED = Done("completed")
CUT = Error("upstream_truncated", "cut", True, "upstream_truncated")


def short(blocks: Sequence[bytes]) -> list[str]:
    """Parts as one word each: `+text-0`, `text-0 words`, `-text-0`; calls as `+id name`, `id piece`, `=id input`."""
    told = []
    for part in parts_of(blocks):
        kind, id = part["type"], part.get("id") or part.get("toolCallId")
        match kind:
            case "text-start" | "reasoning-start":
                told.append(f"+{id}")
            case "text-delta" | "reasoning-delta":
                told.append(f"{id} {part['delta']}")
            case "text-end" | "reasoning-end":
                told.append(f"-{id}")
            case "tool-input-start":
                told.append(f"+{id} {part['toolName']}")
            case "tool-input-delta":
                told.append(f"{id} {part['inputTextDelta']}")
            case "tool-input-available":
                told.append(f"={id} {part['input']}")
            case "tool-input-error":
                told.append(f"!{id} {part['input']}")
            case other:
                told.append(other)
    return told


def said(*events: Event, last: Any = COMPLETED) -> list[str]:
    """Between `start`, `start-step` and `finish-step`, `finish`."""
    blocks = written(ui, [START, *events], None, last)
    legal(blocks)
    told = short(blocks)
    assert told[:2] == ["start", "start-step"]
    return told[2:-2] if told[-1] == "finish" else told[2:]


def finish(*events: Event, usage: Usage | None = None, last: Done = COMPLETED) -> Any:
    blocks = written(ui, [START, *events], usage, last)
    assert legal(blocks) == "finish"
    part = parts_of(blocks)[-1]
    return part["finishReason"], part["messageMetadata"]


class TestEncoder:
    def test_an_answer(self) -> None:
        blocks = written(ui, [START, Token("a"), Token("b"), Finish("completed")], Usage(1, 2), COMPLETED)
        assert parts_of(blocks) == [
            {"type": "start", "messageId": "msg_s1", "messageMetadata": {"stream": "s1", "model": "m"}},
            {"type": "start-step"},
            {"type": "text-start", "id": "text-0"},
            {"type": "text-delta", "id": "text-0", "delta": "a"},
            {"type": "text-delta", "id": "text-0", "delta": "b"},
            {"type": "text-end", "id": "text-0"},
            {"type": "finish-step"},
            {
                "type": "finish",
                "finishReason": "stop",
                "messageMetadata": {
                    "outcome": "completed",
                    "usage": {"input_tokens": 1, "output_tokens": 2, "source": "final"},
                },
            },
        ]

    def test_one_part_after_the_other(self) -> None:
        assert said(Reasoning("Hm"), Token("a"), Token("b"), Reasoning("c")) == [
            "+reasoning-0", "reasoning-0 Hm", "-reasoning-0",
            "+text-1", "text-1 a", "text-1 b", "-text-1",
            "+reasoning-2", "reasoning-2 c", "-reasoning-2",
        ]  # fmt: skip

    def test_nothing_is_no_part(self) -> None:
        assert said(Token(""), Reasoning("")) == []
        assert short(ui.encoder(ABOUT, include_usage=True).end(None, COMPLETED)) == [
            "start", "start-step", "finish-step", "finish",
        ]  # fmt: skip

    def test_calls_in_turns(self) -> None:
        calls = [
            ToolCall(0, "x", "f", '{"n":'),
            ToolCall(1, "y", "g"),
            ToolCall(0, arguments=" 1}"),
            Finish("tool_calls"),
        ]
        assert said(Token("a"), *calls) == [
            "+text-0", "text-0 a", "-text-0",
            "+x f", 'x {"n":', "+y g", "x  1}", "=x {'n': 1}", "=y {}",
        ]  # fmt: skip

    def test_words_between_the_pieces_of_a_call(self) -> None:
        assert said(ToolCall(0, "x", "f", "["), Token("a"), ToolCall(0, arguments="]"), Token("b")) == [
            "+x f", "x [", "+text-0", "text-0 a", "x ]", "text-0 b", "-text-0", "=x []",
        ]  # fmt: skip

    def test_a_call_waits_for_its_name(self) -> None:
        assert said(ToolCall(0, "x", None, "{"), ToolCall(0, name="f", arguments="}"), ToolCall(1)) == [
            "+x f", "x {}", "=x {}", "+call_s1_1 ", "=call_s1_1 {}",
        ]  # fmt: skip

    def test_ids_are_unique(self) -> None:
        assert said(ToolCall(0, "x", "f"), ToolCall(1, "x", "f"), ToolCall(2, "x_1", "f"), ToolCall(3, "", "f")) == [
            "+x f", "+x_1 f", "+x_1_2 f", "+call_s1_3 f", "=x {}", "=x_1 {}", "=x_1_2 {}", "=call_s1_3 {}",
        ]  # fmt: skip

    @pytest.mark.parametrize("arguments", ['{"x":', "rain", '{"a":1e999}', "[" * 5000])
    def test_what_is_no_json_is_an_error_of_the_call(self, arguments: str) -> None:
        assert said(ToolCall(0, "x", "f", arguments)) == ["+x f", f"x {arguments}", f"!x {arguments}"]

    def test_what_comes_after_the_finish_is_legal(self) -> None:
        late = [Token("b"), ToolCall(0, arguments="{"), ToolCall(1, "y", "g")]
        assert said(ToolCall(0, "x", "f"), Token("a"), Finish("completed"), *late) == [
            "+x f", "+text-0", "text-0 a", "-text-0", "=x {}",
            "+text-1", "text-1 b", "-text-1", "+y g", "=y {}",
        ]  # fmt: skip

    def test_only_the_first_choice_is_told(self) -> None:
        others = [
            Token("b", 1),
            Reasoning("b", 1),
            Refusal("b", 1),
            ToolCall(0, "x", "f", choice=2),
            Finish("length", 1),
        ]
        assert said(*others, Token("a")) == ["+text-0", "text-0 a", "-text-0"]
        assert finish(*others)[0] == "stop"


class TestEnd:
    @pytest.mark.parametrize(
        ("events", "outcome", "reason"),
        [
            ([], "completed", "stop"),
            ([], "length", "length"),
            ([Finish("tool_calls")], "tool_calls", "tool-calls"),
            ([Finish("content_filter")], "content_filter", "content-filter"),
            ([Refusal("No."), Finish("completed")], "completed", "content-filter"),
            ([ToolCall(0, "x", "f"), Finish("completed")], "completed", "tool-calls"),
            ([ToolCall(0, "x", "f"), Finish("length")], "length", "length"),
        ],
    )
    def test_the_reason(self, events: list[Event], outcome: Any, reason: str) -> None:
        assert finish(*events, last=Done(outcome)) == (reason, {"outcome": outcome})

    def test_usage_that_nobody_knows_is_not_told(self) -> None:
        assert "usage" not in finish(usage=Usage(0, 0, source="unknown"))[1]
        assert finish(usage=Usage(None, 0, cache_write_tokens=3))[1]["usage"] == {
            "output_tokens": 0,
            "source": "final",
            "cache_write_tokens": 3,
        }

    def test_what_did_not_end_well_stays_open(self) -> None:
        events = [Token("a"), ToolCall(0, "x", "f", "{}"), Reasoning("b")]
        assert said(*events, last=CUT) == [
            "+text-0", "text-0 a", "-text-0", "+x f", "x {}", "+reasoning-1", "reasoning-1 b", "error",
        ]  # fmt: skip
        assert said(*events, last=Done("cancelled"))[-1] == "abort"

    def test_after_an_upstreams_own_blocks(self) -> None:
        marker = b"data: [DONE]\n\n"
        assert ending(Ending(None, None, COMPLETED, 3)) == [marker]
        assert ending(Ending(None, marker, COMPLETED, 3)) == []
        assert legal(ending(Ending(None, None, CUT, 3))) == "error"
        assert legal(ending(Ending(None, None, Done("cancelled"), 3))) == "abort"

    def test_an_answer_that_goes_on_with_a_message_has_its_id(self) -> None:
        for message, id in (("", f"msg_{ABOUT.stream}"), ("a1", "a1")):
            encoder = UIEncoder(msgspec.structs.replace(ABOUT, message=message))
            assert parts_of([*encoder.encode([Token("a")]), b"data: [DONE]\n\n"])[0]["messageId"] == id
