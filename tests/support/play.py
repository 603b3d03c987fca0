"""Plays one story against Penstock and a simulated model, and judges the history that it left."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from penstock.sim.truth import Answered
from tests.support.client import Block, Client, Response, fetch, parse_blocks
from tests.support.cues import is_early, is_good
from tests.support.dialects import ASKED, READ
from tests.support.history import History, Reading, Told, judge
from tests.support.ledger import Ledger
from tests.support.routes import key_of
from tests.support.stories import Story, Visit
from tests.support.truth import truth_of
from tests.support.whole import lacking

REFUSED = {429: "upstream_rate_limited", 404: None, 409: "cancelled", 502: None, 503: "abandoned", 504: None}
"""What a request may be told before the first byte, by status; None: any code."""

SECONDS = 40.0
"""A story that takes longer hangs."""


async def play(port: int, ledger: Ledger, told: Story) -> list[str]:
    """The promises that were broken; none = a good story."""
    limit = asyncio.timeout(SECONDS)
    try:
        async with limit:
            return await _Played(port, ledger, told).run()
    except TimeoutError as error:
        if not limit.expired():
            return [f"it waits in vain: {error}"]
        return [f"it hangs: not over after {SECONDS:g} s"]


class _Played:
    def __init__(self, port: int, ledger: Ledger, told: Story) -> None:
        self._port = port
        self._ledger = ledger
        self._told = told
        self._readings: list[Reading] = []
        self._cancelled = False

    async def run(self) -> list[str]:
        told = self._told
        path = ASKED[told.asked].path
        assert path is not None
        headers = {} if told.key is None else {"Idempotency-Key": told.key}
        async with Client(self._port) as client:
            await client.send("POST", path, told.request, headers)
            if not told.streamed:
                return await self._whole(await client.read(seconds=SECONDS))
            head = await client.read(until="", seconds=SECONDS)
            if head.status != 200:
                return await self._refused(await client.read(seconds=SECONDS))
            parts = [self._first(client, head.stream_id, path, headers)]
            parts += [self._visit(head.stream_id, visit, []) for visit in told.others]
            if told.cancel_after is not None:
                parts.append(self._cancel(head.stream_id, told.cancel_after))
            await asyncio.gather(*parts)
        return await self._judged(head.stream_id)

    # -- reading -----------------------------------------------------------------------------------------------------

    async def _first(self, client: Client, stream_id: str, path: str, headers: dict[str, str]) -> None:
        visit = self._told.first
        most = len(client.raw) + visit.cuts[0] if visit.cuts else None
        if visit.leaves and most is None:
            most = len(client.raw) + 500
        await asyncio.sleep(visit.dawdle)
        got = await client.read(most=most, seconds=SECONDS)
        if not visit.cuts and not visit.leaves:
            self._readings.append(Reading(visit.dialect, got.blocks, whole=got.whole))
            return
        await client.__aexit__()
        if headers:  # asking again is the same stream, from its beginning
            again = await fetch(self._port, "POST", path, self._told.request, headers, seconds=SECONDS)
            if again.status == 200:  # it may have been refused: by a stream that failed in the meantime, it is not
                self._readings.append(Reading(visit.dialect, again.blocks, whole=again.whole))
        rest = replace(visit, after=0, cuts=visit.cuts[1:])
        await self._visit(stream_id, rest, got.blocks)

    async def _visit(self, stream_id: str, visit: Visit, blocks: list[Block]) -> None:
        """Come, be cut, come back; and at last stay to the end, or leave for good."""
        await asyncio.sleep(visit.after)
        path = f"/v1/streams/{stream_id}?format={visit.dialect}"
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
        self._readings.append(Reading(visit.dialect, blocks, whole=not visit.leaves))

    async def _cancel(self, stream_id: str, after: float) -> None:
        await asyncio.sleep(after)
        self._cancelled = True
        got = await fetch(self._port, "POST", f"/v1/streams/{stream_id}/cancel")
        if got.status != 200 or got.json["outcome"] is None:
            raise AssertionError(f"a cancel was answered {got.status}: {got.body!r}")

    # -- judging -----------------------------------------------------------------------------------------------------

    async def _judged(self, stream_id: str) -> list[str]:
        """With a late reader in each dialect, who reads all of it at once."""
        rows = await self._ledger.settled(self._told.prompt)
        for dialect in READ:
            late = await fetch(self._port, "GET", f"/v1/streams/{stream_id}?format={dialect}", seconds=SECONDS)
            self._readings.append(Reading(dialect, parse_blocks(late.body), whole=late.whole))
        trace = (await fetch(self._port, "GET", f"/v1/streams/{stream_id}/trace")).json
        winner, row = _winner(trace, rows)
        cue = self._told.cues.get(winner, {})
        truth = truth_of(cue, row, left=self._told.kind == "left")
        history = History(trace["dialect"], self._readings, truth, cancelled=self._cancelled)
        return [*judge(history), *self._metered(trace, cue, truth), *self._course(winner)]

    def _metered(self, trace: dict[str, Any], cue: dict[str, Any], truth: Told) -> list[str]:
        usage = trace.get("usage") or {}
        found = []
        if trace["live"] or trace["outcome"] is None:
            found.append("everybody was told the end, but it is live")
        if trace["outcome"] == "completed" and usage.get("source") != (
            "estimated" if cue.get("usage") is False else "final"
        ):
            found.append(f"metered {usage}, but the upstream said it (or did not)")
        if truth.text and not usage.get("output_tokens") and trace["outcome"] != "cancelled":
            found.append(f"an answer of {len(truth.text)} characters is metered {usage}")
        return found

    def _course(self, winner: str) -> list[str]:
        """Without a hedge, the first upstream that can answer does."""
        if self._told.kind == "hedged":
            return []
        able = [name for name in self._told.targets if not is_early(self._told.cues[name])]
        if winner and able and winner != able[0] and "cut_at_byte" not in self._told.cues[able[0]]:
            return [f"{winner} answered, though {able[0]} could"]
        return []

    async def _refused(self, got: Response) -> list[str]:
        rows = await self._ledger.settled(self._told.prompt)
        found = [] if got.whole else ["a refusal that is not whole"]
        try:
            code = ASKED[self._told.asked].code(got.json)
        except (ValueError, KeyError, TypeError):
            return [*found, f"a refusal that is no error in its dialect: {got.body!r}"]
        if got.status not in REFUSED or REFUSED[got.status] not in (None, code):
            found.append(f"refused with {got.status} {code}")
        able = [name for name in self._told.targets if is_good(self._told.cues[name])]
        hopeless = any(row.end is not None and row.end.ended == "closed_by_peer" for row in rows)
        first = next((name for name in self._told.targets if not is_early(self._told.cues[name])), None)
        if able and able[0] == first and got.status != 409 and not hopeless:
            found.append(f"refused with {got.status} {code}, though {first} answers")
        return found

    async def _whole(self, got: Response) -> list[str]:
        """An answer that is not streamed: all or nothing."""
        if got.status != 200:
            return await self._refused(got)
        rows = await self._ledger.settled(self._told.prompt)
        trace = (await fetch(self._port, "GET", f"/v1/streams/{got.stream_id}/trace")).json
        winner, row = _winner(trace, rows)
        truth = truth_of(self._told.cues.get(winner, {}), row)
        if not truth.whole:
            return [f"a whole answer, but {winner} gave none"]
        return lacking(got.json, truth.said)


def _winner(trace: dict[str, Any], rows: list[Answered]) -> tuple[str, Answered | None]:
    """Who gave the first token, by the trace, and the last request there."""
    name = next((mark["upstream"] for mark in trace["marks"] if mark["what"] == "first_token"), "")
    there = [row for row in rows if key_of(row) == f"sk-{name}"]
    return name, there[-1] if there else None
