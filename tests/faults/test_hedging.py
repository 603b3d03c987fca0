"""A late upstream is hedged: the first token wins, and the loser's socket is closed at once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from penstock.sim.process import SimProcess, running
from tests.support.client import Client, Response, fetch, told
from tests.support.dialects import ASKED, Spoken
from tests.support.routes import asked, at, key_of, marks, route, routed, upstream
from tests.support.serving import Served

pytestmark = pytest.mark.anyio
Place = tuple[SimProcess, Served]


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    patient: dict[str, float] = {"first_token": 4, "silence": 4, "total": 20}
    with running() as sim:
        tables = (
            *(upstream(name, sim.url) for name in ("a", "b", "c")),
            upstream("claude", sim.url, dialect="anthropic"),
            route("m", "a", "b", hedge=0.3, timeouts=patient, grace=0.2),
            route("three", "a", "b", "c", hedge=0.3, timeouts=patient),
            route("to-claude", "a", "claude", hedge=0.3, timeouts=patient),
            route("from-claude", "claude", "a", hedge=0.3, timeouts=patient),
        )
        with routed(*tables) as served:
            yield sim, served


@pytest.fixture(params=ASKED.values(), ids=list(ASKED))
def client(request: pytest.FixtureRequest) -> Spoken:
    spoken: Spoken = request.param
    return spoken


async def ask(place: Place, client: Spoken, model: str, prompt: str, *cues: dict[str, Any]) -> Response:
    assert client.path is not None
    return await fetch(place[1].port, "POST", client.path, client.request(cues, prompt, model=model))


def whole(client: Spoken, got: Response) -> str:
    assert got.status == 200, got.body
    assert client.endings_of(got.blocks) == ["good"]
    return client.text_of(got.blocks)


@pytest.mark.parametrize("hang", ["connect", "headers"])
async def test_fault_hangs_before_first_byte_and_the_other_wins(place: Place, client: Spoken, hang: str) -> None:
    prompt = f"hangs-{client.name}-{hang}"
    got = await ask(place, client, "m", prompt, at("a", hang=hang), at("b", tokens=30, pace=0.05))
    end = await told(place[0], lambda truth: truth.answers(prompt)[1].end)
    assert whole(client, got) == end.text[0]
    loser, winner = await asked(place[0], prompt, 2)
    assert (key_of(loser), key_of(winner)) == ("sk-a", "sk-b")
    assert winner.end is not None
    assert winner.end.first_token_at is not None
    closed = (await told(place[0], lambda truth: truth.closed(connection=loser.request.connection)))[0].at
    assert closed < winner.end.first_token_at + 1.0, "with the other's first token, long before its end"
    assert closed < winner.end.at
    assert await marks(place[1], got) == [
        *("attempt a", "hedged b", "attempt b", "stopped a", "first_token b", "ended"),
    ]


async def test_the_late_one_may_win_and_then_the_hedge_is_closed(place: Place, client: Spoken) -> None:
    prompt = f"late-{client.name}"
    late, later = at("a", text="late but first", first_token_delay=0.8), at("b", hang="headers")
    got = await ask(place, client, "m", prompt, late, later)
    assert whole(client, got) == "late but first"
    rows = await asked(place[0], prompt, 2)
    hedge = next(row for row in rows if key_of(row) == "sk-b")
    assert hedge.end is not None
    assert hedge.end.ended == "stalled"


async def test_an_upstream_in_time_is_not_hedged(place: Place, client: Spoken) -> None:
    prompt = f"in-time-{client.name}"
    got = await ask(place, client, "m", prompt, {"tokens": 20, "pace": 0.05})
    assert whole(client, got)
    assert len(await asked(place[0], prompt, 1)) == 1


@pytest.mark.parametrize("fault", [{"status": 500}, {"cut_after": 0, "tokens": 3, "cut": "reset"}, {"status": 400}])
async def test_fault_of_the_hedge_harms_nobody(place: Place, client: Spoken, fault: dict[str, Any]) -> None:
    late = at("a", text="late but whole", first_token_delay=0.8)
    got = await ask(place, client, "m", f"bad-hedge-{client.name}-{fault}", late, at("b", **fault))
    assert whole(client, got) == "late but whole"


async def test_fault_of_both_is_told_once_the_second_has_failed_too(place: Place, client: Spoken) -> None:
    cues = at("a", header_delay=0.6, status=500), at("b", first_token_delay=0.6, tokens=3, error_after=0)
    got = await ask(place, client, "m", f"both-{client.name}", *cues)
    assert (got.status, client.code(got.json)) in [(502, "upstream_error"), (502, None)]


async def test_fault_of_both_falls_back_to_the_third(place: Place, client: Spoken) -> None:
    prompt = f"third-{client.name}"
    cues = at("a", header_delay=0.6, status=500), at("b", header_delay=0.6, status=500), at("c", text="third")
    got = await ask(place, client, "three", prompt, *cues)
    assert whole(client, got) == "third"
    assert len(await asked(place[0], prompt, 3)) == 3


async def test_a_hedge_may_speak_another_dialect(place: Place, client: Spoken) -> None:
    for model, late, first in (("to-claude", "a", "claude"), ("from-claude", "claude", "a")):
        cues = at(late, hang="headers"), at(first, text=f"from {first}")
        got = await ask(place, client, model, f"{model}-of-{client.name}", *cues)
        assert whole(client, got) == f"from {first}"


async def test_a_client_that_leaves_closes_both(place: Place, client: Spoken) -> None:
    prompt = f"leaves-{client.name}"
    async with Client(place[1].port) as gone:
        assert client.path is not None
        await gone.send("POST", client.path, client.request({"hang": "headers"}, prompt))
        await told(place[0], lambda truth: len(truth.answers(prompt)) == 2)
    rows = await asked(place[0], prompt, 2)
    assert [row.end.ended for row in rows if row.end is not None] == ["stalled", "stalled"]


async def test_many_hedges_at_once_each_have_one_winner(place: Place) -> None:
    clients = list(ASKED.values())

    async def one(number: int) -> None:
        client, prompt = clients[number % len(clients)], f"race-{number}-"
        # Both begin at about the same time: whoever is first, the answer is of one of them alone.
        first = at("a", pieces=["a"] * 40, first_token_delay=0.25 + number % 7 * 0.02, pace=0.002)
        second = at("b", pieces=["b"] * 40, pace=0.002)
        assert whole(client, await ask(place, client, "m", prompt, first, second)) in ("a" * 40, "b" * 40)

    await asyncio.gather(*map(one, range(42)))
