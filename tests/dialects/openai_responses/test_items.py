"""Conversations of the Responses API, and what of a request only it can say."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.dialects.native import Native
from penstock.dialects.openai_chat import OpenAIChat
from penstock.dialects.openai_responses import OpenAIResponses
from penstock.exceptions import Refused

responses = OpenAIResponses()
chat = OpenAIChat()
native = Native()


def asked(**fields: Any) -> bytes:
    return json.dumps({"model": "m", "input": "hi", **fields}).encode()


class TestRequests:
    @pytest.mark.parametrize(
        ("request_fields", "dropped"),
        [
            ({"text": {"verbosity": "low", "format": {"type": "text"}}}, ["text.verbosity"]),
            ({"reasoning": {"effort": "low", "summary": "detailed"}}, ["reasoning.summary"]),
            ({"reasoning": {"effort": "low", "summary": "auto"}}, []),
            ({"input": [{"type": "reasoning", "id": "rs", "summary": []}, {"role": "user", "content": "x"}]},
             ["input.reasoning"]),
        ],
    )  # fmt: skip
    def test_hints_are_listed(self, request_fields: Any, dropped: list[str]) -> None:
        assert list(chat.encode_request(responses.parse_request(asked(**request_fields)), "x").dropped) == dropped

    @pytest.mark.parametrize(
        ("request_fields", "param"),
        [
            ({"tool_choice": {"type": "web_search"}}, "tool_choice"),
            ({"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": []}}, "tool_choice"),
            ({"text": {"format": {"type": "grammar", "definition": "x"}}}, "text.format"),
            ({"input": [{"type": "item_reference", "id": "x"}]}, "input.item_reference"),
        ],
    )
    def test_what_would_be_another_answer_is_refused_by_name(self, request_fields: Any, param: str) -> None:
        request = responses.parse_request(asked(**request_fields))
        assert json.loads(responses.encode_request(request, "x").body) == json.loads(asked(**request_fields)) | {
            "model": "x",
            "stream": True,
        }
        with pytest.raises(Refused) as refused:
            chat.encode_request(request, "x")
        assert refused.value.param == param

    def test_nothing_stands_between_a_call_and_its_result(self) -> None:
        items = [
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
            {"role": "assistant", "content": "hm"},
            {"type": "function_call_output", "call_id": "c", "output": "y"},
        ]
        messages = responses.parse_request(asked(input=items)).messages
        assert [(message.role, message.content) for message in messages] == [("assistant", "hm"), ("tool", "y")]

    @pytest.mark.parametrize(
        ("items", "told"),
        [
            # words, a call, more words, its result
            (["A", "c1", "B", "r1", "C"], ["A\n\nB c1", "r1", "C"]),
            # the person speaks in between
            (["c1", "c2", "U", "r2", "r1"], [" c1 c2", "r2", "r1", "U"]),
            # another call while one is open
            (["c1", "c2", "r1", "c3", "r2", "r3"], [" c1 c2", "r1", "r2", " c3", "r3"]),
            # words after a result are words of their own, as are those after a call that nobody answers
            (["c1", "r1", "A", "c2", "r2"], [" c1", "r1", "A c2", "r2"]),
            (["c1", "A", "B"], ["A c1", "B"]),
            (["A", "c1", "B"], ["A c1", "B"]),
            # a result of nobody's call
            (["r1", "A"], ["r1", "A"]),
            (["A", "B"], ["A", "B"]),
        ],
    )
    def test_results_follow_their_calls(self, items: list[str], told: list[str]) -> None:
        """`c1` is a call, `r1` its result, `U` the person, the rest is the assistant."""
        assert self.conversation(items) == told

    @given(st.lists(st.sampled_from(["c1", "c2", "r1", "r2", "A", "B", "U"]), max_size=9))
    def test_nothing_is_lost_or_told_twice(self, items: list[str]) -> None:
        told = self.conversation(items)
        assert sorted(" ".join(told).split()) == sorted(items)
        for call in ("c1", "c2"):
            answer = call.replace("c", "r")
            if items.count(call) == items.count(answer) == 1 and items.index(call) < items.index(answer):
                made = next(n for n, message in enumerate(told) if call in message.split())
                between = told[made + 1 : told.index(answer)]
                assert all(message in ("r1", "r2") for message in between)

    def conversation(self, items: list[str]) -> list[str]:
        given: list[dict[str, Any]] = []
        for item in items:
            match item[0]:
                case "c":
                    given.append({"type": "function_call", "call_id": item[1], "name": "f", "arguments": "{}"})
                case "r":
                    given.append({"type": "function_call_output", "call_id": item[1], "output": item})
                case who:
                    given.append({"role": "user" if who == "U" else "assistant", "content": item})
        messages = responses.parse_request(asked(input=given)).messages if given else []
        return [
            " ".join([message.text, *(f"c{call['id']}" for call in message.tool_calls or ())]) for message in messages
        ]

    def test_a_refusal_between_a_call_and_its_result_stays_one(self) -> None:
        items = [
            {"role": "assistant", "content": "A"},
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
            {"type": "function_call_output", "call_id": "c", "output": "y"},
        ]
        first, _ = responses.parse_request(asked(input=items)).messages
        assert first.content == [{"type": "text", "text": "A"}, {"type": "refusal", "refusal": "no"}]

    @pytest.mark.parametrize(
        ("message", "param"),
        [
            ({"role": "assistant", "tool_calls": [{"id": "a", "function": "f"}]}, "messages[0].tool_calls[0].function"),
            ({"role": "assistant", "tool_calls": [{"id": "a", "type": "custom"}]}, "messages[0].tool_calls[0]"),
            ({"role": "tool", "content": "x"}, "messages[0].tool_call_id"),
            ({"role": "user", "content": [{"type": "image_url", "image_url": {"url": 5}}]},
             "messages.content.image_url"),
            ({"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}, "messages.content.input_audio"),
            ({"role": "function", "content": "x"}, "messages[0].role"),
        ],
    )  # fmt: skip
    def test_what_chat_says_and_this_can_not(self, message: Any, param: str) -> None:
        request = chat.parse_request(json.dumps({"model": "m", "messages": [message]}).encode())
        with pytest.raises(Refused) as refused:
            responses.encode_request(request, "x")
        assert refused.value.param == param

    def test_failed_results_and_names(self) -> None:
        spoken = [
            {"role": "user", "content": "x", "name": "bob"},
            {"role": "tool", "tool_call_id": "c", "content": "no", "is_error": True},
        ]
        request = native.parse_request(json.dumps({"model": "m", "messages": spoken}).encode())
        sent = responses.encode_request(request, "x")
        assert list(sent.dropped) == ["messages.name"]
        assert json.loads(sent.body)["input"][1]["output"] == "Error: no"

    def test_words_alone_go_as_text(self) -> None:
        """A message of `output_text` parts without id and status is refused by some servers of this API."""
        spoken = [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": "hello"},
            {"role": "assistant", "content": [{"type": "text", "text": "there"}]},
            {"role": "user", "content": ""},
        ]
        request = chat.parse_request(json.dumps({"model": "m", "messages": spoken}).encode())
        part = {"type": "output_text", "text": "there", "annotations": []}
        assert json.loads(responses.encode_request(request, "x").body)["input"] == [
            {"type": "message", "role": role, "content": content}
            for role, content in (("user", "hi"), ("assistant", "hello"), ("assistant", [part]), ("user", ""))
        ]
