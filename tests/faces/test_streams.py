"""The stream faces, over real sockets; every test runs on our own server and on two plain ASGI servers."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from penstock.sim.process import SimProcess, running
from tests.support.client import Client, chat, fetch, native, told
from tests.support.serving import SERVERS, hosted

pytestmark = pytest.mark.anyio
CHAT = "/v1/chat/completions"


class Place(NamedTuple):
    sim: SimProcess
    port: int


@pytest.fixture(scope="module", params=SERVERS)
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    with running() as sim, hosted(request.param, sim, "grace = 0.3") as url:
        yield Place(sim, int(url.rpartition(":")[2]))


# -- the answer ------------------------------------------------------------------------------------------------------


async def test_a_chat_stream_is_the_upstreams_bytes_with_ids(place: Place) -> None:
    got = await fetch(place.port, "POST", CHAT, chat({"text": "one two three"}, "bytes"))
    assert (got.status, got.whole) == (200, True)
    assert got.headers["content-type"] == "text/event-stream; charset=utf-8"
    epoch = got.blocks[0].id.split(":")[0]
    assert [block.id for block in got.blocks] == [f"{epoch}:{offset}" for offset in range(1, 7)]
    assert "".join(block.text for block in got.blocks) == "one two three"
    assert all(block.json["system_fingerprint"] == "fp_sim" for block in got.blocks[:-1]), "untouched"
    assert got.blocks[-1].data == "[DONE]"


async def test_a_native_stream_tells_typed_events(place: Place) -> None:
    cue = {
        "reasoning": "hm",
        "text": "one two",
        "usage": {"prompt_tokens": 3, "completion_tokens": 0, "total_tokens": 3},
    }
    got = await fetch(place.port, "POST", "/v1/streams", native(cue))
    told = [(block.id.split(":")[1], block.event, block.json) for block in got.blocks]
    assert told == [
        ("1", "start", {"stream": got.stream_id, "model": "m"}),
        ("2", "reasoning", {"text": "hm"}),
        ("3", "token", {"text": "one"}),
        ("4", "token", {"text": " two"}),
        ("5", "finish", {"reason": "completed"}),
        (
            "6.1",
            "usage",
            {"input_tokens": 3, "output_tokens": 0, "cached_tokens": None, "reasoning_tokens": None, "source": "final"},
        ),
        ("6.2", "done", {"outcome": "completed"}),
    ]


async def test_usage_is_shown_only_to_clients_that_asked(place: Place) -> None:
    quiet = await fetch(place.port, "POST", CHAT, chat({"text": "a b"}, "quiet"))
    asked = await fetch(
        place.port, "POST", CHAT, chat({"text": "a b"}, "asked", stream_options={"include_usage": True})
    )
    assert '"prompt_tokens"' not in quiet.body.decode()
    assert [block.id.split(":")[1] for block in asked.blocks[-2:]] == ["5.1", "5.2"]
    assert asked.blocks[-2].json["usage"] == (await told(place.sim, lambda truth: truth.answer("asked"))).usage
    assert asked.blocks[-2].json["choices"] == []


async def test_an_answer_that_was_not_streamed_is_assembled_from_the_same_stream(place: Place) -> None:
    got = await fetch(place.port, "POST", CHAT, chat({"text": "one two"}, "whole", stream=False))
    assert got.headers["content-type"] == "application/json"
    assert got.json["choices"][0]["message"] == {"role": "assistant", "content": "one two", "refusal": None}
    assert got.json["choices"][0]["finish_reason"] == "stop"
    truth = await told(place.sim, lambda truth: truth.answer("whole"))
    assert {name: got.json["usage"][name] for name in ("prompt_tokens", "completion_tokens")} == {
        name: truth.usage[name] for name in ("prompt_tokens", "completion_tokens")
    }
    again = await fetch(place.port, "GET", f"/v1/streams/{got.stream_id}")
    assert "".join(block.text for block in again.blocks) == "one two"


# -- attach and resume -------------------------------------------------------------------------------------------------


async def test_every_block_is_a_resume_point_in_every_dialect(place: Place) -> None:
    first = await fetch(place.port, "POST", CHAT, chat({"text": "one two three", "reasoning": "hm"}))
    for format in ("native", "openai-chat&include_usage=1", "openai-chat"):
        path = f"/v1/streams/{first.stream_id}?format={format}"
        whole = (await fetch(place.port, "GET", path)).blocks
        for seen, block in enumerate(whole, 1):
            rest = await fetch(place.port, "GET", path, headers={"Last-Event-ID": block.id})
            assert rest.blocks == whole[seen:], (format, block.id)
            assert rest.status == (200 if whole[seen:] else 204)
            assert (await fetch(place.port, "GET", f"{path}&after={block.id}")).body == rest.body


async def test_a_late_reader_gets_what_was_and_then_what_comes(place: Place) -> None:
    async with Client(place.port) as first:
        await first.send("POST", CHAT, chat({"tokens": 30, "pace": 0.02}, "late"))
        head = await first.read(until="id: ")
        late = await fetch(place.port, "GET", f"/v1/streams/{head.stream_id}?format=openai-chat")
        whole = await first.read()
    assert late.body == whole.body
    assert whole.blocks[-1].data == "[DONE]"


async def test_the_same_key_and_body_attach_to_the_same_stream(place: Place) -> None:
    body, key = chat({"tokens": 5, "pace": 0.02}, "once-only"), {"Idempotency-Key": "k-1"}
    both = await asyncio.gather(*(fetch(place.port, "POST", CHAT, body, key) for _ in range(2)))
    again = await fetch(place.port, "POST", CHAT, body, key)
    other = await fetch(place.port, "POST", CHAT, chat({"tokens": 6}, "once-only"), key)
    assert both[0].body == both[1].body == again.body
    assert both[0].stream_id == both[1].stream_id == again.stream_id
    assert (other.status, other.json["error"]["code"]) == (409, "idempotency_conflict")
    assert len(await told(place.sim, lambda truth: truth.answers("once-only"))) == 1


async def test_an_answer_in_one_piece_that_broke_off_can_be_asked_for_again_with_its_key(place: Place) -> None:
    body = chat({"text": "one two", "cut_after": 1, "cut": "reset", "times": 1}, "again-and-whole", stream=False)
    body["messages"][0]["content"] += f" sim:{json.dumps({'text': 'one two'})}"
    first, second, third = [await fetch(place.port, "POST", CHAT, body, {"Idempotency-Key": "k-2"}) for _ in range(3)]
    assert (first.status, first.json["error"]["code"]) == (502, "upstream_truncated")
    assert second.json["choices"][0]["message"]["content"] == "one two"
    assert third.stream_id == second.stream_id != first.stream_id


async def test_a_buffered_answer_goes_on_as_it_was_asked_for(place: Place) -> None:
    calls = {
        "text": "look:",
        "tool_calls": [{"name": "see", "arguments": {"a": 1}}, {"name": "hear", "arguments": {"b": 2}}],
    }
    for wish in ("buffer", "tools"):
        first = await fetch(place.port, "POST", "/v1/streams", native(calls), {"Penstock-Delivery": wish})
        for seen, block in enumerate(first.blocks, 1):
            resumed = {"Last-Event-ID": block.id}
            rest = await fetch(place.port, "GET", f"/v1/streams/{first.stream_id}", headers=resumed)
            assert rest.blocks == first.blocks[seen:], (wish, block.id)
            assert rest.status == (200 if rest.blocks else 204)
            if seen < len(first.blocks):
                # In pieces, and in chat: perhaps a word twice, and never one lost.
                other = await fetch(
                    place.port,
                    "GET",
                    f"/v1/streams/{first.stream_id}?delivery=stream&format=openai-chat",
                    headers=resumed,
                )
                told = [block.data for block in first.blocks[:seen]] + [block.data for block in other.blocks]
                for word in ("look:", "see", "hear"):
                    assert any(word in data for data in told), (wish, block.id, word)


async def test_who_comes_too_late_for_the_beginning_is_told_so(place: Place) -> None:
    """More than the 4 MiB that are kept: who waited for the whole has it, who comes later does not get a part as the whole."""
    body, key = native({"tokens": 600, "stamp": True, "pad": 16_000}, stream=False), {"Idempotency-Key": "large"}
    whole = await fetch(place.port, "POST", "/v1/streams", body, key)
    assert whole.status == 200
    for again in (
        await fetch(place.port, "POST", "/v1/streams", body, key),
        await fetch(place.port, "GET", f"/v1/streams/{whole.stream_id}"),
    ):
        assert (again.status, again.json["error"]["code"]) == (410, "resume_expired")


# -- cancel and abandon ------------------------------------------------------------------------------------------------


async def test_cancel_keeps_the_text_that_was_seen(place: Place) -> None:
    async with Client(place.port) as client:
        await client.send("POST", "/v1/streams", native({"endless": True, "pace": 0.01}, "stop-me"))
        await client.read(until=":7\n")
        stream = (await client.read(until=":9\n")).stream_id
        cancelled = await fetch(place.port, "POST", f"/v1/streams/{stream}/cancel", {"seen": 5})
        first = await client.read()
    assert cancelled.json == {"stream": stream, "outcome": "cancelled"}
    assert first.blocks[-1].json == {"outcome": "cancelled", "kept": 5}
    late = await fetch(place.port, "GET", f"/v1/streams/{stream}")
    assert [block.id for block in late.blocks[:5]] == [block.id for block in first.blocks[:5]]
    assert [block.event for block in late.blocks[5:]] == ["usage", "done"]
    assert late.blocks[-1] == first.blocks[-1]
    again = await fetch(place.port, "POST", f"/v1/streams/{stream}/cancel", {"seen": 2})
    assert again.json == cancelled.json, "cancelling again changes nothing"
    assert (await fetch(place.port, "GET", f"/v1/streams/{stream}")).body == late.body
    (await told(place.sim, lambda truth: truth.answer("stop-me").ended == "closed_by_peer"))


async def test_an_abandoned_answer_is_cancelled_after_the_grace_time(place: Place) -> None:
    async with Client(place.port) as client:
        await client.send("POST", "/v1/streams", native({"endless": True, "pace": 0.01}, "left-alone"))
        stream = (await client.read(until=":3\n")).stream_id
    end = await told(place.sim, lambda truth: truth.answer("left-alone"))
    assert end.ended == "closed_by_peer"
    late = await fetch(place.port, "GET", f"/v1/streams/{stream}")
    assert late.blocks[-1].json["outcome"] == "abandoned"


async def test_a_reader_in_time_keeps_an_answer_alive(place: Place) -> None:
    async with Client(place.port) as client:
        await client.send("POST", "/v1/streams", native({"tokens": 100, "pace": 0.01}, "picked-up"))
        seen = await client.read(until=":3\n")
    rest = await fetch(
        place.port, "GET", f"/v1/streams/{seen.stream_id}", headers={"Last-Event-ID": seen.blocks[-1].id}
    )
    assert rest.blocks[-1].json == {"outcome": "completed"}
    truth = await told(place.sim, lambda truth: truth.answer("picked-up"))
    assert "".join(block.text for block in [*seen.blocks, *rest.blocks]) == truth.text[0]


async def test_a_client_that_leaves_before_the_first_token_has_left(place: Place) -> None:
    async with Client(place.port) as client:
        await client.send("POST", CHAT, chat({"hang": "headers"}, "never-began"))
        (await told(place.sim, lambda truth: truth.answers("never-began")))
    assert (await told(place.sim, lambda truth: truth.answer("never-began"))).ended == "stalled"


async def test_a_client_that_waits_for_the_whole_answer_and_leaves_has_left(place: Place) -> None:
    async with Client(place.port) as client:
        await client.send("POST", CHAT, chat({"endless": True, "pace": 0.01}, "whole-left", stream=False))
        (await told(place.sim, lambda truth: truth.answers("whole-left")))
    assert (await told(place.sim, lambda truth: truth.answer("whole-left"))).ended == "closed_by_peer"


# -- the same bytes everywhere -------------------------------------------------------------------------------------------


async def test_the_bytes_are_those_of_the_direct_write(place: Place) -> None:
    """What every server puts on the wire, compared with one text: so they are the same among themselves."""
    got = await fetch(
        place.port,
        "POST",
        "/v1/streams",
        native({"text": "one two", "usage": {"prompt_tokens": 2, "completion_tokens": 2}}),
    )
    body = re.sub(rb"[0-9a-f]{24}", b"STREAM", re.sub(rb"id: [0-9a-f]{6}:", b"id: EPOCH:", got.body))
    assert body.decode() == (
        'id: EPOCH:1\nevent: start\ndata: {"stream":"STREAM","model":"m"}\n\n'
        'id: EPOCH:2\nevent: token\ndata: {"text":"one"}\n\n'
        'id: EPOCH:3\nevent: token\ndata: {"text":" two"}\n\n'
        'id: EPOCH:4\nevent: finish\ndata: {"reason":"completed"}\n\n'
        'id: EPOCH:5.1\nevent: usage\ndata: {"input_tokens":2,"output_tokens":2,"cached_tokens":null,"reasoning_tokens":null,'
        '"source":"final"}\n\n'
        'id: EPOCH:5.2\nevent: done\ndata: {"outcome":"completed"}\n\n'
    )
    named = {
        name: got.headers[name] for name in ("content-type", "cache-control", "x-accel-buffering", "transfer-encoding")
    }
    assert named == {
        "content-type": "text/event-stream; charset=utf-8",
        "cache-control": "no-cache, no-transform",
        "x-accel-buffering": "no",
        "transfer-encoding": "chunked",
    }
