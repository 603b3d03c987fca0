"""Reading a Responses upstream."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.dialects.base import Kind
from penstock.dialects.openai_responses import OpenAIResponses
from penstock.exceptions import ProtocolError
from penstock.wire.events import Done, Event, Finish, Reasoning, Refusal, Start, Token, ToolCall, Usage
from tests.dialects.answers import ABOUT, START, told, written

responses = OpenAIResponses()


def event(kind: str, **fields: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), json.dumps({"type": kind, **fields}).encode())


CREATED = event("response.created", response={"id": "r", "output": []}, sequence_number=0)
COMPLETED = event(
    "response.completed",
    response={
        "usage": {
            "input_tokens": 9,
            "input_tokens_details": {"cached_tokens": 4},
            "output_tokens": 2,
            "output_tokens_details": {"reasoning_tokens": 1},
        }
    },
)


def call(index: int, **more: Any) -> bytes:
    item = {"type": "function_call", "call_id": f"c{index}", "name": "f", "arguments": "", **more}
    return event("response.output_item.added", output_index=index, item=item)


def test_an_answer() -> None:
    said = told(
        responses,
        [
            CREATED,
            event("response.reasoning_summary_part.added", summary_index=0),
            event("response.reasoning_summary_text.delta", delta="hm"),
            event("response.reasoning_summary_part.added", summary_index=1),
            event("response.reasoning_text.delta", delta="!"),
            event("response.output_text.delta", delta="a", logprobs=[]),
            event("response.output_text.annotation.added", annotation={"strange": [1]}),
            event("response.refusal.delta", delta="no"),
            event("response.something.new", delta={"not": "text"}),
            COMPLETED,
        ],
    )
    assert said == [
        START,
        Reasoning("hm"),
        Reasoning("\n\n"),
        Reasoning("!"),
        Token("a"),
        Refusal("no"),
        Finish("completed"),
        Usage(9, 2, 4, 1),
        Done("completed"),
    ]


def test_calls_side_by_side_and_arguments_that_come_whole() -> None:
    said = told(
        responses,
        [
            call(1),
            call(2),
            event("response.function_call_arguments.delta", output_index=2, delta='{"b":'),
            event("response.function_call_arguments.delta", output_index=2, delta="2}"),
            event("response.function_call_arguments.done", output_index=2, arguments='{"b":2}'),
            event("response.function_call_arguments.done", output_index=1, arguments='{"a":1}'),
            COMPLETED,
        ],
    )
    calls = [event for event in said if isinstance(event, ToolCall)]
    assert calls == [
        ToolCall(0, "c1", "f"),
        ToolCall(1, "c2", "f"),
        ToolCall(1, arguments='{"b":'),
        ToolCall(1, arguments="2}"),
        ToolCall(0, arguments='{"a":1}'),
    ]
    assert said[-1] == Done("tool_calls")


@pytest.mark.parametrize(
    ("details", "outcome"),
    [({"reason": "max_output_tokens"}, "length"), ({"reason": "content_filter"}, "content_filter"), (None, "length")],
)
def test_incomplete(details: Any, outcome: Any) -> None:
    block = event("response.incomplete", response={"incomplete_details": details})
    assert told(responses, [CREATED, block])[-1] == Done(outcome)


@pytest.mark.parametrize(
    "block",
    [
        event("response.failed", response={"error": {"code": "server_error", "message": "broke"}}),
        event("error", code="x", message="broke", param=None),
        event("response.cancelled", message="broke"),
    ],
)
def test_failures(block: bytes) -> None:
    probe = responses.probe()
    assert probe(block) == Kind.FAILED
    assert probe.failure is not None
    assert probe.failure.message == "broke"


def test_the_last_block_is_part_of_the_log_and_the_end() -> None:
    assert responses.probe()(COMPLETED) == Kind.LAST


def test_a_first_token_is_one() -> None:
    probe = responses.probe()
    for block in (CREATED, event("response.output_text.delta", delta="")):
        probe(block)
        assert not probe.started
    probe(event("response.output_text.delta", delta="a"))
    assert probe.started


@pytest.mark.parametrize("block", [event("response.output_text.delta", delta=7), b"data: <html>\n\n", b"data: [1]\n\n"])
def test_what_can_not_be_an_answer_is_refused(block: bytes) -> None:
    with pytest.raises(ProtocolError):
        responses.probe()(block)


@given(
    st.binary(max_size=60) | st.dictionaries(st.text(max_size=5), st.integers()).map(lambda d: json.dumps(d).encode())
)
def test_strange_bytes_raise_nothing_else(payload: bytes) -> None:
    block = b"data: %b\n\n" % payload.replace(b"\n", b"").replace(b"\r", b"")
    with contextlib.suppress(ProtocolError):
        responses.probe()(block)
        responses.decoder(ABOUT).decode(block)


plain = st.lists(
    st.builds(Token, st.text(min_size=1, max_size=5)) | st.builds(Reasoning, st.text(min_size=1, max_size=5)),
    max_size=8,
)


@given(plain, st.lists(st.text(max_size=5), max_size=3), st.sampled_from(["completed", "length", "content_filter"]))
def test_what_is_written_is_what_is_read(words: list[Event], arguments: list[str], why: Any) -> None:
    calls: list[Event] = [ToolCall(n, f"c{n}", "f", text) for n, text in enumerate(arguments)]
    reason: Any = "tool_calls" if calls and why == "completed" else why
    events = [START, *words, *calls, Finish(reason)]
    read = told(responses, written(responses, events, Usage(1, 2, 0, 0), Done(reason)))
    assert _facts(read) == _facts([*events, Usage(1, 2, 0, 0), Done(reason)])


def _facts(events: list[Event]) -> Any:
    text = "".join(event.text for event in events if isinstance(event, Token))
    thought = "".join(event.text for event in events if isinstance(event, Reasoning))
    calls: dict[int, list[Any]] = {}
    for event in events:
        if isinstance(event, ToolCall):
            known = calls.setdefault(event.index, [event.id, event.name, ""])
            known[2] += event.arguments
    rest = [event for event in events if isinstance(event, Start | Finish | Usage | Done)]
    return text, thought, calls, rest
