"""The examples, run as their own words say: as processes, over real sockets."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.client import Client, fetch
from tests.support.serving import PATIENCE, Served, free_port, penstock, wait_until_open

pytestmark = pytest.mark.anyio
EXAMPLES = Path(__file__).parents[1] / "examples"


def ask(model: str, question: str) -> dict[str, object]:
    return {"model": model, "messages": [{"role": "user", "content": question}]}


# -- own_agent -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def agent() -> Iterator[Served]:
    with penstock("serve", "--config", "own_agent.toml", "--port", "0", cwd=EXAMPLES) as served:
        yield served


async def logged(served: Served, line: str) -> None:
    """Wait until the agent has written `line`."""
    async with asyncio.timeout(PATIENCE):
        while not any(written.endswith(line) for written in served.log.splitlines()):
            await asyncio.sleep(0.02)


async def test_the_agents_text_and_events_are_a_stream(agent: Served) -> None:
    got = await fetch(agent.port, "POST", "/v1/streams", ask("glossary", "A river?"))
    assert (got.status, got.whole) == (200, True)
    assert (
        "".join(block.text for block in got.blocks) == "A **river** is water that does not wait, and that nobody owns. "
    )
    told = [(block.event, block.json) for block in got.blocks if block.event != "token"]
    assert [event for event, _ in told] == ["start", "reasoning", "reasoning", "usage", "done"]
    assert told[2][1] == {"text": "Looking up river. "}
    assert told[3][1]["source"] == "estimated", "an agent that says nothing of its usage gets an estimate"
    assert told[4][1] == {"outcome": "completed"}
    await logged(agent, "INFO own_agent: closed: A river?")


async def test_after_a_lost_connection_the_rest_comes_once(agent: Served) -> None:
    question = ask("glossary", "What is a turbine?")
    whole = (await fetch(agent.port, "POST", "/v1/streams", question)).blocks
    async with Client(agent.port) as client:
        await client.send("POST", "/v1/streams", question)
        first = await client.read(until="wheel")
    assert not first.whole
    seen = first.blocks
    rest = await fetch(agent.port, "GET", f"/v1/streams/{first.stream_id}", headers={"Last-Event-ID": seen[-1].id})
    both = [*seen, *rest.blocks]
    assert [block.text for block in both] == [block.text for block in whole]
    epoch = seen[0].id.partition(":")[0]
    numbers = [block.id for block in both[:-2]]
    assert numbers == [f"{epoch}:{offset}" for offset in range(1, len(numbers) + 1)], "no gap, no block twice"


async def test_cancel_closes_the_generator(agent: Served) -> None:
    question = "river penstock turbine, cancelled"
    async with Client(agent.port) as client:
        await client.send("POST", "/v1/streams", ask("glossary", question))
        first = await client.read(until="event: token")
        assert f"closed: {question}" not in agent.log
        seen = int(first.blocks[-1].id.partition(":")[2])
        said = await fetch(agent.port, "POST", f"/v1/streams/{first.stream_id}/cancel", {"seen": seen})
        assert said.json == {"stream": first.stream_id, "outcome": "cancelled"}
        got = await client.read()
    assert got.blocks[-1].json["outcome"] == "cancelled"
    await logged(agent, f"INFO own_agent: closed: {question}")
    later = await fetch(agent.port, "GET", f"/v1/streams/{first.stream_id}")
    kept = [block for block in later.blocks if block.event not in ("usage", "done")]
    assert [block.id for block in kept] == [block.id for block in got.blocks[:seen]], "what is kept is what was seen"


async def test_an_agent_that_nobody_reads_is_closed_after_the_grace(agent: Served) -> None:
    question = "river penstock turbine river penstock turbine river penstock turbine river penstock, left"
    async with Client(agent.port) as client:
        await client.send("POST", "/v1/streams", ask("glossary", question))
        first = await client.read(until="event: token")
    await logged(agent, f"INFO own_agent: closed: {question}")
    got = await fetch(agent.port, "GET", f"/v1/streams/{first.stream_id}")
    assert got.blocks[-1].json["outcome"] == "abandoned"


def run_client(address: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "own_agent.py", address],
        cwd=EXAMPLES,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )


@pytest.mark.parametrize("address", ["127.0.0.1:{port}", "http://127.0.0.1:{port}/"])
def test_its_client_gets_every_word(agent: Served, address: str) -> None:
    ran = run_client(address.format(port=agent.port))
    assert ran.returncode == 0, ran.stderr
    parts = ran.stdout.splitlines()
    assert parts[0].startswith("--")
    assert parts[2].startswith("-- resumed after ")
    text = (parts[1] + parts[3]).replace("[start] ", "").replace("[reasoning] ", "")
    assert text == "A **penstock** is the gated pipe that carries a river to a turbine. [usage] [done] "
    assert "'outcome': 'cancelled'" in parts[6]


@pytest.mark.parametrize("address", ["127.0.0.1:9", "http://127.0.0.1:x", "https://127.0.0.1", "penstock.invalid", ""])
def test_its_client_says_in_a_line_that_nobody_answers(address: str) -> None:
    ran = run_client(address)
    assert ran.returncode == 1
    assert len(ran.stderr.splitlines()) == 1, ran.stderr


# -- mounted ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mounted() -> Iterator[int]:
    port = free_port()
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", "mounted:app", "--port", str(port), "--timeout-graceful-shutdown", "1"],
            cwd=EXAMPLES,
            env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
            stdout=log,
            stderr=log,
        )
        try:
            wait_until_open(port)
            yield port
        finally:
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


async def test_ones_own_routes_stay(mounted: int) -> None:
    assert (await fetch(mounted, "GET", "/hello")).json == {"hello": "world"}
    assert (await fetch(mounted, "GET", "/healthz")).status == 404, "Penstock answers below its mount only"
    assert (await fetch(mounted, "GET", "/ai/healthz")).json["status"] == "ok"


async def test_stream_and_attach_below_the_mount(mounted: int) -> None:
    async with Client(mounted) as client:
        await client.send("POST", "/ai/v1/streams", ask("echo", "one two three four five six"))
        first = await client.read(until="two")
    assert first.headers["server"] == "uvicorn", "a server that knows nothing of us"
    assert not first.whole
    position = {"Last-Event-ID": first.blocks[-1].id}
    rest = await fetch(mounted, "GET", f"/ai/v1/streams/{first.stream_id}", headers=position)
    assert "".join(block.text for block in [*first.blocks, *rest.blocks]) == "one two three four five six "
    assert rest.blocks[-1].json == {"outcome": "completed"}


async def test_the_demo_model_speaks_openais_dialect_below_the_mount(mounted: int) -> None:
    got = await fetch(mounted, "POST", "/ai/v1/chat/completions", {**ask("demo", "Name a river"), "stream": True})
    assert got.blocks[-1].data == "[DONE]"
    assert "Name a river" in "".join(block.text for block in got.blocks)
