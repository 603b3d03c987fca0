"""Whole answers of the Responses API."""

from __future__ import annotations

import json

import pytest

from penstock.dialects.base import Ending
from penstock.dialects.openai_responses import OpenAIResponses
from penstock.dialects.openai_responses.whole import usage_object
from penstock.exceptions import Refused, UpstreamFailed
from penstock.wire import sse
from penstock.wire.events import Done, Error, Event, Finish, Token, Usage
from tests.dialects.answers import ABOUT, START

responses = OpenAIResponses()


class TestAssemble:
    def test_an_output_that_was_left_empty_is_made_of_its_items(self) -> None:
        item = {"type": "message", "content": []}
        blocks = [
            sse.encode(json.dumps({"type": "response.output_item.done", "output_index": 0, "item": item})),
            sse.encode(json.dumps({"type": "response.completed", "response": {"id": "r", "output": []}})),
        ]
        whole = responses.assemble(ABOUT, blocks, Ending(None, None, Done("completed"), 2))
        assert whole is not None
        assert json.loads(whole) == {"id": "r", "output": [item], "model": "m"}

    def test_words_that_are_in_no_item_are_collected_instead(self) -> None:
        blocks = [
            sse.encode(json.dumps({"type": "response.output_text.delta", "delta": "x"})),
            sse.encode(json.dumps({"type": "response.completed", "response": {"id": "r", "output": []}})),
        ]
        assert responses.assemble(ABOUT, blocks, Ending(None, None, Done("completed"), 2)) is None


class TestUsage:
    def test_what_nobody_said_is_named(self) -> None:
        told = usage_object(Usage(None, 7, 0, None, "estimated", 3))
        assert told == {
            "input_tokens": 0,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 3},
            "output_tokens": 7,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 7,
            "unknown": ["input_tokens", "reasoning_tokens"],
            "source": "estimated",
        }

    def test_nothing_is_no_usage(self) -> None:
        assert usage_object(None) is None
        assert usage_object(Usage(source="unknown")) is None


class TestCollect:
    def test_the_first_choices_answer(self) -> None:
        events: list[Event] = [START, Token("a"), Token("b", 1), Finish("length"), Finish("completed", 1), Usage(1, 2)]
        told = json.loads(responses.collect(ABOUT, [*events, Done("completed")]))
        assert told["output"][0]["content"][0]["text"] == "a"
        assert (told["status"], told["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
        assert (told["id"], told["model"], told["usage"]["total_tokens"]) == ("resp_s1", "m", 3)

    def test_what_did_not_end_well_is_refused(self) -> None:
        with pytest.raises(UpstreamFailed) as failed:
            responses.collect(ABOUT, [START, Token("a"), Error("stalled", "silent", True, "stalled")])
        assert (failed.value.status, failed.value.code) == (502, "stalled")
        with pytest.raises(Refused) as cancelled:
            responses.collect(ABOUT, [START, Token("a"), Done("cancelled", 1)])
        assert cancelled.value.status == 409
