"""The history checker, of what an answer says: reasoning, text and calls, in every dialect and delivery."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from penstock.wire.events import Done, Error, Event, Finish, Reasoning, Terminal, Token, ToolCall
from tests.support.client import Block
from tests.support.dialects import READ
from tests.support.history import Delivery, History, Reading, Told, judge
from tests.support.renderings import rendered
from tests.support.said import Part
from tests.support.whole import lacking

ADD, WRITE = '{"a": 1, "b": "añ🌊"}', '{"text": "one"}'
TRUTH = [
    Part("reasoning", "so it is"),
    Part("text", "one two"),
    Part("call", ADD, "c1", "add"),
    Part("call", WRITE, "c2", "write"),
]
ANSWER: tuple[Event, ...] = (
    Reasoning("so it"),
    Reasoning(" is"),
    Token("one"),
    Token(" two"),
    ToolCall(0, "c1", "add", ADD[:6]),
    ToolCall(0, arguments=ADD[6:]),
    ToolCall(1, "c2", "write", WRITE[:6]),
    ToolCall(1, arguments=WRITE[6:]),
    Finish("tool_calls"),
)
PARTS: tuple[Event, ...] = (
    Reasoning("so it is"),
    Token("one two"),
    ToolCall(0, "c1", "add", ADD),
    ToolCall(1, "c2", "write", WRITE),
    Finish("tool_calls"),
)
"""The same in whole parts."""

CALLED = Done("tool_calls")
BROKEN = Error("stalled", "silence", True, "stalled")


def judged(
    dialect: str,
    events: Sequence[Event],
    last: Terminal = CALLED,
    *,
    said: Sequence[Part] = TRUTH,
    delivery: Delivery = "stream",
) -> list[str]:
    reading = Reading(dialect, rendered(dialect, events, last), delivery=delivery)
    return judge(History("none", [reading], Told(said, whole=isinstance(last, Done))))


def without(number: int) -> tuple[Event, ...]:
    return ANSWER[:number] + ANSWER[number + 1 :]


def instead(number: int, event: Event) -> tuple[Event, ...]:
    return (*ANSWER[:number], event, *ANSWER[number + 1 :])


DOCTORED = {
    **{f"piece {number} is lost": without(number) for number in range(len(ANSWER) - 1)},
    "reasoning comes twice": (ANSWER[0], *ANSWER),
    "text comes twice": (*ANSWER[:4], *ANSWER[3:]),
    "another name": instead(4, ToolCall(0, "c1", "subtract", ADD[:6])),
    "another id": instead(4, ToolCall(0, "c9", "add", ADD[:6])),
    "other arguments": instead(5, ToolCall(0, arguments=ADD[6:].replace("🌊", "?"))),
    "calls in another order": (
        *ANSWER[:4],
        ToolCall(0, "c2", "write", WRITE),
        ToolCall(1, "c1", "add", ADD),
        ANSWER[8],
    ),
    "a call too many": (*ANSWER[:8], ToolCall(2, "c3", "add", ADD), ANSWER[8]),
    "a call before the text": (*ANSWER[:2], *ANSWER[4:6], *ANSWER[2:4], *ANSWER[6:]),
    "reasoning as text": (Token("so it is"), *ANSWER[2:]),
    "reasoning after the text": (*ANSWER[2:4], *ANSWER[:2], *ANSWER[4:]),
}


@pytest.mark.parametrize("dialect", READ)
def test_an_answer_with_reasoning_and_calls_passes(dialect: str) -> None:
    assert judged(dialect, ANSWER) == []
    assert judged(dialect, PARTS, delivery="buffer") == []
    assert judged(dialect, (*ANSWER[:4], *PARTS[2:]), delivery="tools") == []


@pytest.mark.parametrize("dialect", READ)
@pytest.mark.parametrize("what", DOCTORED)
def test_a_doctored_answer_is_found_out(dialect: str, what: str) -> None:
    """All readers get the same, every id is right: only the truth tells."""
    assert judged(dialect, DOCTORED[what]) != []


@pytest.mark.parametrize("dialect", READ)
def test_a_call_that_was_cut_is_told_as_far_as_it_came(dialect: str) -> None:
    said = [*TRUTH[:3], Part("call", WRITE[:6], "c2", "write")]
    assert judged(dialect, ANSWER[:7], BROKEN, said=said) == []
    assert judged(dialect, ANSWER[:4], BROKEN, said=said) != [], "whole calls are missing"
    assert judged(dialect, ANSWER[:6], BROKEN, said=said) == [] or not READ[dialect].values
    assert judged(dialect, (*ANSWER[:7], ToolCall(1, arguments="x")), BROKEN, said=said) != [] or READ[dialect].values


@pytest.mark.parametrize("dialect", READ)
@pytest.mark.parametrize("delivery", ["tools", "buffer"])
def test_a_part_in_pieces_is_found_out(dialect: str, delivery: Delivery) -> None:
    found = judged(dialect, ANSWER, delivery=delivery)
    # A dialect that knows no pieces of calls has none.
    assert any("though it was to be whole" in what for what in found) or (READ[dialect].values and delivery == "tools")


@pytest.mark.parametrize("dialect", READ)
def test_whole_parts_of_an_answer_that_did_not_end_well_are_found_out(dialect: str) -> None:
    for events, good in ((), True), (PARTS[:1], False), (PARTS[:2], False), (PARTS[:4], False):
        assert (judged(dialect, events, BROKEN, delivery="buffer") == []) is good


@pytest.mark.parametrize("dialect", READ)
def test_whole_calls_of_an_answer_that_did_not_end_well_are_found_out(dialect: str) -> None:
    for events, good in ((PARTS[:1], False), (PARTS[:2], True), (PARTS[:3], False), (PARTS[:4], False)):
        assert (judged(dialect, events, BROKEN, delivery="tools") == []) is good


@pytest.mark.parametrize("dialect", READ)
def test_readers_of_different_deliveries_must_be_told_the_same_words(dialect: str) -> None:
    """Where it is not known how much of an answer was heard, they know it from each other."""
    truth = Told(TRUTH, whole=False, exact=False)
    more, less = (Reading(dialect, rendered(dialect, ANSWER[:count], BROKEN)) for count in (4, 3))
    less = less._replace(delivery="tools")
    assert judge(History("none", [more], truth)) == judge(History("none", [less], truth)) == []
    assert any("different words" in what for what in judge(History("none", [more, less], truth)))


def test_a_whole_told_at_the_end_that_is_another_one_is_found_out() -> None:
    """Some dialects say a part again when it ends; there are clients that look at nothing else."""
    changes: list[tuple[str, str, Callable[[str], str]]] = [
        ("openai-responses", "response.output_text.done", lambda data: data.replace("one two", "one")),
        ("openai-responses", "response.function_call_arguments.done", lambda data: data.replace('\\"a\\": 1', "")),
        ("openai-responses", "response.output_item.done", lambda data: data.replace("so it is", "so it was")),
        ("openai-responses", "response.completed", lambda data: data.replace("one two", "one two three")),
        ("ui-messages", "tool-input-available", lambda data: data.replace('"a":1', '"a":2')),
    ]
    for dialect, kind, change in changes:
        blocks = rendered(dialect, ANSWER, CALLED)
        doctored = [_changed(block, kind, change) for block in blocks]
        assert doctored != blocks, kind
        truth = Told(TRUTH, whole=True)
        assert judge(History("none", [Reading(dialect, doctored)], truth)) != [], kind


def _changed(block: Block, kind: str, change: Callable[[str], str]) -> Block:
    return Block(block.id, block.event, change(block.data)) if kind in block.data else block


def test_a_whole_answer_must_have_all_of_it() -> None:
    body = {"text": "one two", "reasoning": "so it is", "calls": [{"id": "c1", "name": "add", "arguments": ADD}]}
    body["calls"].append({"id": "c2", "name": "write", "input": {"text": "one"}})  # type: ignore[attr-defined]
    assert lacking(body, TRUTH) == []
    for number, part in enumerate(TRUTH):
        lacks = lacking(body, [*TRUTH[:number], part._replace(words=part.words + " "), *TRUTH[number + 1 :]])
        assert len(lacks) == (part.words != WRITE), "where it is a value, spaces say nothing"
    for wrong in ({"text": "one"}, {"reasoning": ""}, {"calls": body["calls"][:1]}):
        assert len(lacking({**body, **wrong}, TRUTH)) == 1
