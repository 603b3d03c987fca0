"""A whole completion keeps what its chunks say."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion

from penstock.dialects.base import Ending
from penstock.dialects.openai_chat import OpenAIChat
from penstock.dialects.openai_chat.assemble import grown
from penstock.wire.events import Done, Finish, Reasoning, Refusal, Start, Token, ToolCall, Usage
from tests.dialects.answers import ABOUT, answers, written

chat = OpenAIChat()


def chunk(delta: dict[str, Any], finish: str | None = None, logprobs: Any = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": logprobs}
    return b"data: %b\n\n" % json.dumps({"id": "theirs", "model": "theirs", "choices": [choice], **more}).encode()


def choice(**fields: Any) -> bytes:
    return b"data: %b\n\n" % json.dumps({"choices": [{"index": 0, "delta": {}, **fields}]}).encode()


USAGE = Usage(1, 2)


def whole(*blocks: bytes, held: bytes | None = None, usage: Usage | None = USAGE, last: str = "completed") -> Any:
    body = chat.assemble(ABOUT, list(blocks), Ending(usage, held, Done(last), len(blocks)))  # type: ignore[arg-type]
    assert body is not None
    return json.loads(body)


def message(*blocks: bytes) -> Any:
    return whole(*blocks)["choices"][0]["message"]


def calls(*pieces: dict[str, Any]) -> Any:
    return message(*(chunk({"tool_calls": [piece]}) for piece in pieces))["tool_calls"]


def test_logprobs_and_other_fields_stay() -> None:
    told = whole(
        chunk({"role": "assistant"}, system_fingerprint="fp_1"),
        chunk({"content": "a"}, logprobs={"content": [{"token": "a"}], "refusal": None}),
        chunk({"content": "b", "annotations": [1]}, logprobs={"content": [{"token": "b"}], "refusal": None}),
        chunk({"annotations": [2]}, "stop", service_tier="default", obfuscation="xx"),
    )
    choice = told["choices"][0]
    assert choice["message"]["content"] == "ab"
    assert choice["message"]["annotations"] == [1, 2]
    assert choice["logprobs"] == {"content": [{"token": "a"}, {"token": "b"}], "refusal": None}
    assert (told["system_fingerprint"], told["service_tier"]) == ("fp_1", "default")
    assert (told["id"], told["model"]) == (f"chatcmpl-{ABOUT.stream}", ABOUT.model)
    assert told["usage"]["total_tokens"] == 3
    assert "obfuscation" not in told


def test_a_function_call() -> None:
    """As before there were `tool_calls`: the client finds it where it looks."""
    told = whole(
        chunk({"role": "assistant", "content": None}),
        chunk({"function_call": {"name": "f", "arguments": ""}}),
        chunk({"function_call": {"arguments": '{"x":'}}),
        chunk({"function_call": {"arguments": "1}"}}),
        chunk({}, "function_call"),
    )
    ChatCompletion.model_validate(told)
    assert told["choices"][0]["message"] == {
        "role": "assistant",
        "content": None,
        "refusal": None,
        "function_call": {"name": "f", "arguments": '{"x":1}'},
    }
    assert told["choices"][0]["finish_reason"] == "function_call"


def test_calls_of_text_tools() -> None:
    assert calls(
        {"index": 0, "id": "c", "type": "custom", "custom": {"name": "sh", "input": "ls"}},
        {"index": 0, "custom": {"input": " -l"}},
    ) == [{"id": "c", "type": "custom", "custom": {"name": "sh", "input": "ls -l"}}]


def test_what_a_call_has_besides() -> None:
    signature = {"google": {"thought_signature": "SIG"}}
    assert calls(
        {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{", "strict": True}},
        {"index": 0, "id": "c", "function": {"name": "f", "arguments": "}"}, "extra_content": signature},
    ) == [
        {
            "id": "c",
            "type": "function",
            "extra_content": signature,
            "function": {"name": "f", "arguments": "{}", "strict": True},
        }
    ]


def test_calls_of_a_kind_that_nobody_knows() -> None:
    assert calls({"index": 0, "id": "c", "type": "mcp", "mcp": {"server": "s"}}) == [
        {"id": "c", "type": "mcp", "mcp": {"server": "s"}}
    ]
    assert calls({"index": 0, "id": "c"})[0]["function"] == {"name": "", "arguments": ""}


@pytest.mark.parametrize("index", [{"index": 0}, {"index": None}, {}], ids=["all zero", "null", "none"])
def test_calls_that_are_numbered_alike_stay_apart(index: dict[str, Any]) -> None:
    told = calls(
        {**index, "id": "a", "function": {"name": "f", "arguments": '{"a"'}},
        {**index, "function": {"arguments": ":1}"}},
        {**index, "id": "b", "function": {"name": "g", "arguments": "{}"}},
    )
    assert [(call["id"], call["function"]["arguments"]) for call in told] == [("a", '{"a":1}'), ("b", "{}")]


def test_arguments_that_are_an_object_are_told_as_text() -> None:
    (call,) = calls({"index": 0, "id": "a", "function": {"name": "f", "arguments": {"a": 1}}})
    assert call["function"]["arguments"] == '{"a":1}'


def test_thoughts_keep_their_name() -> None:
    told = message(
        chunk({"reasoning": "H"}), chunk({"reasoning": "m", "reasoning_content": "x"}), chunk({"content": "a"})
    )
    assert (told["reasoning"], told["reasoning_content"], told["content"]) == ("Hm", "x", "a")


def test_fields_of_a_choice() -> None:
    safe = {"hate": {"filtered": False, "severity": "safe"}}
    told = whole(
        choice(content_filter_results=safe, stop_reason=None, token_ids=[1]),
        choice(content_filter_results=safe, native_finish_reason="STOP", token_ids=[2], message={"content": "all"}),
        choice(finish_reason="stop", stop_reason="###"),
    )["choices"][0]
    assert told["content_filter_results"] == safe
    assert (told["native_finish_reason"], told["stop_reason"], told["token_ids"]) == ("STOP", "###", [1, 2])
    assert told["message"]["content"] == ""


def test_pieces_of_sound() -> None:
    told = message(
        chunk({"audio": {"id": "a", "transcript": "Hel"}}),
        chunk({"audio": {"transcript": "lo", "data": "QUI="}}),
        chunk({"audio": {"data": "Q0Q=", "expires_at": 7}}),
    )
    assert told["audio"] == {"id": "a", "transcript": "Hello", "data": "QUI=Q0Q=", "expires_at": 7}
    assert told["content"] is None


def test_of_fields_that_nobody_knows_the_last_counts() -> None:
    told = message(chunk({"status": "thinking", "n": 1}), chunk({"status": "done", "n": 2}), chunk({"status": None}))
    assert (told["status"], told["n"]) == ("done", 2)


def test_content_in_parts() -> None:
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}
    words = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert message(chunk({"content": words}), chunk({"content": "c"}))["content"] == "abc"
    assert message(chunk({"content": ""}), chunk({"content": [thought]}), chunk({"content": words}))["content"] == [
        thought,
        {"type": "text", "text": "ab"},
    ]


class TestUsage:
    def test_is_the_upstream_s_own(self) -> None:
        usage = {
            "prompt_tokens": 1,
            "completion_tokens": 2,
            "total_tokens": 9,
            "cost": 0.1,
            "prompt_cache_hit_tokens": 1,
        }
        block = b"data: %b\n\n" % json.dumps({"choices": [], "usage": usage, "provider": "p"}).encode()
        told = whole(chunk({"content": "a"}), held=block)
        assert told["usage"] == usage
        assert "provider" not in told  # of a block that no gate has seen, nothing else
        assert whole(chunk({"content": "a"}, usage={"prompt_tokens": 0}), chunk({}, usage=usage))["usage"] == usage

    def test_what_it_does_not_say_is_estimated(self) -> None:
        block = chunk({"content": "a"}, usage={"prompt_tokens": 7, "cost": 0.1})
        told = whole(block, usage=Usage(7, 5, source="estimated"))["usage"]
        assert told == {
            "prompt_tokens": 7,
            "completion_tokens": 5,
            "total_tokens": 12,
            "source": "estimated",
            "cost": 0.1,
        }

    def test_what_nobody_knows_is_not_told(self) -> None:
        assert whole(chunk({"content": "a"}, usage={}), usage=Usage(source="unknown"))["usage"] is None
        assert whole(chunk({"content": "a"}), usage=None)["usage"] is None


@pytest.mark.parametrize(("last", "reason"), [("completed", "stop"), ("length", "length")])
def test_without_a_reason_it_is_the_outcome(last: str, reason: str) -> None:
    assert whole(chunk({"content": "a"}), last=last)["choices"][0]["finish_reason"] == reason


def test_halves_of_characters_and_numbers_that_json_has_not() -> None:
    halves = [
        rb'{"choices": [{"delta": {"content": "%b", "x\ud800": "\udc00"}}]}' % half for half in (rb"\ud83d", rb"\ude00")
    ]
    odd = b'{"choices": [{"delta": {}, "logprobs": {"content": [{"logprob": -Infinity}]}}], "x": NaN}'
    told = whole(*(b"data: %b\n\n" % data for data in (*halves, odd)))
    assert told["choices"][0]["message"]["content"] == "\N{GRINNING FACE}"
    assert told["choices"][0]["logprobs"] == {"content": [{"logprob": None}]}
    assert told["x"] is None


def test_what_is_nested_without_end_does_no_harm() -> None:
    block = chunk({"content": "a"})
    for depth in (*range(880, 1000, 4), 100_000):
        nested = b'data: {"choices": [{"x": %b}]}\n\n' % (b'{"a":' * depth + b"1" + b"}" * depth)
        told = chat.assemble(ABOUT, [block, nested, nested], Ending(None, None, Done("completed"), 3))
        assert told is None or b'"content":"a"' in told


@given(answers)
def test_says_what_the_events_say(events: list[Any]) -> None:
    """Where nothing is told that events have no words for, it is what `collect` makes of them."""
    blocks = [block for block in written(chat, events, None, Done("completed")) if b"[DONE]" not in block]
    decoder = chat.decoder(ABOUT)
    told = [event for block in blocks for event in decoder.decode(block)]
    assert all(isinstance(event, Start | Token | Reasoning | Refusal | ToolCall | Finish) for event in told)
    collected = json.loads(chat.collect(ABOUT, [*told, Done("completed")]))
    assert whole(*blocks, usage=None) == collected


@pytest.mark.parametrize(
    "delta",
    [{"content": "word "}, {"tool_calls": [{"index": 0, "function": {"arguments": "0123456789" * 10}}]}],
    ids=["text", "arguments"],
)
def test_a_long_answer_takes_no_longer_than_its_length(delta: dict[str, Any]) -> None:
    def seconds(count: int) -> float:
        blocks = [chunk(delta, logprobs={"content": [{"token": "w"}]})] * count
        began = time.process_time()
        whole(*blocks)
        return time.process_time() - began

    assert min(seconds(40_000) for _ in range(2)) < max(1.0, 40 * min(seconds(4_000) for _ in range(3)))


@given(
    st.lists(
        st.dictionaries(st.sampled_from(["delta", "logprobs", "index", "x"]), st.none() | st.integers() | st.text())
    )
)
def test_strange_chunks_do_no_harm(choices: list[dict[str, Any]]) -> None:
    for choice in choices:
        choice.pop("delta", None)  # what the probe lets in has a delta that is an object, or none
        choice["index"] = 0
    block = b"data: %b\n\n" % json.dumps({"choices": choices}).encode()
    assert whole(block)["object"] == "chat.completion"


values = st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
)


@given(values)
def test_nothing_more_changes_nothing(value: Any) -> None:
    assert grown(None, value) == value
    assert grown(value, None) == value
