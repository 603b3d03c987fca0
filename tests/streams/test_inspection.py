"""Inspection: an answer in whole parts is looked at before it counts; one in pieces has been shown already."""

from __future__ import annotations

import asyncio

import pytest

from penstock.dialects.native import encode_event
from penstock.streams.inspection import inspect
from penstock.streams.stream import Stream
from penstock.wire.events import Start, Token
from tests.streams.river import Time, new_stream

pytestmark = pytest.mark.anyio


def answered(text: str) -> Stream:
    stream = new_stream(Time().wheel)
    stream.response_format = {"type": "json_object"}
    for event in (Start("s1", "m"), Token(text)):
        stream.append(encode_event(event))
    return stream


async def found(stream: Stream) -> str | None:
    looked: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
    inspect(stream, looked.set_result)
    return await asyncio.wait_for(looked, 10)


async def test_what_is_delivered_whole_must_be_what_was_asked_for() -> None:
    stream = answered("no JSON")
    stream.delivery = "buffer"
    assert await found(stream) == "the answer is not JSON, which response_format asks for"


async def test_a_good_one_is_good() -> None:
    stream = answered("{}")
    stream.delivery = "buffer"
    assert await found(stream) is None


async def test_what_was_delivered_in_pieces_is_not_looked_at() -> None:
    seen: list[str | None] = []
    inspect(answered("no JSON"), seen.append)
    assert seen == [None], "at once"
