"""Requests of the Responses API."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.dialects.base import Request
from penstock.dialects.openai_chat import OpenAIChat
from penstock.dialects.openai_responses import OpenAIResponses
from penstock.exceptions import Refused

responses = OpenAIResponses()
chat = OpenAIChat()


def ask(**fields: Any) -> bytes:
    return json.dumps({"model": "m", "input": "hi", **fields}).encode()


def test_a_plain_question() -> None:
    request = responses.parse_request(ask(instructions="be brief", max_output_tokens=9, stream=True))
    assert [(message.role, message.text) for message in request.messages] == [("system", "be brief"), ("user", "hi")]
    assert (request.max_tokens, request.stream, request.include_usage) == (9, True, True)


def test_its_own_dialect_gets_it_as_it_is() -> None:
    fields = {"previous_response_id": "r", "tools": [{"type": "web_search"}], "store": True, "odd": [1]}
    sent = responses.encode_request(responses.parse_request(ask(**fields)), "theirs")
    assert json.loads(sent.body) == {"model": "theirs", "input": "hi", **fields, "stream": True}
    assert (sent.path, list(sent.dropped)) == ("/responses", [])


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"previous_response_id": "r"}, "previous_response_id"),
        ({"conversation": "c"}, "conversation"),
        ({"background": True}, "background"),
        ({"tools": [{"type": "web_search"}]}, "tools"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input.item_reference"),
        ({"input": [{"role": "user", "content": [{"type": "input_audio"}]}]}, "input.content.input_audio"),
    ],
)
def test_what_no_other_dialect_can_hold_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    request = responses.parse_request(ask(**fields))
    with pytest.raises(Refused) as refused:
        chat.encode_request(request, "m")
    assert (refused.value.status, refused.value.param) == (400, param)


def test_hints_are_dropped_and_said() -> None:
    asked = ask(store=True, metadata={"a": "b"}, include=["x"], truncation="auto", background=False)
    assert set(chat.encode_request(responses.parse_request(asked), "m").dropped) == {
        "store",
        "metadata",
        "include",
        "truncation",
    }


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": []}, "input"),
        ({"input": ""}, "input"),
        ({"input": [{"role": "nobody", "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "user", "content": 7}]}, "input[0]"),
        ({"input": [{"type": "function_call", "name": "f"}]}, "input[0].call_id"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"temperature": "hot"}, "temperature"),
    ],
)
def test_mistakes_are_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(Refused) as refused:
        responses.parse_request(ask(**fields))
    assert (refused.value.status, refused.value.param) == (400, param)


def test_stop_and_choices_have_no_words_here() -> None:
    for field, value in (("stop", "x"), ("n", 2)):
        asked = json.dumps({"model": "m", "messages": [{"role": "user", "content": "x"}], field: value}).encode()
        with pytest.raises(Refused) as refused:
            responses.encode_request(chat.parse_request(asked), "m")
        assert refused.value.param == field


TOOL = {
    "type": "function",
    "function": {"name": "f", "description": "d", "parameters": {"type": "object"}, "strict": True},
}
CALLS = [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,xyz", "detail": "low"}}
FILE = {"type": "file", "file": {"file_data": "data:application/pdf;base64,xyz", "filename": "a.pdf"}}


def test_chat_to_responses_and_back_keeps_every_fact() -> None:
    asked = {
        "model": "m",
        "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": [{"type": "text", "text": "see"}, IMAGE, FILE]},
            {"role": "assistant", "content": "I look", "tool_calls": CALLS},
            {"role": "tool", "tool_call_id": "c1", "content": "rain"},
            {"role": "user", "content": "so?"},
        ],
        "tools": [TOOL],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "parallel_tool_calls": False,
        "temperature": 0.5,
        "top_p": 0.9,
        "max_tokens": 77,
        "reasoning_effort": "high",
        "user": "u",
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": True},
        },
    }
    before = chat.parse_request(json.dumps(asked).encode())
    sent = responses.encode_request(before, "m")
    assert list(sent.dropped) == []
    after = responses.parse_request(sent.body)
    for name in ("messages", "tools", "options", "max_tokens"):
        got, wanted = getattr(after, name), getattr(before, name)
        if name == "messages":
            wanted = [_plain(message) for message in wanted]
            got = [_plain(message) for message in got]
        assert got == wanted, name


def _plain(message: Any) -> Any:
    content = message.content
    if isinstance(content, list) and all(part["type"] == "text" for part in content):
        content = message.text
    return message.role, content, message.tool_calls, message.tool_call_id


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "role", "content", "text"]), inner)
        ),
        max_leaves=8,
    )
)
def test_strange_input_is_refused_and_no_more(value: Any) -> None:
    try:
        request = responses.parse_request(ask(input=value))
    except Refused as refused:
        assert refused.status == 400  # noqa: PT017  # any other exception is the failure
    else:
        assert isinstance(request, Request)
