"""An upstream that fails again and again is left alone, and asked again by one probe at a time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from penstock.policy.health import REST
from penstock.sim.process import running
from tests.support.client import Client, Response, fetch, told
from tests.support.dialects import ASKED, Spoken
from tests.support.routes import asked, at, key_of, route, routed, upstream
from tests.support.serving import Served

pytestmark = pytest.mark.anyio
CHAT = ASKED["openai-chat"]


async def ask(served: Served, prompt: str, *cues: dict[str, Any], model: str = "m", client: Spoken = CHAT) -> Response:
    assert client.path is not None
    return await fetch(served.port, "POST", client.path, client.request(cues, prompt, model=model))


def answer(got: Response) -> tuple[int, Any]:
    """The status, and the text or the code."""
    return got.status, CHAT.text_of(got.blocks) if got.status == 200 else CHAT.code(got.json)


@pytest.mark.parametrize(
    "fault", [{"status": 500}, {"cut_before_headers": True, "cut": "reset"}, {"hang": "headers"}], ids=str
)
async def test_fault_again_and_again_opens_the_breaker_and_a_probe_closes_it(fault: dict[str, Any]) -> None:
    with running() as sim, routed(upstream("a", sim.url, max_failures=3), route("m", "a")) as served:
        for number in range(3):
            assert (await ask(served, f"fails-{number}", fault)).status in (502, 504)
        refused = await ask(served, "left-alone", {"text": "never"})
        assert answer(refused) == (503, "upstream_unavailable")
        assert 1 <= int(refused.headers["retry-after"]) <= REST
        for client in ASKED.values():
            got = await ask(served, "left-alone", {"text": "never"}, client=client)
            assert (got.status, client.code(got.json)) in [(503, "upstream_unavailable"), (503, None)]
        await asyncio.sleep(REST)
        slow = {"text": "the probe", "first_token_delay": 0.5}
        crowd = await asyncio.gather(*(ask(served, f"probe-{number}", slow) for number in range(5)))
        assert sorted(map(answer, crowd), key=str) == [(200, "the probe"), *[(503, "upstream_unavailable")] * 4]
        after = await asyncio.gather(*(ask(served, f"closed-{number}", {"text": "fine"}) for number in range(5)))
        assert [answer(got) for got in after] == [(200, "fine")] * 5
        assert not (await told(sim, lambda truth: truth)).answers("left-alone")


async def test_fault_of_a_probe_opens_it_again_for_longer() -> None:
    with running() as sim, routed(upstream("a", sim.url, max_failures=1), route("m", "a")) as served:
        await ask(served, "first", {"status": 500})
        await asyncio.sleep(REST)
        assert answer(await ask(served, "probe", {"status": 500})) == (502, "upstream_error")
        refused = await ask(served, "again", {"text": "never"})
        assert answer(refused) == (503, "upstream_unavailable")
        assert REST < int(refused.headers["retry-after"]) <= 2 * REST


async def test_an_open_breaker_is_passed_by_without_a_word() -> None:
    tables = (
        *(upstream(name, "{url}", max_failures=2) for name in "ab"),
        route("m", "a", "b"),
    )
    with running() as sim, routed(*(table.replace("{url}", sim.url) for table in tables)) as served:
        for number in range(6):
            got = await ask(served, f"request-{number}", at("a", status=500), at("b", text="fine"))
            assert answer(got) == (200, "fine")
        rows = await asked(sim, "request-", 8)
        assert [key_of(row) for row in rows].count("sk-a") == 2


@pytest.mark.parametrize("fault", [{"status": 429}, {"status": 401}, {"status": 400}, {"status": 404}], ids=str)
async def test_fault_that_says_nothing_about_health_opens_no_breaker(fault: dict[str, Any]) -> None:
    with running() as sim, routed(upstream("a", sim.url, max_failures=1), route("m", "a")) as served:
        for number in range(3):
            assert (await ask(served, f"limited-{number}", fault)).status in (429, 502, 400, 404)
        assert answer(await ask(served, "then", {"text": "fine"})) == (200, "fine")


# The first token resets the count (`Walk.won`), before the cut is counted (`Walk.broke`).
@pytest.mark.parametrize("limit", [1, 3])
async def test_fault_cut_answers_count_against_the_upstream(limit: int) -> None:
    """docs/configuration.md, `max_failures`: "Its own faults count (5xx, no connection, no token in time, cut answers)"."""
    with running() as sim, routed(upstream("a", sim.url, max_failures=limit), route("m", "a")) as served:
        for number in range(limit):
            got = await ask(served, f"cut-{number}", {"tokens": 5, "cut_after": 3, "cut": "reset", "pace": 0.01})
            assert CHAT.endings_of(got.blocks) == ["bad"]
        assert answer(await ask(served, "then", {"text": "never"})) == (503, "upstream_unavailable")


async def test_fault_client_gone_with_the_probe_lets_the_next_one_be_it() -> None:
    tables = route("m", "a", grace=0.1, timeouts={"first_token": 30})
    with running() as sim, routed(upstream("a", sim.url, max_failures=1), tables) as served:
        await ask(served, "opens", {"status": 500})
        await asyncio.sleep(REST)
        async with Client(served.port) as gone:
            await gone.send("POST", str(CHAT.path), CHAT.request({"hang": "headers"}, "probe"))
            await told(sim, lambda truth: truth.answers("probe"))
        await asked(sim, "probe", 1)
        assert answer(await ask(served, "then", {"text": "fine"})) == (200, "fine")


async def test_fault_of_one_that_was_hedged_counts_too() -> None:
    with running() as sim:
        tables = *(upstream(name, sim.url, max_failures=2) for name in "ab"), route("m", "a", "b", hedge=0.2)
        with routed(*tables, route("only-a", "a")) as served:
            for number in range(2):
                cues = at("a", header_delay=0.4, status=500), at("b", text="fine", first_token_delay=0.6)
                assert answer(await ask(served, f"hedged-{number}", *cues)) == (200, "fine")
            assert answer(await ask(served, "then", {"text": "never"}, model="only-a")) == (503, "upstream_unavailable")


async def test_a_hedged_probe_that_lost_lets_the_next_one_be_it() -> None:
    with running() as sim:
        tables = upstream("a", sim.url, max_failures=1), upstream("b", sim.url), route("m", "a", "b", hedge=0.2)
        with routed(*tables, route("only-a", "a")) as served:
            await ask(served, "opens", {"status": 500}, model="only-a")
            await asyncio.sleep(REST)
            cues = at("a", text="late", first_token_delay=0.8), at("b", text="fine")
            assert answer(await ask(served, "hedged", *cues)) == (200, "fine")
            assert answer(await ask(served, "then", {"text": "fine"}, model="only-a")) == (200, "fine")
