"""Gates: what a check sees of an answer, and that nobody is shown more than it saw."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.dialects import DIALECTS
from penstock.dialects.native import encode_event
from penstock.streams.framing import Format
from penstock.streams.gate import GateRule, Passage
from penstock.streams.plan import Plan
from penstock.wire.events import Done, Event, Finish, Reasoning, Refusal, Token, ToolCall
from tests.streams.river import Bowl, follow
from tests.streams.scene import Scene
from tests.streams.test_gate import Gated, turns, until

pytestmark = pytest.mark.anyio
SECRET = "the SECRET word"


async def seen(*events: Event, window: int | None = None) -> list[Passage]:
    """What the check is asked about, while it lets everything pass."""
    passages: list[Passage] = []

    async def check(passage: Passage) -> str | None:
        passages.append(passage)
        return None

    gated = Gated(window, check=check)
    for event in events:
        gated.scene.attempt.feed(encode_event(event))
        await turns()
    gated.scene.attempt.feed(encode_event(Done("completed")))
    await until(lambda: gated.scene.generation.over)
    return passages


async def test_choices_that_speak_in_turns_are_not_mixed() -> None:
    (passage,) = await seen(Token("SEC", 0), Token("ab", 1), Token("RET", 0), Token("cd", 1))
    assert passage.text == "SECRET\nabcd"


async def test_calls_that_speak_in_turns_are_not_mixed() -> None:
    (passage,) = await seen(
        ToolCall(0, "a", "f", '{"x":"SEC'),
        ToolCall(1, "b", "g", "{"),
        ToolCall(0, arguments='RET"}'),
        ToolCall(1, arguments="}"),
    )
    assert passage.text == 'f\n{"x":"SECRET"}\ng\n{}'


async def test_thoughts_and_words_are_not_mixed() -> None:
    (passage,) = await seen(Token("a SEC"), Reasoning("hm"), Refusal("no"), Token("RET"), Reasoning("m"))
    assert passage.text == "a SECRET\nhmm\nno"


async def test_nor_are_they_over_windows() -> None:
    passages = await seen(Token("a SEC", 0), Token("other", 1), Token("RET b", 0), window=4)
    assert [(passage.text, passage.new) for passage in passages] == [
        ("a SEC", "a SEC"),
        ("a SEC\nother", "other"),
        ("a SECRET b\nother", "RET b"),
        ("a SECRET b\nother", ""),
    ]


PIECES: st.SearchStrategy[Event] = st.one_of(
    st.builds(Token, st.text(max_size=9), st.integers(0, 2)),
    st.builds(Reasoning, st.text(max_size=9), st.integers(0, 1)),
    st.builds(Refusal, st.text(max_size=9), st.integers(0, 1)),
    st.builds(ToolCall, st.integers(0, 2), st.none(), st.none(), st.text(max_size=9), st.integers(0, 1)),
    st.builds(Finish, st.just("completed"), st.integers(0, 2)),
)


@given(st.lists(PIECES, max_size=30), st.none() | st.integers(1, 20))
async def test_whatever_is_shown_was_seen_in_one_piece(events: list[Event], window: int | None) -> None:
    """What any voice has said in the whole answer stands in the last passage as it will stand before a person."""
    passages = await seen(*events, window=window)
    whole: dict[tuple[Any, ...], str] = {}
    for event in events:
        match event:
            case Token(text, index) | Reasoning(text, index) | Refusal(text, index):
                whole[type(event), index] = whole.get((type(event), index), "") + text
            case ToolCall():
                whole[event.choice, event.index] = whole.get((event.choice, event.index), "") + event.arguments
            case _:
                pass
    assert all(text in passages[-1].text for text in whole.values())
    assert sum(map(len, whole.values())) <= len(passages[-1].text)


def block(data: dict[str, Any], event: str = "") -> bytes:
    named = f"event: {event}\n" if event else ""
    return f"{named}data: {json.dumps(data)}\n\n".encode()


def chunk(finish: str | None = None, choice: dict[str, Any] | None = None, **delta: Any) -> bytes:
    return block({"choices": [{"index": 0, "delta": delta, "finish_reason": finish, **(choice or {})}]})


def claude(kind: str, **more: Any) -> bytes:
    return block({"type": kind, **more}, kind)


UNSAID = {
    "openai-chat": [
        chunk(content="a", reasoning_details=[{"text": SECRET}]),
        chunk(audio={"transcript": SECRET}),
        chunk(content="b", choice={"message": {"content": SECRET}}),
        block({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}, "x": SECRET}),
        chunk("stop"),
        b"data: [DONE]\n\n",
    ],
    "anthropic": [
        claude("message_start", message={"id": "m", "content": [], "usage": {"input_tokens": 1}, "x": SECRET}),
        claude("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        claude("content_block_delta", index=0, delta={"type": "text_delta", "text": "a"}),
        claude(
            "content_block_delta", index=0, delta={"type": "citations_delta", "citation": {"cited_text": SECRET}}
        ),
        claude("content_block_stop", index=0),
        claude("content_block_start", index=1, content_block={"type": "web_search_tool_result", "content": SECRET}),
        claude("content_block_stop", index=1),
        claude("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 1}),
        claude("message_stop"),
    ],
    "openai-responses": [
        claude("response.created", response={"id": "r"}, sequence_number=0),
        claude("response.output_text.delta", output_index=0, content_index=0, item_id="i", delta="a"),
        claude("response.code_interpreter_call_code.delta", output_index=1, delta=SECRET),
        claude("response.completed", response={"id": "r", "status": "completed", "output": [], "metadata": {"x": SECRET}}),
    ],
    "gemini": [
        block({"candidates": [{"content": {"parts": [{"text": "a"}], "role": "model"}}], "x": SECRET}),
        block({"candidates": [{"content": {"parts": []}, "finishReason": "STOP", "groundingMetadata": {"x": SECRET}}]}),
    ],
}  # fmt: skip
"""Answers that say `a` (and `b`), and more where no decoder reads it."""


@pytest.mark.parametrize("dialect", UNSAID)
async def test_what_no_check_can_read_nobody_is_shown(dialect: str) -> None:
    async def check(passage: Passage) -> str | None:
        return "no" if SECRET in passage.text else None

    scene = Scene(dialect, Plan(gate=GateRule(check)))
    scene.answers(*UNSAID[dialect])
    if dialect == "gemini":
        scene.attempt.ended()
    await until(lambda: scene.generation.over)
    assert scene.stream.end is not None
    assert scene.stream.end.last == Done("completed")
    for reader in (*DIALECTS, dialect):
        bowl = Bowl()
        follow(scene.stream, bowl, Format(reader))
        assert b"a" in bowl.data
        assert b"SECRET" not in bowl.data
