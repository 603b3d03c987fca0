"""The gateway: open a stream, attach to it, cancel it.

Everything that a face does with an answer goes through these three, whatever dialect it speaks.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
import time
from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from penstock.dialects.base import Request
from penstock.exceptions import InvalidPosition, Refused
from penstock.policy.admission import Admission, Ticket
from penstock.policy.course import Route, Walk
from penstock.policy.delivery import Wish, choose
from penstock.policy.limits import Standing
from penstock.policy.notices import Notices
from penstock.streams.framing import Format, home
from penstock.streams.generation import Generation
from penstock.streams.journal import IdempotencyKey, Journal
from penstock.streams.metering import prompt_bytes
from penstock.streams.reader import Reader, Sink
from penstock.streams.stream import Stream
from penstock.streams.wheel import Wheel
from penstock.wire.events import Error, Usage
from penstock.wire.position import Position

log = logging.getLogger("penstock.gateway")

LONGEST_LINE = 1000

QUIET = frozenset(("abandoned", "interrupted", "upstream_rejected", "unsupported_translation"))
"""Codes of ends that are the client's doing, or this process's own: no line in the log tells of them."""


class Tenant(NamedTuple):
    """Whose a request is. `models` are those it may use; None = all."""

    name: str
    models: frozenset[str] | None = None

    def may_use(self, model: str) -> bool:
        return self.models is None or model in self.models


class Gateway:
    """Routes requests to upstreams and readers to streams."""

    def __init__(
        self, journal: Journal, routes: Mapping[str, Route], wheel: Wheel, admission: Admission | None = None
    ) -> None:
        self.journal = journal
        self.routes = routes
        self._wheel = wheel
        self._admission = admission or Admission({}, time.time)
        self._generations: dict[str, Generation] = {}
        self._tickets: dict[str, Ticket] = {}
        """Of the running generations that have one."""
        self._notices = Notices()
        self._draining = False
        self._dice = random.Random()

    async def open(
        self, request: Request, body: bytes, tenant: Tenant, key: str | None = None, wish: Wish | None = None
    ) -> Stream:
        """Begin an answer, or with an Idempotency-Key that is known: find it. Returns its stream at once.

        `body` is the request as the client sent it, `wish` how it wants the answer (None = as the route says).
        Raises Refused.
        """
        if self._draining:
            raise Refused(503, "shutting_down", "this node is shutting down", retry_after=1)
        route = self.routes.get(request.model)
        if route is None or not tenant.may_use(request.model):
            raise Refused(404, "model_not_found", f"there is no model {request.model[:100]!r} here", param="model")
        idempotency = IdempotencyKey(key, _digest(request.dialect, body)) if key else None
        if idempotency is not None:
            # Who comes back for an answer that is being made takes nothing, and must not be kept out by a limit.
            known = await self.journal.known(tenant.name, idempotency)
            if known is not None:
                return known
        ticket = self._admit(tenant, request)
        created = False
        try:
            stream, created = await self.journal.create(
                tenant=tenant.name,
                model=request.model,
                dialect=route.targets[0].upstream.dialect,
                idempotency=idempotency,
            )
        finally:
            if not created and ticket is not None:
                self._admission.undo(ticket)
        if created:
            if ticket is not None:
                self._tickets[stream.id] = ticket
            if request.message:
                stream.about = msgspec.structs.replace(stream.about, message=request.message)
            generation = Generation(
                stream, self._wheel, route.plan, request_bytes=prompt_bytes(request), on_end=self._ended
            )
            self._generations[stream.id] = generation
            try:
                self._deliver(stream, wish, route.delivery, request)
                generation.start(Walk(route, request.model, self._dice, tenant.name), request)
            except Exception:
                generation.fail("upstream_error", "the answer could not be begun")  # a defect must not keep its lease
                raise
        return stream

    def check(self, tenant: Tenant) -> None:
        """Before a request is read: whether any of this tenant's could be admitted now. Raises Refused (429)."""
        try:
            self._admission.check(tenant.name)
        except Refused as refused:
            self._tell((tenant.name, refused.code), f"tenant {tenant.name} is refused: {refused.message}")
            raise

    def _admit(self, tenant: Tenant, request: Request) -> Ticket | None:
        try:
            return self._admission.admit(tenant.name, request)
        except Refused as refused:
            self._tell((tenant.name, refused.code), f"tenant {tenant.name} is refused: {refused.message}")
            raise

    def _tell(self, kind: tuple[str, ...], words: str) -> None:
        more = self._notices.due(kind, self._wheel.now())
        if more is not None:
            # One line, whatever an upstream says.
            log.warning("%s%s", " ".join(words[:LONGEST_LINE].split()), more)

    def standing(self, tenant: Tenant) -> list[Standing]:
        """How the tenant's limits stand; empty = it has none."""
        return self._admission.standing(tenant.name)

    def _deliver(self, stream: Stream, asked: Wish | None, usual: Wish, request: Request) -> None:
        choice = choose(asked, usual, request)
        stream.delivery = choice.delivery
        stream.home = home(request.dialect, choice.delivery)
        if choice.delivery != "stream":
            stream.response_format = request.options.response_format
            stream.holds += 1  # it is looked at as a whole
        if (asked or usual) != "stream":
            stream.trace.note(self._wheel.now(), "delivery", delivery=choice.delivery, why=choice.why)

    async def ready(self, stream: Stream) -> None:
        """Wait until the stream has something to say. Raises UpstreamFailed if it never will."""
        generation = self._generations.get(stream.id)
        if generation is not None:
            # Several requests may wait for one generation: none of them may cancel the wait of the others.
            await asyncio.shield(generation.ready)
        if stream.refusal is not None:
            await self.journal.set_aside(stream)
            stream.refusal.stream = stream.id
            raise stream.refusal

    async def find(self, stream_id: str, tenant: Tenant | None) -> Stream:
        """Raises Refused (404), also for a stream of somebody else's. None = whoever's it is."""
        stream = await self.journal.find(None if tenant is None else tenant.name, stream_id)
        if stream is None:
            raise Refused(404, "stream_not_found", "there is no such stream, or it is no longer kept")
        return stream

    def position(self, stream: Stream, text: str | None) -> Position:
        """What a client says that it has seen. Raises Refused (400, or 410 when it is no longer kept)."""
        try:
            return stream.position(text)
        except InvalidPosition as error:
            raise Refused(400, "invalid_position", str(error), param="Last-Event-ID") from None

    def attach(self, stream: Stream, sink: Sink, format: Format, after: Position) -> Reader:
        """Follow `stream` from `after`. Nothing is written before `reader.pump()`."""
        return stream.attach(sink, format, after)

    async def cancel(self, stream_id: str, tenant: Tenant, seen: int | None = None) -> Stream:
        """Cancel. The upstream's connection is closed before this returns; doing it again changes nothing."""
        stream = await self.find(stream_id, tenant)
        generation = self._generations.get(stream.id)
        if generation is not None:
            generation.cancel(seen)
        return stream

    # -- the end of the process ------------------------------------------------------------------------------------

    @property
    def draining(self) -> bool:
        return self._draining

    def drain(self) -> None:
        """Take nothing new. What runs goes on."""
        self._draining = True

    def live(self) -> int:
        """Generations that are running."""
        return len(self._generations)

    def queued(self) -> int:
        """Of those, how many wait for a slot at an upstream."""
        full = {target.slots for route in self.routes.values() for target in route.targets if target.slots}
        # One may wait at several upstreams.
        return len({waiter for slots in full for waiter in slots.waiters()})

    def interrupt(self) -> None:
        """End every running generation as `interrupted`: its readers are told, and what they have stays theirs."""
        for generation in list(self._generations.values()):
            generation.fail("interrupted", "the server is shutting down")

    def _ended(self, generation: Generation) -> None:
        stream = generation.stream
        self._generations.pop(stream.id, None)
        ticket = self._tickets.pop(stream.id, None)
        if ticket is not None and stream.end is not None:
            self._admission.settle(ticket, stream.end.usage or Usage(source="unknown"))
        if stream.end is not None and isinstance(stream.end.last, Error) and stream.end.last.code not in QUIET:
            self._tell_end(stream, stream.end.last)

    def _tell_end(self, stream: Stream, last: Error) -> None:
        """One line for an answer that did not end well: whose, where, and why."""
        lost = [mark.facts for mark in stream.trace.marks if mark.what == "lost"]
        why = "; ".join(f"{facts['upstream']}: {facts['code']}, {facts['message']}" for facts in lost)
        what = "never began" if stream.refusal is not None else f"broke off after {stream.produced - 1} events"
        self._tell(
            (stream.tenant, stream.about.model, what[:5], last.code),
            f"stream {stream.id} of tenant {stream.tenant}, model {stream.about.model}, {what}:"
            f" {why or f'{last.code}, {last.message}'}",
        )


def _digest(dialect: str, body: bytes) -> bytes:
    """What makes two requests the same: their words, and the language that they are in."""
    return hashlib.sha256(b"%b\0%b" % (dialect.encode(), body)).digest()
