"""The root: dispatch, CORS, and what all answers share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import penstock
from penstock.sim.process import running
from tests.support.client import chat, fetch
from tests.support.serving import serving

pytestmark = pytest.mark.anyio
ALLOWED = {"Origin": "https://app.example.com"}


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with running() as sim, serving(sim, more='[server]\nallowed_origins = ["https://app.example.com"]') as served:
        yield served.port


async def test_an_allowed_page_may_ask_and_read(port: int) -> None:
    asked = await fetch(port, "OPTIONS", "/v1/streams", headers=ALLOWED | {"Access-Control-Request-Method": "POST"})
    assert (asked.status, asked.headers["access-control-allow-origin"]) == (204, "https://app.example.com")
    assert "idempotency-key" in asked.headers["access-control-allow-headers"]
    assert "last-event-id" in asked.headers["access-control-allow-headers"]
    assert "penstock-delivery" in asked.headers["access-control-allow-headers"]
    for method, path, body in (
        ("POST", "/v1/streams", chat({"text": "x"})),
        ("GET", "/v1/models", None),
        ("GET", "/v1/nope", None),
    ):
        got = await fetch(port, method, path, body, ALLOWED)
        assert got.headers["access-control-allow-origin"] == "https://app.example.com", path
        assert "penstock-stream-id" in got.headers["access-control-expose-headers"]
        assert "anthropic-ratelimit-tokens-remaining" in got.headers["access-control-expose-headers"]


async def test_a_foreign_page_may_not(port: int) -> None:
    for method, path in (("OPTIONS", "/v1/streams"), ("POST", "/v1/streams"), ("GET", "/v1/models")):
        got = await fetch(port, method, path, chat({}), {"Origin": "https://evil.example"})
        assert (got.status, got.json["error"]["code"]) == (403, "origin_not_allowed")
        assert "access-control-allow-origin" not in got.headers


async def test_refusals_are_told_in_the_dialect_of_the_address(port: int) -> None:
    for method, path, shape in (
        ("GET", "/v1/nope", {"error": {"message", "type", "param", "code"}}),
        ("POST", "/v1/responses/compact", {"error": {"message", "type", "param", "code"}}),
        ("POST", "/v1/messages/count_tokens", {"type": str, "error": {"type", "message", "code"}}),
        ("POST", "/v1/messages/batches", {"type": str, "error": {"type", "message", "code"}}),
        ("GET", "/v1/streams/x/nope", {"error": {"code", "message", "retryable"}}),
        ("POST", "/api/nope", {"error": {"code", "message", "retryable"}}),
    ):
        got = await fetch(port, method, path)
        assert got.status == 404, path
        assert got.json["error"]["code"] == "not_found", path
        assert got.json.keys() == shape.keys(), path
        assert got.json["error"].keys() == shape["error"], path


async def test_a_wrong_position_is_named_where_it_stood(port: int) -> None:
    made = await fetch(port, "POST", "/v1/streams", chat({"text": "x"}))
    path = f"/v1/streams/{made.stream_id}"
    asked = await fetch(port, "GET", f"{path}?after=nonsense")
    assert (asked.json["error"]["code"], asked.json["error"]["param"]) == ("invalid_position", "after")
    header = await fetch(port, "GET", f"{path}?after=ignored", headers={"Last-Event-ID": "nonsense"})
    assert header.json["error"]["param"] == "Last-Event-ID"


async def test_every_answer_of_a_stream_names_it(port: int) -> None:
    got = await fetch(port, "POST", "/v1/chat/completions", chat({"text": "x"}, stream=False))
    attached = await fetch(port, "GET", f"/v1/streams/{got.stream_id}")
    ended = await fetch(port, "GET", f"/v1/streams/{got.stream_id}", headers={"Last-Event-ID": attached.blocks[-1].id})
    cancelled = await fetch(port, "POST", f"/v1/streams/{got.stream_id}/cancel")
    assert [answer.status for answer in (got, attached, ended, cancelled)] == [200, 200, 204, 200]
    assert len({answer.stream_id for answer in (got, attached, ended, cancelled)}) == 1


async def test_lifespan_and_websockets_are_answered() -> None:
    app = penstock.asgi(
        {"upstream": [{"name": "d", "dialect": "demo"}], "route": [{"model": "d", "targets": [{"upstream": "d"}]}]}
    )
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    incoming = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}, {"type": "websocket.connect"}]

    async def receive() -> Any:
        return incoming.pop(0)

    await app({"type": "lifespan"}, receive, send)
    await app({"type": "websocket", "path": "/v1/ws"}, receive, send)
    assert [message["type"] for message in sent] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
        "websocket.close",
    ]
    await app.close()
