"""What users of other gateways ask for: each complaint, by its number, as something that works here.

The numbers are those of the list in docs/complaints.md, which says where each was made.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.sim.process import SimProcess, running
from tests.support.client import Client, Response, chat, fetch, native, told
from tests.support.routes import asked, at, marks, route, routed, upstream
from tests.support.serving import Served, river

pytestmark = pytest.mark.anyio
CHAT = "/v1/chat/completions"


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[SimProcess, Served]]:
    with river("grace = 0.2\ntimeouts = { first_token = 4, silence = 1 }") as both:
        yield both


@pytest.fixture(scope="module")
def two() -> Iterator[tuple[SimProcess, Served]]:
    """The model `m`: `a`, and when that fails `b`."""
    with running() as sim, routed(upstream("a", sim.url), upstream("b", sim.url), route("m", "a", "b")) as served:
        yield sim, served


@pytest.mark.parametrize("path", [CHAT, "/v1/streams", "/v1/messages"])
async def test_complaint_1_a_disconnect_cancels_the_upstream(servers: tuple[SimProcess, Served], path: str) -> None:
    sim, served = servers
    body = chat({"endless": True, "pace": 0.02}, f"gone from {path}", max_tokens=99999)
    if path == "/v1/streams":
        body.pop("stream")
    async with Client(served.port) as client:
        await client.send("POST", path, body)
        await client.read(most=2000)
    (row,) = await asked(sim, f"gone from {path}", 1)
    assert row.end is not None
    assert row.end.ended == "closed_by_peer"


LIMITED = """
[[tenant]]
name = "a"
key_hashes = ["sha256:{digest}"]
limits = {{ tokens_per_minute = 1000 }}
"""
KEY = {"authorization": "Bearer key-a"}


@pytest.fixture(scope="module")
def limited() -> Iterator[tuple[SimProcess, Served]]:
    """A tenant of 1,000 tokens a minute."""
    more = LIMITED.format(digest=hashlib.sha256(b"key-a").hexdigest())
    with river("grace = 0.2\ntimeouts = { first_token = 4, silence = 1 }\nretries = 0", more) as both:
        yield both


async def tokens_left(served: Served) -> int:
    """Told by a request that is wrong, and takes nothing."""
    got = await fetch(served.port, "POST", CHAT, {"model": "none", "messages": []}, KEY)
    return int(got.headers["x-ratelimit-remaining-tokens"])


async def test_complaint_2_token_limits_hold_for_streams_for_many_at_once_and_refused_ones_leak_nothing(
    limited: tuple[SimProcess, Served],
) -> None:
    sim, served = limited
    # Reservations of answers that were refused come back: after ten of 900 tokens each there are still a thousand.
    for _ in range(10):
        got = await fetch(served.port, "POST", CHAT, chat({"status": 500}, "refused", max_tokens=900), KEY)
        assert got.status == 502
    assert await tokens_left(served) == 1000
    # Of twenty streams at once that may use 200 tokens and some for their prompts, four fit, and no more are asked for.
    body = chat({"tokens": 190, "pace": 0.005}, "at once", max_tokens=200)
    answers = await asyncio.gather(*(fetch(served.port, "POST", CHAT, body, KEY) for _ in range(20)))
    assert sorted(got.status for got in answers) == [200] * 4 + [429] * 16
    assert len(await asked(sim, "at once", 4)) == 4
    # What they streamed is charged: the next one has to wait, and is told how long.
    got = await fetch(served.port, "POST", CHAT, body | {"max_tokens": 600}, KEY)
    assert (got.status, got.json["error"]["code"]) == (429, "rate_limit_exceeded")
    assert 1 <= int(got.headers["retry-after"]) <= 60


async def test_complaint_3_a_cut_stalled_or_malformed_stream_triggers_fallback(two: tuple[SimProcess, Served]) -> None:
    _, served = two
    for trouble in ({"cut_after": 0}, {"stall_after": 0}, {"bad_sse": "html"}, {"status": 500}):
        cue = chat(at("a", tokens=5, **trouble), f"fallback {trouble}")
        cue["messages"][0]["content"] += f" sim:{json.dumps(at('b', text='from b'))}"
        got = await fetch(served.port, "POST", CHAT, cue)
        assert "".join(block.text for block in got.blocks) == "from b", trouble
        assert "first_token b" in await marks(served, got)


@pytest.mark.parametrize("cut", ["eof", "reset", "half_close", "clean"])
async def test_complaint_4_a_dead_stream_is_not_reported_as_success(
    servers: tuple[SimProcess, Served], cut: str
) -> None:
    _, served = servers
    got = await fetch(served.port, "POST", CHAT, chat({"tokens": 9, "cut_after": 4, "cut": cut}))
    assert got.blocks[-1].json["error"]["code"] == "upstream_truncated"
    assert "[DONE]" not in got.body.decode()
    whole = await fetch(served.port, "POST", CHAT, chat({"tokens": 9, "cut_after": 4, "cut": cut}, stream=False))
    assert whole.status == 502, "and not 400: a client may try again"


async def test_complaint_5_a_silent_upstream_is_given_up_and_a_thinking_one_kept(
    servers: tuple[SimProcess, Served],
) -> None:
    _, served = servers
    silent = await fetch(served.port, "POST", CHAT, chat({"hang": "headers"}))
    assert (silent.status, silent.json["error"]["code"]) == (504, "upstream_timeout")
    stalled = await fetch(served.port, "POST", CHAT, chat({"tokens": 5, "stall_after": 2}))
    assert stalled.blocks[-1].json["error"]["code"] == "stalled"
    thinking = await fetch(served.port, "POST", CHAT, chat({"pieces": ["a", "b"], "pace": 1.5, "comments": 0.2}))
    assert "".join(block.text for block in thinking.blocks) == "ab", thinking.body
    assert thinking.whole, "any byte is a sign of life"


async def test_complaint_6_the_first_token_is_a_token_and_a_cancelled_answer_is_metered(
    servers: tuple[SimProcess, Served],
) -> None:
    _, served = servers
    cue = {"tokens": 6, "first_token_delay": 0.4, "pace": 0.05}
    for path in (CHAT, "/v1/streams", "/v1/messages"):
        body = chat(cue, f"first token of {path}", max_tokens=99)
        if path == "/v1/streams":
            body.pop("stream")
        began = time.monotonic()
        got = await fetch(served.port, "POST", path, body)
        took = time.monotonic() - began
        trace = (await fetch(served.port, "GET", f"/v1/streams/{got.stream_id}/trace")).json
        assert 0.4 <= trace["time_to_first_token"] < took, "the chunk with only a role came 0.4 s before"
    async with Client(served.port) as client:
        await client.send("POST", "/v1/streams", native({"endless": True, "pace": 0.02}, "cancelled and metered"))
        stream_id = (await client.read(until="token")).stream_id
        await fetch(served.port, "POST", f"/v1/streams/{stream_id}/cancel")
    usage = (await fetch(served.port, "GET", f"/v1/streams/{stream_id}/trace")).json["usage"]
    assert usage["source"] == "estimated"
    assert usage["output_tokens"] >= 1
    assert usage["input_tokens"] > 0


async def test_complaint_7_nothing_grows_with_the_number_of_answers(servers: tuple[SimProcess, Served]) -> None:
    _, served = servers

    def memory() -> int:
        return int(Path(f"/proc/{served.process.pid}/statm").read_text().split()[1]) * 4096

    async def some(count: int) -> None:
        for _ in range(count // 20):
            await asyncio.gather(
                *(fetch(served.port, "POST", CHAT, chat({"tokens": 3}, stream=False)) for _ in range(20))
            )

    await some(200)
    before = memory()
    await some(400)
    # Each is kept for five minutes: its few hundred bytes of text, and what a stream is.
    assert (memory() - before) / 400 < 40_000


async def test_complaint_7_a_deploy_cuts_no_stream() -> None:
    with river() as (sim, served):
        async with Client(served.port) as client:
            await client.send("POST", CHAT, chat({"tokens": 30, "pace": 0.05}, "through a deploy"))
            await client.read(until="content")
            leaving = asyncio.create_task(asyncio.to_thread(served.stop))
            got = await client.read()
        assert got.blocks[-1].data == "[DONE]"
        assert (
            "".join(block.text for block in got.blocks)
            == ((await told(sim, lambda t: t.answer("through a deploy"))).text[0])
        )
        assert await leaving == 0


async def test_complaint_8_a_streaming_429_falls_back_and_says_when_to_come_again(
    two: tuple[SimProcess, Served],
) -> None:
    _, served = two
    cue = chat(at("a", status=429, retry_after=7), "limited")
    cue["messages"][0]["content"] += f" sim:{json.dumps(at('b', text='from b'))}"
    got = await fetch(served.port, "POST", CHAT, cue)
    assert "".join(block.text for block in got.blocks) == "from b"
    got = await fetch(served.port, "POST", CHAT, chat({"status": 429, "retry_after": 7}, "all limited"))
    assert (got.status, got.headers["retry-after"]) == (429, "7")
    assert got.json["error"]["code"] == "upstream_rate_limited"


async def test_complaint_8_who_finds_everything_full_waits_its_fair_turn_instead_of_a_429() -> None:
    tenants = "".join(
        f'\n[[tenant]]\nname = "{name}"\nkey_hashes = ["sha256:{hashlib.sha256(name.encode()).hexdigest()}"]\n'
        for name in ("greedy", "modest")
    )
    with running() as sim:
        tables = upstream("m", sim.url, concurrent_streams=2), route("m", "m")
        with routed(*tables, tenants) as served:

            def ask(tenant: str) -> asyncio.Task[Response]:
                body = chat({"tokens": 4, "pace": 0.05}, f"{tenant} asks")
                return asyncio.create_task(fetch(served.port, "POST", CHAT, body, {"x-api-key": tenant}))

            many = [ask("greedy") for _ in range(12)]
            await asked(sim, "greedy asks", 1)
            one = await ask("modest")
            assert (one.status, one.blocks[-1].data) == (200, "[DONE]")
            assert not all(task.done() for task in many), "it did not wait for all who had come before"
            assert [got.status for got in await asyncio.gather(*many)] == [200] * 12


async def test_complaint_9_messages_and_chat_lose_no_text_and_no_arguments(
    servers: tuple[SimProcess, Served],
) -> None:
    """The whole of it is tests/matrix; this is what was reported: text beside a tool call, and arguments in pieces."""
    sim, served = servers
    cue = {"text": "Let me look.", "tool_calls": [{"name": "f", "arguments": {"q": 'ä\n"' * 30}}]}
    body = chat(cue, "text and arguments", max_tokens=99)
    got = await fetch(served.port, "POST", "/v1/messages", body)
    deltas = [block.json["delta"] for block in got.blocks if block.event == "content_block_delta"]
    assert "".join(delta.get("text", "") for delta in deltas) == "Let me look."
    arguments = "".join(delta.get("partial_json", "") for delta in deltas)
    end = await told(sim, lambda t: t.answer("text and arguments"))
    assert json.loads(arguments) == json.loads(end.tool_calls[0][0]["arguments"])


async def test_complaint_10_limits_are_charged_beforehand_and_settled_afterwards() -> None:
    more = LIMITED.format(digest=hashlib.sha256(b"key-a").hexdigest())
    with river("grace = 0.2", more) as (_, served):
        async with Client(served.port) as client:
            await client.send("POST", CHAT, chat({"tokens": 5, "pace": 0.2}, "charged", max_tokens=800), KEY)
            first = await client.read(until="content")
            assert int(first.headers["x-ratelimit-remaining-tokens"]) < 200
            assert await tokens_left(served) < 300, "while it runs, what it may yet use is not given to others"
            got = await fetch(served.port, "POST", CHAT, chat({"tokens": 1}, "too much", max_tokens=800), KEY)
            assert got.status == 429
            await client.read()
        await asyncio.sleep(0.1)
        assert await tokens_left(served) > 900, "it used five tokens, and its prompt"


async def test_complaint_10_a_stream_is_resumed_by_last_event_id(servers: tuple[SimProcess, Served]) -> None:
    sim, served = servers
    async with Client(served.port) as client:
        await client.send("POST", CHAT, chat({"tokens": 20, "pace": 0.02}, "resumed"))
        first = await client.read(until="content")
    seen = first.blocks[-1].id
    rest = await fetch(
        served.port, "GET", f"/v1/streams/{first.stream_id}?format=openai-chat", None, {"Last-Event-ID": seen}
    )
    text = "".join(block.text for block in [*first.blocks, *rest.blocks])
    assert text == (await told(sim, lambda t: t.answer("resumed"))).text[0]


async def test_complaint_10_a_slow_stream_falls_back() -> None:
    """Slow to begin: the next one is asked. Slow in the middle: the next one goes on, where the route says so."""
    pace = {"connect": 2, "first_token": 1, "silence": 1, "total": 20, "min_tokens_per_second": 5}
    with running() as sim:
        tables = (
            *(upstream(name, sim.url) for name in ("a", "b")),
            route("m", "a", "b", continuation=True, timeouts=pace),
        )
        with routed(*tables) as served:
            late = chat(at("a", text="late", first_token_delay=5), "slow to begin")
            late["messages"][0]["content"] += f" sim:{json.dumps(at('b', text='in time'))}"
            got = await fetch(served.port, "POST", CHAT, late)
            assert "".join(block.text for block in got.blocks) == "in time"
            drips = chat(at("a", text="one two three four five", pace=0.6), "slow in the middle")
            drips["messages"][0]["content"] += f" sim:{json.dumps(at('b', text=' - and the rest'))}"
            got = await fetch(served.port, "POST", CHAT, drips)
            text = "".join(block.text for block in got.blocks)
            assert text.startswith("one ")
            assert text.endswith(" - and the rest")
            assert got.blocks[-1].data == "[DONE]"
            assert "continued b" in await marks(served, got)
