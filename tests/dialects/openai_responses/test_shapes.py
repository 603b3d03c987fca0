"""The shapes of a Responses upstream's events: what must be so, and what may be anything."""

from __future__ import annotations

import json
from typing import Any

import pytest

from penstock.dialects.openai_responses import OpenAIResponses
from penstock.dialects.openai_responses.shapes import DELTAS, Item, Response, Told, read, read_output
from penstock.exceptions import ProtocolError
from penstock.wire import sse
from penstock.wire.events import Start, Token, ToolCall
from tests.dialects.answers import ABOUT, START

responses = OpenAIResponses()


def block(kind: str, **fields: Any) -> bytes:
    return sse.encode(json.dumps({"type": kind, **fields}), kind)


class TestRead:
    def test_a_plain_block_and_one_of_several_lines_are_the_same(self) -> None:
        plain = b'event: error\ndata: {"type": "error", "message": "x"}\n\n'
        lines = b'event: error\ndata: {"type": "error",\ndata: "message": "x"}\n\n'
        assert read(plain) == read(lines) == Told("error", message="x")

    @pytest.mark.parametrize("name", ["error", "data: x", "data: {}"])
    def test_without_a_type_the_name_of_the_event_counts(self, name: str) -> None:
        assert read(sse.encode("{}", name)).type == name

    @pytest.mark.parametrize("kind", sorted(DELTAS))
    @pytest.mark.parametrize("fields", [{"delta": 1}, {"delta": "x", "output_index": "first"}])
    def test_a_delta_of_another_shape_is_refused(self, kind: str, fields: Any) -> None:
        with pytest.raises(ProtocolError, match=kind):
            read(block(kind, **fields))

    @pytest.mark.parametrize(
        "item",
        [
            {"type": "mcp_call", "arguments": {"a": 1}},
            {"type": "message", "content": "all"},
            {"type": "new", "name": 7},
        ],
    )
    def test_items_of_other_shapes_have_their_type_only(self, item: Any) -> None:
        told = read(block("response.output_item.done", output_index=3, item=item))
        assert (told.item, told.output_index) == (Item(item["type"]), 3)


@pytest.mark.parametrize(
    ("kind", "status", "reason", "outcome"),
    [
        ("response.completed", None, None, "completed"),
        ("response.completed", "completed", "max_output_tokens", "completed"),
        ("response.completed", "incomplete", "max_output_tokens", "length"),
        ("response.completed", "incomplete", None, "length"),
        ("response.completed", "incomplete", "content_filter", "content_filter"),
        ("response.incomplete", None, "steered", "length"),
    ],
)
@pytest.mark.parametrize("usage", [None, "of another shape"])
def test_how_it_ended(kind: str, status: Any, reason: Any, outcome: str, usage: Any) -> None:
    details = {"reason": reason} if reason else None
    told = read(block(kind, response={"status": status, "incomplete_details": details, "usage": usage}))
    assert told.outcome(called=False) == outcome


def test_an_output_is_read_item_by_item() -> None:
    told = read(block("response.completed", response={"output": [{"type": "a"}, {"type": "b", "name": 1}, 7]}))
    assert told.response is not None
    assert read_output(told.response) == [Item("a"), Item(), Item()]
    assert read_output(Response()) == []


def test_who_has_not_seen_the_beginning_is_told_nothing_twice() -> None:
    """A reader that comes late begins anywhere in the log: a part that is done need not have come without deltas."""
    done = block("response.output_text.done", output_index=0, content_index=0, text="all of it", sequence_number=7)
    item = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    rest = [done, block("response.output_item.done", output_index=1, item=item)]
    late = responses.decoder(ABOUT)
    assert [event for read in rest for event in late.decode(read)] == [START]
    whole = responses.decoder(ABOUT)
    opened = block("response.created", response={"status": "in_progress"})
    assert [event for read in (opened, *rest) for event in whole.decode(read)] == [
        Start("s1", "m"),
        Token("all of it"),
        ToolCall(0, "c", "f", "{}"),
    ]
