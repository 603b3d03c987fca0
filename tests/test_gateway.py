"""The gateway: open, ready, find, attach, cancel, drain."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from penstock.dialects import DIALECTS
from penstock.dialects.base import Request
from penstock.exceptions import Refused, UpstreamFailed
from penstock.gateway import Gateway, Tenant
from penstock.policy.admission import Admission
from penstock.policy.course import Route, Target
from penstock.policy.limits import Limits
from penstock.streams.journal import MemoryJournal
from penstock.streams.plan import Plan
from penstock.streams.wheel import Wheel
from penstock.upstreams.python import PythonUpstream
from penstock.wire.events import Done, Error, Event

pytestmark = pytest.mark.anyio
BODY = b'{"model": "m", "messages": [{"role": "user", "content": "hello"}]}'
A, B = Tenant("a"), Tenant("b", frozenset())


async def words(request: Request) -> AsyncIterator[str | Event]:
    for word in request.messages[-1].text.split():
        yield word
        await asyncio.sleep(0)


async def forever(request: Request) -> AsyncIterator[str | Event]:
    while True:
        yield "on "
        await asyncio.sleep(0.001)


async def broken(request: Request) -> AsyncIterator[str | Event]:
    raise ValueError("a secret of the inside")
    yield ""


def gateway() -> Gateway:
    wheel = Wheel()
    routes = {
        name: Route(name, (Target(PythonUpstream(name, answer), None),), Plan())
        for name, answer in {"m": words, "forever": forever, "broken": broken}.items()
    }
    return Gateway(MemoryJournal(wheel), routes, wheel)


def request(model: str = "m") -> Request:
    return DIALECTS["native"].parse_request(BODY.replace(b'"m"', f'"{model}"'.encode()))


async def refused(attempt: object) -> tuple[int, str]:
    with pytest.raises(Refused) as raised:
        await attempt  # type: ignore[misc]
    return raised.value.status, raised.value.code


async def test_an_answer_from_beginning_to_end() -> None:
    there = gateway()
    stream = await there.open(request(), BODY, A)
    assert there.live() == 1
    await there.ready(stream)
    while stream.end is None:
        await asyncio.sleep(0.001)
    assert stream.end.last == Done("completed")
    assert there.live() == 0
    assert await there.find(stream.id, A) is stream
    assert await refused(there.find(stream.id, B)) == (404, "stream_not_found")


async def test_models_are_those_of_the_routes_and_of_the_tenant() -> None:
    there = gateway()
    assert await refused(there.open(request("other"), BODY, A)) == (404, "model_not_found")
    assert await refused(there.open(request(), BODY, B)) == (404, "model_not_found")


async def test_a_refusal_before_the_first_byte_leaves_its_trace_and_frees_its_key() -> None:
    there = gateway()
    stream = await there.open(request("broken"), BODY, A, "key")
    with pytest.raises(UpstreamFailed) as raised:
        await there.ready(stream)
    assert (raised.value.status, raised.value.code) == (502, "upstream_error")
    assert "secret" not in raised.value.message
    assert raised.value.stream == stream.id
    assert [mark.what for mark in (await there.find(stream.id, A)).trace.marks][-2:] == ["lost", "ended"]
    again = await there.open(request(), b"another body", A, "key")
    await there.ready(again)
    assert again is not stream


async def test_one_key_is_one_stream() -> None:
    there = gateway()
    stream = await there.open(request(), BODY, A, "key")
    assert await there.open(request(), BODY, A, "key") is stream
    assert await refused(there.open(request(), b"other", A, "key")) == (409, "idempotency_conflict")


async def test_cancel_ends_it_and_again_changes_nothing() -> None:
    there = gateway()
    stream = await there.open(request("forever"), BODY, A)
    await there.ready(stream)
    assert await refused(there.cancel(stream.id, B)) == (404, "stream_not_found")
    await there.cancel(stream.id, A, seen=1)
    assert stream.end is not None
    assert stream.end.last == Done("cancelled", kept=1)
    await there.cancel(stream.id, A)
    assert stream.end.last == Done("cancelled", kept=1)


async def test_drain_takes_nothing_new_and_interrupt_ends_the_rest() -> None:
    there = gateway()
    stream = await there.open(request("forever"), BODY, A)
    await there.ready(stream)
    there.drain()
    assert await refused(there.open(request(), BODY, A)) == (503, "shutting_down")
    assert stream.end is None
    there.interrupt()
    assert stream.end is not None
    assert isinstance(stream.end.last, Error)
    assert stream.end.last.outcome == "interrupted"
    assert there.live() == 0


async def test_positions_are_told_apart() -> None:
    there = gateway()
    stream = await there.open(request(), BODY, A)
    await there.ready(stream)
    assert there.position(stream, None) == (stream.epoch, 0, 0)
    for text, status in (("nonsense", 400), (f"{stream.epoch}:99", 400), ("other:1", 410)):
        with pytest.raises(Refused) as raised:
            there.position(stream, text)
        assert raised.value.status == status


def limited(**limits: int) -> Gateway:
    there = gateway()
    admission = Admission({"a": Limits(**limits)}, lambda: 1e9)
    return Gateway(there.journal, there.routes, Wheel(), admission)


def left(there: Gateway) -> dict[str, int]:
    return {standing.unit: standing.remaining for standing in there.standing(A)}


async def test_an_answer_has_its_lease_until_it_ends() -> None:
    there = limited(concurrent_streams=1, tokens_per_minute=1000)
    stream = await there.open(request("forever"), BODY, A)
    assert left(there)["streams"] == 0
    assert await refused(there.open(request(), BODY, A)) == (429, "rate_limit_exceeded")
    await there.ready(stream)
    await there.cancel(stream.id, A)
    assert left(there)["streams"] == 1
    assert left(there)["tokens"] in range(950, 1000), "a few words, and not the 500 that were expected"


async def test_a_refusal_of_the_upstream_takes_a_request_and_no_tokens() -> None:
    there = limited(requests_per_minute=10, tokens_per_minute=1000, concurrent_streams=1)
    with pytest.raises(UpstreamFailed):
        await there.ready(await there.open(request("broken"), BODY, A))
    assert left(there) == {"requests": 9, "tokens": 1000, "streams": 1}


async def test_a_wrong_request_and_one_that_is_known_take_nothing() -> None:
    there = limited(requests_per_minute=10, concurrent_streams=1)
    stream = await there.open(request("forever"), BODY, A, "key")
    assert await there.open(request("forever"), BODY, A, "key") is stream
    assert await refused(there.open(request(), b"another", A, "key")) == (409, "idempotency_conflict")
    assert await refused(there.open(request("other"), BODY, A)) == (404, "model_not_found")
    assert left(there) == {"requests": 9, "streams": 0}
    there.interrupt()
    assert left(there) == {"requests": 9, "streams": 1}


async def test_a_journal_that_fails_gives_the_lease_back(monkeypatch: pytest.MonkeyPatch) -> None:
    there = limited(requests_per_minute=10, tokens_per_minute=1000, concurrent_streams=1)

    async def fails(**_: object) -> None:
        raise OSError("no room")

    monkeypatch.setattr(there.journal, "create", fails)
    with pytest.raises(OSError, match="no room"):
        await there.open(request(), BODY, A)
    assert left(there) == {"requests": 10, "tokens": 1000, "streams": 1}


async def test_a_defect_while_an_answer_is_begun_keeps_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    there = limited(requests_per_minute=10, tokens_per_minute=1000, concurrent_streams=1)

    def fails(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(PythonUpstream, "start", fails)
    with pytest.raises(ZeroDivisionError):
        await there.open(request(), BODY, A)
    assert left(there) == {"requests": 9, "tokens": 1000, "streams": 1}
    assert there.live() == 0
