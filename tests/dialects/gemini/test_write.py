"""Writing a `gemini` client's blocks."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given

from penstock.dialects.base import Ending, Kind
from penstock.dialects.gemini import Gemini
from penstock.exceptions import Refused, UpstreamFailed
from penstock.wire import sse
from penstock.wire.events import Done, Error, Event, Finish, Reasoning, Refusal, Terminal, Token, ToolCall, Usage
from tests.dialects.answers import ABOUT, START, answers, usages, written

gemini = Gemini()
BASE = {"modelVersion": "m", "responseId": "s1"}
CUT = Error("stalled", "silent", True, "stalled")


def objects(blocks: Sequence[bytes]) -> list[Any]:
    return [json.loads(sse.payload(block)) for block in blocks]


def parts_of(blocks: Sequence[bytes]) -> list[Any]:
    """The parts that say something, in order."""
    candidates = [candidate for one in objects(blocks) for candidate in one.get("candidates", ())]
    return [part for one in candidates for part in one["content"]["parts"] if part != {"text": ""}]


def call(name: str, args: Any, id: str | None = None) -> Any:
    return {"functionCall": {**({"id": id} if id else {}), "name": name, "args": args}}


class TestEncoder:
    def test_an_answer(self) -> None:
        blocks = written(gemini, [START, Token("a"), Finish("completed")], Usage(1, 2), Done("completed"))

        def chunk(part: Any, **more: Any) -> Any:
            return {"content": {"parts": [part], "role": "model"}, "index": 0, **more}

        assert objects(blocks) == [
            {"candidates": [chunk({"text": "a"})], **BASE},
            {
                "candidates": [chunk({"text": ""}, finishReason="STOP")],
                "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 2, "totalTokenCount": 3},
                **BASE,
            },
        ]

    def test_thoughts_and_refusals(self) -> None:
        blocks = written(gemini, [START, Reasoning("Hm"), Refusal("No")], None, Done("completed"))
        assert parts_of(blocks) == [{"text": "Hm", "thought": True}, {"text": "No"}]

    def test_nothing_says_that_it_is_complete_before_the_end(self) -> None:
        encoder = gemini.encoder(ABOUT, include_usage=True)
        blocks = encoder.encode([START, Token("a"), Finish("length"), Token("b", 1), Finish("completed", 1)])
        assert b"finishReason" not in b"".join(blocks)
        (last,) = encoder.end(None, Done("length"))
        reasons = [(one["index"], one["finishReason"]) for one in objects([last])[0]["candidates"]]
        assert reasons == [(0, "MAX_TOKENS"), (1, "STOP")]

    @pytest.mark.parametrize(
        ("outcome", "reason"),
        [("completed", "STOP"), ("length", "MAX_TOKENS"), ("tool_calls", "STOP"), ("content_filter", "SAFETY")],
    )
    def test_a_good_end_without_a_finish_before(self, outcome: Any, reason: str) -> None:
        (block,) = gemini.encoder(ABOUT, include_usage=True).end(None, Done(outcome))
        assert objects([block])[0]["candidates"][0]["finishReason"] == reason
        probe = gemini.probe()
        probe(block)
        assert probe.complete

    @pytest.mark.parametrize("last", [CUT, Done("cancelled", 3)])
    def test_any_other_end_is_an_error(self, last: Terminal) -> None:
        encoder = gemini.encoder(ABOUT, include_usage=True)
        encoder.encode([START, Token("a"), Finish("completed")])
        (block,) = encoder.end(Usage(1, 2), last)
        assert gemini.probe()(block) is Kind.FAILED

    @pytest.mark.parametrize(
        ("usage", "told"),
        [
            (Usage(7, None), {"promptTokenCount": 7}),
            (Usage(0, 0), {"promptTokenCount": 0, "candidatesTokenCount": 0, "totalTokenCount": 0}),
            (
                Usage(9, 33, 4, 31),
                {
                    "promptTokenCount": 9,
                    "candidatesTokenCount": 2,
                    "totalTokenCount": 42,
                    "cachedContentTokenCount": 4,
                    "thoughtsTokenCount": 31,
                },
            ),
            (Usage(None, 3, source="estimated"), {"candidatesTokenCount": 3, "source": "estimated"}),
            (Usage(source="unknown"), None),
            (None, None),
        ],
    )
    def test_usage(self, usage: Usage | None, told: Any) -> None:
        (block,) = gemini.encoder(ABOUT, include_usage=True).end(usage, Done("completed"))
        assert objects([block])[0].get("usageMetadata") == told
        probe = gemini.probe()
        probe(block)
        assert probe.usage == (usage if told is not None else None)

    def test_usage_is_left_out_for_those_who_did_not_ask(self) -> None:
        (block,) = gemini.encoder(ABOUT, include_usage=False).end(Usage(1, 2), Done("completed"))
        assert "usageMetadata" not in objects([block])[0]

    @given(answers, usages)
    def test_is_deterministic(self, events: list[Event], usage: Usage) -> None:
        first, again = (written(gemini, events, usage, Done("completed")) for _ in range(2))
        assert first == again

    @given(answers)
    def test_blocks_are_canonical(self, events: list[Event]) -> None:
        blocks = written(gemini, events, None, Done("completed"))
        assert sse.Splitter().feed(b"".join(blocks)) == blocks


class TestCalls:
    """>> is an event, << the parts that it lets out."""

    def test_a_call_goes_out_whole_with_what_comes_after_it(self) -> None:
        encoder = gemini.encoder(ABOUT, include_usage=True)
        assert encoder.encode([ToolCall(0, "a", "weather", '{"city":')]) == []
        assert encoder.encode([ToolCall(0, arguments='"Oslo"}')]) == []
        assert parts_of(encoder.encode([Token("and")])) == [call("weather", {"city": "Oslo"}, "a"), {"text": "and"}]

    def test_the_next_call_lets_a_whole_one_go(self) -> None:
        encoder = gemini.encoder(ABOUT, include_usage=True)
        assert encoder.encode([ToolCall(0, "a", "f", '{"x":1}')]) == []
        assert parts_of(encoder.encode([ToolCall(1, "b", "g")])) == [call("f", {"x": 1}, "a")]
        assert parts_of(encoder.end(None, Done("tool_calls"))) == [call("g", {}, "b")]

    def test_pieces_of_two_calls_may_take_turns(self) -> None:
        encoder = gemini.encoder(ABOUT, include_usage=True)
        pieces = [ToolCall(0, "a", "f"), ToolCall(1, "b", "g"), ToolCall(0, arguments='{"x":')]
        pieces += [ToolCall(1, arguments="{}"), ToolCall(0, arguments="1}")]
        assert encoder.encode(pieces) == []
        assert parts_of(encoder.encode([Finish("tool_calls")])) == [call("f", {"x": 1}, "a"), call("g", {}, "b")]

    def test_another_id_under_the_same_number_is_another_call(self) -> None:
        encoder = gemini.encoder(ABOUT, include_usage=True)
        told = encoder.encode([ToolCall(0, "a", "f", "{}"), ToolCall(0, "b", "f", "{}")])
        assert parts_of(told) == [call("f", {}, "a")]

    def test_a_name_that_is_repeated_with_every_piece(self) -> None:
        encoder = gemini.encoder(ABOUT, include_usage=True)
        encoder.encode([ToolCall(0, "a", "f", '{"x"'), ToolCall(0, "a", "f", ":1}")])
        assert parts_of(encoder.encode([Finish("tool_calls")])) == [call("f", {"x": 1}, "a")]

    def test_calls_of_other_choices_wait_by_themselves(self) -> None:
        encoder = gemini.encoder(ABOUT, include_usage=True)
        encoder.encode([ToolCall(0, "a", "f", "{}", choice=1)])
        assert parts_of(encoder.encode([Token("x")])) == [{"text": "x"}]
        (one,) = objects(encoder.encode([Finish("tool_calls", 1)]))
        assert one["candidates"][0]["index"] == 1

    def test_a_copy_goes_on_in_the_middle_of_a_call(self) -> None:
        """Views copy encoders: what comes after must be the same bytes, and must not reach the original."""
        encoder = gemini.encoder(ABOUT, include_usage=True)
        encoder.encode([START, ToolCall(0, "a", "f", '{"x":')])
        copied = copy.deepcopy(encoder)
        rest: list[Event] = [ToolCall(0, arguments="1}"), Finish("tool_calls")]
        assert copied.encode(rest) == encoder.encode(rest)
        assert copied.end(None, Done("tool_calls")) == encoder.end(None, Done("tool_calls"))

    def test_arguments_that_are_no_object(self) -> None:
        encoder = gemini.encoder(ABOUT, include_usage=True)
        encoder.encode([ToolCall(0, "a", "f", '{"x": "half')])
        assert parts_of(encoder.encode([Finish("length")])) == [call("f", {"_raw": '{"x": "half'}, "a")]

    def test_half_a_call_is_none(self) -> None:
        """What was cut must not look like a call that was made so; one that had come to its end is told."""
        encoder = gemini.encoder(ABOUT, include_usage=True)
        encoder.encode([ToolCall(0, "a", "f", '{"x":1}'), ToolCall(1, "b", "g", '{"y":')])
        assert parts_of(encoder.end(None, CUT)) == []
        encoder = gemini.encoder(ABOUT, include_usage=True)
        encoder.encode([ToolCall(0, "a", "f", '{"x":1}')])
        assert parts_of(encoder.end(None, CUT)) == [call("f", {"x": 1}, "a")]


class TestEnding:
    """After an upstream's own blocks."""

    def ended(self, last: Terminal) -> list[bytes]:
        return gemini.ending(ABOUT, Ending(Usage(1, 2), None, last, 3), include_usage=True)

    @pytest.mark.parametrize("outcome", ["completed", "length", "tool_calls", "content_filter"])
    def test_it_has_said_all(self, outcome: Any) -> None:
        assert self.ended(Done(outcome)) == []

    @pytest.mark.parametrize("last", [CUT, Done("cancelled")])
    def test_it_was_cut(self, last: Terminal) -> None:
        (block,) = self.ended(last)
        assert gemini.probe()(block) is Kind.FAILED


class TestCollect:
    def collected(self, *events: Event) -> Any:
        return json.loads(gemini.collect(ABOUT, [START, *events]))

    def test_text(self) -> None:
        answer = self.collected(Token("Hel"), Token("lo"), Finish("length"), Usage(1, 2), Done("length"))
        assert answer == {
            "candidates": [
                {"content": {"parts": [{"text": "Hello"}], "role": "model"}, "index": 0, "finishReason": "MAX_TOKENS"}
            ],
            "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 2, "totalTokenCount": 3},
            **BASE,
        }

    def test_nothing_at_all(self) -> None:
        (candidate,) = self.collected(Done("completed"))["candidates"]
        assert candidate["content"]["parts"] == []
        assert candidate["finishReason"] == "STOP"

    def test_everything_in_its_order(self) -> None:
        told: list[Event] = [
            Reasoning("H"),
            Reasoning("m"),
            Token("a"),
            ToolCall(0, "x", "f", '{"y":'),
            ToolCall(0, arguments="1}"),
            Token("b"),
            Token("c"),
        ]
        (candidate,) = self.collected(*told, Done("tool_calls"))["candidates"]
        assert candidate["content"]["parts"] == [
            {"text": "Hm", "thought": True},
            {"text": "a"},
            call("f", {"y": 1}, "x"),
            {"text": "bc"},
        ]

    def test_choices_in_order(self) -> None:
        rows = self.collected(Token("b", 1), Token("a"), ToolCall(0, "x", "f", "", choice=2), Done("completed"))
        parts = [row["content"]["parts"] for row in rows["candidates"]]
        assert parts == [[{"text": "a"}], [{"text": "b"}], [call("f", {}, "x")]]

    def test_an_error_is_a_refusal(self) -> None:
        with pytest.raises(UpstreamFailed) as failed:
            self.collected(Token("half"), CUT)
        assert (failed.value.code, failed.value.retryable) == ("stalled", True)

    def test_a_cancelled_answer_is_none(self) -> None:
        with pytest.raises(Refused) as refused:
            self.collected(Token("half"), Done("cancelled"))
        assert (refused.value.status, refused.value.code) == (409, "cancelled")

    @given(answers)
    def test_says_what_the_stream_says(self, events: list[Event]) -> None:
        answer = json.loads(gemini.collect(ABOUT, [*events, Done("completed")]))
        for candidate in answer["candidates"]:
            texts = [part["text"] for part in candidate["content"]["parts"] if "text" in part]
            said = [
                e.text for e in events if isinstance(e, Token | Reasoning | Refusal) and e.index == candidate["index"]
            ]
            assert "".join(texts) == "".join(said)
