"""What `penstock demo` finds on its own, asked of a real server: the simulated model."""

from __future__ import annotations

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
    found = discover({"OPENAI_API_KEY": "sk-x", "OPENAI_BASE_URL": NOBODY, "ANTHROPIC_API_KEY": "a"}, NOBODY)
    assert not found.places
    assert len(found.notes) == 2
    assert "sk-x" not in repr(found.notes)


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
