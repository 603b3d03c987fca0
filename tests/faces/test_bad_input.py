"""Whatever comes in: the right status, a JSON error in the caller's dialect, nothing leaked, nothing crashed."""

from __future__ import annotations

import asyncio
import json
import string
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.sim.process import SimProcess
from tests.support.client import Client, Response, chat, fetch, native
from tests.support.serving import Served, river

CHAT, NATIVE = "/v1/chat/completions", "/v1/streams"


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[SimProcess, Served]]:
    with river() as both:
        yield both
        assert "Traceback" not in both[1].log, both[1].log


@pytest.fixture(scope="module")
def port(servers: tuple[SimProcess, Served]) -> int:
    return servers[1].port


def error_of(path: str, got: Response) -> dict[str, Any]:
    """The error, and that it is one of the dialect spoken at `path`, which tells nothing of the inside."""
    error = got.json["error"]
    assert set(got.json) == {"error"}
    if path == CHAT:
        assert set(error) == {"message", "type", "param", "code"}
    else:
        assert {"code", "message", "retryable"} <= set(error)
    assert got.headers["content-type"] == "application/json"
    for secret in ("Traceback", 'File "', "sk-upstream-secret", "site-packages"):
        assert secret not in got.body.decode()
    return dict(error)


BAD: dict[str, tuple[Any, int, str]] = {
    "empty": (b"", 400, "invalid_json"),
    "not JSON": (b"{nope", 400, "invalid_json"),
    "cut off": (b'{"model": "m", "messages": [', 400, "invalid_json"),
    "not UTF-8": (b'{"model": "\xff"}', 400, "invalid_json"),
    "two documents": (json.dumps(chat({})).encode() + b" {}", 400, "invalid_json"),
    "nested deeply": (
        b'{"model":"m","messages":[],"tools":[{"function":{"name":"f","parameters":' + b'{"a":' * 100_000,
        400,
        "invalid_json",
    ),
    "nested deeply and well": (
        b'{"model":"m","messages":[{"role":"user","content":"x"}],"tool_choice":'
        + b'{"a":' * 100_000
        + b"1"
        + b"}" * 100_001,
        400,
        "invalid_json",
    ),
    "an array": ([], 400, "invalid_request"),
    "null": (b"null", 400, "invalid_request"),
    "no model": ({"messages": [{"role": "user", "content": "x"}]}, 400, "invalid_request"),
    "no messages": ({"model": "m"}, 400, "invalid_request"),
    "empty messages": ({"model": "m", "messages": []}, 400, "invalid_request"),
    "messages of a wrong type": ({"model": "m", "messages": "hello"}, 400, "invalid_request"),
    "a message of a wrong type": ({"model": "m", "messages": [1]}, 400, "invalid_request"),
    "no role": ({"model": "m", "messages": [{"content": "x"}]}, 400, "invalid_request"),
    "content of a wrong type": ({"model": "m", "messages": [{"role": "user", "content": 1}]}, 400, "invalid_request"),
    "n = 0": (chat({}, n=0), 400, "invalid_request"),
    "n = a billion": (chat({}, n=10**9), 400, "invalid_request"),
    "n past all bounds": (chat({}, n=10**40), 400, "invalid_request"),
    "max_tokens = -1": (chat({}, max_tokens=-1), 400, "invalid_request"),
    "stream of a wrong type": (chat({}) | {"stream": "yes"}, 400, "invalid_request"),
    "an unknown model": (chat({}) | {"model": "gpt-nope"}, 404, "model_not_found"),
    "a model that is an address": (chat({}) | {"model": "http://127.0.0.1:1/"}, 404, "model_not_found"),
}


@pytest.mark.anyio
@pytest.mark.parametrize("path", [CHAT, NATIVE])
@pytest.mark.parametrize("name", BAD)
async def test_bad_requests(port: int, path: str, name: str) -> None:
    body, status, code = BAD[name]
    got = await fetch(port, "POST", path, body)
    error = error_of(path, got)
    assert (got.status, error["code"]) == (status, code)
    assert error["message"]


@pytest.mark.anyio
async def test_an_error_names_its_field(port: int) -> None:
    got = await fetch(port, "POST", CHAT, {"model": "m", "messages": [{"role": "user", "content": "a"}, {"role": 3}]})
    assert got.json["error"]["param"] == "messages[1].role"
    got = await fetch(port, "POST", NATIVE, native({}, temprature=1))
    assert "temprature" in got.json["error"]["message"], "the native dialect drops no field in silence"


@pytest.mark.anyio
async def test_an_oversize_body_is_refused_before_it_is_read(port: int) -> None:
    for path in (CHAT, NATIVE):
        async with Client(port) as client:
            await client.send("POST", path, headers={"Content-Length": str(10**12)})
            got = await client.read()
        assert got.status in (400, 413)
    async with Client(port) as client:
        head = f"POST {CHAT} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {9 * 1024 * 1024}\r\n\r\n"
        client._writer.write(head.encode())
        got = await client.read()
        assert (got.status, error_of(CHAT, got)["code"]) == (413, "body_too_large")
    async with Client(port) as client:
        client._writer.write(f"POST {CHAT} HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n".encode())
        chunk = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"

        async def flood() -> None:
            for _ in range(12):
                client._writer.write(chunk)
                await client._writer.drain()

        flooding = asyncio.ensure_future(flood())
        got = await client.read()
        flooding.cancel()
        assert (got.status, error_of(CHAT, got)["code"]) == (413, "body_too_large")


@pytest.mark.anyio
@pytest.mark.parametrize(
    "position",
    [
        "x",
        "1",
        "abc:",
        ":1",
        "abc:-1",
        "abc:1.0",
        "abc:01",
        "abc:1.",
        "абв:1",
        "a" * 500,
        "abc:99999999999999999999",
        "a b:1",
    ],
)
async def test_bad_last_event_ids(port: int, position: str) -> None:
    made = await fetch(port, "POST", NATIVE, native({"text": "x"}))
    path = f"/v1/streams/{made.stream_id}"
    if position.isascii():
        got = await fetch(port, "GET", path, headers={"Last-Event-ID": position})
        assert (got.status, error_of(NATIVE, got)["code"]) == (400, "invalid_position")
    else:
        got = await fetch(port, "GET", f"{path}?after=%D0%B0:1")
        assert got.status == 400


@pytest.mark.anyio
async def test_positions_that_this_stream_cannot_have(port: int) -> None:
    made = await fetch(port, "POST", NATIVE, native({"text": "x"}))
    path, epoch = f"/v1/streams/{made.stream_id}", made.blocks[0].id.split(":")[0]
    beyond = await fetch(port, "GET", path, headers={"Last-Event-ID": f"{epoch}:1000"})
    other = await fetch(port, "GET", path, headers={"Last-Event-ID": "0ther0:2"})
    assert (beyond.status, beyond.json["error"]["code"]) == (400, "invalid_position")
    assert (other.status, other.json["error"]["code"]) == (410, "resume_expired")


@pytest.mark.anyio
async def test_unknown_addresses_methods_streams_and_formats(port: int) -> None:
    for method, path, status, code in (
        ("GET", "/v1/streams/nope", 404, "stream_not_found"),
        ("POST", "/v1/streams/nope/cancel", 404, "stream_not_found"),
        ("GET", "/v1/streams/nope/else", 404, "not_found"),
        ("GET", "/v1/streams/", 404, "stream_not_found"),
        ("GET", "/v1/streams/../../etc/passwd", 404, "not_found"),
        ("GET", "/v1/nope", 404, "not_found"),
        ("GET", "/nope", 404, "not_found"),
        ("GET", "/static/../config.py", 404, "not_found"),
        ("GET", CHAT, 405, "method_not_allowed"),
        ("DELETE", NATIVE, 405, "method_not_allowed"),
        ("DELETE", "/v1/models", 405, "method_not_allowed"),
        ("GET", "/v1/streams/x?format=klingon", 400, "unknown_format"),
    ):
        got = await fetch(port, method, path)
        assert (got.status, got.json["error"]["code"]) == (status, code), (method, path)


@pytest.mark.anyio
async def test_a_bad_cancel(port: int) -> None:
    made = await fetch(port, "POST", NATIVE, native({"text": "x"}))
    for body in ({"seen": -1}, {"seen": "1"}, {"seen": 1.5}, {"sean": 1}, b"[", b"x" * 5000):
        got = await fetch(port, "POST", f"/v1/streams/{made.stream_id}/cancel", body)
        assert got.status in (400, 413)
        error_of(NATIVE, got)


@pytest.mark.anyio
async def test_what_is_not_http(port: int) -> None:
    for raw in (b"\x16\x03\x01\x02\x00hello", b"GET\r\n\r\n", b"\0" * 100, b"GET / HTTP/9.9\r\n\r\n", b"A" * 200_000):
        async with Client(port) as client:
            client._writer.write(raw)
            got = await client.read()
            assert got.status in (0, 400)
    async with Client(port) as client:
        client._writer.write(b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: %s\r\n" % (i, b"y" * 1000) for i in range(200)))
        assert (await client.read()).status in (0, 400), "a head without end is not read for ever"
    assert (await fetch(port, "GET", "/healthz")).json["status"] == "ok"


# -- anything at all -----------------------------------------------------------------------------------------------------

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just("m"),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(string.ascii_letters, max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)
KEYS = (
    "model",
    "messages",
    "stream",
    "stream_options",
    "n",
    "max_tokens",
    "tools",
    "tool_choice",
    "stop",
    "role",
    "content",
)
requests = st.dictionaries(st.sampled_from(KEYS), values) | st.builds(
    lambda key, value: chat({"text": "x"}) | {key: value}, st.sampled_from(KEYS), values
)
bodies = (
    requests.map(lambda body: json.dumps(body).encode())
    | st.binary(max_size=200)
    | values.map(lambda v: json.dumps(v).encode())
)


@given(path=st.sampled_from([CHAT, NATIVE]), body=bodies, cut=st.integers(0, 400) | st.none())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_body_is_answered_or_refused_in_the_callers_dialect(
    port: int, path: str, body: bytes, cut: int | None
) -> None:
    got = asyncio.run(fetch(port, "POST", path, body[:cut]))
    if got.status == 200:
        assert got.whole
    else:
        assert 400 <= got.status < 500, got
        error_of(path, got)
