"""The little of HTTP that raw ASGI faces need: headers, bodies, answers."""

from __future__ import annotations

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


class ClientGone(Exception):  # it is no error
    """The client left before its request was whole: there is nobody to answer."""


def header(scope: Scope, name: bytes) -> str | None:
    """A request header's value, or None. `name` in lower case."""
    for key, value in scope["headers"]:
        if key == name:
            return str(value.decode("latin-1"))
    return None


def query(scope: Scope) -> dict[str, str]:
    """The query string; of a name given twice the last value counts."""
    return dict(parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True, max_num_fields=50))


def local_path(scope: Scope) -> str:
    """The path below the place where this application is mounted."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    return path.removeprefix(root) if root and path.startswith(root) else path


async def read_body(scope: Scope, receive: Receive, most: int) -> bytes:
    """The whole body. Raises Refused (413) above `most` bytes, and ClientGone."""
    said = header(scope, b"content-length")
    if said is not None and said.isdigit() and int(said[:20]) > most:
        raise too_large(most)
    parts: list[bytes] = []
    size = 0
    while True:
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
    head = [(b"content-length", b"%d" % len(body)), *headers]
    if body:
        head.append((b"content-type", kind))
    if status in (204, 304):
        head = [(name, value) for name, value in head if name != b"content-length"]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def refuse(send: Send, refused: Refused, dialect: Dialect, headers: Headers = ()) -> None:
    """A refusal, in the caller's dialect. A client that was refused before its body was read is let go."""
    more = [*headers, (b"cache-control", b"no-store")]
    if refused.retry_after is not None:
        more.append((b"retry-after", b"%d" % math.ceil(refused.retry_after)))
    if refused.status == 401:
        more.append((b"www-authenticate", b"Bearer"))
    if refused.status in (408, 413, 503):
        more.append((b"connection", b"close"))
    await respond(send, refused.status, dialect.error_body(refused), more)
