"""Writing for a Responses client: items in order, everything repeated in its `done`, numbers without a gap."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.dialects.openai_responses import OpenAIResponses
from penstock.wire import sse
from penstock.wire.events import Done, Error, Event, Finish, Reasoning, Refusal, Start, Token, ToolCall, Usage
from tests.dialects.answers import ABOUT, START

responses = OpenAIResponses()


def tell(*events: Event, last: Any = None) -> list[dict[str, Any]]:
    """The JSON of all blocks, the usage being 3 and 4 tokens."""
    encoder = responses.encoder(ABOUT, include_usage=True)
    blocks = [block for event in events for block in encoder.encode([event])]
    blocks += encoder.end(Usage(3, 4), last or Done("completed"))
    told = [json.loads(sse.payload(block)) for block in blocks]
    assert [sse.event_name(block) for block in blocks] == [event["type"] for event in told]
    return told


def short(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in events]


def test_the_life_of_a_text() -> None:
    events = tell(START, Token("hel"), Token("lo"), Finish("completed"))
    assert short(events) == [
        *("created", "in_progress", "output_item.added", "content_part.added"),
        *("output_text.delta", "output_text.delta", "output_text.done", "content_part.done"),
        *("output_item.done", "completed"),
    ]
    response = events[-1]["response"]
    assert response["output"][0]["content"][0]["text"] == "hello"
    assert response["usage"]["total_tokens"] == 7
    assert events[-2]["item"] == response["output"][0]


def test_thinking_words_and_calls_are_items_in_order() -> None:
    events = tell(
        START,
        Reasoning("hm"),
        Token("I look"),
        ToolCall(0, "c1", "f", '{"a"'),
        ToolCall(1, "c2", "g", "{}"),
        ToolCall(0, arguments=": 1}"),
        Finish("tool_calls"),
        last=Done("tool_calls"),
    )
    output = events[-1]["response"]["output"]
    assert [item["type"] for item in output] == ["reasoning", "message", "function_call", "function_call"]
    assert [(item["call_id"], item["name"], item["arguments"]) for item in output[2:]] == [
        ("c1", "f", '{"a": 1}'),
        ("c2", "g", "{}"),
    ]
    assert events[-1]["type"] == "response.completed"


def test_words_and_a_refusal_are_parts_of_one_message() -> None:
    events = tell(START, Token("well, "), Refusal("no"), Finish("completed"))
    (message,) = events[-1]["response"]["output"]
    assert [part["type"] for part in message["content"]] == ["output_text", "refusal"]
    added = [event["content_index"] for event in events if event["type"] == "response.content_part.added"]
    assert added == [0, 1]


@pytest.mark.parametrize(("reason", "told"), [("length", "max_output_tokens"), ("content_filter", "content_filter")])
def test_an_incomplete_answer_says_why(reason: Any, told: str) -> None:
    last = tell(START, Token("a"), Finish(reason), last=Done(reason))[-1]
    assert (last["type"], last["response"]["status"]) == ("response.incomplete", "incomplete")
    assert last["response"]["incomplete_details"] == {"reason": told}


@pytest.mark.parametrize(
    "last",
    [Done("cancelled", 3), Error("stalled", "silent", retryable=True, outcome="stalled")],
    ids=["cancel", "stall"],
)
def test_what_did_not_end_well_is_never_completed(last: Any) -> None:
    events = tell(START, Token("a"), last=last)
    assert events[-1]["type"] == "error"
    assert events[-1]["code"] == ("cancelled" if isinstance(last, Done) else "stalled")
    assert not any(event["type"].startswith(("response.completed", "response.incomplete")) for event in events)


pieces = st.lists(
    st.builds(Token, st.text(min_size=1, max_size=4))
    | st.builds(Reasoning, st.text(min_size=1, max_size=4))
    | st.builds(Refusal, st.text(min_size=1, max_size=4))
    | st.builds(ToolCall, st.integers(0, 2), st.just("c"), st.none() | st.just("f"), st.text(max_size=4)),
    max_size=12,
)


@given(pieces)
def test_the_rules_of_this_api(events: list[Event]) -> None:
    told = tell(START, *events)
    assert [event["sequence_number"] for event in told] == list(range(len(told)))
    added = [event["output_index"] for event in told if event["type"] == "response.output_item.added"]
    done = [event["output_index"] for event in told if event["type"] == "response.output_item.done"]
    assert added == sorted(done) == list(range(len(added)))
    output = told[-1]["response"]["output"]
    assert len({item["id"] for item in output}) == len(output) == len(added)
    deltas: dict[int, str] = {}
    for event in told:
        if event["type"].endswith(".delta"):
            deltas[event["output_index"]] = deltas.get(event["output_index"], "") + event["delta"]
    for index, item in enumerate(output):
        whole = (
            item.get("arguments")
            if item["type"] == "function_call"
            else "".join(
                part.get("text", "") + part.get("refusal", "")
                for part in item.get("content") or item.get("summary") or ()
            )
        )
        assert whole == deltas.get(index, "")


@pytest.mark.parametrize(
    ("events", "statuses"),
    [
        ([Token("a"), ToolCall(0, "c", "f", "{}"), Token("b")], ["completed", "completed", "incomplete"]),
        ([Token("a"), ToolCall(0, "c", "f", "{}"), ToolCall(1, "d", "g", '{"a')], ["completed", "completed", "incomplete"]),
        ([ToolCall(0, "c", "f", "{"), ToolCall(1, "d", "g", "{}"), ToolCall(0, arguments='"')], ["incomplete", "completed"]),
    ],
)  # fmt: skip
def test_what_the_limit_cut_is_incomplete_and_nothing_else(events: list[Event], statuses: list[str]) -> None:
    response = tell(START, *events, Finish("length"), last=Done("length"))[-1]["response"]
    assert [item["status"] for item in response["output"]] == statuses
    assert (
        json.loads(responses.collect(ABOUT, [START, *events, Finish("length"), Usage(3, 4), Done("length")]))
        == response
    )


def test_a_call_is_told_when_its_name_is_known() -> None:
    events = tell(START, ToolCall(0, "c", None, '{"a"'), ToolCall(1, "d", "g", "{}"), ToolCall(0, None, "f", ":1}"))
    added = [event["item"] for event in events if event["type"] == "response.output_item.added"]
    assert [(item["call_id"], item["name"]) for item in added] == [("d", "g"), ("c", "f")]
    assert [item["arguments"] for item in events[-1]["response"]["output"]] == ["{}", '{"a":1}']


def test_a_call_without_a_name_is_told_at_last() -> None:
    events = tell(START, ToolCall(0, "c", None, "{}"), Finish("tool_calls"), last=Done("tool_calls"))
    (item,) = events[-1]["response"]["output"]
    assert (item["call_id"], item["name"], item["arguments"]) == ("c", "", "{}")
    assert [event["delta"] for event in events if event["type"].endswith("arguments.delta")] == ["{}"]


def test_only_the_first_choice_can_be_told() -> None:
    assert short(tell(Start("s1", "m"), Token("b", 1), Finish("completed", 1)))[-1] == "completed"
    assert tell(START, Token("b", 1))[-1]["response"]["output"] == []
