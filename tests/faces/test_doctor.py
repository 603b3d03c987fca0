"""The doctor's stream: what it says, when it says it, and when it stops."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Iterator
from typing import Any

import pytest

from penstock.exceptions import Refused
from penstock.faces.access import Access
from penstock.faces.doctor import MAX_SECONDS, Course, DoctorFace, read_course
from penstock.sim.process import running
from tests.support.client import Client, dechunk, fetch, parse_blocks
from tests.support.serving import SERVERS, hosted, penstock, serving

pytestmark = pytest.mark.anyio
OPEN = Access({}, frozenset(), check_host=True)


def scope(query: str = "", **headers: str) -> dict[str, Any]:
    named = {"host": "127.0.0.1"} | {name.replace("_", "-"): value for name, value in headers.items()}
    return {
        "type": "http",
        "method": "GET",
        "path": "/v1/doctor",
        "query_string": query.encode(),
        "http_version": "1.1",
        "headers": [(name.encode(), value.encode()) for name, value in named.items()],
    }


async def stay() -> dict[str, Any]:
    await asyncio.sleep(3600)
    raise AssertionError


class Sent(list[dict[str, Any]]):
    """What a face sent, and when."""

    def __init__(self) -> None:
        super().__init__()
        self.at: list[float] = []

    async def send(self, message: Any) -> None:
        self.append(message)
        self.at.append(time.monotonic())

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self)

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self[0]["headers"]}


# -- the course ------------------------------------------------------------------------------------------------------


def test_events_are_due_at_their_pace_and_silence_is_in_the_middle() -> None:
    course = Course(events=4, pace=0.5, idle=10, pad=0)
    assert [course.due(number) for number in range(1, 6)] == [0, 0.5, 11, 11.5, 12]
    assert [Course(3, 1, 10, 0).due(number) for number in range(1, 5)] == [0, 1, 12, 13]
    assert [Course(1, 0, 7, 0).due(number) for number in (1, 2)] == [0, 7], "one event, silence, the end"


def test_what_is_not_asked_for_has_a_usual_value() -> None:
    assert read_course({}) == Course(20, 0.1, 0, 0)
    assert read_course({"events": "3", "pace": "0", "idle": "90", "pad": "16384"}) == Course(3, 0, 90, 16384)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("events", text) for text in ("0", "1001", "-1", "2.5", "x", "", "nan", "inf", "9" * 50)),
        *(("pace", text) for text in ("-0.1", "10.1", "nan", "inf", "1,5")),
        *(("idle", text) for text in ("-1", "90.5", "ninety")),
        *(("pad", text) for text in ("-1", "16385", "0.5")),
        ("sleep", "1"),
    ],
)
def test_what_is_out_of_its_limits_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(Refused) as raised:
        read_course({name: value})
    assert (raised.value.status, raised.value.code, raised.value.param) == (400, "invalid_request", name)


def test_a_run_can_not_take_for_ever() -> None:
    assert read_course({"events": "1000", "pace": "0.3"}).due(1001) <= MAX_SECONDS
    with pytest.raises(Refused) as raised:
        read_course({"events": "1000", "pace": "0.31"})
    assert "300 s" in raised.value.message


# -- the stream, under plain ASGI ------------------------------------------------------------------------------------


async def test_the_stream_says_what_it_is_and_what_arrived() -> None:
    sent = Sent()
    asked = scope("events=3&pace=0.01&pad=5", via="1.1 edge", x_forwarded_for="10.0.0.1", cf_ray="abc")
    await DoctorFace(OPEN).answer(asked, stay, sent.send, [(b"vary", b"origin")])
    assert sent[0]["status"] == 200
    assert sent.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert sent.headers["x-accel-buffering"] == "no"
    assert sent.headers["cache-control"] == "no-cache, no-transform"
    assert sent.headers["penstock-doctor"] == "1"
    assert sent.headers["vary"] == "origin"
    assert sent.headers["server-timing"].startswith("penstock;dur=")
    blocks = parse_blocks(sent.body)
    assert [block.event for block in blocks] == ["start", "probe", "probe", "probe", "done"]
    assert blocks[0].json == {
        "events": 3, "pace": 0.01, "idle": 0.0, "pad": 5, "http": "1.1", "via": "1.1 edge",
        "forwarded": ["x-forwarded-for", "cf-ray"], "comments": 1,
    }  # fmt: skip
    epoch = blocks[0].id.partition(":")[0]
    assert len(epoch) == 6
    assert [block.id for block in blocks] == [f"{epoch}:{offset}" for offset in range(1, 6)]
    assert [block.json["n"] for block in blocks[1:4]] == [1, 2, 3]
    assert [block.json["pad"] for block in blocks[1:4]] == ["....."] * 3
    assert sent.body.count(b"\n: keepalive\n\n") == 1
    assert [message.get("more_body") for message in sent[1:]] == [True, True, True, True, True, False]


async def test_each_event_says_when_it_was_sent() -> None:
    sent = Sent()
    began = time.monotonic()
    await DoctorFace(OPEN).answer(scope("events=4&pace=0.1&idle=0.5"), stay, sent.send)
    said = [block.json["at"] for block in parse_blocks(sent.body)[1:]]
    for expected, at, real in zip((0, 0.1, 0.7, 0.8, 0.9), said, sent.at[2:-1], strict=True):
        assert expected - 0.005 <= at <= expected + 1
        assert abs(began + at - real) < 0.1, "it is the time of this server, from the request"


async def test_a_client_that_leaves_ends_it() -> None:
    sent = Sent()
    leave = asyncio.Event()

    async def receive() -> dict[str, Any]:
        if not sent:
            return {"type": "http.request", "body": b"", "more_body": False}
        await leave.wait()
        return {"type": "http.disconnect"}

    running = asyncio.ensure_future(DoctorFace(OPEN).answer(scope("events=2&pace=0&idle=90"), receive, sent.send))
    while len(sent) < 3:
        await asyncio.sleep(0.01)
    leave.set()
    async with asyncio.timeout(5):
        await running
    assert len(sent) == 3, "head, start and the first event"


async def test_without_a_good_key_there_is_no_stream() -> None:
    sent = Sent()
    with pytest.raises(Refused) as raised:
        await DoctorFace(OPEN).answer(scope(host="evil.example"), stay, sent.send)
    assert (raised.value.status, sent) == (403, [])


# -- over real sockets -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=SERVERS)
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    with running() as sim, hosted(request.param, sim) as url:
        yield url


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with penstock("demo", "--port", "0") as served:
        yield served.port


async def test_under_any_server(url: str) -> None:
    async with Client(int(url.rpartition(":")[2])) as client:
        await client.send("GET", "/v1/doctor?events=2&pace=0.1&idle=0.9")
        before = await client.read(until='"n":1')
        first = time.monotonic()
        assert [block.event for block in before.blocks] == ["start", "probe"]
        await client.read(most=len(client.raw) + 1)
        silence = time.monotonic() - first
        got = await client.read()
    assert 0.8 <= silence < 5
    assert got.whole
    assert [block.event for block in got.blocks] == ["start", "probe", "probe", "done"]


async def test_a_client_that_speaks_http_1_0(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /v1/doctor?events=2&pace=0.1 HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    assert b"transfer-encoding" not in head
    blocks = parse_blocks(body)
    assert [block.event for block in blocks] == ["start", "probe", "probe", "done"]
    assert blocks[0].json["http"] == "1.0"


async def test_a_client_that_does_not_read_is_waited_for(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    writer.write(b"GET /v1/doctor?events=1000&pace=0&pad=16384 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
    await asyncio.sleep(1.0)
    body, whole = dechunk((await reader.readuntil(b"\r\n\r\n"), await _all(reader))[1])
    writer.close()
    blocks = parse_blocks(body)
    assert [block.json["n"] for block in blocks[1:-1]] == list(range(1, 1001))
    assert whole
    assert blocks[-1].json["at"] > 0.9, "it does not put 16 MB into memory for a client that takes nothing"


async def _all(reader: asyncio.StreamReader) -> bytes:
    """Until the end of a chunked body."""
    parts: list[bytes] = []
    while not b"".join(parts[-2:]).endswith(b"\r\n0\r\n\r\n"):
        parts.append(await reader.read(1 << 20))
    return b"".join(parts)


async def test_refusals_come_as_everywhere() -> None:
    key = hashlib.sha256(b"key-a").hexdigest()
    tenant = f'[[tenant]]\nname = "a"\nkey_hashes = ["sha256:{key}"]\n'
    with running() as sim, serving(sim, more=tenant) as served:
        missing = await fetch(served.port, "GET", "/v1/doctor")
        wrong = await fetch(served.port, "GET", "/v1/doctor", headers={"x-api-key": "key-b"})
        limits = await fetch(served.port, "GET", "/v1/doctor?events=0", headers={"x-api-key": "key-a"})
        method = await fetch(served.port, "POST", "/v1/doctor", headers={"x-api-key": "key-a"})
        good = await fetch(served.port, "GET", "/v1/doctor?events=1", headers={"authorization": "Bearer key-a"})
    assert (missing.status, missing.json["error"]["code"]) == (401, "missing_api_key")
    assert (wrong.status, wrong.json["error"]["code"]) == (401, "invalid_api_key")
    assert (limits.status, limits.json["error"]["param"]) == (400, "events")
    assert (method.status, method.headers["allow"]) == (405, "GET")
    assert good.blocks[-1].event == "done"


async def test_a_run_does_not_keep_a_server_that_leaves() -> None:
    with penstock("demo", "--port", "0") as served:
        async with Client(served.port) as client:
            await client.send("GET", "/v1/doctor?events=2&idle=90")
            got = await client.read(until='"n":1')
            assert got.blocks[-1].event == "probe"
            began = time.monotonic()
            assert await asyncio.to_thread(served.stop) == 0
            assert time.monotonic() - began < 10
            assert not (await client.read()).whole
