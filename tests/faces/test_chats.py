"""An answer by its chat, over real sockets: on our own server and on two that know nothing of us."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest

import penstock
from penstock.sim.process import SimProcess, running
from penstock.sim.truth import Answered
from tests.support.client import Client, Response, fetch, told
from tests.support.serving import PATIENCE, SERVERS, hosted

pytestmark = pytest.mark.anyio
SLOW = {"tokens": 400, "pace": 0.02}
"""An answer that goes on for 8 s: longer than any of these tests looks at it."""


class Place(NamedTuple):
    sim: SimProcess
    port: int


@pytest.fixture(scope="module", params=SERVERS)
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    with running() as sim, hosted(request.param, sim) as url:
        yield Place(sim, int(url.rpartition(":")[2]))


def ask(cue: dict[str, Any], prompt: str = "", **fields: Any) -> dict[str, Any]:
    """What the AI SDK posts."""
    message = {"id": "q1", "role": "user", "parts": [{"type": "text", "text": f"{prompt} sim:{json.dumps(cue)}"}]}
    return {"model": "m", "messages": [message], "trigger": "submit-message", **fields}


def stream_of(chat: str) -> str:
    """Where a chat's answer is, as the AI SDK writes it."""
    return f"/api/chat/{quote(chat, safe='')}/stream"


def stop_of(chat: str) -> str:
    return f"/api/chat/{quote(chat, safe='')}/stop"


async def begun(client: Client, body: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    """Ask, and wait for the first word."""
    await client.send("POST", "/api/chat", body, headers)
    return await client.read(until="text-delta")


async def ended(sim: SimProcess, prompt: str) -> str:
    """How the upstream's answer ended, by its own account."""

    def found(rows: list[Answered]) -> str | None:
        return rows[0].end.ended if rows and rows[0].end is not None else None

    return str(await told(sim, lambda truth: found(truth.answers(prompt))))


# -- resume ----------------------------------------------------------------------------------------------------------


async def test_who_comes_back_gets_all_of_it_again_and_then_the_rest(place: Place) -> None:
    async with Client(place.port) as first:
        before = await begun(first, ask({"reasoning": "hm", "tokens": 40, "pace": 0.01}, "whole", id="c-whole"))
        again = await fetch(place.port, "GET", stream_of("c-whole"))
        whole = await first.read()
    assert (again.status, again.whole) == (200, True)
    assert again.headers["x-vercel-ai-ui-message-stream"] == "v1"
    assert again.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert again.stream_id == before.stream_id
    assert again.body == whole.body, "the same message, under the same ids"
    assert again.blocks[0].json["type"] == "start"
    assert again.blocks[0].json["messageId"] == f"msg_{again.stream_id}"
    assert again.blocks[-1].data == "[DONE]"


async def test_an_answer_is_found_before_its_first_word(place: Place) -> None:
    async with Client(place.port) as first:
        await first.send("POST", "/api/chat", ask({"text": "late", "first_token_delay": 1}, "early", id="c-early"))
        await told(place.sim, lambda truth: truth.answers("early"))
        again = await fetch(place.port, "GET", stream_of("c-early"))
    assert again.status == 200
    assert [block.json["delta"] for block in again.blocks if "text-delta" in block.data] == ["late"]


async def test_an_answer_that_never_begins_is_an_error_to_who_came_back(place: Place) -> None:
    async with Client(place.port) as first:
        cue = {"status": 429, "header_delay": 1, "error_body": {"error": {"message": "too many"}}}
        await first.send("POST", "/api/chat", ask(cue, "refused", id="c-refused"))
        await told(place.sim, lambda truth: truth.answers("refused"))
        again = await fetch(place.port, "GET", stream_of("c-refused"))
        refused = await first.read()
    assert (refused.status, refused.json["error"]["code"]) == (429, "upstream_rate_limited")
    assert again.blocks[-2].json == {"type": "error", "errorText": "too many"}
    assert again.blocks[-1].data == "[DONE]"
    assert (await fetch(place.port, "GET", stream_of("c-refused"))).status == 204


async def test_nothing_is_active_before_and_after_an_answer(place: Place) -> None:
    assert (await fetch(place.port, "GET", stream_of("c-over"))).status == 204
    got = await fetch(place.port, "POST", "/api/chat", ask({"text": "one"}, id="c-over"))
    assert got.blocks[-1].data == "[DONE]"
    for method, path in (("GET", stream_of("c-over")), ("POST", stop_of("c-over"))):
        after = await fetch(place.port, method, path)
        assert (after.status, after.body) == (204, b"")
    assert (await fetch(place.port, "GET", f"/v1/streams/{got.stream_id}?format=ui-messages")).body == got.body


async def test_the_answer_that_began_last_is_the_chats(place: Place) -> None:
    async with Client(place.port) as one, Client(place.port) as two:
        first = await begun(one, ask(SLOW, "first", id="c-two"))
        second = await begun(two, ask(SLOW, "second", id="c-two"))
        assert first.stream_id != second.stream_id
        stopped = await fetch(place.port, "POST", stop_of("c-two"))
        assert stopped.json == {"stream": second.stream_id, "outcome": "cancelled"}
        assert (await fetch(place.port, "GET", stream_of("c-two"))).status == 204, "an older one is no answer to it"
        assert not (await one.read(until="text-delta")).whole


async def test_after_a_tools_output_the_answer_goes_on_with_its_message(place: Place) -> None:
    body = ask({"tokens": 20, "pace": 0.02}, id="c-tool")
    call = {"type": "tool-weather", "toolCallId": "c1", "state": "output-available", "input": {}, "output": "rain"}
    body["messages"].append({"id": "a1", "role": "assistant", "parts": [{"type": "step-start"}, call]})
    async with Client(place.port) as first:
        before = await begun(first, body)
        again = await fetch(place.port, "GET", stream_of("c-tool"))
    stream = await fetch(place.port, "GET", f"/v1/streams/{before.stream_id}?format=ui-messages")
    assert [got.blocks[0].json["messageId"] for got in (before, again, stream)] == ["a1"] * 3


# -- stop ------------------------------------------------------------------------------------------------------------


async def test_stop_closes_the_upstream_and_tells_every_reader(place: Place) -> None:
    async with Client(place.port) as client:
        first = await begun(client, ask(SLOW, "stopped", id="c-stop"))
        stopped = await fetch(place.port, "POST", stop_of("c-stop"))
        assert stopped.json == {"stream": first.stream_id, "outcome": "cancelled"}
        whole = await client.read()
    assert [block.data for block in whole.blocks[-2:]] == ['{"type":"abort"}', "[DONE]"]
    assert await ended(place.sim, "stopped") == "closed_by_peer"
    assert (await fetch(place.port, "POST", stop_of("c-stop"))).status == 204, "again changes nothing"
    assert (await fetch(place.port, "GET", stream_of("c-stop"))).status == 204


async def test_stop_keeps_what_was_seen(place: Place) -> None:
    async with Client(place.port) as client:
        await client.send("POST", "/api/chat", ask(SLOW, "seen", id="c-seen"))
        first = await client.read(until=":6\n")
        assert (await fetch(place.port, "POST", stop_of("c-seen"), {"seen": 4})).json["outcome"] == "cancelled"
    later = await fetch(place.port, "GET", f"/v1/streams/{first.stream_id}")
    assert later.blocks[-1].json == {"outcome": "cancelled", "kept": 4}


# -- whose, and which ------------------------------------------------------------------------------------------------

ODD = ["a/b", "../x", ".", "a b", "?x=1", "%2F", "ü☃\u2028", "line\nbreak", "stream", "x/stop", "a" * 255, "\x00"]


@pytest.mark.parametrize("chat", ODD, ids=ascii)
async def test_an_id_may_hold_anything(place: Place, chat: str) -> None:
    async with Client(place.port) as client:
        first = await begun(client, ask(SLOW, "odd", id=chat))
        async with Client(place.port) as other:
            await other.send("GET", stream_of(chat))
            assert (await other.read(until="text-delta")).stream_id == first.stream_id
        assert (await fetch(place.port, "POST", stop_of(chat))).json["stream"] == first.stream_id


async def test_without_an_id_there_is_no_chat(place: Place) -> None:
    for fields in ({}, {"id": None}):
        async with Client(place.port) as client:
            first = await begun(client, ask(SLOW, "no id", **fields))
            assert (await fetch(place.port, "GET", stream_of("None"))).status == 204
            await fetch(place.port, "POST", f"/v1/streams/{first.stream_id}/cancel")


async def test_a_known_key_gives_the_same_answer_and_makes_no_older_one_the_latest(place: Place) -> None:
    body, key = ask(SLOW, "keyed", id="c-key"), {"Idempotency-Key": f"chats-{place.port}"}
    async with Client(place.port) as one, Client(place.port) as two, Client(place.port) as three:
        first = await begun(one, body, key)
        assert (await begun(two, body, key)).stream_id == first.stream_id
        second = await begun(three, ask(SLOW, "not keyed", id="c-key"))
        async with Client(place.port) as four:
            assert (await begun(four, body, key)).stream_id == first.stream_id
        assert (await fetch(place.port, "POST", stop_of("c-key"))).json["stream"] == second.stream_id
        await fetch(place.port, "POST", f"/v1/streams/{first.stream_id}/cancel")
    conflict = await fetch(place.port, "POST", "/api/chat", ask(SLOW, "other", id="c-key"), key)
    assert (conflict.status, conflict.json["error"]["code"]) == (409, "idempotency_conflict")


async def test_the_chats_of_others_are_unknown() -> None:
    digest = {name: hashlib.sha256(f"key-{name}".encode()).hexdigest() for name in ("a", "b")}
    tenants = "".join(f'[[tenant]]\nname = "{name}"\nkey_hashes = ["sha256:{digest[name]}"]\n' for name in digest)
    mine, yours = {"x-api-key": "key-a"}, {"x-api-key": "key-b"}
    with running() as sim, hosted("penstock", sim, more=tenants) as url:
        port = int(url.rpartition(":")[2])
        async with Client(port) as client:
            first = await begun(client, ask(SLOW, id="c"), mine)
            assert (await fetch(port, "GET", stream_of("c"), headers=yours)).status == 204
            assert (await fetch(port, "POST", stop_of("c"), headers=yours)).status == 204
            async with Client(port) as other:
                own = await begun(other, ask(SLOW, id="c"), yours)
                assert (await fetch(port, "POST", stop_of("c"), headers=yours)).json["stream"] == own.stream_id
            assert (await fetch(port, "POST", stop_of("c"), headers=mine)).json["stream"] == first.stream_id


# -- what is wrong ---------------------------------------------------------------------------------------------------


async def test_what_is_wrong_is_told_in_the_dialect_of_the_address(place: Place) -> None:
    for method, path, body, status, code, param in (
        ("POST", "/api/chat", ask({}, id=7), 400, "invalid_request", "id"),
        ("POST", "/api/chat", ask({}, id=["c"]), 400, "invalid_request", "id"),
        ("POST", "/api/chat", ask({}, id=""), 400, "invalid_request", "id"),
        ("POST", "/api/chat", ask({}, id="a" * 256), 400, "invalid_request", "id"),
        ("GET", stream_of("a" * 256), None, 400, "invalid_request", "id"),
        ("POST", stop_of("a" * 256), None, 400, "invalid_request", "id"),
        ("GET", "/api/chat//stream", None, 400, "invalid_request", "id"),
        ("POST", stream_of("c"), None, 405, "method_not_allowed", None),
        ("DELETE", stream_of("c"), None, 405, "method_not_allowed", None),
        ("GET", stop_of("c"), None, 405, "method_not_allowed", None),
        ("POST", stop_of("c"), b"{nope", 400, "invalid_json", None),
        ("POST", stop_of("c"), [], 400, "invalid_request", None),
        ("POST", stop_of("c"), {"seen": -1}, 400, "invalid_request", "seen"),
        ("POST", stop_of("c"), {"seen": "all"}, 400, "invalid_request", "seen"),
        ("POST", stop_of("c"), {"sen": 1}, 400, "invalid_request", None),
        ("POST", stop_of("c"), b" " * 5000, 413, "body_too_large", None),
        ("GET", "/api/chat/c/nope", None, 404, "not_found", None),
        ("GET", "/api/chat/c", None, 404, "not_found", None),
        ("GET", "/api/chat/stream", None, 404, "not_found", None),
    ):  # fmt: skip
        got = await fetch(place.port, method, path, body)
        error = got.json["error"]
        assert (got.status, error["code"], error.get("param")) == (status, code, param), (method, path, body)
        assert set(error) - {"param"} == {"code", "message", "retryable"}
        if status == 405:
            assert got.headers["allow"] == ("GET" if path.endswith("stream") else "POST")


async def test_pages_of_other_sites_learn_and_stop_nothing(place: Place) -> None:
    for method, path in (("GET", stream_of("c")), ("POST", stop_of("c"))):
        got = await fetch(place.port, method, path, headers={"Origin": "https://evil.example"})
        assert (got.status, got.json["error"]["code"]) == (403, "origin_not_allowed")


# -- memory ----------------------------------------------------------------------------------------------------------


async def test_nothing_is_kept_of_a_chat_whose_answer_has_ended() -> None:
    """The application itself, called as a server calls it: to see what it holds."""

    async def words(_request: object) -> Any:
        for _ in range(3):
            await asyncio.sleep(0)
            yield "word "

    app = penstock.asgi(
        {
            "upstream": [{"name": "own", "dialect": "python", "function": words}],
            "route": [{"model": "m", "targets": [{"upstream": "own", "model": "m"}]}],
        }
    )
    kept = app._root._chats
    for number in range(200):
        await called(app, ask({}, id=f"chat-{number}"))
    assert (len(kept._latest), len(kept._live)) == (0, 0)
    assert len(app.journal) == 200, "the streams themselves are kept as long as all others"
    await app.close()


async def called(app: Any, body: dict[str, Any]) -> None:
    waiting = [{"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}]
    over = asyncio.Event()

    async def receive() -> Any:
        if not waiting:
            await over.wait()
        return waiting.pop() if waiting else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body" and not message.get("more_body"):
            over.set()

    scope = {"type": "http", "method": "POST", "path": "/api/chat", "headers": [(b"host", b"127.0.0.1")]}
    async with asyncio.timeout(PATIENCE):
        await app(scope, receive, send)
