"""Leaving: SIGTERM loses no word."""

from __future__ import annotations

import asyncio
import signal
import socket

import pytest

from penstock.server.listen import bind
from penstock.sim.process import running
from penstock.sim.truth import wait_for
from tests.support.client import Client, chat, fetch, native, told
from tests.support.serving import penstock, serving

pytestmark = pytest.mark.anyio


async def test_a_running_stream_is_finished_first() -> None:
    with running() as sim, serving(sim) as served:
        async with Client(served.port) as client, Client(served.port) as idle:
            await idle.send("GET", "/readyz")
            assert (await idle.read()).json["status"] == "ready"
            await client.send("POST", "/v1/streams", native({"tokens": 60, "pace": 0.02}, "finishes"))
            await client.read(until="token")
            served.process.send_signal(signal.SIGTERM)
            with pytest.raises(ConnectionError):
                while True:  # until the listener is closed
                    await fetch(served.port, "GET", "/healthz")
            got = await client.read()
        assert got.whole
        assert got.blocks[-1].json == {"outcome": "completed"}
        assert "".join(block.text for block in got.blocks) == (await told(sim, lambda t: t.answer("finishes"))).text[0]
        assert await asyncio.to_thread(served.process.wait, 10) == 0


async def test_after_the_grace_time_the_rest_is_told_interrupted() -> None:
    with running() as sim, serving(sim, more="[server]\ngrace = 0.5") as served:
        async with Client(served.port) as client, Client(served.port) as openai:
            await client.send("POST", "/v1/streams", native({"endless": True, "pace": 0.02}, "interrupted-1"))
            await openai.send("POST", "/v1/chat/completions", chat({"endless": True, "pace": 0.02}, "interrupted-2"))
            await client.read(until="token")
            await openai.read(until='"content":"')
            served.process.send_signal(signal.SIGTERM)
            got, other = await client.read(), await openai.read()
        assert got.whole
        assert other.whole
        assert got.blocks[-1].event == "error"
        assert (got.blocks[-1].json["outcome"], got.blocks[-1].json["retryable"]) == ("interrupted", True)
        assert other.blocks[-1].json["error"]["code"] == "interrupted"
        assert await asyncio.to_thread(served.process.wait, 10) == 0
        for prompt in ("interrupted-1", "interrupted-2"):
            assert (await told(sim, lambda t, prompt=prompt: t.answer(prompt))).ended == "closed_by_peer"


async def test_a_second_signal_goes_now() -> None:
    with running() as sim, serving(sim) as served:
        async with Client(served.port) as client:
            await client.send("POST", "/v1/streams", native({"endless": True, "pace": 0.02}))
            await client.read(until="token")
            served.process.send_signal(signal.SIGINT)
            await asyncio.sleep(0.2)
            served.process.send_signal(signal.SIGINT)
            assert (await client.read()).blocks[-1].json["outcome"] == "interrupted"
        assert await asyncio.to_thread(served.process.wait, 10) == 0


async def test_a_killed_server_leaves_no_false_end() -> None:
    with running() as sim, serving(sim) as served:
        async with Client(served.port) as client:
            await client.send("POST", "/v1/chat/completions", chat({"endless": True, "pace": 0.02}, "killed"))
            await client.read(until='"content":"')
            served.process.kill()
            got = await client.read()
        assert not got.whole
        assert not any(block.terminal for block in got.blocks)
        await asyncio.to_thread(wait_for, sim.truth_path, lambda t: t.answer("killed").ended == "closed_by_peer")


async def test_a_taken_port_is_one_clear_line() -> None:
    with penstock("demo", "--port", "0") as first:
        with pytest.raises(
            RuntimeError, match=f"penstock: can't listen on 127.0.0.1:{first.port}: Address already in use"
        ):
            with penstock("demo", "--port", str(first.port)):
                pass


def test_fault_client_half_open_connections_inherit_how_soon_a_dead_peer_is_noticed() -> None:
    """The kernel gives up unacknowledged bytes after 15 s, and there is a keepalive to acknowledge every 15 s."""
    with bind("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        listener.setblocking(True)
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 15_000
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT) == 16 * 1024
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
