"""Our own HTTP protocol: descriptors, heads, readers that never read."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from penstock.server.http import DirectProtocol
from penstock.sim.process import SimProcess, running
from tests.support.client import Client, chat, fetch, native, request_bytes, told
from tests.support.serving import Served, river, serving

pytestmark = pytest.mark.anyio
CHAT = "/v1/chat/completions"


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[SimProcess, Served]]:
    with river("grace = 0.3") as both:
        yield both


async def test_fault_out_of_file_descriptors_is_a_clear_503_and_passes() -> None:
    """200 descriptors less the reserve of 64: room for 68 streams of two connections each."""
    with running() as sim, serving(sim, "grace = 0.1", descriptors=200) as served:
        async with AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(Client(served.port)) for _ in range(90)]
            for client in clients:
                await client.send("POST", CHAT, chat({"endless": True, "pace": 0.05}, "crowd"))
            first = [await client.read(until='"content":"') for client in clients]
            good = [client for client, got in zip(clients, first, strict=True) if got.status == 200]
            refused = [got for got in first if got.status != 200]
            assert len(good) >= 45
            assert refused
            assert {(got.status, got.json["error"]["code"], got.headers["retry-after"]) for got in refused} == {
                (503, "overloaded", "1")
            }
            for client in good:
                before = len(client.raw)
                assert (await client.read(most=before + 400)).body, "those that run go on"
        await told(sim, lambda t: all(row.end is not None for row in t.answers("crowd")))
        assert (await fetch(served.port, "POST", CHAT, chat({"text": "room again"}))).status == 200
        assert "Traceback" not in served.log


async def test_fault_client_never_reads_is_bounded_and_delays_nobody(servers: tuple[SimProcess, Served]) -> None:
    sim, served = servers
    with socket.create_connection(("127.0.0.1", served.port)) as stuck:
        stuck.sendall(request_bytes("POST", CHAT, chat({"endless": True, "token_size": 1000}, "never-read")))
        await told(sim, lambda t: t.answers("never-read"))
        got = await fetch(served.port, "POST", CHAT, chat({"tokens": 50, "pace": 0.01}, "neighbour"))
        assert "".join(block.text for block in got.blocks) == (await told(sim, lambda t: t.answer("neighbour"))).text[0]
    end = await told(sim, lambda t: t.answer("never-read"))
    # An upstream that sends as fast as it is read was held back: the log's 4.5 MiB and what the kernel's buffers hold.
    assert 4_000_000 < end.bytes_sent < 32_000_000, end.bytes_sent


async def test_a_slow_reader_loses_nothing(servers: tuple[SimProcess, Served]) -> None:
    sim, served = servers
    async with Client(served.port) as client:
        await client.send("POST", "/v1/streams", native({"tokens": 20_000, "token_size": 40}, "slowly"))
        for _ in range(20):
            await client.read(most=len(client.raw) + 20_000)
            await asyncio.sleep(0.01)
        got = await client.read()
    assert got.whole
    assert [int(block.id.split(":")[1].split(".")[0]) for block in got.blocks[:-1]] == list(range(1, len(got.blocks)))
    assert "".join(block.text for block in got.blocks) == (await told(sim, lambda t: t.answer("slowly"))).text[0]


async def test_pipelined_and_kept_connections_serve_on(servers: tuple[SimProcess, Served]) -> None:
    _, served = servers
    async with Client(served.port) as client:
        for number in range(3):
            client.raw = b""
            await client.send("POST", CHAT, chat({"text": f"answer {number}"}))
            got = await client.read()
            assert got.whole
            assert "".join(block.text for block in got.blocks) == f"answer {number}"


async def test_a_connection_that_was_held_back_to_the_end_serves_on(servers: tuple[SimProcess, Served]) -> None:
    """The read that filled the log may also have brought the end: the next answer over that connection must flow."""
    _, served = servers
    for number in range(3):
        async with Client(served.port) as client:
            await client.send("POST", CHAT, chat({"tokens": 18_000 + number * 700, "token_size": 40}, f"full-{number}"))
            await client.read(most=20_000)
            await asyncio.sleep(0.3)
            assert (await client.read()).whole
        got = await fetch(served.port, "POST", CHAT, chat({"text": "next"}), seconds=20)
        assert "".join(block.text for block in got.blocks) == "next"


def old(port: int, head: bytes, body: bytes = b"") -> tuple[bytes, bytes]:
    """The head and the body of an answer to HTTP/1.0, as plain proxies ask (nginx does, unless told otherwise)."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
        sock.sendall(b"%b HTTP/1.0\r\nhost: 127.0.0.1\r\ncontent-length: %d\r\n\r\n%b" % (head, len(body), body))
        got = b""
        while data := sock.recv(65536):
            got += data
    said, _, rest = got.partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in said.lower()
    return said, rest


@pytest.mark.parametrize(
    ("head", "status", "holds"),
    [
        (b"GET /openapi.json", b" 200 ", b'"/v1/streams"'),
        (b"GET /v1/models", b" 200 ", b'"object":"list"'),
        (b"GET /healthz", b" 200 ", b'"status":"ok"'),
        (b"GET /", b" 200 ", b"<html"),
        (b"GET /nowhere", b" 404 ", b"no such address"),
        (b"POST /v1/models", b" 405 ", b"method"),
        (b"GET /v1/streams/none", b" 404 ", b"stream_not_found"),
    ],
)
async def test_http10_gets_whole_answers(
    servers: tuple[SimProcess, Served], head: bytes, status: bytes, holds: bytes
) -> None:
    said, body = await asyncio.to_thread(old, servers[1].port, head)
    assert status in said.splitlines()[0] + b" "
    assert holds in body
    assert b"content-length: %d\r\n" % len(body) in said.lower() + b"\r\n"


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(("path", "ask"), [(CHAT, chat), ("/v1/streams", native)])
async def test_http10_gets_answers_of_models(
    servers: tuple[SimProcess, Served], path: str, ask: Callable[..., dict[str, Any]], stream: bool
) -> None:
    wanted = json.dumps(ask({"text": "one two three"}) | {"stream": stream}).encode()
    said, body = await asyncio.to_thread(old, servers[1].port, b"POST " + path.encode(), wanted)
    assert b" 200 " in said
    assert (b"content-length" in said.lower()) is not stream, "a stream ends with its connection"
    assert b"three" in body
    assert b"500" not in said
    assert "Traceback" not in servers[1].log


async def test_http10_without_a_length() -> None:
    """What another part of an application might answer: pieces, of no known length."""

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for piece in (b"one ", b"", b"two ", b"three"):
            await send({"type": "http.response.body", "body": piece, "more_body": piece != b"three"})

    config = uvicorn.Config(app, http=DirectProtocol, ws="none", lifespan="off", log_config=None)
    config.load()
    state, loop = ServerState(), asyncio.get_running_loop()
    server = await loop.create_server(lambda: DirectProtocol(config, state, {}), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        said, body = await asyncio.to_thread(old, port, b"GET /")
        assert (b"content-length" in said, body) == (False, b"one two three")
        said, body = await asyncio.to_thread(old, port, b"HEAD /")
        assert body == b""


async def test_http10_behind_a_request_that_runs_changes_nothing_for_it(servers: tuple[SimProcess, Served]) -> None:
    """In a pipeline, and badly: the first answer keeps its chunks."""
    first = request_bytes("POST", CHAT, chat({"tokens": 20, "pace": 0.02}, "first"))
    with socket.create_connection(("127.0.0.1", servers[1].port), timeout=20) as sock:
        await asyncio.to_thread(sock.sendall, first + b"GET /healthz HTTP/1.0\r\nhost: 127.0.0.1\r\n\r\n")
        got = b""
        while data := await asyncio.to_thread(sock.recv, 65536):
            got += data
    said, body = b"", got.partition(b"\r\n\r\n")[2]
    while (size := int((line := body.partition(b"\r\n"))[0], 16)) > 0:
        said, body = said + line[2][:size], line[2][size + 2 :]
    assert said.endswith(b"data: [DONE]\n\n")
    assert said.count(b"data: ") > 20
    assert body.startswith(b"0\r\n\r\nHTTP/1.1 200 ")
    assert b'"status":"ok"' in body
