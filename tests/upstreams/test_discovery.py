"""What `penstock demo` finds on its own, asked of a real server: the simulated model."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from penstock.sim.process import running
from penstock.upstreams.discovery import discover
from tests.support.client import fetch
from tests.support.serving import free_port, penstock

NOBODY = f"http://127.0.0.1:{free_port()}/v1"


def test_nothing_there_is_nothing_found() -> None:
    assert discover({}, NOBODY) == ((), ())


def test_a_key_and_a_local_server_are_found() -> None:
    with running() as sim:
        found = discover({"OPENAI_API_KEY": "sk-x", "OPENAI_BASE_URL": f"{sim.url}/v1/"}, f"{sim.url}/v1")
    assert [(place.name, place.api_keys) for place in found.places] == [("openai", ("sk-x",)), ("ollama", ())]
    assert found.places[0].models
    assert not found.places[1].models, "a name that is taken is not served twice"


def test_what_can_not_be_used_is_said() -> None:
    keys = {"OPENAI_API_KEY": "sk-x", "ANTHROPIC_API_KEY": "sk-x", "GEMINI_API_KEY": "sk-x"}
    places = dict.fromkeys(("OPENAI_BASE_URL", "ANTHROPIC_BASE_URL", "GOOGLE_GEMINI_BASE_URL"), NOBODY)
    found = discover(keys | places, NOBODY)
    assert not found.places
    assert [note.split(" ")[0] for note in found.notes] == list(keys)
    assert "sk-x" not in repr(found.notes)


def test_every_provider_is_asked_in_its_own_way() -> None:
    with running() as sim:
        env = {"ANTHROPIC_API_KEY": "sk-a", "ANTHROPIC_BASE_URL": sim.url, "GEMINI_API_KEY": "g"}
        found = discover(env | {"GOOGLE_GEMINI_BASE_URL": sim.url}, NOBODY)
    assert [(place.name, place.dialect, place.base_url) for place in found.places] == [
        ("anthropic", "anthropic", f"{sim.url}/v1"),
        ("gemini", "gemini", f"{sim.url}/v1beta"),
    ]


def test_geminis_list_of_models() -> None:
    told = b"""{"models": [
        {"name": "models/gemini-9", "supportedGenerationMethods": ["generateContent", "countTokens"]},
        {"name": "models/embedding-9", "supportedGenerationMethods": ["embedContent"]}]}"""

    class Google(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.headers["x-goog-api-key"] == "g"
            assert self.path == "/v1beta/models"
            self.send_response(200)
            self.end_headers()
            self.wfile.write(told)

        def log_message(self, *_: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Google)
    threading.Thread(target=server.handle_request, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_port}"
    found = discover({"GEMINI_API_KEY": "g", "GOOGLE_GEMINI_BASE_URL": base}, NOBODY)
    server.server_close()
    assert found.places[0].models == ("gemini-9",)


@pytest.mark.anyio
async def test_the_demo_serves_what_was_found() -> None:
    with running() as sim:
        env = {"OPENAI_API_KEY": "sk-x", "OPENAI_BASE_URL": f"{sim.url}/v1"}
        with penstock("demo", "--port", "0", env=env) as served:
            models = [model["id"] for model in (await fetch(served.port, "GET", "/v1/models")).json["data"]]
            assert models[0] == "demo"
            assert len(models) > 1
            body = {"model": models[1], "messages": [{"role": "user", "content": 'sim:{"text": "a real one"}'}]}
            got = await fetch(served.port, "POST", "/v1/streams", body)
            assert "".join(block.text for block in got.blocks) == "a real one"
