"""Before the first token another upstream may take over, unnoticed; after it none ever does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest

from penstock.sim.process import SimProcess, running
from penstock.sim.truth import Answered, Truth
from tests.support.client import Response, fetch, told
from tests.support.dialects import ASKED, Spoken
from tests.support.routes import SHORT, asked, at, key_of, marks, route, routed, upstream
from tests.support.serving import Served, free_port

pytestmark = pytest.mark.anyio
Place = tuple[SimProcess, Served]


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """One simulated model, in four upstreams told apart by their keys; and one that refuses connections."""
    with running() as sim:
        tables = (
            *(upstream(name, sim.url) for name in ("a", "b", "c")),
            upstream("claude", sim.url, dialect="anthropic"),
            upstream("down", f"http://127.0.0.1:{free_port()}"),
            route("two", "a", "b"),
            route("three", "a", "b", "c"),
            route("from-down", "down", "b"),
            route("to-claude", "a", "claude"),
            route("from-claude", "claude", "a"),
            route("again", "a", retries=2),
            route("never-again", "a", "b", retries=0),
            route("goes-on", "a", "claude", "b", continuation=True),
            route("brisk", "a", timeouts={**SHORT, "min_tokens_per_second": 5}),
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
    """The text of an answer that ended well, once."""
    assert got.status == 200, got.body
    assert client.endings_of(got.blocks) == ["good"]
    return client.text_of(got.blocks)


EARLY: dict[str, dict[str, Any]] = {
    "429": {"status": 429, "retry_after": 60},
    "401": {"status": 401},
    "404": {"status": 404},
    "500": {"status": 500},
    "503": {"status": 503},
    "529": {"status": 529},
    "cut before any byte": {"cut_before_headers": True, "cut": "reset"},
    "closed before any byte": {"cut_before_headers": True},
    "cut before the first token": {"cut_after": 0, "tokens": 5, "cut": "reset"},
    "ends before the first token": {"cut_after": 0, "tokens": 5, "cut": "clean"},
    "an error before the first token": {"error_after": 0, "tokens": 5},
    "garbage before the first token": {"garbage_after": 0, "tokens": 5},
    "a page": {"bad_sse": "html"},
    "no HTTP": {"raw": "220 smtp ready\r\n"},
}


@pytest.mark.parametrize("name", EARLY)
async def test_fault_before_the_first_token_falls_back_unnoticed(place: Place, client: Spoken, name: str) -> None:
    prompt = f"falls-{client.name}-{name}"
    got = await ask(place, client, "two", prompt, at("a", **EARLY[name]), at("b", text="one two three"))
    assert whole(client, got) == "one two three"

    def answered_by_b(truth: Truth) -> list[Answered]:
        rows = truth.answers(prompt)
        return rows if key_of(rows[-1]) == "sk-b" else []

    rows = await told(place[0], answered_by_b)
    # A kept connection that closes without a word may have been closed while idle: it is asked again, on a new one.
    assert list(dict.fromkeys(map(key_of, rows))) == ["sk-a", "sk-b"]
    assert rows[-1].request.at - rows[0].request.at < 2, "at once"
    assert await marks(place[1], got) == ["attempt a", "lost a", "attempt b", "first_token b", "ended"]


async def test_fault_refuses_connection_falls_back(place: Place, client: Spoken) -> None:
    got = await ask(place, client, "from-down", f"down-{client.name}", {"text": "fine"})
    assert whole(client, got) == "fine"


@pytest.mark.parametrize("hang", ["connect", "headers"])
async def test_fault_hangs_before_first_byte_moves_on_at_its_deadline(place: Place, client: Spoken, hang: str) -> None:
    prompt, began = f"moves-on-{client.name}-{hang}", time.monotonic()
    got = await ask(place, client, "two", prompt, at("a", hang=hang), at("b", text="fine"))
    assert whole(client, got) == "fine"
    rows = await asked(place[0], prompt, 2)
    assert rows[1].request.at - began >= 1.0
    assert rows[0].end is not None
    assert rows[0].end.ended == "stalled", "the first was let go of"
    closed = await told(place[0], lambda truth: truth.closed(connection=rows[0].request.connection))
    assert closed[0].at - began < 3.0


async def test_fault_every_upstream_fails_and_the_last_one_is_told(place: Place, client: Spoken) -> None:
    got = await ask(
        place,
        client,
        "three",
        "all-fail",
        at("a", hang="headers"),
        at("b", status=500),
        at("c", status=429, retry_after=9),
    )
    assert (got.status, got.headers["retry-after"]) == (429, "9")
    assert client.code(got.json) in ("upstream_rate_limited", None)


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_fault_of_the_request_itself_is_asked_nowhere_else(place: Place, client: Spoken, status: int) -> None:
    prompt = f"own-fault-{client.name}-{status}"
    got = await ask(place, client, "two", prompt, at("a", status=status), at("b", text="never"))
    assert got.status == status
    assert len(await asked(place[0], prompt, 1)) == 1


async def test_fault_falls_back_to_an_upstream_that_speaks_another_dialect(place: Place, client: Spoken) -> None:
    for model, first, second in (("to-claude", "a", "claude"), ("from-claude", "claude", "a")):
        prompt = f"{model}-of-{client.name}"
        cues = at(first, error_after=0, tokens=3), at(second, text="añ🌊 two three", split="every")
        got = await ask(place, client, model, prompt, *cues)
        assert whole(client, got) == "añ🌊 two three"
        assert [key_of(row) for row in await asked(place[0], prompt, 2)] == [f"sk-{first}", f"sk-{second}"]
        again = await fetch(place[1].port, "GET", f"/v1/streams/{got.stream_id}?format={client.name}")
        assert again.blocks == got.blocks


AFTER = {
    "cut": {"cut_after": 3, "cut": "reset"},
    "stall": {"stall_after": 3},
    "error": {"error_after": 3},
    "garbage": {"garbage_after": 3},
}


@pytest.mark.parametrize("name", AFTER)
async def test_fault_after_the_first_token_is_never_tried_elsewhere(place: Place, client: Spoken, name: str) -> None:
    prompt = f"after-{client.name}-{name}"
    cues = at("a", tokens=9, pace=0.01, **AFTER[name]), at("b", text="never")
    got = await ask(place, client, "two", prompt, *cues)
    assert client.endings_of(got.blocks) == ["bad"]
    assert len(client.text_of(got.blocks)) > 0
    assert [key_of(row) for row in await asked(place[0], prompt, 1)] == ["sk-a"]


# -- retries -------------------------------------------------------------------------------------------------------------


async def test_fault_that_passes_is_waited_for_within_the_routes_retries(place: Place, client: Spoken) -> None:
    prompt = f"passes-{client.name}"
    got = await ask(place, client, "again", prompt, {"status": 503, "times": 2}, {"text": "third time"})
    assert whole(client, got) == "third time"
    assert len(await asked(place[0], prompt, 3)) == 3
    assert "waiting a" in await marks(place[1], got)


async def test_fault_that_does_not_pass_is_asked_no_more_than_the_route_allows(place: Place, client: Spoken) -> None:
    for model, count in (("again", 3), ("never-again", 1)):
        prompt = f"{model}-for-{client.name}"
        got = await ask(place, client, model, prompt, {"status": 500})
        assert got.status == 502
        assert len(await asked(place[0], prompt, count)) == count


async def test_fault_429_waits_as_long_as_retry_after_says_and_passes_on_what_is_too_long(place: Place) -> None:
    client, prompt = ASKED["openai-chat"], "says-when"
    got = await ask(place, client, "again", prompt, {"status": 429, "retry_after": 1.5, "times": 1}, {"text": "now"})
    assert whole(client, got) == "now"
    first, second = await asked(place[0], prompt, 2)
    assert first.end is not None
    assert second.request.at - first.end.at >= 1.4
    late = await ask(place, client, "again", "too-long", {"status": 429, "retry_after": 45})
    assert (late.status, late.headers["retry-after"]) == (429, "45")
    assert len(await asked(place[0], "too-long", 1)) == 1


async def test_fault_many_at_once_each_falls_back_by_itself(place: Place) -> None:
    """Thirty requests in three dialects or more, each with its own story."""
    clients = list(ASKED.values())

    async def one(number: int) -> None:
        client, name = clients[number % len(clients)], list(EARLY)[number % len(EARLY)]
        text = f"the answer to number {number}"
        got = await ask(place, client, "three", f"crowd-{number}-", at("a", **EARLY[name]), {"text": text})
        assert whole(client, got) == text

    await asyncio.gather(*map(one, range(30)))


async def test_fault_that_nobody_survived_can_be_looked_at_afterwards(place: Place, client: Spoken) -> None:
    """The refusal names its stream, and the stream's trace everybody who was asked."""
    got = await ask(place, client, "from-down", f"nobody-{client.name}", {"status": 503})
    assert got.status == 502 or got.status == 503
    told = await marks(place[1], got)
    assert [mark for mark in told if mark.startswith("lost")] == ["lost down", "lost b"]
    assert "of tenant local, model from-down, never began: down: upstream_unreachable" in place[1].log
    assert f"nobody-{client.name}" not in place[1].log, "no prompt is logged"


# -- after the first token, if the route says so -----------------------------------------------------------------------------


CUTS: dict[str, dict[str, Any]] = {
    "reset": {"cut_after": 2, "cut": "reset"},
    "clean": {"cut_after": 2, "cut": "clean"},
    "stalls": {"stall_after": 2},
    "an error in the stream": {"error_after": 2},
    "garbage": {"garbage_after": 2},
}


@pytest.mark.parametrize("cut", CUTS)
async def test_a_cut_answer_goes_on_at_the_next_upstream_when_the_route_says_so(
    place: Place, client: Spoken, cut: str
) -> None:
    prompt = f"goes-on-{cut}-{client.name}"
    broken, rest = {"text": "one two three four", "pace": 0.01, "times": 1, **CUTS[cut]}, {"text": " three four"}
    got = await ask(place, client, "goes-on", prompt, broken, rest)
    assert whole(client, got) == "one two three four"
    assert [mark for mark in await marks(place[1], got) if mark.startswith("continued")] == ["continued claude"]
    late = await fetch(place[1].port, "GET", f"/v1/streams/{got.stream_id}")
    assert [block.json["number"] for block in late.blocks if block.event == "segment"] == [2]


async def test_fault_slow_drip_is_let_go_of_when_the_route_asks_for_a_pace(place: Place, client: Spoken) -> None:
    """The same answer passes where the route says nothing of the kind."""
    prompt = f"drips-{client.name}"
    for model, ends in (("brisk", "bad"), ("two", "good")):
        got = await ask(place, client, model, f"{prompt}-{model}", {"tokens": 4, "pace": 0.6})
        assert client.endings_of(got.blocks) == [ends]
