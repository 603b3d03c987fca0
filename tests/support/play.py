"""Plays one story against Penstock and a simulated model, and gathers what each reader got."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import NamedTuple

from tests.support.client import Block, Client, Response, fetch, parse_blocks
from tests.support.dialects import ASKED, READ
from tests.support.evidence import Evidence, judge_refusal, judge_story, judge_whole
from tests.support.history import Delivery, Reading
from tests.support.ledger import Ledger
from tests.support.stories import Story, Visit
from tests.support.verdicts import Verdicts

SECONDS = 40.0
"""A story that takes longer hangs."""


class Place(NamedTuple):
    """Where stories are played, and the books that are kept there."""

    port: int
    ledger: Ledger
    verdicts: Verdicts


async def play(place: Place, told: Story) -> list[str]:
    """The promises that were broken; none = a good story."""
    limit = asyncio.timeout(SECONDS)
    try:
        async with limit:
            return await _Played(place, told).run()
    except TimeoutError as error:
        if not limit.expired():
            return [f"it waits in vain: {error}"]
        return [f"it hangs: not over after {SECONDS:g} s"]


class _Played:
    def __init__(self, place: Place, told: Story) -> None:
        self._port = place.port
        self._place = place
        self._told = told
        self._readings: list[Reading] = []
        self._cancelled = False

    async def run(self) -> list[str]:
        told = self._told
        path = ASKED[told.asked].path
        assert path is not None
        async with Client(self._port) as client:
            await client.send("POST", path, told.request, told.headers)
            if not told.streamed:
                return await self._whole(await client.read(seconds=SECONDS))
            head = await client.read(until="", seconds=SECONDS)
            if head.status != 200:
                return await self._refused(await client.read(seconds=SECONDS))
            parts = [self._first(client, head.stream_id, path)]
            parts += [self._visit(head.stream_id, visit, []) for visit in told.others]
            if told.cancel_after is not None:
                parts.append(self._cancel(head.stream_id, told.cancel_after))
            await asyncio.gather(*parts)
        await self._place.ledger.settled(told.prompt)
        await self._late(head.stream_id)
        return judge_story(await self._evidence(head), self._readings)

    # -- reading -----------------------------------------------------------------------------------------------------

    async def _first(self, client: Client, stream_id: str, path: str) -> None:
        visit = self._told.first
        most = len(client.raw) + visit.cuts[0] if visit.cuts else None
        if visit.leaves and most is None:
            most = len(client.raw) + 500
        await asyncio.sleep(visit.dawdle)
        got = await client.read(most=most, seconds=SECONDS)
        if not visit.cuts and not visit.leaves:
            self._read(visit, got.blocks, whole=got.whole)
            return
        await client.__aexit__()
        if self._told.key is not None:  # asking again is the same stream, from its beginning
            again = await fetch(self._port, "POST", path, self._told.request, self._told.headers, seconds=SECONDS)
            if again.status == 200:  # it may have been refused: by a stream that failed in the meantime, it is not
                self._read(visit, again.blocks, whole=again.whole)
        rest = replace(visit, after=0, cuts=visit.cuts[1:])
        await self._visit(stream_id, rest, got.blocks)

    async def _visit(self, stream_id: str, visit: Visit, blocks: list[Block]) -> None:
        """Come, be cut, come back; and at last stay to the end, or leave for good."""
        await asyncio.sleep(visit.after)
        path = _address(stream_id, visit.dialect, visit.delivery)
        connections: list[int | None] = [*visit.cuts, *([] if visit.leaves else [None])]
        for most in connections:
            if READ[visit.dialect].over(blocks):
                break
            async with Client(self._port) as client:
                await client.send("GET", path, headers={"Last-Event-ID": blocks[-1].id} if blocks else {})
                got = await client.read(until="", seconds=SECONDS)
                if got.status == 200:
                    await asyncio.sleep(visit.dawdle)
                    got = await client.read(most=None if most is None else len(client.raw) + most, seconds=SECONDS)
                if got.status not in (200, 204):
                    raise AssertionError(f"resuming was answered {got.status}: {got.body!r}")
            blocks = [*blocks, *got.blocks]
            await asyncio.sleep(visit.pause)
        self._read(visit, blocks, whole=not visit.leaves)

    async def _late(self, stream_id: str) -> None:
        """Readers who come when it is over, and get all of it at once: one in each dialect, and some more."""
        for visit in [*(Visit(dialect, delivery="stream") for dialect in READ), *self._told.late]:
            path = _address(stream_id, visit.dialect, visit.delivery)
            late = await fetch(self._port, "GET", path, seconds=SECONDS)
            self._read(visit, parse_blocks(late.body), whole=late.whole)

    def _read(self, visit: Visit, blocks: list[Block], *, whole: bool) -> None:
        delivery = visit.delivery or self._told.delivery
        self._readings.append(Reading(visit.dialect, blocks, whole=whole, delivery=delivery))

    async def _cancel(self, stream_id: str, after: float) -> None:
        await asyncio.sleep(after)
        self._cancelled = True
        got = await fetch(self._port, "POST", f"/v1/streams/{stream_id}/cancel")
        if got.status != 200 or got.json["outcome"] is None:
            raise AssertionError(f"a cancel was answered {got.status}: {got.body!r}")

    # -- judging -----------------------------------------------------------------------------------------------------

    async def _evidence(self, got: Response) -> Evidence:
        """Once its upstreams are done, and everybody was told the end."""
        rows = await self._place.ledger.settled(self._told.prompt)
        stream_id = got.headers.get("penstock-stream-id")
        if stream_id is None:
            return Evidence(self._told, rows, {}, [], cancelled=self._cancelled)
        trace = (await fetch(self._port, "GET", f"/v1/streams/{stream_id}/trace")).json
        verdicts = self._place.verdicts.of(stream_id)
        self._place.verdicts.forget(stream_id)
        return Evidence(self._told, rows, trace, verdicts, cancelled=self._cancelled)

    async def _whole(self, got: Response) -> list[str]:
        if got.status != 200:
            return await self._refused(got)
        await self._late(got.stream_id)
        return judge_whole(await self._evidence(got), got, self._readings)

    async def _refused(self, got: Response) -> list[str]:
        if self._told.is_a("gated") and "penstock-stream-id" in got.headers:
            await self._late(got.stream_id)  # of what a gate holds back nothing is there for others either
        return judge_refusal(await self._evidence(got), got, self._readings)


def _address(stream_id: str, dialect: str, delivery: Delivery | None) -> str:
    return f"/v1/streams/{stream_id}?format={dialect}" + (f"&delivery={delivery}" if delivery else "")
