"""Requests of the `openai-chat` dialect."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.dialects.base import Message, Options, Request
from penstock.dialects.openai_chat import MAX_CHOICES, OpenAIChat
from penstock.exceptions import Refused

chat = OpenAIChat()


def ask(**fields: Any) -> bytes:
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}], **fields}).encode()


class TestParseRequest:
    def test_the_least(self) -> None:
        request = chat.parse_request(ask())
        assert (request.dialect, request.model, request.choices) == ("openai-chat", "m", 1)
        assert request.messages == [Message("user", "hi")]
        assert (request.stream, request.include_usage, request.max_tokens) == (False, False, None)

    def test_everything_it_reads(self) -> None:
        weather = {"name": "weather", "description": "now", "parameters": {"type": "object"}}
        request = chat.parse_request(
            ask(
                stream=True,
                stream_options={"include_usage": True},
                n=2,
                max_tokens=5,
                max_completion_tokens=7,
                tools=[{"type": "function", "function": weather}, {"type": "web_search"}],
            )
        )
        assert (request.stream, request.include_usage, request.choices, request.max_tokens) == (True, True, 2, 7)
        assert [tool.name for tool in request.tools] == ["weather"]
        assert request.needs == ["tools"]

    def test_nulls_are_as_good_as_nothing(self) -> None:
        nulls = dict.fromkeys(["stream", "stream_options", "n", "max_tokens", "max_completion_tokens", "tools"])
        assert chat.parse_request(ask(**nulls)).choices == 1

    def test_parts_of_a_message(self) -> None:
        image = {"type": "image_url", "image_url": {"url": "data:,"}}
        parts = [{"type": "text", "text": "a"}, image, {"type": "text", "text": "b"}, {"type": "text", "text": None}]
        (message,) = chat.parse_request(ask(messages=[{"role": "user", "content": parts}])).messages
        assert message.text == "ab"
        assert message.content == parts

    @pytest.mark.parametrize(
        ("body", "param"),
        [
            (b"{}", None),
            (ask(messages=[]), "messages"),
            (ask(messages=None), "messages"),
            (ask(messages=[{"content": "x"}]), "messages[0]"),
            (ask(messages=[{"role": 1}]), "messages[0].role"),
            (ask(messages=[{"role": "user", "content": 5}]), "messages[0].content"),
            (ask(model=None), "model"),
            (ask(n=0), "n"),
            (ask(n=MAX_CHOICES + 1), "n"),
            (ask(n=True), "n"),
            (ask(n=1.5), "n"),
            (ask(n="1"), "n"),
            (ask(n=10**30), "n"),
            (ask(max_tokens=0), "max_tokens"),
            (ask(max_completion_tokens=-1), "max_tokens"),
            (ask(stream="yes"), "stream"),
            (ask(stream_options=[]), "stream_options"),
            (ask(tools=[{"type": "function", "function": {}}]), "tools[0].function"),
        ],
    )
    def test_wrong_facts_are_refused_by_name(self, body: bytes, param: str | None) -> None:
        with pytest.raises(Refused) as refused:
            chat.parse_request(body)
        assert (refused.value.status, refused.value.code) == (400, "invalid_request")
        if param is not None:
            assert refused.value.param == param

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"hello",
            b"[1, 2",
            b"null",
            b'"text"',
            b"[]",
            b"\xef\xbb\xbf" + ask(),
            ask() + b"{}",
            b'{"model": "m", "messages": [{"role": "user", "content": "\xff"}]}',
            b'{"model": "m", "messages": [{"role": "user", "content": "hi"}], "extra": "\xff"}',
            b'{"model": "m", "messages": [{"role": "user", "content": "\\ud800"}]}',
            b'{"model": "m", "messages": [{"role": "user", "content": "hi"}], "extra": "\\udfff and more text"}',
            ask(temperature=float("nan")),
            ask(temperature=float("inf")),
            ask(temperature=1).replace(b": 1", b": 1e999"),
            ask(seed=1).replace(b": 1", b": " + b"9" * 5000),
            b'{"model": "m", "messages": ' + b"[" * 200_000,
            ask(extra=1).replace(b": 1", b": " + b"[" * 100_000 + b"]" * 100_000),
            ask(extra=1).replace(b": 1", b": " + b'{"a":' * 50_000 + b"1" + b"}" * 50_000),
        ],
        ids=lambda body: repr(body[:24]),
    )
    def test_what_is_no_json_is_refused(self, body: bytes) -> None:
        with pytest.raises(Refused) as refused:
            chat.parse_request(body)
        assert refused.value.status == 400
        assert len(refused.value.message) < 300
        json.loads(chat.error_body(refused.value))

    def test_the_last_of_duplicate_keys_counts_everywhere(self) -> None:
        body = b'{"model": "cheap", "model": "dear", "messages": [{"role": "user", "content": "hi"}]}'
        request = chat.parse_request(body)
        assert request.model == request.fields["model"] == "dear"

    @given(st.binary(max_size=60) | st.recursive(st.none() | st.text(), st.lists).map(lambda x: json.dumps(x).encode()))
    def test_never_anything_but_refused(self, body: bytes) -> None:
        with pytest.raises(Refused):
            chat.parse_request(body)


class TestEncodeRequest:
    def test_always_streams_and_asks_for_the_usage(self) -> None:
        sent = json.loads(chat.encode_request(chat.parse_request(ask(temperature=0.5, seed=2**70)), "gpt-9").body)
        assert sent == {
            "model": "gpt-9",
            "messages": [{"role": "user", "content": "hi"}],
            "temperature": 0.5,
            "seed": 2**70,
            "stream": True,
            "stream_options": {"include_usage": True},
        }

    def test_other_stream_options_stay(self) -> None:
        asked = ask(stream_options={"include_usage": False, "continuous_usage_stats": True})
        sent = json.loads(chat.encode_request(chat.parse_request(asked), "m").body)
        assert sent["stream_options"] == {"include_usage": True, "continuous_usage_stats": True}

    def test_the_request_itself_stays_as_it_was(self) -> None:
        request = chat.parse_request(ask(stream=False))
        chat.encode_request(request, "other")
        assert request.fields == json.loads(ask(stream=False))

    def test_unknown_fields_go_as_they_came(self) -> None:
        extra = {"deep": [1, {"null": None, "text": "wörld"}], "": 0.1}
        assert json.loads(chat.encode_request(chat.parse_request(ask(extra=extra)), "m").body)["extra"] == extra

    def test_what_another_dialect_needs_is_refused_by_name(self) -> None:
        asked = Request(dialect="anthropic", model="m", messages=[], needs=["container"])
        with pytest.raises(Refused, match="container can't be translated") as refused:
            chat.encode_request(asked, "m")
        assert (refused.value.status, refused.value.param) == (400, "container")

    def test_what_was_only_a_hint_is_dropped_and_said(self) -> None:
        asked = Request(
            dialect="anthropic",
            model="m",
            messages=[Message("user", "hi")],
            options=Options(top_k=3),
            others=["metadata"],
        )
        sent = chat.encode_request(asked, "m")
        assert sent.dropped == ["metadata", "top_k"]
        assert json.loads(sent.body)["messages"] == [{"role": "user", "content": "hi"}]

    @pytest.mark.parametrize(
        ("content", "told"),
        [
            ("bad", "Error: bad"),
            ([{"type": "text", "text": "bad"}], "Error: bad"),
            (None, "Error: "),
            (
                [{"type": "text", "text": "bad"}, {"type": "image_url", "image_url": {"url": "data:,"}}],
                [
                    {"type": "text", "text": "Error: "},
                    {"type": "text", "text": "bad"},
                    {"type": "image_url", "image_url": {"url": "data:,"}},
                ],
            ),
        ],
    )
    def test_a_tool_that_failed_keeps_what_it_said(self, content: Any, told: Any) -> None:
        failed = Message("tool", content, tool_call_id="c", is_error=True)
        asked = Request(dialect="anthropic", model="m", messages=[failed])
        sent = json.loads(chat.encode_request(asked, "m").body)
        assert sent["messages"] == [{"role": "tool", "content": told, "tool_call_id": "c"}]

    def test_what_is_nested_too_deeply_to_be_told_again_is_refused(self) -> None:
        deep: Any = []
        for _ in range(5000):
            deep = [deep]
        request = Request(dialect="openai-chat", model="m", messages=[], fields={"deep": deep})
        with pytest.raises(Refused, match="deeply"):
            chat.encode_request(request, "m")
