"""The matrix, cell by cell, over real sockets, against the truth file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from penstock.dialects import DIALECTS
from penstock.dialects.base import Kind
from penstock.sim.process import SimProcess, running
from penstock.sim.truth import Answered, End
from penstock.wire import sse
from penstock.wire.events import Done, Error, Event, Finish, Reasoning, Token, ToolCall, Usage
from tests.dialects.answers import ABOUT
from tests.matrix.speech import ADDRESS, PICTURE, SYSTEM, ask, prompt
from tests.matrix.table import CLIENTS, PAGE, UPSTREAMS, page
from tests.support.client import Response, fetch
from tests.support.routes import asked, route, routed, upstream
from tests.support.serving import Served

pytestmark = pytest.mark.anyio
PAIRS = [(client, upstream) for client in CLIENTS for upstream in UPSTREAMS]
CALLS = [
    {"id": "call_1", "name": "weather", "arguments": {"city": "Oslo", "days": [1, 2]}},
    {"id": "call_2", "name": "weather", "arguments": {"city": 'Ber"lin'}},
]


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[SimProcess, Served]]:
    with running() as sim:
        tables = [upstream(name, sim.url, dialect=name) + route(name, name) for name in UPSTREAMS]
        with routed(*tables) as served:
            yield sim, served


def events_of(dialect: str, got: Response) -> list[Event]:
    """What a client of `dialect` understands, by the rules for an upstream of that dialect."""
    rules = DIALECTS[dialect]
    probe, decoder, events = rules.probe(), rules.decoder(ABOUT), []
    for block in sse.Splitter().feed(got.body):
        kind = probe(block)
        if kind == Kind.DATA:
            events += decoder.decode(block)
        elif kind in (Kind.END, Kind.LAST):
            events += decoder.decode(block) if kind == Kind.LAST else []
            return [*events, *([probe.usage] if probe.usage else []), Done(probe.outcome)]  # type: ignore[arg-type]
        elif kind == Kind.FAILED:
            assert probe.failure is not None
            return [*events, probe.failure]
    return events


async def put(
    servers: tuple[SimProcess, Served], pair: tuple[str, str], feature: str, cue: dict[str, Any], **more: bool
) -> tuple[list[Event], Answered, Response]:
    """Ask, and what the client understood, what the upstream was asked and said, and the response itself."""
    sim, served = servers
    client, model = pair
    name = f"{feature}/{client}/{model}"
    got = await fetch(served.port, "POST", ADDRESS[client], ask(client, model, prompt(cue, name), **more))
    assert got.status == 200, got.body
    rows = await asked(sim, name, 1)
    assert len(rows) == 1
    return events_of(client, got), rows[0], got


def truth(row: Answered) -> End:
    assert row.end is not None
    return row.end


def text_of(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, Token))


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
async def test_text(servers: tuple[SimProcess, Served], pair: tuple[str, str]) -> None:
    events, row, _ = await put(servers, pair, "text", {"tokens": 30, "unicode": True, "split": 7})
    assert text_of(events) == truth(row).text[0]
    assert events[-1] == Done("completed")
    assert SYSTEM in row.request.prompt


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
async def test_tools(servers: tuple[SimProcess, Served], pair: tuple[str, str]) -> None:
    tools = pair[0] != "ui-messages"
    events, row, _ = await put(servers, pair, "tools", {"text": "I look", "tool_calls": CALLS}, tools=tools)
    calls: dict[int, list[str]] = {}
    for event in events:
        if isinstance(event, ToolCall):
            call = calls.setdefault(event.index, ["", "", ""])
            call[0], call[1] = call[0] or event.id or "", call[1] or event.name or ""
            call[2] += event.arguments
    told = [(name, json.loads(arguments)) for _, name, arguments in calls.values()]
    assert told == [(call["name"], json.loads(call["arguments"])) for call in truth(row).tool_calls[0]]
    assert len({id for id, _, _ in calls.values()} - {""}) == len(CALLS)
    assert text_of(events) == "I look"
    assert events[-1] == Done("tool_calls")
    if tools:
        assert "weather" in row.request.prompt
        assert "city" in json.dumps(row.request.body)


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
async def test_reasoning(servers: tuple[SimProcess, Served], pair: tuple[str, str]) -> None:
    events, row, _ = await put(
        servers, pair, "reasoning", {"text": "so it is", "reasoning": "let me see, step by step"}
    )
    assert "".join(event.text for event in events if isinstance(event, Reasoning)) == truth(row).reasoning[0]
    assert text_of(events) == truth(row).text[0]


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
async def test_images(servers: tuple[SimProcess, Served], pair: tuple[str, str]) -> None:
    _, row, got = await put(servers, pair, "images", {"text": "I see"}, image=True)
    assert PICTURE in row.request.prompt
    assert "penstock-dropped" not in got.headers


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
async def test_usage(servers: tuple[SimProcess, Served], pair: tuple[str, str]) -> None:
    events, row, _ = await put(servers, pair, "usage", {"tokens": 12})
    used = [event for event in events if isinstance(event, Usage)]
    assert len(used) == 1
    told = json.dumps(truth(row).usage)
    assert used[0].output_tokens == 12
    assert used[0].input_tokens
    assert str(used[0].input_tokens) in told
    assert used[0].source == "final"


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
async def test_stop(servers: tuple[SimProcess, Served], pair: tuple[str, str]) -> None:
    events, _, _ = await put(servers, pair, "stop", {"tokens": 4, "finish_reason": "length"})
    assert events[-1] == Done("length")
    assert [event for event in events if isinstance(event, Finish)] in ([], [Finish("length")])


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
async def test_error(servers: tuple[SimProcess, Served], pair: tuple[str, str]) -> None:
    events, row, _ = await put(servers, pair, "error", {"tokens": 9, "error_after": 3})
    assert text_of(events) == truth(row).text[0]
    assert isinstance(events[-1], Error)
    assert not any(isinstance(event, Done) for event in events)


def test_the_page_says_so() -> None:
    assert PAGE.read_text("utf-8") == page(), "run: python -m tests.matrix.table"
