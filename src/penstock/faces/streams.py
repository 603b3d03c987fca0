"""Faces that stream: raw ASGI, one coroutine per request and nothing per event.

POST, one address a dialect    begin an answer, streamed or not (`ADDRESSES` in penstock.faces.root)
GET  /v1/streams/{id}          attach or resume, in any dialect
GET  /v1/streams/{id}/trace    what happened to it, and when
POST /v1/streams/{id}/cancel   cancel, with the offset that was seen
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import get_args

import msgspec

from penstock.dialects import DIALECTS
from penstock.dialects.base import Dialect, Ending, Request, decode_json, tokens_field
from penstock.exceptions import PenstockError, Refused, UpstreamFailed
from penstock.faces.access import Access
from penstock.faces.asgi import ClientGone, Headers, Receive, Scope, Send, header, joined, query, read_body, respond
from penstock.faces.limits import standing
from penstock.faces.sinks import AsgiSink, DirectSink, WholeSink
from penstock.faces.trace import trace_of
from penstock.gateway import Gateway, Tenant
from penstock.policy.delivery import Wish
from penstock.streams.attempt import STATUS
from penstock.streams.delivery import Delivery
from penstock.streams.framing import UNSEEN, Format
from penstock.streams.reader import STUCK_AFTER
from penstock.streams.stream import End, Stream
from penstock.wire.events import Done, Error
from penstock.wire.position import Position

SSE_HEADERS: Headers = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
)
UI_HEADERS: Headers = ((b"x-vercel-ai-ui-message-stream", b"v1"),)
"""What `ui-messages` has besides: it is how its clients know the format."""
MAX_KEY_LENGTH = 255
MAX_HEADER_LENGTH = 4096
"""Of what goes on to the upstream."""
MAX_TOKENS = 2**31 - 1
"""More is a mistake, in every dialect: no model writes so much, and few servers can read such a number."""
MOST_DROPPED = 50
"""How many names are told in `Penstock-Dropped`: of more, only their number."""
WISHES: tuple[Wish, ...] = get_args(Wish)
DELIVERIES: tuple[Delivery, ...] = get_args(Delivery)


class Cancel(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a cancel. `seen` is the last offset that the person was shown."""

    seen: int | None = None


class StreamFaces:
    """See the module. Every method answers one request; all raise Refused for what can't be answered."""

    def __init__(self, gateway: Gateway, access: Access, max_body: int) -> None:
        self._gateway = gateway
        self._access = access
        self._max_body = max_body
        self.on_open: list[Callable[[Tenant, Request, Stream], None]] = []
        """Who wants to know of every request that was given a stream, be it a new one or by its key an old one."""

    async def create(self, dialect: Dialect, scope: Scope, receive: Receive, send: Send, headers: Headers) -> None:
        """POST in `dialect`: open a stream, and follow it or wait for its end."""
        tenant = self._access.tenant(scope)

        def told(refused: Refused | None = None) -> list[tuple[bytes, bytes]]:
            """How the limits stand by now."""
            return standing(dialect.name, self._gateway.standing(tenant), refused)

        try:
            stream, streamed, include_usage = await self._open(dialect, tenant, scope, receive)
            # With an Idempotency-Key it may be a stream that began long ago.
            after = self._gateway.position(stream, None)
            if streamed:
                format = Format(dialect.name, include_usage, stream.delivery)
                named = [*headers, *told()]
                await self.follow(stream, format, after, scope, receive, send, named, wait=True)
            else:
                body = await self._collect(stream, dialect, after, scope, receive)
                await respond(send, 200, body, [*headers, *told(), *about(stream)])
        except Refused as refused:
            refused.headers = told(refused)
            raise

    async def attach(
        self, stream_id: str, dialect: Dialect, scope: Scope, receive: Receive, send: Send, headers: Headers
    ) -> None:
        """GET: attach, or resume after a position."""
        tenant = self._access.tenant(scope)
        stream = await self._gateway.find(stream_id, tenant)
        asked = query(scope)
        after = self._gateway.position(stream, header(scope, b"last-event-id") or asked.get("after"))
        # OpenAI's chat shows the usage only to those who ask; every other dialect to everybody.
        usage = dialect.name != "openai-chat" or asked.get("include_usage", "") in ("1", "true")
        # Without another word it goes on as it began: only so do its positions mean what they did.
        format = Format(dialect.name, usage, _delivery(asked.get("delivery", stream.delivery)))
        if stream.all_seen(after, format):
            await respond(send, 204, b"", [*headers, *about(stream)])
            return
        await self.follow(stream, format, after, scope, receive, send, headers, wait=False)

    async def trace(self, stream_id: str, scope: Scope, send: Send, headers: Headers) -> None:
        """GET …/trace: what happened to the stream, and when."""
        stream = await self._gateway.find(stream_id, self._access.trace_reader(scope))
        await respond(send, 200, msgspec.json.encode(trace_of(stream)), [*headers, *about(stream)])

    async def cancel(self, stream_id: str, scope: Scope, receive: Receive, send: Send, headers: Headers) -> None:
        """POST …/cancel: idempotent. Answers how the stream ended."""
        tenant = self._access.tenant(scope)
        await self.end(stream_id, tenant, await read_cancel(scope, receive), send, headers)

    async def end(self, stream_id: str, tenant: Tenant, seen: int | None, send: Send, headers: Headers) -> None:
        """Cancel, and answer how the stream ended."""
        stream = await self._gateway.cancel(stream_id, tenant, seen)
        outcome = stream.end.last.outcome if stream.end is not None else None
        told = {"stream": stream.id, "outcome": outcome}
        await respond(send, 200, msgspec.json.encode(told), [*headers, (b"penstock-stream-id", stream.id.encode())])

    # -- inside ------------------------------------------------------------------------------------------------------

    async def _open(
        self, dialect: Dialect, tenant: Tenant, scope: Scope, receive: Receive
    ) -> tuple[Stream, bool, bool]:
        """The request's own memory (body, messages) ends with this frame: a live stream does not carry it."""
        key = header(scope, b"idempotency-key")
        if key is None:
            # Whoever has a key may come back for an answer that is there. Of anybody else nothing is read in vain.
            try:
                self._gateway.check(tenant)
            except Refused as refused:
                refused.unread = True
                raise
        body = await read_body(scope, receive, self._max_body)
        if key is not None and not 0 < len(key) <= MAX_KEY_LENGTH:
            raise Refused(400, "invalid_request", f"Idempotency-Key must have 1 to {MAX_KEY_LENGTH} characters")
        request = dialect.parse_request(body)
        if request.max_tokens is not None and request.max_tokens > MAX_TOKENS:
            field = tokens_field(request)
            raise Refused(400, "invalid_request", f"{field} must be at most {MAX_TOKENS}", param=field)
        request.headers = [(name, value) for name in dialect.request_headers if (value := joined(scope, name.encode()))]
        if any(len(value) > MAX_HEADER_LENGTH for _, value in request.headers):
            raise Refused(400, "invalid_request", f"a header has more than {MAX_HEADER_LENGTH} characters")
        stream = await self._gateway.open(request, body, tenant, key, wish_of(scope))
        for told in self.on_open:
            told(tenant, request, stream)
        return stream, request.stream, request.include_usage

    async def follow(
        self,
        stream: Stream,
        format: Format,
        after: Position,
        scope: Scope,
        receive: Receive,
        send: Send,
        headers: Headers,
        *,
        wait: bool,
    ) -> None:
        """Write `stream` to the client, until its end or the client's. `wait`: for its first word, which may be a refusal."""
        direct = scope.get("extensions", {}).get("penstock.direct")
        sink = DirectSink(direct) if direct is not None else AsgiSink(receive)
        # The reader has its place before the wait: a client that leaves while waiting is one that left the stream.
        sink.bind(self._gateway.attach(stream, sink, format, after))
        try:
            if wait:
                await self._gateway.ready(stream)
            if sink.is_gone:
                return
            own = UI_HEADERS if format.dialect == "ui-messages" else ()
            named = [*SSE_HEADERS, *own, *headers, *about(stream)]
            await send({"type": "http.response.start", "status": 200, "headers": named})
            await sink.run(send)
        finally:
            sink.stop()
        if not sink.is_gone:
            try:
                async with asyncio.timeout(STUCK_AFTER):
                    await send({"type": "http.response.body", "body": b"", "more_body": False})
            except TimeoutError:
                sink.abort()

    async def _collect(
        self, stream: Stream, dialect: Dialect, after: Position, scope: Scope, receive: Receive
    ) -> bytes:
        """The whole answer, when it is. Raises Refused."""
        stream.holds += 1
        sink = WholeSink(scope.get("extensions", {}).get("penstock.direct"), receive)
        sink.bind(self._gateway.attach(stream, sink, UNSEEN, after))
        try:
            await self._gateway.ready(stream)
            if not sink.is_gone:
                await sink.run()
            if sink.is_gone:
                raise ClientGone
            return self._body(stream, dialect)
        except Refused as refused:
            refused.stream = stream.id
            if isinstance(refused, UpstreamFailed) and refused.retryable:
                # It was shown nothing: asking again with the same Idempotency-Key must not tell the same for ever.
                await self._gateway.journal.set_aside(stream)
            raise
        finally:
            sink.stop()
            stream.release()

    def _body(self, stream: Stream, dialect: Dialect) -> bytes:
        """The whole answer. Raises Refused."""
        if stream.end is None or stream.log.first > 0:
            # Somebody else began it, and streamed: what came first is forgotten.
            raise Refused(410, "resume_expired", "the beginning of this answer is no longer kept", retryable=False)
        if isinstance(last := stream.end.last, Error):
            status = STATUS.get(last.code, (502, ""))[0]
            raise UpstreamFailed(status, last.code, last.message, retryable=last.retryable)
        try:
            return _whole(dialect, stream, stream.end)
        except Refused:
            raise
        except PenstockError as error:
            raise Refused(502, "upstream_protocol_error", str(error)) from None


def wish_of(scope: Scope) -> Wish | None:
    """How the client wants its answer delivered, if it says so. Raises Refused (400)."""
    wish = header(scope, b"penstock-delivery")
    if wish is not None and wish not in WISHES:
        raise Refused(400, "invalid_request", f"Penstock-Delivery is one of: {', '.join(WISHES)}")
    return wish


async def read_cancel(scope: Scope, receive: Receive) -> int | None:
    """What the body of a cancel says was seen, if it says so. Raises Refused (400)."""
    body = await read_body(scope, receive, 4096)
    asked: Cancel = decode_json(body, Cancel) if body.strip() else Cancel()
    if asked.seen is not None and asked.seen < 0:
        raise Refused(400, "invalid_request", "seen must not be negative", param="seen")
    return asked.seen


def _whole(dialect: Dialect, stream: Stream, end: End) -> bytes:
    """The whole answer. Raises PenstockError."""
    if stream.dialect == dialect.name and isinstance(end.last, Done) and end.last.outcome != "cancelled":
        ending = Ending(end.usage, end.held, end.last, stream.end_offset - 1)
        body = dialect.assemble(stream.about, stream.blocks(), ending)
        if body is not None:
            return body
    return dialect.collect(stream.about, stream.events())


def _delivery(name: str) -> Delivery:
    if name not in DELIVERIES:
        raise Refused(400, "invalid_request", f"delivery is one of: {', '.join(DELIVERIES)}", param="delivery")
    return name


def about(stream: Stream) -> Headers:
    """What every answer about a stream says of it in its head."""
    headers = [(b"penstock-stream-id", stream.id.encode())]
    if stream.dropped:
        # These are words of the client's: only such as can stand in a header, and not without end.
        names = [re.sub(r"[^A-Za-z0-9_.\-\[\]]", "?", name[:64]) for name in stream.dropped[:MOST_DROPPED]]
        more = len(stream.dropped) - len(names)
        told = ", ".join([*names, f"and {more} more"] if more else names)
        headers.append((b"penstock-dropped", told.encode()))
    return headers


def dialect_of(name: str) -> Dialect:
    """The dialect of `?format=`. Raises Refused (400)."""
    dialect = DIALECTS.get(name)
    if dialect is None:
        known = ", ".join(DIALECTS)
        raise Refused(400, "unknown_format", f"there is no format {name[:40]!r}; there are: {known}", param="format")
    return dialect
