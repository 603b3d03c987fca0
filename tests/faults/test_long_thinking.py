"""An upstream that thinks for long: its client gets a head, and even then another may take over."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from penstock.sim.process import SimProcess, running
from penstock.streams.deadlines import KEEPALIVE_SECONDS
from tests.support.client import Client, Response, fetch, told
from tests.support.dialects import ASKED, READ, Spoken
from tests.support.history import History, Reading, Told, judge
from tests.support.routes import at, route, routed, upstream
from tests.support.said import only_text
from tests.support.serving import Served

pytestmark = pytest.mark.anyio
Place = tuple[SimProcess, Served]


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    late: dict[str, float] = {"first_token": KEEPALIVE_SECONDS + 1.5, "silence": 20, "total": 60}
    with running() as sim:
        tables = (
            upstream("a", sim.url),
            upstream("claude", sim.url, dialect="anthropic"),
            upstream("gem", sim.url, dialect="gemini"),
            route("alone", "a", timeouts=late),
            *(route(f"{first}-{then}", first, then, timeouts=late) for first, then in PAIRS),
        )
        with routed(*tables) as served:
            yield sim, served


PAIRS = [("a", "claude"), ("claude", "gem"), ("gem", "a")]
LOGS = {"a": "openai-chat", "claude": "anthropic", "gem": "gemini"}


async def ask(place: Place, client: Spoken, model: str, prompt: str, *cues: dict[str, Any]) -> Response:
    """Read to the end; a second reader of every dialect comes as soon as there is a head."""
    assert client.path is not None
    async with Client(place[1].port) as connection:
        await connection.send("POST", client.path, client.request(cues, prompt, model=model))
        got = await connection.read(until="")
        assert got.status == 200, got.body
        assert got.blocks == [], "nothing of an answer, but a head"
        others = [fetch(place[1].port, "GET", f"/v1/streams/{got.stream_id}?format={name}") for name in READ]
        whole, *more = await asyncio.gather(connection.read(), *others)
    end = await told(place[0], lambda truth: truth.answers(prompt)[-1].end)
    log = (await fetch(place[1].port, "GET", f"/v1/streams/{got.stream_id}/trace")).json["dialect"]
    readings = [Reading(name, other.blocks) for name, other in zip([client.name, *READ], [whole, *more], strict=True)]
    truth = Told(only_text("".join(end.text)), whole=end.ended == "done")
    assert judge(History(log, readings, truth)) == []
    return whole


async def test_fault_hangs_before_first_byte_after_the_head_was_sent_falls_back_in_the_stream(place: Place) -> None:
    async def one(client: Spoken, first: str, then: str) -> None:
        prompt, text = f"{client.name}-{first}-{then}", f"añ🌊 from {then}"
        got = await ask(place, client, f"{first}-{then}", prompt, at(first, hang="headers"), at(then, text=text))
        assert (client.text_of(got.blocks), client.endings_of(got.blocks)) == (text, ["good"])

    await asyncio.gather(*(one(client, *pair) for client in ASKED.values() for pair in PAIRS))


async def test_fault_hangs_before_first_byte_after_the_head_was_sent_is_told_in_the_stream(place: Place) -> None:
    async def one(client: Spoken, fault: dict[str, Any], code: str) -> None:
        got = await ask(place, client, "alone", f"{client.name}-{code}", at("a", **fault))
        assert (client.text_of(got.blocks), client.endings_of(got.blocks)) == ("", ["bad"])
        assert client.code_of(got.blocks) in (code, None)

    late = KEEPALIVE_SECONDS + 0.7
    faults: list[tuple[dict[str, Any], str]] = [
        ({"hang": "headers"}, "upstream_timeout"),
        ({"first_token_delay": late, "tokens": 3, "error_after": 0}, "upstream_error"),
        ({"first_token_delay": late, "tokens": 3, "cut_after": 0, "cut": "reset"}, "upstream_truncated"),
    ]
    await asyncio.gather(*(one(client, *fault) for client in ASKED.values() for fault in faults))
