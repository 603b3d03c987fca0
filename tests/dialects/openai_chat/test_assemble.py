"""A whole completion keeps what events have no words for."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from penstock.dialects.base import Ending
from penstock.dialects.openai_chat import OpenAIChat
from penstock.dialects.openai_chat.assemble import join
from penstock.wire.events import Done, Usage
from tests.dialects.answers import ABOUT

chat = OpenAIChat()


def chunk(delta: dict[str, Any], finish: str | None = None, logprobs: Any = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": logprobs}
    return b"data: %b\n\n" % json.dumps({"id": "theirs", "model": "theirs", "choices": [choice], **more}).encode()


def whole(*blocks: bytes) -> dict[str, Any]:
    body = chat.assemble(ABOUT, list(blocks), Ending(Usage(1, 2), None, Done("completed"), len(blocks)))
    assert body is not None
    told: dict[str, Any] = json.loads(body)
    return told


def test_logprobs_and_other_fields_stay() -> None:
    told = whole(
        chunk({"role": "assistant"}, system_fingerprint="fp_1"),
        chunk({"content": "a"}, logprobs={"content": [{"token": "a"}], "refusal": None}),
        chunk({"content": "b", "annotations": [1]}, logprobs={"content": [{"token": "b"}], "refusal": None}),
        chunk({"annotations": [2]}, "stop", service_tier="default"),
    )
    choice = told["choices"][0]
    assert choice["message"]["content"] == "ab"
    assert choice["message"]["annotations"] == [1, 2]
    assert choice["logprobs"] == {"content": [{"token": "a"}, {"token": "b"}], "refusal": None}
    assert (told["system_fingerprint"], told["service_tier"]) == ("fp_1", "default")
    assert (told["id"], told["model"]) == (f"chatcmpl-{ABOUT.stream}", ABOUT.model)
    assert told["usage"]["total_tokens"] == 3


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
def test_joining_with_nothing_changes_nothing(value: Any) -> None:
    assert join(None, value) == value
    assert join(value, None) == value
