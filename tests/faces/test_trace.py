"""Traces over HTTP: what happened to a stream, and when."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest

from penstock.sim.process import SimProcess
from tests.support.client import Client, fetch, native, told
from tests.support.serving import Served, river

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[SimProcess, Served]]:
    with river("grace = 0.3") as both:
        yield both


async def test_a_good_answer(servers: tuple[SimProcess, Served]) -> None:
    sim, served = servers
    got = await fetch(served.port, "POST", "/v1/streams", native({"tokens": 5, "pace": 0.01}, "traced"))
    trace = (await fetch(served.port, "GET", f"/v1/streams/{got.stream_id}/trace")).json
    assert (trace["stream"], trace["model"], trace["outcome"], trace["live"]) == (
        got.stream_id,
        "m",
        "completed",
        False,
    )
    marks = [(mark["what"], mark.get("upstream")) for mark in trace["marks"]]
    assert marks == [
        ("accepted", None),
        ("attempt", "sim"),
        ("attached", None),
        ("connected", "sim"),
        ("first_byte", "sim"),
        ("first_token", "sim"),
        ("ended", None),
    ]
    times = [mark["at"] for mark in trace["marks"]]
    assert times == sorted(times)
    assert trace["time_to_first_token"] <= times[-1]
    assert trace["usage"]["source"] == "final"
    assert (await told(sim, lambda t: t.answer("traced"))).usage is not None


@pytest.mark.parametrize(("hang", "came"), [("connect", ["connected"]), ("headers", ["connected", "first_byte"])])
async def test_of_an_upstream_that_hung_it_tells_how_far_it_came(hang: str, came: list[str]) -> None:
    with river("timeouts = { first_token = 1 }\nretries = 0") as (_, served):
        got = await fetch(served.port, "POST", "/v1/streams", native({"hang": hang}))
        marks = (await fetch(served.port, "GET", f"/v1/streams/{got.stream_id}/trace")).json["marks"]
        assert [mark["what"] for mark in marks if mark.get("upstream")] == ["attempt", *came, "lost"]
        assert (marks[-1]["what"], marks[-1]["code"]) == ("ended", "upstream_timeout")
        assert "no token came within 1 s" in marks[-1]["message"]


async def test_a_silence_and_readers_that_come_and_go(servers: tuple[SimProcess, Served]) -> None:
    _, served = servers
    async with Client(served.port) as client:
        await client.send("POST", "/v1/streams", native({"pieces": ["a", "b"], "pace": 2.2}, "silent"))
        stream_id = (await client.read(until="token")).stream_id
        async with Client(served.port) as other:
            await other.send("GET", f"/v1/streams/{stream_id}?format=openai-chat")
            await other.read(until="content")
        trace = (await fetch(served.port, "GET", f"/v1/streams/{stream_id}/trace")).json
        assert (trace["live"], trace["outcome"]) == (True, None)
        assert (await client.read()).whole
    trace = (await fetch(served.port, "GET", f"/v1/streams/{stream_id}/trace")).json
    assert [mark["what"] for mark in trace["marks"]].count("attached") == 2
    assert [mark["what"] for mark in trace["marks"]].count("detached") == 1
    silences = [mark for mark in trace["marks"] if mark["what"] == "silence"]
    assert silences
    assert all(mark["seconds"] >= 2 for mark in silences)
    assert trace["stalls"] == len(silences)


async def test_who_runs_the_server_reads_the_traces_of_all_tenants() -> None:
    def digest(key: str) -> str:
        return f'["sha256:{hashlib.sha256(key.encode()).hexdigest()}"]'

    tenants = "".join(f'\n[[tenant]]\nname = "{name}"\nkey_hashes = {digest(name)}\n' for name in ("a", "b"))
    server = f"\n[server]\nadmin_key_hashes = {digest('admin')}\n"
    with river("", server + tenants) as (_, served):
        got = await fetch(served.port, "POST", "/v1/streams", native({"tokens": 3}), {"x-api-key": "a"})
        address = f"/v1/streams/{got.stream_id}"
        for key, status in (("a", 200), ("b", 404), ("admin", 200)):
            trace = await fetch(served.port, "GET", f"{address}/trace", None, {"x-api-key": key})
            assert trace.status == status, key
            assert b"prompt" not in trace.body
        for method, path in (("GET", address), ("POST", f"{address}/cancel"), ("GET", "/v1/models")):
            assert (await fetch(served.port, method, path, None, {"x-api-key": "admin"})).status == 401


async def test_only_of_ones_own_streams(servers: tuple[SimProcess, Served]) -> None:
    got = await fetch(servers[1].port, "GET", "/v1/streams/nobodys/trace")
    assert (got.status, got.json["error"]["code"]) == (404, "stream_not_found")
    assert (await fetch(servers[1].port, "POST", "/v1/streams/x/trace")).status == 405
