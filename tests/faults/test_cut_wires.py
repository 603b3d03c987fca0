"""Between Penstock and its upstreams: wires that cut at any byte, reset, stall, drip and refuse."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from penstock.sim.process import SimProcess, running
from tests.support.client import Block, Client, Response, fetch, parse_response, request_bytes, told
from tests.support.dialects import ASKED, READ, Spoken
from tests.support.history import History, Reading, Told, judge
from tests.support.proxy import PASS, Cut, Fault, FaultProxy, Leg
from tests.support.routes import route, routed, upstream
from tests.support.said import only_text
from tests.support.serving import Served

pytestmark = pytest.mark.anyio

CUTS: tuple[Cut, ...] = ("reset", "eof", "half_close")
UPSTREAMS = ("openai-chat", "anthropic", "gemini", "openai-responses")
LONGER = {"first_token": 3, "silence": 3, "total": 20}

CONNECTIONS = 100
"""In which a client that is cut again and again must have got everything."""


@pytest.fixture(scope="module")
def sim() -> Iterator[SimProcess]:
    with running() as made:
        yield made


async def ask(served: Served, client: Spoken, cue: dict[str, Any], prompt: str = "") -> Response:
    assert client.path is not None
    return await fetch(served.port, "POST", client.path, client.request(cue, prompt))


def heard(dialect: str, received: bytes) -> Told:
    """What a response in an upstream's dialect says, as far as it came."""
    blocks = parse_response(received).blocks
    spoken = READ[dialect]
    finished = "good" in spoken.endings_of(blocks)
    # Without an end marker, a finished answer on a body that is not ended may be told either way.
    return Told(spoken.said(blocks), whole=finished, exact=dialect != "gemini" or not finished)


@pytest.mark.parametrize("dialect", UPSTREAMS)
async def test_fault_cut_at_any_byte_of_the_response(sim: SimProcess, dialect: str) -> None:
    """Head, body and framing: refused before the first token, after it the text that came, and never a false end."""
    cue = {"tokens": 7, "unicode": True, "connection_close": True, "seed": 4}
    clients, cuts = itertools.cycle(ASKED.values()), itertools.cycle(CUTS)
    async with FaultProxy(sim.port) as proxy:
        tables = upstream("sim", f"http://127.0.0.1:{proxy.port}", dialect=dialect), route("m", "sim", timeouts=LONGER)
        with routed(*tables) as served:
            assert (await ask(served, next(clients), cue)).status == 200
            await until(lambda: len(proxy.passed) == 1)
            statuses = []
            for number, at in enumerate(range(1, len(proxy.passed[0].down) + 20, 23), 2):
                proxy.others = Fault(down=Leg(cut_at=at, cut=next(cuts)))
                client = next(clients)
                got = await ask(served, client, cue, f"byte-{at}-")
                await until(lambda number=number: len(proxy.passed) == number)
                truth = heard(dialect, proxy.passed[-1].down)
                statuses.append(got.status)
                if got.status == 200:
                    source = (await fetch(served.port, "GET", f"/v1/streams/{got.stream_id}/trace")).json["dialect"]
                    late = await fetch(served.port, "GET", f"/v1/streams/{got.stream_id}?format={client.name}")
                    readings = [Reading(client.name, got.blocks), Reading(client.name, late.blocks)]
                    assert judge(History(source, readings, truth)) == [], at
                else:
                    assert got.status == 502, (at, got.body)
                    assert truth.text == "", f"something was said before byte {at}, and lost"
            assert (statuses[0], statuses[-1]) == (502, 200)
            assert statuses == sorted(statuses, reverse=True)
            assert (await fetch(served.port, "GET", "/readyz")).json["live_streams"] == 0
            assert "Traceback" not in served.log


async def until(found: Any) -> None:
    """The other side of a connection may hear of its end a moment later."""
    async with asyncio.timeout(20):
        while not found():
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("dialect", UPSTREAMS)
async def test_fault_slow_drip_passes_on_any_wire(sim: SimProcess, dialect: str) -> None:
    async with FaultProxy(sim.port, others=Fault(down=Leg(drip=3000, delay=0.01), up=Leg(drip=5000))) as proxy:
        tables = upstream("sim", f"http://127.0.0.1:{proxy.port}", dialect=dialect), route("m", "sim", timeouts=LONGER)
        with routed(*tables) as served:

            async def one(client: Spoken) -> None:
                got = await ask(served, client, {"text": "añ🌊 two three"})
                assert (client.text_of(got.blocks), client.endings_of(got.blocks)) == ("añ🌊 two three", ["good"])

            await asyncio.gather(*map(one, ASKED.values()))


async def test_fault_silence_in_the_middle_is_stalled_and_the_wire_is_closed(sim: SimProcess) -> None:
    async with FaultProxy(sim.port, others=Fault(down=Leg(cut_at=1200, cut="silence"))) as proxy:
        with routed(upstream("sim", f"http://127.0.0.1:{proxy.port}"), route("m", "sim")) as served:

            async def one(client: Spoken) -> None:
                got = await ask(served, client, {"tokens": 50, "pace": 0.001})
                assert client.endings_of(got.blocks) == ["bad"]
                assert client.code_of(got.blocks) in ("stalled", None)

            await asyncio.gather(*map(one, ASKED.values()))
            await until(lambda: len(proxy.passed) == len(ASKED))


async def test_fault_refuses_connection_now_and_then_and_the_other_answers(sim: SimProcess) -> None:
    faults = itertools.cycle([Fault(refuse=True), PASS, Fault(up=Leg(cut_at=60)), Fault(down=Leg(cut_at=0))])
    async with FaultProxy(sim.port, faults) as proxy:
        tables = upstream("a", f"http://127.0.0.1:{proxy.port}"), upstream("b", sim.url), route("m", "a", "b")
        with routed(*tables) as served:
            for number, client in zip(range(24), itertools.cycle(ASKED.values()), strict=False):
                got = await ask(served, client, {"text": f"number {number}", "connection_close": True})
                assert (client.text_of(got.blocks), client.endings_of(got.blocks)) == (f"number {number}", ["good"])


# -- between a client and Penstock -----------------------------------------------------------------------------------------


async def read_on(client: Client) -> Response:
    """What came until the end of the connection, be it a reset."""
    try:
        return await client.read(seconds=20)
    except ConnectionError:
        return parse_response(client.raw)


async def test_fault_client_gone_in_the_middle_of_its_request_asks_nobody(sim: SimProcess) -> None:
    with routed(upstream("sim", sim.url), route("m", "sim", grace=0.1)) as served:
        async with FaultProxy(served.port) as proxy:
            for client in ASKED.values():
                assert client.path is not None
                body = client.request({"text": "x"}, f"half-{client.name}")
                size = len(request_bytes("POST", client.path, body))
                for at, cut in zip([*range(1, size, 31), size - 1], itertools.cycle(CUTS[:2]), strict=False):
                    proxy.others = Fault(up=Leg(cut_at=at, cut=cut))
                    async with Client(proxy.port) as half:
                        await half.send("POST", client.path, body)
                        assert (await read_on(half)).status == 0
                proxy.others = PASS
                assert (await ask(served, client, {"text": "x"}, f"whole-{client.name}")).status == 200
        assert not (await told(sim, lambda truth: truth)).answers("half-")
        assert (await fetch(served.port, "GET", "/readyz")).json["live_streams"] == 0
        assert "Traceback" not in served.log


async def test_fault_client_behind_a_wire_that_resets_loses_nothing_by_coming_back(sim: SimProcess) -> None:
    """Each connection brings 700 bytes or 2000, head included, so that most end within a block."""
    with routed(upstream("sim", sim.url), route("m", "sim", on_abandon="finish")) as served:
        cuts = itertools.cycle(CUTS)
        faults = (Fault(down=Leg(cut_at=700 if number % 5 else 2000, cut=cut)) for number, cut in enumerate(cuts))
        async with FaultProxy(served.port, faults) as proxy:
            for client in ASKED.values():
                assert client.path is not None
                prompt = f"resets-{client.name}"
                async with Client(proxy.port) as first:
                    await first.send("POST", client.path, client.request({"tokens": 40, "pace": 0.002}, prompt))
                    got = await read_on(first)
                blocks, stream = got.blocks, got.stream_id
                for _ in range(CONNECTIONS):
                    if client.over(blocks):
                        break
                    async with Client(proxy.port) as again:
                        seen = {"Last-Event-ID": blocks[-1].id} if blocks else {}
                        await again.send("GET", f"/v1/streams/{stream}?format={client.name}", headers=seen)
                        blocks = [*blocks, *(await read_on(again)).blocks]
                else:
                    pytest.fail(f"{client.name}: no end in {CONNECTIONS} connections: {blocks[-3:]}")
                assert judge(await history(sim, served, client, stream, blocks, prompt)) == []


async def history(
    sim: SimProcess, served: Served, client: Spoken, stream: str, blocks: list[Block], prompt: str
) -> History:
    """What this reader got, and what a late one gets, of a whole answer."""
    late = await fetch(served.port, "GET", f"/v1/streams/{stream}?format={client.name}")
    end = await told(sim, lambda truth: truth.answer(prompt))
    readings = [Reading(client.name, blocks), Reading(client.name, late.blocks)]
    return History("openai-chat", readings, Told(only_text(end.text[0]), whole=True))
