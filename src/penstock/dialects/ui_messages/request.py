"""Requests of the `ui-messages` dialect, as the AI SDK's `DefaultChatTransport` posts them.

    {"id": chat, "messages": [...], "trigger": "submit-message" or "regenerate-message", "messageId"?, and what the page adds}

The page must add `model`. A page that regenerates has taken the old answer out of `messages` itself.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from penstock.dialects.base import Noted, Outgoing, Request, decode_json, encode_json, other_fields, unsupported, untold
from penstock.dialects.ui_messages.messages import UIMessage, read_messages, write_messages
from penstock.exceptions import Refused

TARGET = "ui-messages"
MAX_CHAT_ID = 255


class _ChatRequest(msgspec.Struct):
    """The fields that Penstock itself reads. All others go to the upstream as the client wrote them."""

    id: str | None = None
    """The chat's."""
    # Both are needed; their lack is told by name.
    model: str | None = None
    messages: list[UIMessage] = []
    message_id: str | None = msgspec.field(default=None, name="messageId")
    """Of the message that was edited, or got a tool's output, or is to be made again: mostly it is the last."""


_KNOWN = frozenset(("id", "messages", "trigger", "messageId", "model", "stream"))
_NEEDED = ("system", "tools", "toolChoice")
"""What some pages add, and without which it would be another answer. The AI SDK leaves it to the server."""


def check_chat(id: str) -> str:
    """The id of a chat, which is the page's own. Raises Refused (400)."""
    if not 0 < len(id) <= MAX_CHAT_ID:
        raise Refused(400, "invalid_request", f"the id of a chat has 1 to {MAX_CHAT_ID} characters", param="id")
    return id


def _goes_on_with(asked: _ChatRequest) -> str:
    """The id of the assistant's message that the answer is a part of; none, if it is a message of its own.

    Where a page ran a tool, the message with the call and its output is the last, and the client adds the answer to it: under
    another id it would add a copy of the whole. Raises Refused (400).
    """
    *_, message = (*asked.messages, *(message for message in asked.messages if message.id == asked.message_id))
    if message.role != "assistant":
        return ""
    if len(message.id) > MAX_CHAT_ID:
        told = f"the id of a message has at most {MAX_CHAT_ID} characters"
        raise Refused(400, "invalid_request", told, param="messages")
    return message.id


def parse_request(body: bytes) -> Request:
    """A client's request; it is always for a stream. Raises Refused (400)."""
    asked: _ChatRequest = decode_json(body, _ChatRequest)
    fields: dict[str, Any] = decode_json(body, dict[str, Any])
    if not asked.model:
        message = "model is missing: a page adds it in the body of its transport"
        raise Refused(400, "invalid_request", message, param="model")
    if not asked.messages:
        raise Refused(400, "invalid_request", "messages is empty", param="messages")
    if asked.id is not None:
        check_chat(asked.id)
    noted = Noted()
    for name in _NEEDED:
        if fields.get(name):
            noted.need(name)
    for name in other_fields(fields, _KNOWN | frozenset(_NEEDED)):
        noted.hint(name)
    return Request(
        dialect=TARGET,
        model=asked.model,
        messages=read_messages(asked.messages, noted),
        message=_goes_on_with(asked),
        stream=True,
        include_usage=True,
        others=noted.others,
        needs=noted.needs,
        fields=fields,
    )


def encode_request(request: Request, model: str) -> Outgoing:
    """The upstream's request, at its base address itself. Raises Refused (400).

    How the answer is to be made is the server's own business here: there are no words for it.
    """
    if request.dialect == TARGET:
        return Outgoing("", encode_json({**request.fields, "model": model}))
    dropped = untold(request, TARGET)
    options = request.options
    if request.choices > 1:
        raise unsupported("n", TARGET)
    if request.tools:
        raise unsupported("tools", TARGET)
    if options.tool_choice not in (None, "auto", "none"):
        raise unsupported("tool_choice", TARGET)
    if options.response_format not in (None, {"type": "text"}):
        raise unsupported("response_format", TARGET)
    if request.max_tokens is not None:
        dropped.append("max_tokens")
    told = msgspec.structs.asdict(options)
    dropped += [name for name in told if told[name] is not None and name not in ("tool_choice", "response_format")]
    messages = write_messages(request.messages, TARGET, dropped)
    # Servers keep chats by their id: the same conversation has the same, and no two share one.
    id = f"chat_{hashlib.sha256(encode_json(messages)).hexdigest()[:24]}"
    fields = {"id": id, "messages": messages, "trigger": "submit-message", "model": model}
    return Outgoing("", encode_json(fields), dropped)
