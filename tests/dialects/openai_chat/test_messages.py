"""What only this dialect has of a conversation and of tools: dropped by name, or refused."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.dialects import DIALECTS
from penstock.dialects.base import MOST_HINTS, Request
from penstock.dialects.native import Native
from penstock.dialects.openai_chat import OpenAIChat
from penstock.exceptions import Refused

chat = OpenAIChat()
OTHERS = ("openai-responses", "anthropic", "gemini")
USER = {"role": "user", "content": "hi"}
SIGNED = {"google": {"thought_signature": "SIG"}}


def body(*messages: dict[str, Any], **fields: Any) -> bytes:
    return json.dumps({"model": "m", "messages": messages or [USER], **fields}).encode()


def ask(*messages: dict[str, Any], **fields: Any) -> Request:
    return chat.parse_request(body(*messages, **fields))


def call(**more: Any) -> dict[str, Any]:
    return {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}, **more}


def tool(**more: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": "f"}, **more}


NEEDED: list[tuple[dict[str, Any], str]] = [
    ({"tools": [{"type": "custom", "custom": {"name": "sh"}}]}, "tools"),
    ({"tools": [tool(), {"type": "web_search"}]}, "tools"),
    ({"tools": [{"type": "function", "name": "flat"}]}, "tools"),
    ({"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}}}, "tool_choice"),
    ({"tool_choice": {"type": "custom", "custom": {"name": "sh"}}}, "tool_choice"),
    ({"tool_choice": {"type": "function"}}, "tool_choice"),
    (
        {"messages": [USER, {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}}]},
        "messages[1].function_call",
    ),
    ({"messages": [USER, {"role": "assistant", "content": "", "audio": {"id": "a"}}]}, "messages[1].audio"),
    (
        {"messages": [{"role": "assistant", "tool_calls": [call(), {"id": "d", "type": "custom", "custom": {}}]}]},
        "messages[0].tool_calls[1]",
    ),
]


@pytest.mark.parametrize("target", [*OTHERS, "native"])
@pytest.mark.parametrize(("fields", "param"), NEEDED, ids=[f"{param} {n}" for n, (_, param) in enumerate(NEEDED)])
def test_what_would_be_another_answer_is_refused_by_name(target: str, fields: dict[str, Any], param: str) -> None:
    with pytest.raises(Refused) as refused:
        DIALECTS[target].encode_request(ask(**fields), "x")
    assert (refused.value.status, refused.value.code) == (400, "unsupported_translation")
    assert refused.value.param == param


HINTS: list[tuple[dict[str, Any], str]] = [
    (
        {"messages": [USER, {"role": "assistant", "content": "a", "reasoning_content": "Hm"}]},
        "messages.reasoning_content",
    ),
    ({"messages": [USER, {"role": "assistant", "content": "a", "annotations": [1]}]}, "messages.annotations"),
    ({"messages": [{**USER, "cache_control": {"type": "ephemeral"}}]}, "cache_control"),
    (
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "a", "cache_control": {"type": "x"}}]}]},
        "cache_control",
    ),
    ({"messages": [{"role": "user", "content": [{"type": "text", "text": "a", "x": 1}]}]}, "messages.content.x"),
    (
        {
            "messages": [
                {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://a/b.png", "x": 0}}]}
            ]
        },
        "messages.image_url.x",
    ),
    ({"messages": [USER, {"role": "assistant", "tool_calls": [call(x=1)]}]}, "messages.tool_calls.x"),
    ({"tools": [tool(cache_control={"type": "ephemeral"})]}, "cache_control"),
    ({"tools": [tool(x=1)]}, "tools.x"),
    ({"tools": [{"type": "function", "function": {"name": "f", "x": 1}}]}, "tools.function.x"),
    (
        {"stream_options": {"include_usage": True, "continuous_usage_stats": True}},
        "stream_options.continuous_usage_stats",
    ),
]


@pytest.mark.parametrize("target", [*OTHERS, "native"])
@pytest.mark.parametrize(("fields", "name"), HINTS, ids=[f"{name} {n}" for n, (_, name) in enumerate(HINTS)])
def test_hints_are_dropped_by_name(target: str, fields: dict[str, Any], name: str) -> None:
    assert list(DIALECTS[target].encode_request(ask(**fields), "x").dropped) == [name]


@pytest.mark.parametrize("fields", [fields for fields, _ in [*NEEDED, *HINTS]])
def test_the_same_dialect_gets_all_of_it(fields: dict[str, Any]) -> None:
    sent = chat.encode_request(ask(**fields), "m")
    assert not sent.dropped
    told = json.loads(sent.body)
    asked = json.loads(body(**fields))
    assert told | {"stream_options": 0, "stream": 0} == asked | {"stream_options": 0, "stream": 0}


@pytest.mark.parametrize("target", OTHERS)
def test_what_says_nothing_is_no_hint(target: str) -> None:
    """As the official client gives back the messages that it got."""
    empty = {"refusal": None, "annotations": [], "audio": None, "function_call": None, "x": False, "y": {}, "z": ""}
    sent = DIALECTS[target].encode_request(ask(USER, {"role": "assistant", "content": "a", **empty}, USER), "x")
    assert not sent.dropped


@pytest.mark.parametrize("target", OTHERS)
@pytest.mark.parametrize(
    "content", [None, "Well. ", [{"type": "text", "text": "Well. "}]], ids=["none", "text", "parts"]
)
def test_a_refusal_of_an_earlier_turn_is_told(target: str, content: Any) -> None:
    message = {"role": "assistant", "content": content, "refusal": "I will not"}
    sent = DIALECTS[target].encode_request(ask(USER, message, USER), "x")
    assert not sent.dropped
    assert b"I will not" in sent.body
    assert (b"Well. " in sent.body) is (content is not None)


def test_the_signature_of_a_call_goes_where_it_is_understood() -> None:
    request = ask(USER, {"role": "assistant", "tool_calls": [call(extra_content=SIGNED)]})
    told = {name: DIALECTS[name].encode_request(request, "gemini-3") for name in OTHERS}
    assert b"SIG" in told["gemini"].body
    assert [list(told[name].dropped) for name in OTHERS] == [["messages.tool_calls.extra_content"]] * 2 + [[]]


def test_native_requests_are_looked_through_as_well() -> None:
    message = {"role": "assistant", "content": None, "refusal": "no", "reasoning_content": "Hm"}
    request = Native().parse_request(body(USER, message))
    assert list(request.others) == ["messages.reasoning_content"]
    assert b"no" in DIALECTS["anthropic"].encode_request(request, "x").body
    refused = Native().parse_request(body(USER, tool_choice={"type": "allowed_tools"}))
    with pytest.raises(Refused, match="tool_choice"):
        DIALECTS["anthropic"].encode_request(refused, "x")


def test_names_of_hints_have_an_end() -> None:
    fields = {f"h{n}" * 100: 1 for n in range(MOST_HINTS)}
    request = ask({**USER, **fields}, **fields)
    dropped = DIALECTS["anthropic"].encode_request(request, "x").dropped
    assert len(dropped) == MOST_HINTS
    assert max(map(len, dropped)) <= 80


HOSTILE: dict[str, Any] = {
    "named messages": lambda n: body(*[{**USER, "name": "a"}] * n, **{f"h{i}": 1 for i in range(n)}),
    "fields of messages": lambda n: body(*({**USER, f"h{i}": 1} for i in range(n))),
    "fields of a message": lambda n: body({**USER, **{f"h{i}": 1 for i in range(n)}}),
    "parts": lambda n: body({"role": "user", "content": [{"type": "text", "text": "a", f"h{i}": 1} for i in range(n)]}),
    "refusals": lambda n: body(*[{"role": "assistant", "content": "a", "refusal": "b"}] * n),
    "tools": lambda n: body(tools=[{"type": "function", "function": {"name": f"f{i}"}, f"h{i}": 1} for i in range(n)]),
    "calls": lambda n: body({"role": "assistant", "tool_calls": [call(**{f"h{i}": 1}) for i in range(n)]}),
}


@pytest.mark.parametrize("target", ["openai-chat", "native", "openai-responses", "anthropic", "gemini"])
@pytest.mark.parametrize("kind", HOSTILE)
def test_no_request_takes_longer_than_its_length(kind: str, target: str) -> None:
    def seconds(body: bytes) -> float:
        began = time.process_time()
        DIALECTS[target].encode_request(chat.parse_request(body), "x")
        return time.process_time() - began

    small, large = HOSTILE[kind](1_500), HOSTILE[kind](15_000)
    assert min(seconds(large) for _ in range(2)) < max(1.0, 40 * min(seconds(small) for _ in range(3)))


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
)
names = st.sampled_from(
    [
        "role",
        "content",
        "refusal",
        "tool_calls",
        "function_call",
        "audio",
        "type",
        "text",
        "image_url",
        "function",
        "name",
        "x",
    ]
)
objects = st.dictionaries(names, values | st.lists(st.dictionaries(names, values, max_size=3), max_size=2), max_size=4)


@given(
    objects,
    st.lists(objects, max_size=2),
    objects,
    st.sampled_from(["anthropic", "openai-responses", "gemini", "native"]),
)
def test_never_anything_but_refused(message: Any, tools: Any, choice: Any, target: str) -> None:
    with suppress(Refused):
        request = ask(USER, {"role": "assistant", **message}, tools=tools, tool_choice=choice)
        DIALECTS[target].encode_request(request, "x")
