"""Chunks that are read at leisure."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.dialects.native import encode_event
from penstock.dialects.openai_chat.chunks import NOTHING, Chunk, as_text, read_odd, said_in
from penstock.dialects.openai_chat.read import ChatDecoder, ChatProbe
from penstock.exceptions import ProtocolError
from tests.dialects.answers import ABOUT


def odd(told: Any) -> Chunk:
    return read_odd(json.dumps({**told, "odd": float("nan")}).encode())


def test_only_what_is_known_is_read() -> None:
    choice = {"index": 1, "delta": {"content": "a", "\ud800": 1}, "finish_reason": "stop", "\ud800": 1}
    chunk = odd({"choices": [choice], "usage": {"prompt_tokens": 1}, "error": None, "\ud800": 1})
    assert chunk.choices is not None
    assert chunk.usage is not None
    (read,) = chunk.choices
    assert (read.index, read.finish_reason, read.delta and read.delta.content) == (1, "stop", "a")
    assert (chunk.usage.prompt_tokens, chunk.error) == (1, NOTHING)


def test_usage_of_another_shape_is_none() -> None:
    assert read_odd(b'{"choices": [], "usage": 7}').usage is None
    assert odd({"usage": {"prompt_tokens": "7"}}).usage is None


def test_an_error_stays_one() -> None:
    assert json.loads(bytes(odd({"error": {"message": "no\ud800"}}).error)) == {"message": "no\ud800"}


def test_calls_of_another_shape() -> None:
    call = {"index": 0, "function": {"name": "f", "arguments": {"a": float("inf")}}, "extra_content": {"\ud800": 1}}
    chunk = odd({"choices": [{"delta": {"tool_calls": [call], "function_call": {"arguments": []}}}]})
    assert chunk.choices is not None
    delta = chunk.choices[0].delta
    assert delta is not None
    assert delta.tool_calls is not None
    assert delta.tool_calls[0].function is not None
    assert delta.tool_calls[0].function.arguments == '{"a":null}'
    assert delta.function_call is not None
    assert delta.function_call.arguments == "[]"


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ([], {"content": ""}),
        (["a", {"type": "text", "text": "b"}, {"type": "output_text", "text": "c"}], {"content": "abc"}),
        ([{"type": "refusal", "refusal": "no"}], {"content": "", "refusal": "no"}),
        (
            [
                {"type": "thinking", "thinking": "H"},
                {"type": "thinking", "thinking": [{"type": "text", "text": "m"}, 7]},
            ],
            {"content": "", "reasoning_content": "Hm"},
        ),
        ([{"type": "image_url", "image_url": {"url": "x"}}, {}, None, {"type": "text"}], {"content": ""}),
    ],
)
def test_content_in_parts(parts: list[Any], said: dict[str, str]) -> None:
    assert said_in(parts) == said


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"hello", b"[]", b"NaN", b"7", b"\xff", b'{"a": "\n"}'),
        *(b'{"choices": NaN}', b'{"choices": [NaN]}', b'{"a":' * 90_000),
    ],
    ids=lambda data: repr(data[:20]),
)
def test_what_is_no_chunk(data: bytes) -> None:
    with pytest.raises(ProtocolError) as raised:
        read_odd(data)
    assert len(str(raised.value)) < 300


values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(st.characters(), max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(), max_size=2), inner, max_size=3)
    ),
)


@given(st.dictionaries(st.sampled_from(["choices", "usage", "error"]), values | st.lists(values)))
def test_never_anything_but_a_protocol_error(told: dict[str, Any]) -> None:
    with suppress(ProtocolError):
        odd(told)


delta = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        ["content", "reasoning", "tool_calls", "function_call", "refusal"], values | st.lists(values)
    ),
)
texts = st.text(st.characters() | st.characters(categories=["Cs"]), max_size=4)
call = st.fixed_dictionaries(
    {"function": st.fixed_dictionaries({"name": texts, "arguments": texts | values})},
    optional={"id": texts, "index": st.none() | st.integers(-1, 2), "custom": st.fixed_dictionaries({"input": texts})},
)
likely = st.fixed_dictionaries(
    {}, optional={"content": texts, "refusal": texts, "tool_calls": st.lists(call, max_size=3)}
)


@given(st.lists(delta | likely, max_size=4))
def test_what_passes_can_be_told(deltas: list[dict[str, Any]]) -> None:
    probe, decoder = ChatProbe(), ChatDecoder(ABOUT)
    for told in deltas:
        block = b"data: %b\n\n" % json.dumps({"choices": [{"delta": told}], "odd": float("nan")}).encode()
        with suppress(ProtocolError):
            probe(block)
            for event in decoder.decode(block):
                encode_event(event)


@given(values)
def test_any_value_as_text(value: Any) -> None:
    json.loads(as_text(value))
