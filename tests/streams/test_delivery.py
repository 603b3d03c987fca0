"""Delivery in whole parts: the same facts, fewer pieces; and nothing that is not whole."""

from __future__ import annotations

import copy
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.dialects.native import encode_event
from penstock.streams import delivery
from penstock.streams.delivery import Packer, problem
from penstock.streams.framing import Format
from penstock.wire.events import Done, Event, Finish, Reasoning, Start, Token, ToolCall
from tests.streams.river import Bowl, follow
from tests.streams.scene import Scene

pytestmark = pytest.mark.anyio

CALL = [
    ToolCall(0, "c1", "look"),
    ToolCall(0, arguments='{"a"'),
    ToolCall(1, "c2", "see"),
    ToolCall(0, arguments=":1}"),
    ToolCall(1, arguments="{}"),
]
EVENTS: list[Event] = [
    Start("s", "m"),
    Reasoning("h"),
    Reasoning("m"),
    Token("a"),
    Token("b"),
    *CALL,
    Finish("tool_calls"),
]


def pack(kind: Any, events: list[Event], *, good: bool = True) -> list[Event]:
    packer = Packer(kind)
    told = [event for one in events for event in packer.feed([one])]
    return told + packer.end(good=good)


def test_a_buffered_answer_is_one_part_of_each_kind() -> None:
    assert pack("buffer", EVENTS) == [
        Start("s", "m"),
        Reasoning("hm"),
        Token("ab"),
        ToolCall(0, "c1", "look", '{"a":1}'),
        ToolCall(1, "c2", "see", "{}"),
        Finish("tool_calls"),
    ]


def test_a_buffered_answer_that_did_not_end_well_is_none() -> None:
    assert pack("buffer", EVENTS, good=False) == [Start("s", "m")]


def test_tools_come_whole_and_text_as_it_comes() -> None:
    told = pack(
        "tools",
        [Token("a"), ToolCall(0, "c1", "look", "{"), Token("b"), ToolCall(0, arguments="}"), Finish("tool_calls")],
    )
    assert told == [Token("a"), Token("b"), ToolCall(0, "c1", "look", "{}"), Finish("tool_calls")]


def test_calls_are_told_at_the_end_when_they_are_known_to_be_good() -> None:
    """Whoever acts on a call as it comes must not be given one that is half, or no JSON."""
    for good in (True, False):
        packer = Packer("tools")
        assert packer.feed([ToolCall(0, "c1", "look", "{"), Token("text")]) == [Token("text")]
        assert packer.feed([ToolCall(1, "c2", "see"), ToolCall(0, arguments="}"), Finish("tool_calls")]) == []
        assert packer.feed([Finish("completed", 1)]) == [Finish("completed", 1)], "this choice has called nobody"
        assert packer.holds
        rest = [ToolCall(0, "c1", "look", "{}"), ToolCall(1, "c2", "see"), Finish("tool_calls")]
        assert packer.end(good=good) == (rest if good else [])
        assert not packer.holds


pieces = st.lists(
    st.builds(Token, st.text(max_size=3), st.integers(0, 1))
    | st.builds(Reasoning, st.text(max_size=3), st.integers(0, 1))
    | st.builds(ToolCall, st.integers(0, 2), st.none(), st.none(), st.text(max_size=3), st.integers(0, 1)),
    max_size=20,
)


def facts(events: list[Event]) -> dict[Any, str]:
    told: dict[Any, str] = {}
    for event in events:
        match event:
            case Token(text, index) | Reasoning(text, index):
                told[type(event), index] = told.get((type(event), index), "") + text
            case ToolCall():
                told[event.choice, event.index] = told.get((event.choice, event.index), "") + event.arguments
            case _:
                pass
    return {key: text for key, text in told.items() if text}


@given(st.sampled_from(["buffer", "tools"]), pieces)
def test_nothing_is_lost(kind: Any, events: list[Event]) -> None:
    if kind == "tools":  # calls of one choice come one after the other, as every provider sends them
        calls = sorted((e for e in events if isinstance(e, ToolCall)), key=lambda call: (call.choice, call.index))
        events = [*(e for e in events if not isinstance(e, ToolCall)), *calls]
    assert facts(pack(kind, events)) == facts(events)


@given(st.sampled_from(["buffer", "tools"]), pieces, st.integers(0, 20))
def test_a_copy_goes_on_where_it_was_made(kind: Any, events: list[Event], at: int) -> None:
    packer = Packer(kind)
    for event in events[:at]:
        packer.feed([event])
    again = copy.deepcopy(packer)
    rest = [[*one.feed(events[at:]), *one.end(good=True)] for one in (packer, again)]
    assert rest[0] == rest[1]


@pytest.mark.parametrize("kind", ["buffer", "tools"])
@pytest.mark.parametrize("order", [1, -1])
def test_many_calls_are_packed_in_one_go(kind: Any, order: int) -> None:
    """With a look at all the others for each piece it would take minutes."""
    numbers = range(30_000)[::order]
    begun: list[Event] = [ToolCall(n, f"c{n}", "f", "{") for n in numbers]
    before = time.process_time()
    told = pack(kind, [*begun, *[ToolCall(0, arguments=" ")] * 30_000, *[Token("x")] * 30_000, Finish("tool_calls")])
    assert problem([*begun, *[Token("x"), ToolCall(0, arguments=" ")] * 30_000], None) is not None
    assert time.process_time() - before < 8
    calls = [event.index for event in told if isinstance(event, ToolCall)]
    assert set(calls) == set(numbers)
    assert Finish("tool_calls") in told


# -- what is wrong with it ---------------------------------------------------------------------------------------------

NUMBER = {
    "type": "json_schema",
    "json_schema": {"schema": {"type": "object", "properties": {"n": {"type": "integer"}}}},
}
JSON = {"type": "json_object"}


@pytest.mark.parametrize(
    ("events", "format", "wrong"),
    [
        ([Token('{"n"'), Token(": 1}")], NUMBER, None),
        ([Token('{"n": "x"}')], NUMBER, "at $.n"),
        ([Token('{"n": 1')], JSON, "not JSON"),
        ([Token('{"n": 1}'), Token("also text", 1)], JSON, "not JSON"),
        ([Reasoning("no JSON, and need not be"), Token("[]")], JSON, None),
        ([ToolCall(0, "c", "f", '{"a": ')], None, "tool call 0 (f)"),
        ([ToolCall(0, "c", "f", "[1]")], None, "tool call 0 (f)"),
        ([ToolCall(0, "c", "f"), ToolCall(0, arguments="")], None, None),
        (CALL, None, None),
        ([Token("free text")], None, None),
    ],
)
def test_problems(events: list[Event], format: Any, wrong: str | None) -> None:
    said = problem(events, format)
    assert said is None if wrong is None else wrong in (said or "")


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"s": {"pattern": "^(a+)+$"}}},
        {"patternProperties": {"^(a+)+$": False}, "additionalProperties": False},
        {"allOf": [{"patternProperties": {"^(a+)+$": {}}}], "unevaluatedProperties": False},
        {"$ref": "http://127.0.0.1:9/schema"},
        {"$ref": "#/$defs/x"},
        {"type": "no such type"},
        {"type": 7},
        {"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"},
        {
            "$defs": {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(60)} | {"d60": {}},
            "$ref": "#/$defs/d0",
        },
    ],
    ids=[
        "pattern",
        "pattern properties",
        "unevaluated",
        "far reference",
        "no reference",
        "no type",
        "type 7",
        "itself",
        "doubling",
    ],
)
def test_a_hostile_schema_does_no_harm(schema: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "SCHEMA_SECONDS", 0.2)
    value = '{"s": "' + "a" * 40 + '!", "' + "a" * 40 + '!": 1}'
    problem([Token(value)], {"type": "json_schema", "json_schema": {"schema": schema}})


# -- in a stream -------------------------------------------------------------------------------------------------------

WHOLE = Format("native", include_usage=True, delivery="buffer")


async def test_buffered_readers_see_it_at_the_end_and_can_resume_in_it() -> None:
    scene = Scene("native")
    follow(scene.stream, bowl := Bowl(), WHOLE)
    for event in (Token("a"), Reasoning("h"), Token("b")):
        scene.attempt.feed(encode_event(event))
        assert bowl.names == ["start"]
    scene.attempt.feed(encode_event(Done("completed")))
    assert bowl.names == ["start", "token", "reasoning", "token", "usage", "done"]
    for number, position in enumerate(bowl.ids):
        follow(scene.stream, again := Bowl(), WHOLE, position)
        assert again.ids == bowl.ids[number + 1 :]


async def test_a_buffered_answer_that_is_cut_is_only_an_error() -> None:
    scene = Scene("native")
    follow(scene.stream, bowl := Bowl(), WHOLE)
    scene.attempt.feed(encode_event(Token("half a sent")))
    scene.attempt.ended()
    assert bowl.names == ["start", "usage", "error"]
