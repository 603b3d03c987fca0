"""Faults of clients, in every dialect: gone, half-open, slow, or sending what is no request."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from penstock.sim.process import SimProcess, running
from tests.support.client import Client, Response, fetch, request_bytes, told
from tests.support.dialects import ASKED, READ, Spoken
from tests.support.history import History, Reading, Told, judge
from tests.support.routes import route, routed, upstream
from tests.support.said import only_text
from tests.support.serving import Served

pytestmark = pytest.mark.anyio
Place = tuple[SimProcess, Served]
UPSTREAMS = ("openai-chat", "anthropic", "gemini", "openai-responses")
LONG = {"first_token": 20, "silence": 20, "total": 100}


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with running() as sim:
        tables = (
            upstream("sim", sim.url),
            route("m", "sim", timeouts=LONG, grace=0.3),
            *(upstream(name, sim.url, dialect=name) for name in UPSTREAMS),
            *(route(name, name) for name in UPSTREAMS),
            route("finishes", "sim", timeouts=LONG, on_abandon="finish"),
        )
        with routed(*tables, "\n[server]\nmax_body_bytes = 100000\n") as served:
            yield sim, served
            assert "Traceback" not in served.log, served.log


@pytest.fixture(params=ASKED.values(), ids=list(ASKED))
def client(request: pytest.FixtureRequest) -> Spoken:
    spoken: Spoken = request.param
    return spoken


async def trace_of(place: Place, stream: str) -> dict[str, Any]:
    trace: dict[str, Any] = (await fetch(place[1].port, "GET", f"/v1/streams/{stream}/trace")).json
    return trace


async def begin(client: Client, spoken: Spoken, cue: dict[str, Any], prompt: str, model: str = "m") -> Response:
    """Ask, and read the head and a few blocks."""
    assert spoken.path is not None
    await client.send("POST", spoken.path, spoken.request(cue, prompt, model=model))
    return await client.read(until=":5\n")


# -- gone ------------------------------------------------------------------------------------------------------------------


async def test_fault_client_gone_is_cancelled_after_the_grace_time_and_metered_once(
    place: Place, client: Spoken
) -> None:
    prompt = f"gone-{client.name}"
    async with Client(place[1].port) as gone:
        got = await begin(gone, client, {"endless": True, "pace": 0.01}, prompt)
    end = await told(place[0], lambda truth: truth.answer(prompt))
    assert end.ended == "closed_by_peer"
    trace = await trace_of(place, got.stream_id)
    assert (trace["live"], trace["outcome"]) == (False, "abandoned")
    assert (trace["usage"]["source"], abs(trace["usage"]["output_tokens"] - end.tokens_sent) <= 5) == (
        "estimated",
        True,
    )
    late = await fetch(place[1].port, "GET", f"/v1/streams/{got.stream_id}?format={client.name}")
    readings = [Reading(client.name, got.blocks, whole=False), Reading(client.name, late.blocks)]
    assert judge(History("openai-chat", readings, Told(only_text(end.text[0]), whole=False, exact=False))) == []


async def test_fault_client_gone_and_the_answer_is_finished_for_who_comes_later(place: Place, client: Spoken) -> None:
    prompt = f"finished-{client.name}"
    async with Client(place[1].port) as gone:
        got = await begin(gone, client, {"tokens": 60, "pace": 0.01}, prompt, "finishes")
    end = await told(place[0], lambda truth: truth.answer(prompt))
    assert end.ended == "done"
    for reader in READ.values():
        late = await fetch(place[1].port, "GET", f"/v1/streams/{got.stream_id}?format={reader.name}")
        assert (
            judge(History("openai-chat", [Reading(reader.name, late.blocks)], Told(only_text(end.text[0]), whole=True)))
            == []
        )
    assert (await trace_of(place, got.stream_id))["usage"]["source"] == "final"


async def test_fault_client_gone_before_the_first_byte_is_let_go_of(place: Place, client: Spoken) -> None:
    prompt = f"early-{client.name}"
    assert client.path is not None
    async with Client(place[1].port) as gone:
        await gone.send("POST", client.path, client.request({"hang": "headers"}, prompt))
        await told(place[0], lambda truth: truth.answers(prompt))
    assert (await told(place[0], lambda truth: truth.answer(prompt))).ended == "stalled"


async def test_fault_client_gone_while_another_reads_on_disturbs_nobody(place: Place, client: Spoken) -> None:
    prompt = f"one-of-two-{client.name}"
    async with Client(place[1].port) as gone:
        got = await begin(gone, client, {"tokens": 80, "pace": 0.01}, prompt)
        others = [
            asyncio.create_task(fetch(place[1].port, "GET", f"/v1/streams/{got.stream_id}?format={name}"))
            for name in READ
        ]
        await gone.read(until=":20\n")
    readings = [Reading(name, (await other).blocks) for name, other in zip(READ, others, strict=True)]
    end = await told(place[0], lambda truth: truth.answer(prompt))
    assert judge(History("openai-chat", readings, Told(only_text(end.text[0]), whole=True))) == []


@pytest.mark.parametrize("dialect", UPSTREAMS)
async def test_who_has_seen_all_is_told_to_stop_asking(place: Place, client: Spoken, dialect: str) -> None:
    assert client.path is not None
    for cue in ({"text": "a b"}, {"tokens": 5, "pace": 0.01, "cut_after": 3, "cut": "clean"}):
        got = await fetch(place[1].port, "POST", client.path, client.request(cue, model=dialect))
        path = f"/v1/streams/{got.stream_id}?format={client.name}"
        again = await fetch(place[1].port, "GET", path, headers={"Last-Event-ID": got.blocks[-1].id})
        assert (again.status, again.body) == (204, b"")


# -- there, and not reading --------------------------------------------------------------------------------------------------


async def test_fault_client_never_reads_is_overtaken_and_told_so_and_the_neighbour_gets_all(
    place: Place, client: Spoken
) -> None:
    """More than is kept (4 MiB): who reads gets all of it; who does not is told `slow_reader` when it reads again."""
    prompt = f"overtaken-{client.name}"
    async with Client(place[1].port) as slow:
        cue = {"tokens": 30_000, "token_size": 300, "first_token_delay": 0.5, "comments": 0.1}
        assert client.path is not None
        await slow.send("POST", client.path, client.request(cue, prompt, model="finishes"))
        first = await slow.read(until='"')
        async with Client(place[1].port) as quick:
            await quick.send("GET", f"/v1/streams/{first.stream_id}")
            size = 0
            async with asyncio.timeout(60):
                while data := await quick._reader.read(1 << 20):
                    size += len(data)
                    if b"event: done" in data:
                        break
        assert size > 30_000 * 300
        async with asyncio.timeout(60):
            while data := await slow._reader.read(
                1 << 20
            ):  # one byte string: parsing each piece anew would take minutes
                slow.raw += data
                if b"slow_reader" in data[-4096:] or slow.raw.endswith(b"\r\n0\r\n\r\n"):
                    break
        got = await slow.read()
    assert got.whole
    assert client.endings_of(got.blocks) == ["bad"]
    assert client.code_of(got.blocks) in ("slow_reader", None)
    text = client.text_of(got.blocks)
    end = await told(place[0], lambda truth: truth.answer(prompt))
    assert end.text[0].startswith(text)
    again = await fetch(
        place[1].port,
        "GET",
        f"/v1/streams/{first.stream_id}?format={client.name}",
        headers={"Last-Event-ID": got.blocks[-1].id},
    )
    assert (again.status, again.json["error"]["code"]) == (410, "resume_expired")


async def test_fault_client_half_open_is_detached_in_time(place: Place) -> None:
    """Clients that take nothing: after about 15 s the kernel gives them up, after 30 s Penstock itself would."""
    stuck = []
    for client in ASKED.values():
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", place[1].port))
        cue = {"endless": True, "token_size": 1000, "pace": 0.001}
        assert client.path is not None
        connection.sendall(request_bytes("POST", client.path, client.request(cue, f"stuck-{client.name}")))
        stuck.append(connection)
    try:
        async with asyncio.timeout(60):
            while True:
                rows = (await told(place[0], lambda truth: truth)).answers("stuck-")
                if len(rows) == len(stuck) and all(row.end is not None for row in rows):
                    break
                await asyncio.sleep(0.5)
    finally:
        for connection in stuck:
            connection.close()
    assert [row.end.ended for row in rows if row.end is not None] == ["closed_by_peer"] * len(stuck)


# -- what is no request ------------------------------------------------------------------------------------------------------

NONSENSE: dict[str, tuple[bytes, int]] = {
    "bad JSON": (b"{nope", 400),
    "not UTF-8": (b'{"model": "\xff"}', 400),
    "deep nesting": (b'{"model":"m","x":' + b"[" * 40_000 + b"]" * 40_000 + b"}", 400),
    "deep nesting without end": (b'{"a":' * 19_000, 400),
    "a huge number": (b'{"model":"m","max_tokens":' + b"9" * 5000 + b"}", 400),
    "no object": (b"[]", 400),
    "oversize": (b" " * 200_000, 413),
    "an unknown model": (json.dumps({"model": "nobody"}).encode(), 400),
}


@pytest.mark.parametrize("name", NONSENSE)
async def test_fault_bad_json_or_deep_nesting_or_oversize_is_told_in_the_callers_dialect(
    place: Place, client: Spoken, name: str
) -> None:
    body, status = NONSENSE[name]
    assert client.path is not None
    got = await fetch(place[1].port, "POST", client.path, body)
    assert (got.status, got.whole) == (status, True)
    assert got.headers["content-type"] == "application/json"
    client.code(got.json)
    good = await fetch(place[1].port, "POST", client.path, client.request({"text": "fine"}))
    assert client.text_of(good.blocks) == "fine", "and nobody else notices"
