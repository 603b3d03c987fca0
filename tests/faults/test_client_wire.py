"""Faults of the client's side of the wire: what is no HTTP, or a strange kind of it, harms nobody."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.sim.process import SimProcess
from tests.support.client import Client, Response, chat, fetch, native, parse_response, request_bytes, told
from tests.support.serving import Served, river

pytestmark = pytest.mark.anyio
CHAT = "/v1/chat/completions"
CHUNKED = b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[SimProcess, Served]]:
    with river("grace = 0.3", more="\n[server]\nmax_body_bytes = 100000\n") as both:
        yield both


async def talk(port: int, *parts: bytes, seconds: float = 20.0) -> bytes:
    """Send the parts one after the other, and read until the server closes, or has nothing to say for a second."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    heard = b""
    try:
        for part in parts:
            writer.write(part)
            await asyncio.sleep(0.05)
        async with asyncio.timeout(seconds):
            data = b"?"
            while data:
                # Not `wait_for`: before Python 3.12 it forgets that the timeout around it is over when data come just then.
                async with asyncio.timeout(1.0):
                    data = await reader.read(65536)
                heard += data
    except (TimeoutError, ConnectionError):
        pass
    finally:
        writer.transport.abort()
    return heard


def text_of(got: Response) -> str:
    return "".join(block.text for block in got.blocks)


def memory(served: Served) -> int:
    """Resident bytes."""
    return int(Path(f"/proc/{served.process.pid}/statm").read_text().split()[1]) * 4096


async def test_fault_flood_of_trailers_is_cut_off(servers: tuple[SimProcess, Served]) -> None:
    _, served = servers
    before = memory(served)
    for trailer in (b"a: b\r\n" * 4_000_000, b"a: " + b"b" * 24_000_000):
        heard = await talk(served.port, CHUNKED, b"0\r\n", trailer)
        assert heard == b"" or parse_response(heard).status == 400
    assert memory(served) - before < 8_000_000
    assert (await fetch(served.port, "GET", "/healthz")).status == 200


async def test_trailers_do_not_pose_as_headers(servers: tuple[SimProcess, Served]) -> None:
    _, served = servers
    body = json.dumps(chat({"text": "fine"}, "trailers")).encode()
    trailers = b"0\r\nIdempotency-Key: " + b"k" * 999 + b"\r\n\r\n"
    got = parse_response(await talk(served.port, CHUNKED + b"%x\r\n%b\r\n" % (len(body), body) + trailers))
    assert (got.status, text_of(got)) == (200, "fine")


@pytest.mark.parametrize("size", [200_000, 9_000_000])
async def test_fault_oversize_body_gets_to_read_its_413(servers: tuple[SimProcess, Served], size: int) -> None:
    """Most clients send everything before they read: a connection reset meanwhile takes the answer away from them."""

    def post() -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", servers[1].port, timeout=20)
        connection.request("POST", CHAT, b"x" * size, {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, json.loads(response.read())["error"]["code"]

    for _ in range(5):
        assert await asyncio.to_thread(post) == (413, "body_too_large")


async def test_an_upgrade_that_is_not_spoken_is_answered_as_it_is(servers: tuple[SimProcess, Served]) -> None:
    """Java's HttpClient asks for h2c with every first request over http://."""
    _, served = servers
    head = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAMAAABkAAQAAP__"}
    whole = request_bytes("POST", CHAT, chat({"text": "as it is"}), head)
    cut = whole.index(b"\r\n\r\n") + 20
    for parts in ([whole], [whole[:cut], whole[cut:]], [whole[: cut - 16], whole[cut - 16 :]]):
        async with Client(served.port) as client:
            for part in parts:
                client._writer.write(part)
                await asyncio.sleep(0.05)
            got = await client.read()
            assert (got.status, text_of(got)) == (200, "as it is")
            client.raw = b""
            await client.send("GET", "/healthz")
            assert (await client.read()).status == 200, "the connection serves on"
    body = parse_response(
        await talk(
            served.port, b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"
        )
    )
    assert body.status == 200


async def test_http_1_0_is_answered_without_chunks(servers: tuple[SimProcess, Served]) -> None:
    """nginx speaks it to its upstreams, unless it is told otherwise."""
    _, served = servers
    request = request_bytes("POST", CHAT, chat({"text": "no chunks here"})).replace(b"HTTP/1.1", b"HTTP/1.0")
    head, _, body = (await talk(served.port, request)).partition(b"\r\n\r\n")
    assert b"chunked" not in head.lower()
    assert b"connection: close" in head.lower()
    got = Response(200, {}, body)
    assert text_of(got) == "no chunks here"
    assert got.blocks[-1].data == "[DONE]"


async def test_junk_in_ones_own_stream_ends_it_without_words(servers: tuple[SimProcess, Served]) -> None:
    sim, served = servers
    asked = request_bytes("POST", CHAT, chat({"endless": True, "pace": 0.02}, "junk"))
    heard = await talk(served.port, asked, b"", b"\x00\x01 this is no HTTP\r\n\r\n")
    assert heard.count(b"HTTP/1.1") == 1
    assert b"400" not in heard
    await told(sim, lambda t: all(row.end is not None for row in t.answers("junk")) and t.answers("junk"))


@pytest.mark.parametrize(
    "junk", [b"\x16\x03\x01\x02\x00", b"GET\r\n\r\n", b"GET / HTTP/1.1\r\nbad header\r\n\r\n"], ids=repr
)
async def test_what_is_no_http_is_told_so_in_json(servers: tuple[SimProcess, Served], junk: bytes) -> None:
    got = parse_response(await talk(servers[1].port, junk))
    assert (got.status, got.json["error"]["code"]) == (400, "invalid_http")


@pytest.mark.parametrize(
    ("path", "headers", "status", "code"),
    [
        ("/v1/streams/x?" + "a=1&" * 60, {}, 400, "invalid_request"),
        ("/v1/models", {"Origin": "http://["}, 403, "origin_not_allowed"),
        ("/v1/models/", {}, 404, "model_not_found"),
        ("/healthz/", {"Host": "evil.example"}, 404, "not_found"),
    ],
)
async def test_strange_addresses_and_headers(
    servers: tuple[SimProcess, Served], path: str, headers: dict[str, str], status: int, code: str
) -> None:
    _, served = servers
    got = await fetch(served.port, "GET", path, None, headers)
    assert (got.status, got.json["error"]["code"]) == (status, code)
    assert "location" not in got.headers
    assert "Traceback" not in served.log


async def test_the_wrong_method_is_told_the_right_one(servers: tuple[SimProcess, Served]) -> None:
    for path, allowed in (("/", "GET, HEAD"), (CHAT, "POST"), ("/v1/streams/x", "GET")):
        got = await fetch(servers[1].port, "DELETE", path)
        assert (got.status, got.headers["allow"]) == (405, allowed)


async def test_one_key_at_two_addresses_is_two_requests(servers: tuple[SimProcess, Served]) -> None:
    """What was asked in one dialect and is over must not look like the whole answer in another."""
    _, served = servers
    body = json.dumps(native({"tokens": 4})).encode()
    key = {"Idempotency-Key": "two addresses"}
    assert (await fetch(served.port, "POST", "/v1/streams", body, key)).status == 200
    got = await fetch(served.port, "POST", CHAT, body, key)
    assert (got.status, got.json["error"]["code"]) == (409, "idempotency_conflict")


async def test_a_beginning_that_is_forgotten_is_not_told_as_a_whole_answer(servers: tuple[SimProcess, Served]) -> None:
    """The stream is cancelled after more than is kept; a whole answer can't be made of what is left."""
    _, served = servers
    asked = chat({"tokens": 80_000, "token_size": 60}, "forgotten", stream=False)
    body = json.dumps(asked).encode()
    got = await fetch(served.port, "POST", CHAT, body)
    assert got.status == 200, "who waits for the whole from the beginning gets the whole"
    assert len(got.json["choices"][0]["message"]["content"]) > 4_500_000


async def test_a_client_that_leaves_with_a_request_in_the_pipeline_is_no_error(
    servers: tuple[SimProcess, Served],
) -> None:
    sim, served = servers
    asked = request_bytes("POST", CHAT, chat({"endless": True, "pace": 0.02}, "pipeline"))
    await talk(served.port, asked, request_bytes("GET", "/healthz"), seconds=0.5)
    await told(sim, lambda t: all(row.end is not None for row in t.answers("pipeline")) and t.answers("pipeline"))
    assert "without completing response" not in served.log
