"""Limits as a client sees them: the head of every answer, 429 in its dialect, and nothing that leaks."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.exceptions import Refused
from penstock.faces.limits import duration, standing
from penstock.policy.limits import Standing
from penstock.policy.notices import MOST
from penstock.sim.process import SimProcess, running
from tests.support.client import Client, Response, chat, fetch, native
from tests.support.routes import route, routed, upstream
from tests.support.serving import Served

pytestmark = pytest.mark.anyio
CHAT = "/v1/chat/completions"
PATHS = (CHAT, "/v1/responses", "/v1/messages", "/v1/streams", "/api/chat")
UNITS = ("requests", "tokens", "tokens-day", "streams")


def tenant(name: str, limits: str) -> str:
    """A tenant whose key is `key-` and its name."""
    digest = hashlib.sha256(f"key-{name}".encode()).hexdigest()
    return f'\n[[tenant]]\nname = "{name}"\nkey_hashes = ["sha256:{digest}"]\nlimits = {{ {limits} }}\n'


def key(name: str, **more: str) -> dict[str, str]:
    return {"x-api-key": f"key-{name}", **more}


TENANTS = (
    tenant(
        "wide", "requests_per_minute = 600, tokens_per_minute = 9000, concurrent_streams = 20, tokens_per_day = 90000"
    ),
    *(tenant(f"once-{number}", "requests_per_minute = 1") for number in range(len(PATHS) + 3)),
    tenant("alone", "concurrent_streams = 1"),
    tenant("daily", "tokens_per_day = 100"),
    tenant("small", "tokens_per_minute = 50"),
    tenant("whole", "tokens_per_minute = 1000"),
    tenant("full", "requests_per_minute = 1"),
    tenant("lost", "requests_per_minute = 10"),
    tenant("leaky", "tokens_per_minute = 1000, requests_per_minute = 1000, concurrent_streams = 3"),
)


@pytest.fixture(scope="module")
def place() -> Iterator[tuple[SimProcess, Served]]:
    with running() as sim:
        grace = {"connect": 2, "first_token": 2, "silence": 1, "total": 30}
        with routed(upstream("m", sim.url), route("m", "m", timeouts=grace, grace=0.2, retries=0), *TENANTS) as served:
            yield sim, served


def asking(path: str, prompt: str = "hello", **more: Any) -> dict[str, Any]:
    """A request at any of the addresses."""
    if path == "/v1/streams":
        return {**native({"tokens": 3}, prompt), **more}
    if path == "/api/chat":
        text = chat({"tokens": 3}, prompt)["messages"][0]["content"]
        return {
            "model": "m",
            "messages": [{"id": "1", "role": "user", "parts": [{"type": "text", "text": text}]}],
        } | more
    body = chat({"tokens": 3}, prompt, max_tokens=20, **more)
    if path == "/v1/responses":
        body["input"], body["max_output_tokens"] = body.pop("messages"), body.pop("max_tokens")
    return body


def remaining(got: Response, unit: str) -> int:
    return int(got.headers[f"x-ratelimit-remaining-{unit}"])


async def settled(served: Served, name: str, unit: str) -> int:
    """What is left when nothing is under way, told by a request that is refused for other reasons."""
    await asyncio.sleep(0.1)
    return remaining(await fetch(served.port, "POST", CHAT, {"model": "none", "messages": []}, key(name)), unit)


# -- the words ---------------------------------------------------------------------------------------------------------


def test_durations_are_written_as_openai_writes_them() -> None:
    told = {0: "0s", 0.01: "1s", 59.2: "1m0s", 61: "1m1s", 3600: "1h0m0s", 86399.5: "24h0m0s"}
    assert {seconds: duration(seconds) for seconds in told} == told


@given(st.floats(0, 1e7))
def test_every_duration_is_one_that_clients_can_read(seconds: float) -> None:
    read = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(\d+)s", duration(seconds))
    assert read is not None
    hours, minutes, rest = (int(part or 0) for part in read.groups())
    assert 0 <= hours * 3600 + minutes * 60 + rest - seconds <= 1


def test_the_names_in_each_dialect() -> None:
    rows = [Standing("requests", 10, 9, 6.0), Standing("tokens-day", 100, 0, 50.0)]
    names = [name.decode() for name, _ in standing("openai-chat", rows)]
    assert names == [
        f"x-ratelimit-{what}-{unit}" for unit in ("requests", "tokens-day") for what in ("limit", "remaining", "reset")
    ]
    told = dict(standing("anthropic", rows))
    assert told[b"anthropic-ratelimit-requests-remaining"] == b"9"
    assert re.fullmatch(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", told[b"anthropic-ratelimit-requests-reset"])
    assert standing("native", []) == []


def test_a_client_does_not_wait_by_itself_for_what_takes_hours() -> None:
    for seconds, told in ((5, []), (61, [(b"x-should-retry", b"false")])):
        assert standing("native", [], Refused(429, "quota_exceeded", "", retry_after=seconds)) == told


# -- over sockets ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PATHS)
async def test_every_answer_tells_how_the_limits_stand(place: tuple[SimProcess, Served], path: str) -> None:
    _, served = place
    got = await fetch(served.port, "POST", path, asking(path), key("wide"))
    assert got.status == 200
    limits = {unit: int(got.headers[f"x-ratelimit-limit-{unit}"]) for unit in UNITS}
    assert limits == {"requests": 600, "tokens": 9000, "tokens-day": 90000, "streams": 20}
    assert all(0 < remaining(got, unit) < limits[unit] for unit in ("requests", "tokens", "tokens-day"))
    assert ("anthropic-ratelimit-tokens-remaining" in got.headers) == (path == "/v1/messages")


@pytest.mark.parametrize(("number", "path"), list(enumerate(PATHS)))
async def test_at_a_limit_there_is_429_in_the_callers_dialect(
    place: tuple[SimProcess, Served], number: int, path: str
) -> None:
    _, served = place
    name = key(f"once-{number}")
    assert (await fetch(served.port, "POST", path, asking(path), name)).status == 200
    got = await fetch(served.port, "POST", path, asking(path), name)
    assert got.status == 429
    assert 50 <= int(got.headers["retry-after"]) <= 60
    assert (remaining(got, "requests"), got.headers["x-ratelimit-limit-requests"]) == (0, "1")
    said = got.body.decode()
    assert "the limit of 1 requests a minute is reached (requests_per_minute)" in said
    if path == "/v1/messages":
        assert (got.json["type"], got.json["error"]["type"]) == ("error", "rate_limit_error")
        assert got.headers["anthropic-ratelimit-requests-remaining"] == "0"
    elif path in (CHAT, "/v1/responses"):
        assert (got.json["error"]["type"], got.json["error"]["code"]) == ("rate_limit_error", "rate_limit_exceeded")


def test_the_official_clients_know_it_for_what_it_is(place: tuple[SimProcess, Served]) -> None:
    _, served = place
    number = len(PATHS)
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key=f"key-once-{number}", max_retries=0) as client:
        body = asking(CHAT)
        client.chat.completions.create(**body).close()
        with pytest.raises(openai.RateLimitError) as refused:
            client.chat.completions.create(**body)
        assert refused.value.code == "rate_limit_exceeded"
    with anthropic.Anthropic(base_url=served.url, api_key=f"key-once-{number + 1}", max_retries=0) as other:
        body = asking("/v1/messages")
        other.messages.create(**body).close()
        with pytest.raises(anthropic.RateLimitError):
            other.messages.create(**body)


async def test_the_quota_of_a_day_is_not_waited_for(place: tuple[SimProcess, Served]) -> None:
    _, served = place
    big = chat({"tokens": 60}, "day", max_tokens=60)
    assert (await fetch(served.port, "POST", CHAT, big, key("daily"))).status == 200
    await asyncio.sleep(0.1)
    got = await fetch(served.port, "POST", CHAT, big, key("daily"))
    assert (got.status, got.json["error"]["code"]) == (429, "quota_exceeded")
    assert 0 < int(got.headers["retry-after"]) <= 86400


async def test_what_never_fits_is_a_wrong_request(place: tuple[SimProcess, Served]) -> None:
    _, served = place
    got = await fetch(served.port, "POST", CHAT, asking(CHAT) | {"max_tokens": 51}, key("small"))
    assert (got.status, got.json["error"]["code"], got.json["error"]["param"]) == (
        400,
        "request_above_limit",
        "max_tokens",
    )
    assert "retry-after" not in got.headers


FIELDS = [
    (CHAT, "max_tokens"),
    (CHAT, "max_completion_tokens"),
    ("/v1/responses", "max_output_tokens"),
    ("/v1/messages", "max_tokens"),
    ("/v1/streams", "max_tokens"),
]


@pytest.mark.parametrize(("path", "field"), FIELDS)
@pytest.mark.parametrize("number", [2**31, 10**18, 10**400])
async def test_more_tokens_than_any_model_writes_are_a_wrong_request(
    place: tuple[SimProcess, Served], path: str, field: str, number: int
) -> None:
    _, served = place
    body = {name: value for name, value in asking(path).items() if not name.startswith("max_")}
    got = await fetch(served.port, "POST", path, body | {field: number}, key("wide"))
    assert got.status == 400
    assert field in got.json["error"]["message"]
    if number == 2**31:
        assert got.json["error"]["param"] == field
        assert f"{field} must be at most 2147483647" in got.json["error"]["message"]


async def test_of_two_words_for_the_same_the_larger_counts(place: tuple[SimProcess, Served]) -> None:
    _, served = place
    for body in ({"max_tokens": 20, "max_completion_tokens": 51}, {"max_tokens": 51, "max_completion_tokens": 20}):
        got = await fetch(served.port, "POST", CHAT, asking(CHAT) | body, key("small"))
        assert (got.status, got.json["error"]["code"]) == (400, "request_above_limit")
        assert body[got.json["error"]["param"]] == 51


async def test_a_guess_makes_no_request_a_wrong_one(place: tuple[SimProcess, Served]) -> None:
    _, served = place
    body = {name: value for name, value in asking(CHAT, "long " * 100).items() if name != "max_tokens"}
    got = await fetch(served.port, "POST", CHAT, body, key("small"))
    assert (got.status, remaining(got, "tokens")) == (200, 0)


async def test_the_head_of_a_whole_answer_tells_what_is_left_after_it(place: tuple[SimProcess, Served]) -> None:
    _, served = place
    streamed = await fetch(served.port, "POST", CHAT, asking(CHAT) | {"max_tokens": 800}, key("whole"))
    assert remaining(streamed, "tokens") < 200
    await asyncio.sleep(0.1)
    whole = await fetch(served.port, "POST", CHAT, asking(CHAT, stream=False) | {"max_tokens": 800}, key("whole"))
    assert remaining(whole, "tokens") > 900


@pytest.mark.parametrize("streamed", [True, False])
async def test_an_answer_that_never_began_tells_it_too(place: tuple[SimProcess, Served], streamed: bool) -> None:
    _, served = place
    got = await fetch(served.port, "POST", CHAT, chat({"status": 500}, "lost", stream=streamed), key("lost"))
    assert got.status == 502
    assert remaining(got, "requests") < 10


async def test_at_a_limit_no_body_is_read_but_for_those_who_come_back(place: tuple[SimProcess, Served]) -> None:
    _, served = place
    named = key("full", **{"idempotency-key": "k"})
    first = await fetch(served.port, "POST", CHAT, asking(CHAT), named)
    assert first.status == 200
    head = b"POST %b HTTP/1.1\r\nhost: 127.0.0.1\r\nx-api-key: key-full\r\ncontent-length: 1000\r\n\r\n" % CHAT.encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    try:
        writer.write(head)  # and nothing of the body
        told = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 1)
        assert told.startswith(b"HTTP/1.1 429 ")
        size = int(re.search(rb"content-length: (\d+)", told)[1])  # type: ignore[index]
        assert b"requests_per_minute" in await asyncio.wait_for(reader.readexactly(size), 1)
        # When the body comes after all, the connection is good for the next request.
        writer.write(b"{" * 1000 + head.replace(b"key-full", b"key-wide").replace(b"1000", b"2") + b"{}")
        told = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 2)
        assert told.startswith(b"HTTP/1.1 400 ")
    finally:
        writer.close()
    assert (await fetch(served.port, "POST", CHAT, b"{", key("full"))).status == 429, "nor is it parsed"
    again = await fetch(served.port, "POST", CHAT, asking(CHAT), named)
    assert (again.status, again.stream_id) == (200, first.stream_id)


async def test_coming_back_for_an_answer_takes_nothing(place: tuple[SimProcess, Served]) -> None:
    """With one stream at a time: the same Idempotency-Key, and a resume, find the stream; another request does not."""
    _, served = place
    body = chat({"endless": True, "pace": 0.02}, "alone", max_tokens=9999)
    named = key("alone", **{"idempotency-key": "k"})
    async with Client(served.port) as first, Client(served.port) as second:
        await first.send("POST", CHAT, body, named)
        stream = (await first.read(until="content")).stream_id
        await second.send("POST", CHAT, body, named)
        assert (await second.read(until="content")).stream_id == stream
        got = await fetch(served.port, "POST", CHAT, asking(CHAT), key("alone"))
        assert (got.status, got.headers["retry-after"], remaining(got, "streams")) == (429, "1", 0)
        await fetch(served.port, "POST", f"/v1/streams/{stream}/cancel", None, key("alone"))
    assert (await fetch(served.port, "POST", CHAT, asking(CHAT), key("alone"))).status == 200


LEAKS: dict[str, dict[str, Any]] = {
    "an upstream that refuses": {"status": 500},
    "an upstream at its limit": {"status": 429},
    "a cut before the first token": {"tokens": 5, "cut_after": 0},
    "a cut in the middle": {"tokens": 9, "cut_after": 4},
    "a stall": {"tokens": 9, "stall_after": 2},
    "a client that leaves": {"endless": True, "pace": 0.02},
    "a wrong request of its dialect": {"tokens": 1},
}


@pytest.mark.parametrize("trouble", LEAKS)
async def test_no_trouble_leaks_what_was_reserved(place: tuple[SimProcess, Served], trouble: str) -> None:
    _, served = place
    name = key("leaky")
    before = await settled(served, "leaky", "tokens")
    for _ in range(4):
        if trouble == "a client that leaves":
            async with Client(served.port) as client:
                await client.send("POST", CHAT, chat(LEAKS[trouble], trouble, max_tokens=200), name)
                await client.read(until="content")
            await asyncio.sleep(0.5)
        else:
            body = chat(LEAKS[trouble], trouble, max_tokens=200)
            if trouble == "a wrong request of its dialect":
                body["messages"] = [{"role": "nobody"}]
            await fetch(served.port, "POST", CHAT, body, name)
    after = await settled(served, "leaky", "tokens")
    assert after > before - 4 * 200 / 2, "what was used may be charged, what was reserved not"
    assert await settled(served, "leaky", "streams") == 3


async def test_the_log_tells_the_first_few_times(place: tuple[SimProcess, Served]) -> None:
    _, served = place
    name = key(f"once-{len(PATHS) + 2}")
    for _ in range(MOST + 5):
        await fetch(served.port, "POST", CHAT, asking(CHAT), name)
    told = [line for line in served.log.splitlines() if f"tenant once-{len(PATHS) + 2} is refused" in line]
    assert len(told) == MOST
    assert "the limit of 1 requests a minute" in told[0]
