"""The AI SDK's addresses beside `POST /api/chat`: they know an answer by its chat, where all others know it by its stream.

GET  /api/chat/{id}/stream   the answer that is being made in this chat: all of it again, and then live; 204 if there is none
POST /api/chat/{id}/stop     cancel it; 204 if there is none

An id is the page's own, so it may hold anything: also a slash, which servers give us decoded.
"""

from __future__ import annotations

import re

from penstock.dialects import DIALECTS
from penstock.dialects.base import Request
from penstock.dialects.ui_messages.request import check_chat
from penstock.faces.access import Access
from penstock.faces.asgi import Headers, Receive, Scope, Send, respond
from penstock.faces.streams import StreamFaces, read_cancel
from penstock.gateway import Tenant
from penstock.streams.stream import Stream

CHATS = re.compile(r"/api/chat/(?P<id>.*)/(?P<action>stream|stop)", re.DOTALL)
DIALECT = DIALECTS["ui-messages"]


class ChatFaces:
    """See the module. Of a chat it knows the answer that began last, while it is being made, and nothing else."""

    def __init__(self, streams: StreamFaces, access: Access) -> None:
        self._streams = streams
        self._access = access
        self._latest: dict[tuple[str, str], Stream] = {}
        """By tenant and chat. No more than there are live streams."""
        self._live: set[Stream] = set()
        """Those that were ever the latest of their chat."""
        streams.on_open.append(self._opened)

    async def answer(self, chat: str, scope: Scope, receive: Receive, send: Send, headers: Headers) -> None:
        """GET resumes, POST stops. Raises Refused."""
        tenant = self._access.tenant(scope)
        seen = await read_cancel(scope, receive) if scope["method"] == "POST" else None
        stream = self._latest.get((tenant.name, check_chat(chat)))
        if stream is None:
            await respond(send, 204, b"", headers)
        elif scope["method"] == "POST":
            await self._streams.end(stream.id, tenant, seen, send, headers)
        else:
            await self._streams.attach(stream.id, DIALECT, scope, receive, send, headers)

    def _opened(self, tenant: Tenant, request: Request, stream: Stream) -> None:
        chat = request.fields.get("id") if request.dialect == DIALECT.name else None
        # One that is known came back by its Idempotency-Key: a later answer of the same chat is not older for that.
        if chat is None or stream.end is not None or stream in self._live:
            return
        place = (tenant.name, chat)
        self._latest[place] = stream
        self._live.add(stream)

        def ended(stream: Stream) -> None:
            self._live.discard(stream)
            if self._latest.get(place) is stream:
                del self._latest[place]

        stream.on_end.append(ended)
