"""The fault proxy itself, in front of a server that sends back what it gets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.support.proxy import Cut, Fault, FaultProxy, Leg

pytestmark = pytest.mark.anyio
DATA = bytes(range(256)) * 40


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write(b"bye")
    except ConnectionError:
        pass
    finally:
        writer.close()


@asynccontextmanager
async def echo(*faults: Fault) -> AsyncIterator[tuple[FaultProxy, asyncio.StreamReader, asyncio.StreamWriter]]:
    server = await asyncio.start_server(_echo, "127.0.0.1", 0)
    async with FaultProxy(server.sockets[0].getsockname()[1], faults) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        yield proxy, reader, writer
        writer.transport.abort()
    server.close()


async def test_what_is_not_broken_passes_both_ways_with_its_ends() -> None:
    async with echo() as (proxy, reader, writer):
        writer.write(DATA)
        writer.write_eof()
        assert await reader.read() == DATA + b"bye"
        async with asyncio.timeout(20):
            while not proxy.passed:
                await asyncio.sleep(0.005)
        assert proxy.passed == [(DATA, DATA + b"bye")]


@pytest.mark.parametrize("at", [0, 1, 1000])
async def test_a_reset_comes_after_exactly_so_many_bytes(at: int) -> None:
    async with echo(Fault(down=Leg(cut_at=at, cut="reset"))) as (proxy, reader, writer):
        writer.write(DATA)
        with pytest.raises(ConnectionResetError):
            await reader.readexactly(at + 1)
        assert proxy.passed[0].down == DATA[:at]


@pytest.mark.parametrize("cut", ["eof", "half_close"])
async def test_an_end_comes_after_exactly_so_many_bytes(cut: Cut) -> None:
    async with echo(Fault(down=Leg(cut_at=1000, cut=cut))) as (_, reader, writer):
        writer.write(DATA)
        assert await reader.read() == DATA[:1000]


async def test_silence_leaves_all_open() -> None:
    async with echo(Fault(down=Leg(cut_at=1000, cut="silence"))) as (proxy, reader, writer):
        writer.write(DATA)
        assert await reader.readexactly(1000) == DATA[:1000]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.3)
        assert proxy.passed == [], "it is not over"


async def test_a_drip_takes_its_time() -> None:
    async with echo(Fault(down=Leg(drip=20_000))) as (_, reader, writer):
        began = time.monotonic()
        writer.write(DATA)
        assert await reader.readexactly(len(DATA)) == DATA
        assert time.monotonic() - began > 0.8 * len(DATA) / 20_000


async def test_a_refused_connection_is_reset_and_the_next_one_passes() -> None:
    async with echo(Fault(refuse=True)) as (proxy, reader, _):
        with pytest.raises(ConnectionResetError):
            await reader.readexactly(1)
        again, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(b"hello")
        assert await again.readexactly(5) == b"hello"
        writer.transport.abort()
