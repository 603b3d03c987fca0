"""Writing an `openai-chat` client's blocks, and the answer in one piece."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from penstock.dialects.base import Kind
from penstock.dialects.openai_chat import DONE, OpenAIChat
from penstock.exceptions import Refused, UpstreamFailed
from penstock.wire import sse
from penstock.wire.events import (
    Done,
    Error,
    Event,
    Finish,
    Reasoning,
    Refusal,
    Token,
    ToolCall,
    Usage,
)
from tests.dialects.answers import ABOUT, START, answers, partly_known, usages, written

chat = OpenAIChat()


def objects(blocks: Sequence[bytes]) -> list[Any]:
    return [json.loads(sse.payload(block)) for block in blocks if block != DONE]


class TestEncoder:
    def test_an_answer(self) -> None:
        blocks = written(chat, [START, Token("a"), Finish("completed")], Usage(1, 2), Done("completed"))
        base = {"id": "chatcmpl-s1", "object": "chat.completion.chunk", "created": ABOUT.created, "model": "m"}

        def choice(delta: Any, reason: str | None = None) -> Any:
            return {**base, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}

        assert objects(blocks) == [
            choice({"role": "assistant", "content": ""}),
            choice({"content": "a"}),
            choice({}, "stop"),
            {**base, "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}},
        ]
        assert blocks[-1] == DONE

    def test_every_choice_is_opened_once(self) -> None:
        encoder = chat.encoder(ABOUT, include_usage=False)
        assert len(encoder.encode([START])) == 1
        assert len(encoder.encode([Token("a", 1)])) == 2
        assert len(encoder.encode([Token("b", 1), Token("c")])) == 2

    def test_the_usage_is_for_those_who_asked(self) -> None:
        assert chat.encoder(ABOUT, include_usage=False).end(Usage(1, 2), Done("completed")) == [DONE]
        assert chat.encoder(ABOUT, include_usage=True).end(None, Done("completed")) == [DONE]

    def test_what_nobody_knows_is_not_told_as_zero(self) -> None:
        encoder = chat.encoder(ABOUT, include_usage=True)
        assert encoder.end(Usage(source="unknown"), Done("completed")) == [DONE]
        assert objects(encoder.end(Usage(7, None), Done("completed")))[0]["usage"] == {"prompt_tokens": 7}

    @given(partly_known)
    def test_usage_survives(self, usage: Usage) -> None:
        first, *_ = chat.encoder(ABOUT, include_usage=True).end(usage, Done("completed"))
        probe = chat.probe()
        assert probe(first) is Kind.HELD
        assert probe.usage == usage

    @pytest.mark.parametrize("outcome", ["completed", "length", "tool_calls", "content_filter"])
    def test_a_good_end(self, outcome: Any) -> None:
        assert chat.encoder(ABOUT, include_usage=False).end(None, Done(outcome)) == [DONE]

    @pytest.mark.parametrize("last", [Error("stalled", "silent", True, "stalled"), Done("cancelled", 3)])
    def test_any_other_end_is_never_the_end_marker(self, last: Any) -> None:
        (block,) = chat.encoder(ABOUT, include_usage=False).end(None, last)
        error = json.loads(sse.payload(block))["error"]
        assert error["outcome"] == last.outcome
        assert error["code"] in ("stalled", "cancelled")
        assert error["retryable"] is (last.outcome == "stalled")
        assert chat.probe()(block) is Kind.FAILED

    @given(answers, usages)
    def test_is_deterministic(self, events: list[Event], usage: Usage) -> None:
        first, again = (written(chat, events, usage, Done("completed")) for _ in range(2))
        assert first == again

    @given(answers, usages)
    def test_the_official_client_reads_every_chunk(self, events: list[Event], usage: Usage) -> None:
        for chunk in objects(written(chat, events, usage, Done("length"))):
            ChatCompletionChunk.model_validate(chunk)

    @given(answers)
    def test_blocks_are_canonical(self, events: list[Event]) -> None:
        blocks = written(chat, events, None, Done("completed"))
        assert sse.Splitter().feed(b"".join(blocks)) == blocks


class TestCollect:
    def collected(self, *events: Event) -> Any:
        answer = json.loads(chat.collect(ABOUT, [START, *events]))
        ChatCompletion.model_validate(answer)
        return answer

    def test_text(self) -> None:
        answer = self.collected(Token("Hel"), Token("lo"), Finish("length"), Usage(1, 2), Done("length"))
        assert answer["object"] == "chat.completion"
        assert answer["choices"] == [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello", "refusal": None},
                "logprobs": None,
                "finish_reason": "length",
            }
        ]
        assert answer["usage"] == {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}

    def test_nothing_at_all(self) -> None:
        (choice,) = self.collected(Done("completed"))["choices"]
        assert choice["message"]["content"] == ""
        assert choice["finish_reason"] == "stop"

    def test_tool_calls_in_pieces(self) -> None:
        pieces = [
            ToolCall(1, "b", "g"),
            ToolCall(0, "a", "f"),
            ToolCall(0, arguments='{"x":'),
            ToolCall(1, arguments="{}"),
            ToolCall(0, "a", "f", "1}"),  # some repeat the name with every piece
        ]
        (choice,) = self.collected(*pieces, Done("tool_calls"))["choices"]
        assert choice["message"]["content"] is None
        assert choice["finish_reason"] == "tool_calls"
        assert [(call["id"], call["function"]) for call in choice["message"]["tool_calls"]] == [
            ("a", {"name": "f", "arguments": '{"x":1}'}),
            ("b", {"name": "g", "arguments": "{}"}),
        ]

    def test_choices_in_order(self) -> None:
        told = [Token("b", 1), Token("a"), ToolCall(0, "x", "f", "", choice=2), Done("completed")]
        choices = self.collected(*told)["choices"]
        assert [choice["message"]["content"] for choice in choices] == ["a", "b", None]

    def test_reasoning_and_refusal(self) -> None:
        (choice,) = self.collected(Reasoning("Hm"), Refusal("No"), Refusal("."), Done("completed"))["choices"]
        message = choice["message"]
        assert (message["content"], message["refusal"], message["reasoning_content"]) == (None, "No.", "Hm")

    def test_unknown_usage_is_not_told_as_zero(self) -> None:
        assert self.collected(Usage(source="unknown"), Done("completed"))["usage"] is None

    def test_an_error_is_a_refusal(self) -> None:
        with pytest.raises(UpstreamFailed) as failed:
            self.collected(Token("half"), Error("stalled", "silent", True, "stalled"))
        assert (failed.value.code, failed.value.retryable) == ("stalled", True)

    def test_a_cancelled_answer_is_none(self) -> None:
        with pytest.raises(Refused) as refused:
            self.collected(Token("half"), Done("cancelled"))
        assert (refused.value.status, refused.value.code) == (409, "cancelled")

    @given(answers)
    def test_says_what_the_stream_says(self, events: list[Event]) -> None:
        answer = json.loads(chat.collect(ABOUT, [*events, Done("completed")]))
        for choice in answer["choices"]:
            said = [e.text for e in events if isinstance(e, Token) and e.index == choice["index"]]
            assert (choice["message"]["content"] or "") == "".join(said)
