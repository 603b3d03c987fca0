"""A stream that says when each of its bytes was sent: what `penstock doctor` measures a path with.

    GET /v1/doctor?events=20&pace=0.1&idle=0&pad=0

    id: 7c02e1:1
    event: start
    data: {"events":20,"pace":0.1,"idle":0.0,"pad":0,"http":"1.1","via":"","forwarded":[],"comments":1}

    : keepalive

    id: 7c02e1:2
    event: probe
    data: {"n":1,"at":0.00021}

    ...
    id: 7c02e1:22
    event: done
    data: {"at":2.00031}

The head is that of our streams, with `Penstock-Doctor: 1` and `Server-Timing`. `start` also says what arrived here of the
request: its HTTP version, its `Via`, and the names of the headers that only things on the way add.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import msgspec

from penstock.exceptions import Refused
from penstock.faces.access import Access
from penstock.faces.asgi import Headers, Receive, Scope, Send, header, query
from penstock.faces.streams import SSE_HEADERS
from penstock.streams.reader import STUCK_AFTER
from penstock.wire import sse

MAX_EVENTS = 1000
MAX_PACE = 10.0
MAX_IDLE = 90.0
MAX_PAD = 16 * 1024
MAX_SECONDS = 300.0
"""The longest that a whole run may take, its silence left out."""

ADDED_ON_THE_WAY = (
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-real-ip",
    "cf-ray",
    "cdn-loop",
    "x-amzn-trace-id",
    "x-amz-cf-id",
    "x-cloud-trace-context",
    "x-envoy-expected-rq-timeout-ms",
    "x-azure-ref",
    "fastly-client-ip",
)
"""Request headers that no client of ours sends."""


class Course(NamedTuple):
    """What a client asked for: `events` events, one every `pace` seconds, `idle` seconds without a byte after the first
    half of them, `pad` bytes more in each."""

    events: int
    pace: float
    idle: float
    pad: int

    def due(self, number: int) -> float:
        """Seconds from the beginning at which event `number` (from 1) is sent; the `done` after them is one more."""
        silence = self.idle if number > (self.events + 1) // 2 else 0.0
        return (number - 1) * self.pace + silence


class DoctorFace:
    """See the module. `answer` serves one request, under any ASGI server."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def answer(self, scope: Scope, receive: Receive, send: Send, headers: Headers = ()) -> None:
        """GET: the whole stream, until its end or until the client leaves. Raises Refused (400, 401, 403) before it."""
        asked = time.monotonic()
        self._access.tenant(scope)
        course = read_course(query(scope))
        gone = asyncio.ensure_future(_gone(receive))
        try:
            # A client that stops reading must not keep this for ever: `send` waits for it.
            async with asyncio.timeout(course.due(course.events + 1) + STUCK_AFTER):
                await _stream(scope, send, headers, course, asked, gone)
        except TimeoutError:
            if (direct := scope.get("extensions", {}).get("penstock.direct")) is not None:
                direct.abort()
        finally:
            gone.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await gone


async def _stream(
    scope: Scope, send: Send, headers: Headers, course: Course, asked: float, gone: asyncio.Future[None]
) -> None:
    epoch = secrets.token_hex(3)
    start = {**course._asdict(), **_arrived(scope), "comments": 1}
    share = (time.monotonic() - asked) * 1000
    head = [
        *SSE_HEADERS,
        *headers,
        (b"penstock-doctor", b"1"),
        (b"server-timing", b"penstock;dur=%.3f" % share),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    write = _writer(scope, send, gone)
    first = sse.encode(msgspec.json.encode(start), "start", f"{epoch}:1") + sse.KEEPALIVE
    await write(first)
    begun = time.monotonic()
    for number in range(1, course.events + 2):
        wait = begun + course.due(number) - time.monotonic()
        await asyncio.wait((gone,), timeout=max(0.0, wait))
        if gone.done():
            return
        ended = number > course.events
        told: dict[str, object] = {} if ended else {"n": number}
        told["at"] = round(time.monotonic() - asked, 6)
        if course.pad and not ended:
            told["pad"] = "." * course.pad
        await write(sse.encode(msgspec.json.encode(told), "done" if ended else "probe", f"{epoch}:{number + 1}"))
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def _writer(scope: Scope, send: Send, gone: asyncio.Future[None]) -> Callable[[bytes], Awaitable[None]]:
    """What puts bytes on the wire at once, the way our streams do: over the server's own protocol where there is one."""
    direct = scope.get("extensions", {}).get("penstock.direct")

    async def over_asgi(data: bytes) -> None:
        await send({"type": "http.response.body", "body": data, "more_body": True})

    async def over_direct(data: bytes) -> None:
        while direct.full and not gone.done():
            await asyncio.sleep(0.05)
        if not gone.done():
            direct.write(data)

    return over_asgi if direct is None else over_direct


def read_course(asked: dict[str, str]) -> Course:
    """The query's course. Raises Refused (400) for what is no number, out of its limits, or unknown."""
    unknown = sorted(asked.keys() - {"events", "pace", "idle", "pad"})
    if unknown:
        raise _wrong(unknown[0][:40], "there is no such parameter; there are: events, pace, idle, pad")
    course = Course(
        events=int(_number(asked, "events", 20, 1, MAX_EVENTS, whole=True)),
        pace=_number(asked, "pace", 0.1, 0, MAX_PACE),
        idle=_number(asked, "idle", 0, 0, MAX_IDLE),
        pad=int(_number(asked, "pad", 0, 0, MAX_PAD, whole=True)),
    )
    if course.events * course.pace > MAX_SECONDS:
        raise _wrong("pace", f"events times pace must not be more than {MAX_SECONDS:g} s")
    return course


def _number(
    asked: dict[str, str], name: str, default: float, least: float, most: float, *, whole: bool = False
) -> float:
    text = asked.get(name)
    if text is None:
        return default
    try:
        number = float(text) if len(text) <= 20 else math.nan
    except ValueError:
        number = math.nan
    # Not a number compares as false with everything.
    if not least <= number <= most or (whole and number != int(number)):
        kind = "a whole number" if whole else "a number"
        raise _wrong(name, f"it must be {kind} from {least:g} to {most:g}")
    return number


def _wrong(name: str, why: str) -> Refused:
    return Refused(400, "invalid_request", f"{name}: {why}", param=name)


def _arrived(scope: Scope) -> dict[str, object]:
    """What of the request shows the way that it came: its client is told what it can't see itself."""
    names = {key.decode("latin-1") for key, _ in scope["headers"]}
    return {
        "http": scope.get("http_version", ""),
        "via": (header(scope, b"via") or "")[:200],
        "forwarded": [name for name in ADDED_ON_THE_WAY if name in names],
    }


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
