"""Conversations over HTTP. Begun answers are streams as any other; the rest is JSON, and is described in OpenAPI.

POST   /v1/conversations/{id}/answers    begin an answer: an event stream in the native dialect
GET    /v1/conversations/events          an event for every conversation that changes
GET, PATCH, DELETE, export and cancel    `routes`, for the control plane
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import time
from typing import Any, Literal
from urllib.parse import quote

import msgspec
from fastapi import APIRouter, Request
from fastapi.responses import Response

from penstock.conversations.conversations import Conversations
from penstock.conversations.records import Asked, Conversation, Message, title_of
from penstock.dialects.base import decode_json
from penstock.exceptions import Refused
from penstock.faces.access import Access
from penstock.faces.asgi import Headers, Receive, Scope, Send, read_body
from penstock.faces.limits import standing
from penstock.faces.streams import SSE_HEADERS, StreamFaces, read_cancel, wish_of
from penstock.gateway import Gateway
from penstock.streams.framing import Format
from penstock.wire import sse

KEEPALIVE_SECONDS = 15.0
MOST_AT_ONCE = 200
LONGEST_CHANGE = 65_536
"""Bytes of a PATCH."""
ADDRESS = re.compile(r"/v1/conversations/([^/]*)/answers")
EVENTS = "/v1/conversations/events"


class Change(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a PATCH."""

    title: str | None = None
    leaf: str | None = None


class ConversationFaces:
    """The two addresses that stream."""

    def __init__(
        self, conversations: Conversations, gateway: Gateway, access: Access, streams: StreamFaces, max_body: int
    ) -> None:
        self._conversations = conversations
        self._gateway = gateway
        self._access = access
        self._streams = streams
        self._max_body = max_body

    async def answer(self, id: str, scope: Scope, receive: Receive, send: Send, headers: Headers) -> None:
        """POST …/answers."""
        tenant = self._access.tenant(scope)
        try:
            body = await read_body(scope, receive, self._max_body)
            stream = await self._conversations.answer(tenant, id, decode_json(body, Asked), wish_of(scope))
            format, after = Format("native", True, stream.delivery), self._gateway.position(stream, None)
            more = [*headers, *standing("native", self._gateway.standing(tenant))]
            await self._streams.follow(stream, format, after, scope, receive, send, more, wait=True)
        except Refused as refused:
            refused.headers = standing("native", self._gateway.standing(tenant), refused)
            raise

    async def events(self, scope: Scope, receive: Receive, send: Send, headers: Headers) -> None:
        """GET …/events: until the client leaves."""
        tenant = self._access.tenant(scope)
        await self._conversations.start()
        changed: dict[str, None] = {}
        woken = asyncio.Event()

        def listener(id: str) -> None:
            changed[id] = None
            woken.set()

        async def gone() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            woken.set()

        stop = self._conversations.listen(tenant, listener)
        leaving = asyncio.get_running_loop().create_task(gone())
        try:
            await send({"type": "http.response.start", "status": 200, "headers": [*SSE_HEADERS, *headers]})
            data = sse.encode("{}", "ready")
            while not leaving.done() and not self._gateway.draining:
                await send({"type": "http.response.body", "body": data, "more_body": True})
                try:
                    async with asyncio.timeout(KEEPALIVE_SECONDS):
                        await woken.wait()
                except TimeoutError:
                    data = sse.KEEPALIVE
                    continue
                woken.clear()
                data = b"".join(sse.encode(json.dumps({"conversation": id}), "changed") for id in changed)
                changed.clear()
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            leaving.cancel()
            stop()


def routes(conversations: Conversations, access: Access) -> APIRouter:
    """What is no stream."""
    router = APIRouter(prefix="/v1/conversations", tags=["conversations"])

    @router.get("")
    async def recent(request: Request, search: str = "", before: float | None = None, limit: int = 50) -> Response:
        """The caller's conversations, the newest first; `search` looks into titles and messages."""
        limit = min(max(limit, 1), MOST_AT_ONCE)
        found = await conversations.recent(access.tenant(request.scope), search[:200], before, limit + 1)
        return _json({"conversations": found[:limit], "more": len(found) > limit})

    @router.get("/{id}")
    async def conversation(request: Request, id: str) -> Response:
        """One of them, with all its messages."""
        tenant = access.tenant(request.scope)
        # In this order the leaf is never older than the messages: who asks would go back to it.
        messages = await conversations.messages(tenant, id)
        body = {"conversation": await conversations.find(tenant, id), "messages": messages}
        return _json(body, request.headers.get("if-none-match"))

    @router.patch("/{id}")
    async def change(request: Request, id: str) -> Response:
        """Rename it, or choose the branch that is shown."""
        asked: Change = decode_json(await read_body(request.scope, request.receive, LONGEST_CHANGE), Change)
        if asked.title is not None and not 0 < len(asked.title.strip()) <= 200:
            raise Refused(400, "invalid_request", "a title has 1 to 200 characters", param="title")
        title = None if asked.title is None else asked.title.strip()
        return _json(await conversations.change(access.tenant(request.scope), id, title, asked.leaf))

    @router.delete("/{id}", status_code=204)
    async def delete(request: Request, id: str) -> Response:
        """Delete it; what runs in it is cancelled."""
        await conversations.delete(access.tenant(request.scope), id)
        return Response(status_code=204)

    @router.post("/{id}/answers/{answer}/cancel")
    async def cancel(request: Request, id: str, answer: str) -> Response:
        """Stop an answer, whether it has begun or not; also one whose request is still on its way."""
        seen = await read_cancel(request.scope, request.receive)
        outcome = await conversations.stop(access.tenant(request.scope), id, answer, seen)
        return _json({"answer": answer, "outcome": outcome})

    @router.get("/{id}/export")
    async def export(request: Request, id: str, format: Literal["markdown", "json"] = "markdown") -> Response:
        """The whole of it as JSON, or the branch that is shown as Markdown."""
        tenant = access.tenant(request.scope)
        found = await conversations.find(tenant, id)
        messages = await conversations.messages(tenant, id)
        name = re.sub(r"[^\w .-]", "", found.title).strip() or found.id
        if format == "json":
            told = {"conversation": found, "messages": messages}
            body, kind, end = msgspec.json.format(msgspec.json.encode(told), indent=2), "application/json", "json"
        else:
            body, kind, end = markdown(found, messages).encode(), "text/markdown; charset=utf-8", "md"
        saved = f"attachment; filename*=UTF-8''{quote(f'{name}.{end}')}"
        return Response(body, media_type=kind, headers={"content-disposition": saved})

    return router


def markdown(conversation: Conversation, messages: list[Message]) -> str:
    """The branch that is shown, to be read."""
    known = {message.id: message for message in messages}
    path: list[Message] = []
    at = known.pop(conversation.leaf or "", None)
    if at is None and messages:  # an answer that was refused a moment ago, or one that began since
        at = known.pop(messages[-1].id)
    while at is not None:  # each once, whatever the storage says
        path.append(at)
        at = known.pop(at.parent or "", None)
    when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(conversation.created))
    parts = [f"# {conversation.title or title_of('')}", f"{when}"]
    for message in reversed(path):
        parts.append("## You" if message.role == "user" else f"## {message.model}")
        if message.reasoning:
            parts.append("\n".join(f"> {line}" for line in message.reasoning.splitlines()))
        if message.text:
            parts.append(message.text)
        parts += [f"Called `{call.name}`:\n\n```json\n{call.arguments}\n```" for call in message.tool_calls]
        if message.role == "assistant" and message.outcome not in ("completed", "tool_calls"):
            parts.append(f"*({message.error.message if message.error else message.outcome or 'still being answered'})*")
    return "\n\n".join(parts) + "\n"


def _json(value: Any, known: str | None = None) -> Response:
    body = msgspec.json.encode(value)
    etag = f'"{hashlib.sha256(body).hexdigest()[:24]}"'
    headers = {"etag": etag, "cache-control": "no-cache"}
    if known == etag:
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)
