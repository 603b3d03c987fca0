"""The root: which face answers which address, and what every answer has in common.

Streams are answered by raw ASGI, everything else by FastAPI. Whatever goes wrong before the first byte is told here, once,
in the caller's dialect.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from penstock.dialects import DIALECTS
from penstock.dialects.base import Dialect
from penstock.exceptions import Refused
from penstock.faces.access import Access
from penstock.faces.asgi import ClientGone, Headers, Receive, Scope, Send, header, local_path, query, refuse, respond
from penstock.faces.chats import CHATS, ChatFaces
from penstock.faces.conversations import ADDRESS as ANSWERS
from penstock.faces.conversations import EVENTS, ConversationFaces
from penstock.faces.doctor import DoctorFace
from penstock.faces.page import Page
from penstock.faces.streams import StreamFaces, dialect_of

log = logging.getLogger("penstock.faces")

NATIVE = DIALECTS["native"]
ADDRESSES = {
    "/v1/chat/completions": "openai-chat",
    "/v1/responses": "openai-responses",
    "/v1/messages": "anthropic",
    "/v1/streams": "native",
    "/api/chat": "ui-messages",
}
CREATES = {path: DIALECTS[name] for path, name in ADDRESSES.items()}
"""Addresses where an answer begins, and the dialect spoken there."""

STREAMS = "/v1/streams/"
EXPOSED = b", ".join(
    (
        b"penstock-dropped, penstock-stream-id, retry-after, x-should-retry",
        *(
            b"x-ratelimit-limit-%b, x-ratelimit-remaining-%b, x-ratelimit-reset-%b" % (unit, unit, unit)
            for unit in (b"requests", b"tokens", b"tokens-day", b"streams")
        ),
        *(
            b"anthropic-ratelimit-%b-limit, anthropic-ratelimit-%b-remaining, anthropic-ratelimit-%b-reset"
            % (unit, unit, unit)
            for unit in (b"requests", b"tokens")
        ),
    )
)
CORS = (
    (b"access-control-allow-methods", b"GET, POST, OPTIONS"),
    (
        b"access-control-allow-headers",
        b"authorization, content-type, idempotency-key, last-event-id, penstock-delivery, x-api-key",
    ),
    (b"access-control-expose-headers", EXPOSED),
    (b"access-control-max-age", b"600"),
)


def spoken_at(path: str) -> Dialect:
    """The dialect in which refusals at an address are told: OpenAI's for what is nobody's own below `/v1/`."""
    if path in CREATES:
        return CREATES[path]
    if path.startswith("/api/chat/"):
        return CREATES["/api/chat"]
    if path.startswith("/v1/messages/"):
        return CREATES["/v1/messages"]
    if path.startswith("/v1/") and not path.startswith(("/v1/streams", "/v1/conversations")):
        return CREATES["/v1/chat/completions"]
    return NATIVE


class Root:
    """The whole application, as one ASGI callable."""

    def __init__(
        self,
        streams: StreamFaces,
        conversations: ConversationFaces,
        access: Access,
        page: Page,
        control: Callable[..., Awaitable[None]],
    ) -> None:
        self._streams = streams
        self._conversations = conversations
        self._access = access
        self._page = page
        self._control = control
        self._doctor = DoctorFace(access)
        self._chats = ChatFaces(streams, access)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match scope["type"]:
            case "http":
                await self._http(scope, receive, send)
            case "websocket":
                await receive()
                await send({"type": "websocket.close", "code": 1008, "reason": "no such address"})
            case "lifespan":
                await _lifespan(receive, send)
            case other:
                raise NotImplementedError(f"no such ASGI scope: {other}")

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = local_path(scope)
        dialect = spoken_at(path)
        headers: Headers = self._cors(scope)
        started = False

        async def watched(message: Any) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            if "penstock.full" in scope.get("extensions", {}):
                raise Refused(503, "overloaded", "this server holds as many connections as it can", retry_after=1)
            if header(scope, b"origin") is not None and scope["method"] == "OPTIONS":
                await self._preflight(scope, send, headers)
            elif path in CREATES:
                _allow(scope, "POST")
                await self._streams.create(dialect, scope, receive, watched, headers)
            elif (named := ANSWERS.fullmatch(path)) is not None:
                _allow(scope, "POST")
                await self._conversations.answer(named[1], scope, receive, watched, headers)
            elif path == EVENTS:
                _allow(scope, "GET")
                await self._conversations.events(scope, receive, watched, headers)
            elif path.startswith(STREAMS):
                dialect = await self._stream(path.removeprefix(STREAMS), scope, receive, watched, headers)
            elif (chat := CHATS.fullmatch(path)) is not None:
                _allow(scope, "GET" if chat["action"] == "stream" else "POST")
                await self._chats.answer(chat["id"], scope, receive, watched, headers)
            elif path == "/v1/doctor":
                _allow(scope, "GET")
                await self._doctor.answer(scope, receive, watched, headers)
            elif (file := self._page.find(path)) is not None:
                _allow(scope, "GET", "HEAD")
                await self._page.send(file, scope, send)
            else:
                if path.startswith("/v1/"):
                    self._access.tenant(scope)
                await self._control(scope, receive, _with(headers, watched))
        except ClientGone:
            return
        except Refused as refused:
            if started:
                raise
            full = "penstock.full" in scope.get("extensions", {})
            unread = full or refused.unread or refused.status == 413
            await refuse(send, refused, dialect, headers, receive if unread else None)
        except Exception:
            if started:
                raise
            log.exception("a request to %s failed", path)
            failure = Refused(500, "internal_error", "the server failed; its log says why", retryable=True)
            await refuse(send, failure, dialect, headers)

    async def _stream(self, rest: str, scope: Scope, receive: Receive, send: Send, headers: Headers) -> Dialect:
        stream_id, _, action = rest.partition("/")
        if action == "":
            _allow(scope, "GET")
            dialect = dialect_of(query(scope).get("format", "native"))
            try:
                await self._streams.attach(stream_id, dialect, scope, receive, send, headers)
            except Refused as refused:
                if refused.code == "invalid_position" and not header(scope, b"last-event-id"):
                    refused.param = "after"  # a position comes in either place
                raise
            return dialect
        if action == "trace":
            _allow(scope, "GET")
            await self._streams.trace(stream_id, scope, send, headers)
            return NATIVE
        if action == "cancel":
            _allow(scope, "POST")
            await self._streams.cancel(stream_id, scope, receive, send, headers)
            return NATIVE
        raise Refused(404, "not_found", "there is no such address")

    async def _preflight(self, scope: Scope, send: Send, headers: Headers) -> None:
        self._access.check_origin(scope)
        await respond(send, 204, b"", [*headers, *CORS])

    def _cors(self, scope: Scope) -> list[tuple[bytes, bytes]]:
        origin = header(scope, b"origin")
        if origin is None or not self._access.allows(origin):
            return []
        return [
            (b"access-control-allow-origin", origin.encode("latin-1")),
            (b"access-control-expose-headers", EXPOSED),
            (b"vary", b"origin"),
        ]


def _allow(scope: Scope, *methods: str) -> None:
    if scope["method"] not in methods:
        refused = Refused(405, "method_not_allowed", f"this address takes {' and '.join(methods)}")
        refused.allow = ", ".join(methods)
        raise refused


def _with(headers: Headers, send: Send) -> Send:
    """`send`, with `headers` on the response's head."""
    extra = list(headers)
    if not extra:
        return send

    async def sending(message: Any) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *extra]}
        await send(message)

    return sending


async def _lifespan(receive: Receive, send: Send) -> None:
    """Nothing needs starting; what runs is ended by whoever runs the server (`penstock.app.Penstock.close`)."""
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
