"""The control plane."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.client import Client, fetch
from tests.support.serving import penstock

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with penstock("demo", "--port", "0") as served:
        yield served.port


async def test_models_health_and_readiness(port: int) -> None:
    models = (await fetch(port, "GET", "/v1/models")).json
    assert models == {
        "object": "list",
        "data": [{"id": "demo", "object": "model", "created": 0, "owned_by": "penstock"}],
    }
    assert (await fetch(port, "GET", "/v1/models/demo")).json == models["data"][0]
    assert (await fetch(port, "GET", "/healthz")).json["status"] == "ok"
    assert (await fetch(port, "GET", "/readyz")).json == {"status": "ready", "live_streams": 0, "queued_streams": 0}


async def test_a_model_that_is_not_there(port: int) -> None:
    for name in ("demo2", "meta%2Fllama", "meta/llama", "demo/"):
        got = await fetch(port, "GET", f"/v1/models/{name}")
        assert (got.status, got.json["error"]["code"]) == (404, "model_not_found"), name
        assert got.json["error"]["type"] == "invalid_request_error", "as OpenAI's clients read it"


async def test_health_may_be_asked_for_by_its_head_alone(port: int) -> None:
    for path in ("/healthz", "/readyz"):
        async with Client(port) as client:
            await client.send("HEAD", path)
            await client.send("GET", path)
            both = await client.read(until="status")
        assert client.raw.count(b"HTTP/1.1 200 OK") == 2, "no body stands between them"
        assert client.raw.count(b'"status"') == 1
        assert both.headers["content-type"] == "application/json"


async def test_a_wrong_method_is_told_the_right_ones(port: int) -> None:
    for method, path, allowed in (("POST", "/healthz", "GET, HEAD"), ("DELETE", "/v1/models/demo", "GET")):
        got = await fetch(port, method, path)
        assert (got.status, got.headers["allow"]) == (405, allowed)


async def test_the_description_names_every_address(port: int) -> None:
    paths = (await fetch(port, "GET", "/openapi.json")).json["paths"]
    assert {path: sorted(methods) for path, methods in paths.items()} == {
        "/v1/chat/completions": ["post"],
        "/v1/responses": ["post"],
        "/v1/messages": ["post"],
        "/api/chat": ["post"],
        "/api/chat/{chat_id}/stop": ["post"],
        "/api/chat/{chat_id}/stream": ["get"],
        "/v1/doctor": ["get"],
        "/v1/streams": ["post"],
        "/v1/streams/{stream_id}/trace": ["get"],
        "/v1/streams/{stream_id}": ["get"],
        "/v1/streams/{stream_id}/cancel": ["post"],
        "/v1/conversations/{conversation_id}/answers": ["post"],
        "/v1/conversations/events": ["get"],
        "/v1/conversations": ["get"],
        "/v1/conversations/{id}": ["delete", "get", "patch"],
        "/v1/conversations/{id}/answers/{answer}/cancel": ["post"],
        "/v1/conversations/{id}/export": ["get"],
        "/v1/models": ["get"],
        "/v1/models/{name}": ["get"],
        "/healthz": ["get"],
        "/readyz": ["get"],
    }
