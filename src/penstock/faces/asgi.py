"""The little of HTTP that raw ASGI faces need: headers, bodies, answers."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import parse_qsl

from penstock.dialects.base import Dialect
from penstock.exceptions import Refused

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = Iterable[tuple[bytes, bytes]]


BODY_SECONDS = 300.0
"""How long a request's body may take in all ..."""

BODY_GAP_SECONDS = 20.0
"""... and how long nothing of it may come."""

DRAIN_SECONDS = 2.0
DRAIN_BYTES = 64 * 1024 * 1024
"""How much of a refused body is still read, so that the client gets to read the refusal."""


class ClientGone(Exception):  # it is no error
    """The client left before its request was whole: there is nobody to answer."""


def header(scope: Scope, name: bytes) -> str | None:
    """A request header's value, or None. `name` in lower case."""
    for key, value in scope["headers"]:
        if key == name:
            return str(value.decode("latin-1"))
    return None


def joined(scope: Scope, name: bytes) -> str:
    """All values of a request header, as one list. Empty = there is none."""
    values = (value.decode("latin-1").strip() for key, value in scope["headers"] if key == name)
    return ", ".join(value for value in values if value)


def query(scope: Scope) -> dict[str, str]:
    """The query string; of a name given twice the last value counts. Raises Refused (400)."""
    text = scope.get("query_string", b"").decode("latin-1")
    try:
        return dict(parse_qsl(text, keep_blank_values=True, max_num_fields=50))
    except ValueError:
        raise Refused(400, "invalid_request", "the query has too many fields") from None


def local_path(scope: Scope) -> str:
    """The path below the place where this application is mounted."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    return path.removeprefix(root) if root and path.startswith(root) else path


async def read_body(scope: Scope, receive: Receive, most: int) -> bytes:
    """The whole body. Raises Refused: 413 above `most` bytes, 408 when it does not come; and ClientGone."""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await _read_body(scope, receive, most)
    except TimeoutError:
        raise Refused(408, "request_timeout", "the body of the request did not come in time") from None


async def _read_body(scope: Scope, receive: Receive, most: int) -> bytes:
    said = header(scope, b"content-length")
    if said is not None and said.isdigit() and int(said[:20]) > most:
        raise too_large(most)
    parts: list[bytes] = []
    size = 0
    while True:
        async with asyncio.timeout(BODY_GAP_SECONDS):
            message = await receive()
        if message["type"] != "http.request":
            raise ClientGone
        part = message.get("body", b"")
        size += len(part)
        if size > most:
            raise too_large(most)
        parts.append(part)
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)


def too_large(most: int) -> Refused:
    return Refused(413, "body_too_large", f"the body is larger than {most} bytes")


async def respond(
    send: Send, status: int, body: bytes, headers: Headers = (), kind: bytes = b"application/json"
) -> None:
    """One whole response."""
    await send(_head(status, body, headers, kind))
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _head(status: int, body: bytes, headers: Headers, kind: bytes = b"application/json") -> dict[str, Any]:
    head = [(b"content-length", b"%d" % len(body)), *headers]
    if body:
        head.append((b"content-type", kind))
    if status in (204, 304):
        head = [(name, value) for name, value in head if name != b"content-length"]
    return {"type": "http.response.start", "status": status, "headers": head}


async def refuse(
    send: Send, refused: Refused, dialect: Dialect, headers: Headers = (), unread: Receive | None = None
) -> None:
    """A refusal, in the caller's dialect. `unread`: from where the rest of the request's body would come."""
    more = [*headers, *refused.headers, (b"cache-control", b"no-store")]
    if refused.retry_after is not None:
        more.append((b"retry-after", b"%d" % math.ceil(refused.retry_after)))
    if refused.status == 401:
        more.append((b"www-authenticate", b"Bearer"))
    if refused.stream:
        more.append((b"penstock-stream-id", refused.stream.encode()))
    if refused.allow:
        more.append((b"allow", refused.allow.encode()))
    if refused.status in (408, 413, 503):
        more.append((b"connection", b"close"))
    body = dialect.error_body(refused)
    if unread is None:
        await respond(send, refused.status, body, more)
        return
    await send(_head(refused.status, body, more))
    await send({"type": "http.response.body", "body": body, "more_body": True})
    await _drain(unread)
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _drain(receive: Receive) -> None:
    """Read on for a moment: a connection closed over bytes that nobody read takes the answer with it (RFC 9112, 9.6)."""
    size = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            while size < DRAIN_BYTES:
                message = await receive()
                size += len(message.get("body", b""))
                if not message.get("more_body", False):
                    return
