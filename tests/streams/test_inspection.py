"""Inspection: an answer in whole parts is looked at before it counts; one in pieces has been shown already."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from penstock.dialects import DIALECTS
from penstock.dialects.base import Request
from penstock.dialects.native import encode_event
from penstock.gateway import Gateway, Tenant
from penstock.policy.course import Route, Target
from penstock.streams.inspection import inspect
from penstock.streams.journal import MemoryJournal
from penstock.streams.stream import Stream
from penstock.streams.wheel import Wheel
from penstock.upstreams.python import PythonUpstream
from penstock.wire.events import Error, Event, Start, Token, ToolCall
from tests.streams.river import Time, new_stream

pytestmark = pytest.mark.anyio


ASKED = b"""{"model": "m", "stream": true, "messages": [{"role": "user", "content": "look"}],
    "tools": [{"type": "function", "function": {"name": "f"}}]}"""


async def long(_request: Request) -> AsyncIterator[str | Event]:
    for _ in range(100):
        yield "many words " * 10
    yield ToolCall(0, "c", "f", '{"broken')


def answered(text: str) -> Stream:
    stream = new_stream(Time().wheel)
    stream.response_format = {"type": "json_object"}
    for event in (Start("s1", "m"), Token(text)):
        stream.append(encode_event(event))
    return stream


async def found(stream: Stream) -> str | None:
    looked: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
    inspect(stream, b"", looked.set_result)
    return await asyncio.wait_for(looked, 10)


async def test_what_is_delivered_whole_must_be_what_was_asked_for() -> None:
    stream = answered("no JSON")
    stream.delivery = "buffer"
    assert await found(stream) == "the answer is not JSON, which response_format asks for"


async def test_tool_calls_are_looked_at_however_long_the_answer_was() -> None:
    """It is kept whole as long as anybody looks at it as a whole."""
    journal = MemoryJournal(Time().wheel, retain_bytes=1000)
    gateway = Gateway(journal, {"m": Route("m", (Target(PythonUpstream("m", long), None),))}, Wheel())
    request = DIALECTS["openai-chat"].parse_request(ASKED)
    stream = await gateway.open(request, ASKED, Tenant("t"), wish="auto")
    await gateway.ready(stream)
    while stream.end is None:
        await asyncio.sleep(0.001)
    assert (stream.delivery, stream.log.first) == ("tools", 0)
    assert isinstance(stream.end.last, Error)
    assert stream.end.last.code == "invalid_output"


async def test_a_good_one_is_good() -> None:
    stream = answered("{}")
    stream.delivery = "buffer"
    assert await found(stream) is None


async def test_what_was_delivered_in_pieces_is_not_looked_at() -> None:
    seen: list[str | None] = []
    inspect(answered("no JSON"), b"", seen.append)
    assert seen == [None], "at once"
