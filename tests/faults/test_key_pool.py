"""Several keys at one upstream: one key's trouble is not the others', and nobody's answer waits for it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from penstock.sim.process import SimProcess, running
from tests.support.client import Response, fetch
from tests.support.dialects import ASKED
from tests.support.routes import asked, key_of, route, routed, upstream
from tests.support.serving import Served

pytestmark = pytest.mark.anyio
CHAT = ASKED["openai-chat"]
KEYS = ("sk-1", "sk-2", "sk-3")


async def ask(served: Served, prompt: str, *cues: dict[str, Any]) -> Response:
    assert CHAT.path is not None
    return await fetch(served.port, "POST", CHAT.path, CHAT.request(cues, prompt))


async def keys_of(sim: SimProcess, prompt: str, count: int) -> list[str]:
    return [key_of(row) for row in await asked(sim, prompt, count)]


@pytest.mark.parametrize("status", [429, 401, 403])
async def test_fault_upstream_429_or_401_of_one_key_does_not_stop_the_others(status: int) -> None:
    with running() as sim, routed(upstream("sim", sim.url, keys=KEYS), route("m", "sim", retries=0)) as served:
        for number in range(9):
            got = await ask(served, f"request-{number}-", {"api_key": "sk-2", "status": status}, {"text": "fine"})
            assert CHAT.text_of(got.blocks) == "fine", "no client notices, though the route allows no retry"
        used = await keys_of(sim, "request-", 10)
        assert used.count("sk-2") == 1, "then it rests"
        assert min(used.count("sk-1"), used.count("sk-3")) >= 3
        assert f"refused key number 2 with {status}" in served.log, "somebody has to look after it"
        assert not any(key in served.log for key in KEYS)


async def test_fault_upstream_429_of_every_key_is_passed_on_with_its_retry_after() -> None:
    with running() as sim, routed(upstream("sim", sim.url, keys=KEYS), route("m", "sim")) as served:
        got = await ask(served, "all-limited", {"status": 429, "retry_after": 11})
        assert (got.status, got.headers["retry-after"]) == (429, "11")
        assert sorted(await keys_of(sim, "all-limited", 3)) == list(KEYS), "each was asked once"


async def test_fault_upstream_401_of_every_key_is_502_and_no_business_of_the_clients() -> None:
    with running() as sim, routed(upstream("sim", sim.url, keys=KEYS), route("m", "sim", retries=5)) as served:
        got = await ask(served, "all-refused", {"status": 401, "error_body": {"error": {"message": "bad key sk-1"}}})
        assert (got.status, got.json["error"]["code"]) == (502, "upstream_error")
        assert "sk-1" not in got.body.decode()
        assert sorted(await keys_of(sim, "all-refused", 3)) == list(KEYS)


async def test_a_limited_key_is_used_again_after_its_rest() -> None:
    with running() as sim, routed(upstream("sim", sim.url, keys=("sk-1", "sk-2")), route("m", "sim")) as served:
        limited = {"api_key": "sk-1", "status": 429, "retry_after": 1}
        assert (await ask(served, "limited-once", limited, {"text": "fine"})).status == 200
        await asyncio.sleep(1.2)
        for number in range(4):
            assert (await ask(served, f"later-{number}", {"text": "fine"})).status == 200
        assert sorted(await keys_of(sim, "later-", 4)) == ["sk-1", "sk-1", "sk-2", "sk-2"]


async def test_fault_upstream_429_under_a_crowd_loses_nobody() -> None:
    with running() as sim, routed(upstream("sim", sim.url, keys=KEYS), route("m", "sim")) as served:
        cues = {"api_key": "sk-1", "status": 429, "retry_after": 30}, {"tokens": 20, "pace": 0.005}
        answers = await asyncio.gather(*(ask(served, f"crowd-{number}-", *cues) for number in range(40)))
        assert [CHAT.endings_of(got.blocks) for got in answers] == [["good"]] * 40
