"""A whole message keeps what events have no words for: signatures above all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.dialects.anthropic.assemble import assemble
from penstock.wire import sse

SPEC = Path(__file__).parents[3] / "spec" / "anthropic"


def event(kind: str, **fields: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), json.dumps({"type": kind, **fields}).encode())


START = event("message_start", message={"id": "msg_1", "type": "message", "model": "x", "usage": {"input_tokens": 3}})


def whole(*blocks: bytes) -> Any:
    body = assemble("public", blocks)
    return None if body is None else json.loads(body)


def test_thinking_keeps_its_signature() -> None:
    told = whole(
        START,
        event("content_block_start", index=0, content_block={"type": "thinking", "thinking": "", "signature": ""}),
        event("content_block_delta", index=0, delta={"type": "thinking_delta", "thinking": "Let "}),
        event("content_block_delta", index=0, delta={"type": "thinking_delta", "thinking": "me"}),
        event("content_block_delta", index=0, delta={"type": "signature_delta", "signature": "EqQB"}),
        event("content_block_stop", index=0),
        event("content_block_start", index=1, content_block={"type": "redacted_thinking", "data": "xyz"}),
        event("content_block_start", index=2, content_block={"type": "tool_use", "id": "t", "name": "f", "input": {}}),
        event("content_block_delta", index=2, delta={"type": "input_json_delta", "partial_json": '{"a"'}),
        event("content_block_delta", index=2, delta={"type": "input_json_delta", "partial_json": ": 1}"}),
        event("message_delta", delta={"stop_reason": "tool_use", "stop_sequence": None}, usage={"output_tokens": 9}),
    )
    assert told["content"] == [
        {"type": "thinking", "thinking": "Let me", "signature": "EqQB"},
        {"type": "redacted_thinking", "data": "xyz"},
        {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}},
    ]
    assert (told["model"], told["stop_reason"]) == ("public", "tool_use")
    assert told["usage"] == {"input_tokens": 3, "output_tokens": 9}


def test_citations_and_unknown_blocks_stay() -> None:
    told = whole(
        START,
        event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        event("content_block_delta", index=0, delta={"type": "citations_delta", "citation": {"n": 1}}),
        event("content_block_delta", index=0, delta={"type": "citations_delta", "citation": {"n": 2}}),
        event("content_block_start", index=1, content_block={"type": "hologram", "shape": [1]}),
    )
    assert told["content"] == [
        {"type": "text", "text": "", "citations": [{"n": 1}, {"n": 2}]},
        {"type": "hologram", "shape": [1]},
    ]


def test_without_a_beginning_it_is_not_ours_to_tell() -> None:
    assert whole(event("ping")) is None


@pytest.mark.parametrize("transcript", sorted(SPEC.glob("*.sse")), ids=lambda path: path.stem)
def test_every_transcript_can_be_told(transcript: Path) -> None:
    blocks = sse.Splitter().feed(transcript.read_bytes())
    told = whole(*blocks)
    assert told is None or told["type"] == "message"


@given(st.lists(st.binary(max_size=40)))
def test_strange_blocks_do_no_harm(payloads: list[bytes]) -> None:
    assemble("m", [b"data: %b\n\n" % payload.replace(b"\n", b"") for payload in payloads])


@pytest.mark.parametrize("usage", ["n/a", 5, None, [1]])
def test_a_usage_that_is_no_object_says_nothing(usage: Any) -> None:
    begun = event("message_start", message={"id": "msg_1", "usage": usage})
    told = whole(begun, event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 9}))
    assert told["usage"] == {"output_tokens": 9}
    assert whole(begun, event("message_delta", delta={}, usage="n/a"))["usage"] == usage


def test_a_field_that_turns_from_text_to_something_else() -> None:
    told = whole(
        START,
        event("content_block_start", index=0, content_block={"type": "x", "a": "1", "citations": "none"}),
        event("content_block_delta", index=0, delta={"type": "x_delta", "a": "2", "b": "3"}),
        event("content_block_delta", index=0, delta={"type": "x_delta", "a": 4, "b": "5"}),
        event("content_block_delta", index=0, delta={"type": "x_delta", "a": "6"}),
        event("content_block_delta", index=0, delta={"type": "citations_delta", "citation": {"n": 1}}),
    )
    assert told["content"] == [{"type": "x", "a": "6", "b": "35", "citations": [{"n": 1}]}]


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
kinds = st.sampled_from(
    ["message_start", "content_block_start", "content_block_delta", "message_delta", "input_json_delta", "text_delta",
     "citations_delta", "text", "tool_use"]
)  # fmt: skip
names = ["type", "index", "delta", "message", "content_block", "usage", "partial_json", "text", "citation", "citations"]
strange = st.recursive(
    values | kinds | st.integers(0, 1),
    lambda inner: st.dictionaries(st.sampled_from(names), inner, max_size=4),
    max_leaves=8,
)
events = st.fixed_dictionaries(
    {"type": kinds},
    optional={
        "index": st.integers(0, 1) | values,
        "delta": st.dictionaries(st.sampled_from(names), strange, max_size=3) | values,
        "message": st.dictionaries(st.sampled_from(names), strange, max_size=2) | values,
        "content_block": st.dictionaries(st.sampled_from(names), strange, max_size=3) | values,
        "usage": strange,
    },
)


@given(st.lists(events, max_size=8))
def test_strange_events_do_no_harm(sent: list[Any]) -> None:
    assemble("m", [b"data: %b\n\n" % json.dumps(one).encode() for one in [*sent, {"type": "message_start"}]])
