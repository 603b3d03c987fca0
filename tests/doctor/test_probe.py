"""The doctor's client, against servers that say what they are told to."""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path

import pytest
import trustme

from penstock.doctor import probe
from penstock.doctor.address import parse_address
from penstock.doctor.observation import Asked, Observation
from penstock.doctor.probe import observe, request_bytes
from tests.doctor.places import saying
from tests.support.serving import free_port

pytestmark = pytest.mark.anyio
QUICK = Asked(events=2, pace=0.01)
START = b'id: abc123:1\nevent: start\ndata: {"events":2,"http":"1.1","comments":1}\n\n: keepalive\n\n'
EVENTS = [b'id: abc123:%d\nevent: probe\ndata: {"n":%d,"at":0.0}\n\n' % (n + 1, n) for n in (1, 2)]
DONE = b'id: abc123:4\nevent: done\ndata: {"at":0.2}\n\n'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def look(url: str, asked: Asked = QUICK, key: str = "") -> Observation:
    async with asyncio.timeout(30):
        return await observe(parse_address(url), asked, key)


def test_the_request() -> None:
    lines = request_bytes(parse_address("https://ai.example.com/x"), Asked(3, 0.25, 4, 5), "sk-1").split(b"\r\n")
    assert lines[0] == b"GET /x/v1/doctor?events=3&pace=0.25&idle=4&pad=5 HTTP/1.1"
    assert lines[1] == b"Host: ai.example.com"
    assert b"Accept-Encoding: gzip, deflate" in lines, "who compresses is to show it"
    assert b"Authorization: Bearer sk-1" in lines
    assert b"Authorization" not in request_bytes(parse_address("ai.example.com"), Asked(), "")


async def test_every_read_has_its_time() -> None:
    parts = (HEAD + chunk(START), 0.2, chunk(EVENTS[0]), 0.3, chunk(EVENTS[1]), chunk(DONE) + b"0\r\n\r\n")
    told: list[str] = []
    async with saying(*parts) as (port, requests):
        seen = await observe(parse_address(f"127.0.0.1:{port}"), QUICK, "", told.append)
    assert seen.whole
    assert (seen.ended, seen.peer, seen.http) == ("complete", "127.0.0.1", "1.1")
    assert seen.times.first_byte is not None
    assert seen.times.connect is not None
    assert (seen.times.dns, seen.times.tls) == (None, None), "there was nothing to look up"
    first, second = (arrival.came for arrival in seen.arrivals)
    assert first - seen.times.first_byte > 0.15
    assert second - first > 0.25
    assert len(requests) == 1
    assert told[0] == "looking up 127.0.0.1"
    assert f"connecting to 127.0.0.1, port {port}" in told
    assert told[-1] == "2 of 2 events"


async def test_a_name_is_looked_up() -> None:
    async with saying(HEAD + chunk(START)) as (port, _):
        seen = await look(f"http://localhost:{port}")
    assert seen.times.dns is not None
    assert seen.peer == "127.0.0.1"
    assert (seen.begun, seen.ended) == (True, "closed")


async def test_silence_is_shown_while_it_lasts() -> None:
    told: list[str] = []
    parts = (HEAD + chunk(START + EVENTS[0]), 0.6, chunk(EVENTS[1] + DONE) + b"0\r\n\r\n")
    async with saying(*parts) as (port, _):
        await observe(parse_address(f"127.0.0.1:{port}"), Asked(2, 0.01, 0.6), "", told.append)
    assert "1 of 2 events, then silence (0 of 0.6 s)" in told


# -- what goes wrong -------------------------------------------------------------------------------------------------


def trouble(seen: Observation) -> tuple[str, str]:
    assert seen.trouble is not None
    return seen.trouble.step, seen.trouble.kind


async def test_nobody_listens() -> None:
    seen = await look(f"http://127.0.0.1:{free_port()}")
    assert trouble(seen) == ("connect", "refused")
    assert seen.unanswered == ["127.0.0.1"]


async def test_a_name_that_does_not_exist() -> None:
    seen = await look("http://penstock.invalid")
    assert trouble(seen)[0] == "dns"
    assert seen.trouble is not None
    assert seen.trouble.reason or seen.trouble.kind == "timeout"


async def test_nobody_takes_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "CONNECT_SECONDS", 0.3)
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        kept = [socket.socket() for _ in range(3)]
        for one in kept:  # on Linux a full backlog drops further ones without a word
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        seen = await look(f"http://127.0.0.1:{full.getsockname()[1]}")
        for one in kept:
            one.close()
    assert trouble(seen) == ("connect", "timeout")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"", ("answer", "closed")),
        (b"HTTP/1.1 200 OK\r\nX", ("answer", "closed")),
        (b"220 mail.example.com ESMTP\r\n", ("answer", "not-http")),
    ],
)
async def test_what_is_no_answer(answer: bytes, expected: tuple[str, str]) -> None:
    async with saying(answer) as (port, _):
        assert trouble(await look(f"http://127.0.0.1:{port}")) == expected


async def test_an_answer_that_does_not_come_or_does_not_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "LATE_SECONDS", 0.5)
    async with saying(close=False) as (port, _):
        seen = await look(f"http://127.0.0.1:{port}")
        assert trouble(seen) == ("answer", "timeout")
        assert 0.4 < seen.ended_at < 3
    async with saying(HEAD + chunk(START + EVENTS[0]), close=False) as (port, _):
        seen = await look(f"http://127.0.0.1:{port}")
        assert (seen.trouble, seen.ended, len(seen.arrivals)) == (None, "late", 1)


# -- redirects -------------------------------------------------------------------------------------------------------


async def test_redirects_on_the_same_host_are_followed() -> None:
    async with saying(HEAD + chunk(START + EVENTS[0] + EVENTS[1] + DONE) + b"0\r\n\r\n") as (there, asked):
        moved = f"HTTP/1.1 308 Moved\r\nLocation: http://127.0.0.1:{there}/x?events=2\r\nContent-Length: 0\r\n\r\n"
        async with saying(moved.encode()) as (port, _):
            seen = await look(f"http://127.0.0.1:{port}", key="sk-1")
    assert seen.whole
    assert seen.url == f"http://127.0.0.1:{there}/x?events=2"
    assert [(one.status, one.target) for one in seen.redirects] == [(308, seen.url)]
    assert asked[0].startswith(b"GET /x?events=2 HTTP/1.1")
    assert b"Bearer sk-1" in asked[0]


@pytest.mark.parametrize(
    ("location", "kind"),
    [("http://localhost:{port}/login", "elsewhere"), ("/v1/doctor", "loop"), ("mailto:x@example.com", "wrong")],
)
async def test_redirects_that_are_not_followed(location: str, kind: str) -> None:
    async with saying(b"x") as (elsewhere, asked):
        head = f"HTTP/1.1 302 Found\r\nLocation: {location.format(port=elsewhere)}\r\nContent-Length: 0\r\n\r\n"
        async with saying(head.encode()) as (port, _):
            seen = await look(f"http://127.0.0.1:{port}", key="sk-1")
        assert trouble(seen) == ("redirect", kind)
        assert asked == [], "the key goes nowhere else"


async def test_a_circle_ends() -> None:
    async with saying(b"HTTP/1.1 307 Moved\r\nLocation: x/v1/doctor\r\nContent-Length: 0\r\n\r\n") as (port, asked):
        seen = await look(f"http://127.0.0.1:{port}")
    assert trouble(seen) == ("redirect", "loop")
    assert len(asked) == probe.MAX_REDIRECTS + 1


# -- TLS -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> trustme.CA:
    ca = trustme.CA()
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    return ca


def speaking(ca: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert(name).configure_cert(context)
    return context


async def test_tls_has_its_time_and_its_certificate(authority: trustme.CA) -> None:
    async with saying(HEAD + chunk(START), tls=speaking(authority, "localhost")) as (port, _):
        seen = await look(f"https://localhost:{port}")
    assert seen.begun
    assert seen.tls is not None
    assert seen.tls.version == "TLSv1.3"
    assert seen.tls.days_left is not None
    assert seen.tls.days_left > 30
    assert seen.times.tls is not None
    assert seen.times.tls > 0


async def test_tls_that_is_not_good(authority: trustme.CA) -> None:
    async with saying(HEAD, tls=speaking(trustme.CA(), "localhost")) as (port, asked):
        seen = await look(f"https://localhost:{port}", key="sk-1")
        assert trouble(seen) == ("tls", "certificate")
        assert seen.trouble is not None
        assert "certificate" in seen.trouble.reason or "issuer" in seen.trouble.reason
    async with saying(HEAD, tls=speaking(authority, "other.example")) as (port, asked):
        seen = await look(f"https://localhost:{port}", key="sk-1")
        assert trouble(seen) == ("tls", "certificate")
        assert seen.trouble is not None
        assert "other.example" in seen.trouble.reason or "mismatch" in seen.trouble.reason
        assert asked == []


async def test_tls_where_there_is_none(authority: trustme.CA) -> None:
    server = await asyncio.start_server(_plain, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    assert trouble(await look(f"https://localhost:{port}")) == ("tls", "not-tls")
    server.close()


async def _plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(64)
    writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
    writer.close()
