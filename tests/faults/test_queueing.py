"""More requests than an upstream takes at a time, over real sockets: they wait their turn, fairly, and nothing is lost."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import time
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from penstock.sim.process import SimProcess, running
from penstock.sim.truth import Asked, End, Truth
from tests.support.client import Client, Response, chat, fetch, told
from tests.support.dialects import ASKED, Spoken
from tests.support.routes import asked, at, route, routed, upstream
from tests.support.serving import Served

pytestmark = pytest.mark.anyio
Place = tuple[SimProcess, Served]
CHAT = "/v1/chat/completions"
PATIENT: dict[str, float] = {"first_token": 4, "silence": 4, "total": 30}
LONG = {"tokens": 12, "pace": 0.05}
"""An answer that takes some 0.6 s."""


def tenant(name: str, weight: int) -> str:
    digest = hashlib.sha256(f"key-{name}".encode()).hexdigest()
    return f'\n[[tenant]]\nname = "{name}"\nweight = {weight}\nkey_hashes = ["sha256:{digest}"]\n'


def key(name: str) -> dict[str, str]:
    return {"x-api-key": f"key-{name}"}


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """`narrow` has two slots, `single` and `other` one each."""
    with running() as sim:
        slots = {"narrow": 2, "single": 1, "other": 1, "kept": 1, "torn": 1}
        tables = (
            *(upstream(name, sim.url, concurrent_streams=most) for name, most in slots.items()),
            route("narrow", "narrow", timeouts=PATIENT, grace=0.2, retries=0),
            route("single", "single", timeouts=PATIENT, grace=0.2, retries=0),
            route("either", "single", "other", timeouts=PATIENT, grace=0.2),
            route("brief", "kept", timeouts=PATIENT, queue={"length": 1, "seconds": 0.3}),
            route("torn", "torn", timeouts=PATIENT, retries=0, queue={"seconds": 5}),
        )
        with routed(*tables, *(tenant(name, weight) for name, weight in (("a", 1), ("b", 1), ("c", 3)))) as served:
            yield sim, served


async def ask(
    place: Place, model: str, prompt: str, cue: dict[str, Any] | None = None, who: str = "a", **fields: Any
) -> Response:
    body = chat(cue or LONG, prompt, model=model, **fields)
    return await fetch(place[1].port, "POST", CHAT, body, key(who))


async def order(sim: SimProcess, prompts: str, count: int) -> list[str]:
    """The prompts that begin so, in the order in which the upstream was asked, once all those are over."""
    rows = await asked(sim, prompts, count)
    return [re.findall(rf"{prompts}\w+", row.request.prompt)[0].removeprefix(prompts) for row in rows]


def most_at_once(truth: Truth, prompts: str) -> int:
    """How many answers were being made at the same time."""
    running: set[int] = set()
    most = 0
    for line in truth.lines:
        if isinstance(line, Asked) and prompts in line.prompt:
            running.add(line.id)
        elif isinstance(line, End):
            running.discard(line.id)
        most = max(most, len(running))
    return most


async def test_more_than_it_takes_at_a_time_wait_their_turn(place: Place) -> None:
    answers = await asyncio.gather(*(ask(place, "narrow", f"turn-{number} ") for number in range(8)))
    assert [got.status for got in answers] == [200] * 8
    assert all(got.blocks[-1].data == "[DONE]" for got in answers)
    await asked(place[0], "turn-", 8)
    assert await told(place[0], lambda truth: most_at_once(truth, "turn-")) == 2


async def test_answers_in_one_piece_wait_too(place: Place) -> None:
    answers = await asyncio.gather(*(ask(place, "narrow", f"piece-{n} ", stream=False) for n in range(5)))
    assert [got.status for got in answers] == [200] * 5
    assert await told(place[0], lambda truth: most_at_once(truth, "piece-")) <= 2


async def test_one_tenants_many_hold_back_anothers_single_one_by_one_answer(place: Place) -> None:
    many = [asyncio.create_task(ask(place, "single", f"fair-a{number} ")) for number in range(5)]
    await told(place[0], lambda truth: truth.answers("fair-"))
    await asyncio.sleep(0.2)  # the others are in the queue by now
    got = await ask(place, "single", "fair-b ", who="b")
    assert got.status == 200
    await asyncio.gather(*many)
    assert (await order(place[0], "fair-", 6))[1] == "b"


async def test_weights_are_the_shares(place: Place) -> None:
    first = asyncio.create_task(ask(place, "single", "weigh-first ", LONG))
    await told(place[0], lambda truth: truth.answers("weigh-first"))
    quick = {"tokens": 1}
    rest = [asyncio.create_task(ask(place, "single", f"weigh-{who}{n} ", quick, who)) for n in range(6) for who in "ac"]
    await asyncio.gather(first, *rest)
    turns = "".join(name[0] for name in (await order(place[0], "weigh-", 13))[1:9])
    assert 5 < turns.count("c") < 8, turns


async def test_it_goes_where_there_is_room_and_waits_for_whichever_has_it_first(place: Place) -> None:
    cue = [at("single", tokens=30, pace=0.05), at("other", tokens=4, pace=0.05)]

    async def either(prompt: str) -> list[str]:
        body = chat(cue[0], prompt, model="either")
        body["messages"][0]["content"] += f" sim:{json.dumps(cue[1])}"
        got = await fetch(place[1].port, "POST", CHAT, body, key("a"))
        assert got.status == 200
        trace = await fetch(place[1].port, "GET", f"/v1/streams/{got.stream_id}/trace", None, key("a"))
        return [f"{mark['what']} {mark.get('upstream', '')}".strip() for mark in trace.json["marks"]]

    told_of = await asyncio.gather(*(either(f"either-{number} ") for number in range(3)))
    attempts = [next(mark for mark in found if mark.startswith("attempt")) for found in told_of]
    assert sorted(attempts) == ["attempt other", "attempt other", "attempt single"]
    assert sum("queued" in found for found in told_of) == 1


@pytest.fixture(params=ASKED.values(), ids=list(ASKED))
def client(request: pytest.FixtureRequest) -> Spoken:
    spoken: Spoken = request.param
    return spoken


async def test_fault_flood_is_refused_in_every_dialect_with_the_time_to_wait(place: Place, client: Spoken) -> None:
    assert client.path is not None
    prompt = f"full-{client.name}"
    first = asyncio.create_task(ask(place, "brief", f"{prompt}-first ", {"tokens": 40, "pace": 0.03}))
    await told(place[0], lambda truth: truth.answers(f"{prompt}-first"))
    body = client.request({"tokens": 1}, f"{prompt}-rest ", model="brief")
    began = time.monotonic()
    refused = await asyncio.gather(*(fetch(place[1].port, "POST", client.path, body, key("a")) for _ in range(3)))
    assert time.monotonic() - began >= 0.3, "one of them was allowed to wait"
    for got in refused:
        assert (got.status, client.code(got.json)) in ((503, "upstream_busy"), (503, None))
        assert 1 <= int(got.headers["retry-after"]) <= 60
        assert "at its limit of answers at a time" in got.body.decode()
    assert (await first).status == 200
    assert [row.request.prompt for row in await asked(place[0], prompt, 1) if "-rest" in row.request.prompt] == []


async def test_the_official_client_waits_and_comes_again(place: Place) -> None:
    first = asyncio.create_task(ask(place, "brief", "official-first ", {"tokens": 30, "pace": 0.05}))
    await told(place[0], lambda truth: truth.answers("official-first"))
    async with openai.AsyncOpenAI(base_url=f"{place[1].url}/v1", api_key="key-a", max_retries=6) as official:
        body = chat({"text": "at last"}, "official-again", model="brief", stream=False)
        answer = await official.chat.completions.create(**body)
    assert answer.choices[0].message.content == "at last"
    assert (await first).status == 200


async def test_who_goes_away_while_it_waits_is_never_asked_for(place: Place) -> None:
    first = asyncio.create_task(ask(place, "single", "leaves-first "))
    await told(place[0], lambda truth: truth.answers("leaves-first"))
    async with Client(place[1].port) as client:
        await client.send("POST", CHAT, chat(LONG, "leaves-gone ", model="single"), key("b"))
        await asyncio.sleep(0.1)
    last = await ask(place, "single", "leaves-last ")
    assert ((await first).status, last.status) == (200, 200)
    assert await order(place[0], "leaves-", 2) == ["first", "last"]


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 500},
        {"cut_before_headers": True},
        {"cut_after": 2, "cut": "reset"},
        {"cut_after": 2, "cut": "eof"},
        {"garbage_after": 1},
        {"omit_done": True},
        {"hang": "headers"},
        {"stall_after": 1},
    ],
    ids=str,
)
async def test_whatever_becomes_of_an_answer_its_slot_is_free_for_the_next(place: Place, fault: dict[str, Any]) -> None:
    """More of them than there are slots: had one been lost, the last would never be answered."""
    count = 1 if {"hang", "stall_after"} & fault.keys() else 4
    await asyncio.gather(*(ask(place, "torn", f"torn {n}", {"tokens": 4, **fault}) for n in range(count)))
    got = await ask(place, "torn", "torn and whole", {"text": "whole"})
    assert "".join(block.text for block in got.blocks) == "whole"


async def test_a_cancel_frees_the_slot_at_once(place: Place) -> None:
    async with Client(place[1].port) as client:
        body = chat({"endless": True, "pace": 0.02}, "endless", model="single")
        await client.send("POST", CHAT, body, key("a"))
        running = await client.read(until="content")
        waiting = asyncio.create_task(ask(place, "single", "after the endless one", {"text": "at last"}))
        await asyncio.sleep(0.1)
        await fetch(place[1].port, "POST", f"/v1/streams/{running.stream_id}/cancel", None, key("a"))
        assert "".join(block.text for block in (await waiting).blocks) == "at last"


async def test_asked_twice_with_one_key_it_waits_once(place: Place) -> None:
    first = asyncio.create_task(ask(place, "single", "once-first "))
    await told(place[0], lambda truth: truth.answers("once-first"))
    body = chat({"text": "once"}, "once-only ", model="single")
    twice = await asyncio.gather(
        *(fetch(place[1].port, "POST", CHAT, body, {**key("a"), "Idempotency-Key": "once"}) for _ in range(2))
    )
    assert ["".join(block.text for block in got.blocks) for got in twice] == ["once", "once"]
    assert twice[0].stream_id == twice[1].stream_id
    await first
    assert len(await asked(place[0], "once-only", 1)) == 1


async def test_the_trace_tells_of_the_queue_and_readyz_how_long_it_is(place: Place) -> None:
    first = asyncio.create_task(ask(place, "single", "trace-first "))
    await told(place[0], lambda truth: truth.answers("trace-first"))
    second = asyncio.create_task(ask(place, "single", "trace-second "))
    await asyncio.sleep(0.1)
    ready = (await fetch(place[1].port, "GET", "/readyz")).json
    assert ready["queued_streams"] == 1
    await first
    got = await second
    trace = (await fetch(place[1].port, "GET", f"/v1/streams/{got.stream_id}/trace", None, key("a"))).json
    queued, attempt = (next(mark for mark in trace["marks"] if mark["what"] == what) for what in ("queued", "attempt"))
    assert queued["position"] == 1
    assert attempt["at"] > queued["at"]


async def test_a_server_that_leaves_lets_the_queue_finish(place: Place) -> None:
    with running() as sim:
        tables = (upstream("m", sim.url, concurrent_streams=1), route("m", "m", timeouts=PATIENT))
        with routed(*tables) as served:
            answers = [
                asyncio.create_task(fetch(served.port, "POST", CHAT, chat(LONG, f"leaving-{n}"))) for n in range(3)
            ]
            await told(sim, lambda truth: truth.answers("leaving-"))
            await asyncio.sleep(0.2)
            assert await asyncio.to_thread(served.stop) == 0
            assert [got.blocks[-1].data for got in await asyncio.gather(*answers)] == ["[DONE]"] * 3
