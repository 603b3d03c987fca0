"""The doctor's client: one request over a connection of its own, with the time of every step.

It stands on plain sockets, so that nothing between it and the wire waits, joins or retries.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any, cast

from penstock.doctor.address import Address, join
from penstock.doctor.answer import Answer
from penstock.doctor.observation import Asked, Observation, Redirect, Tls, Trouble
from penstock.version import __version__

CONNECT_SECONDS = 10.0
"""For each address of a name, and for TLS."""

DNS_SECONDS = 10.0
LATE_SECONDS = 15.0
"""How much longer than the stream itself its answer may take."""

MAX_REDIRECTS = 5
DAY = 86_400.0

Place = tuple[Any, ...]
"""A socket address; the first part is the number as text."""

Tell = Callable[[str], None]
"""Takes one line about what happens now."""


class _Failed(Exception):
    """A step failed; `trouble` says how."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.reason)
        self.trouble = trouble


async def observe(address: Address, asked: Asked, key: str = "", tell: Tell = lambda _line: None) -> Observation:
    """Ask for one doctor's stream, and see what comes. Raises nothing: trouble is in the observation.

    Redirects are followed on the same host, as long as they don't leave TLS: the key goes nowhere else.
    """
    redirects: list[Redirect] = []
    while True:
        seen = Observation(url=address.url, asked=asked, keyed=bool(key), redirects=redirects)
        try:
            await _ask(address, asked, key, seen, tell)
        except _Failed as failed:
            seen.trouble = failed.trouble
        location = seen.header("location")
        if seen.status not in (301, 302, 303, 307, 308) or not location:
            return seen
        try:
            there = join(address, location)
        except ValueError:
            seen.trouble = Trouble("redirect", "wrong", location[:200])
            return seen
        redirects.append(Redirect(seen.status, address.origin, there.url))
        if there.host != address.host or (address.tls and not there.tls):
            seen.trouble = Trouble("redirect", "elsewhere", there.url)
            return seen
        if len(redirects) > MAX_REDIRECTS or there == address:
            seen.trouble = Trouble("redirect", "loop", there.url)
            return seen
        tell(f"redirected to {there.url}")
        address = there


def request_bytes(address: Address, asked: Asked, key: str) -> bytes:
    """The request. It offers compression, to see whether somebody takes it."""
    query = f"events={asked.events}&pace={asked.pace:g}&idle={asked.idle:g}&pad={asked.pad}"
    target = address.target if "?" in address.target else f"{address.target}?{query}"
    lines = [
        f"GET {target} HTTP/1.1",
        f"Host: {address.authority}",
        "Accept: text/event-stream",
        "Accept-Encoding: gzip, deflate",
        "Cache-Control: no-cache",
        f"User-Agent: penstock-doctor/{__version__}",
    ]
    if key:
        lines.append(f"Authorization: Bearer {key}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


async def _ask(address: Address, asked: Asked, key: str, seen: Observation, tell: Tell) -> None:
    tell(f"looking up {address.host}")
    found = await _look_up(address, seen)
    tell(f"connecting to {found[0][1][0]}, port {address.port}")
    connection = await _connect(found, seen)
    # A body as large as was asked for, and the words around it; twice that is another body.
    most = 2 * asked.events * (asked.pad + 512) + 64 * 1024
    answer = Answer(seen, most)
    try:
        wire = await _start(address, connection, answer, seen, tell)
    except BaseException:
        connection.close()
        raise
    try:
        tell("asking")
        wire.send(request_bytes(address, asked, key))
        await _listen(wire, asked, seen, tell)
    finally:
        wire.close()
    if not seen.status and seen.ended != "late":
        kind = {"broken": "not-http"}.get(seen.ended, "closed")
        raise _Failed(Trouble("answer", kind, seen.why))
    if not seen.status:
        raise _Failed(Trouble("answer", "timeout"))


async def _look_up(address: Address, seen: Observation) -> list[tuple[int, Place]]:
    """The addresses of the name, in the order in which the system would try them. Raises _Failed."""
    began = time.monotonic()
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(DNS_SECONDS):
            infos = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    except TimeoutError:
        raise _Failed(Trouble("dns", "timeout")) from None
    except (OSError, UnicodeError) as error:
        raise _Failed(Trouble("dns", "name", getattr(error, "strerror", None) or str(error))) from None
    if not _is_number(address.host):
        seen.times.dns = time.monotonic() - began
    return [(family, (str(place[0]), *place[1:])) for family, _, _, _, place in infos]


def _is_number(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


async def _connect(found: list[tuple[int, Place]], seen: Observation) -> socket.socket:
    """A connection to the first address that takes one. Raises _Failed."""
    loop = asyncio.get_running_loop()
    last = Trouble("connect", "", "the name has no address")
    for family, place in found:
        connection = socket.socket(family, socket.SOCK_STREAM)
        connection.setblocking(False)
        began = time.monotonic()
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await loop.sock_connect(connection, place)
        except TimeoutError:
            last = Trouble("connect", "timeout")
        except OSError as error:
            kind = "refused" if isinstance(error, ConnectionRefusedError) else ""
            last = Trouble("connect", kind, error.strerror or str(error))
        except BaseException:
            connection.close()
            raise
        else:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            seen.times.connect = time.monotonic() - began
            seen.peer = place[0]
            return connection
        connection.close()
        seen.unanswered.append(place[0])
    raise _Failed(last)


async def _start(address: Address, connection: socket.socket, answer: Answer, seen: Observation, tell: Tell) -> _Wire:
    """Speak TLS if the address says so, and read from now on. Raises _Failed."""
    loop = asyncio.get_running_loop()
    context = None
    if address.tls:
        context = ssl.create_default_context()
        context.set_alpn_protocols(["http/1.1"])
        tell("agreeing on TLS")
    began = time.monotonic()
    try:
        _, wire = await loop.create_connection(
            lambda: _Wire(answer),
            sock=connection,
            ssl=context,
            server_hostname=address.host if address.tls else None,
            ssl_handshake_timeout=CONNECT_SECONDS if address.tls else None,
        )
    except ssl.SSLCertVerificationError as error:
        raise _Failed(Trouble("tls", "certificate", error.verify_message)) from None
    except ssl.SSLError as error:
        kind = "not-tls" if error.reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST") else ""
        raise _Failed(Trouble("tls", kind, (error.reason or str(error)).replace("_", " ").lower())) from None
    except TimeoutError:
        raise _Failed(Trouble("tls", "timeout")) from None
    except OSError as error:
        kind = "timeout" if "timeout" in str(error) else "closed"
        raise _Failed(Trouble("tls", kind, error.strerror or "")) from None
    if address.tls:
        seen.times.tls = time.monotonic() - began
        seen.tls = _tls(wire)
    return wire


def _tls(wire: _Wire) -> Tls:
    spoken: ssl.SSLObject = wire.transport.get_extra_info("ssl_object")
    certificate = spoken.getpeercert() or {}
    days = None
    if isinstance(ends := certificate.get("notAfter"), str):
        days = (ssl.cert_time_to_seconds(ends) - time.time()) / DAY
    return Tls(spoken.version() or "", days)


async def _listen(wire: _Wire, asked: Asked, seen: Observation, tell: Tell) -> None:
    """Until the answer is over, saying what came."""
    until = wire.asked + asked.seconds + LATE_SECONDS
    told = ""
    while not wire.ended.done():
        now = time.monotonic()
        if now >= until:
            wire.late()
            return
        if (line := _progress(seen, now - wire.asked)) != told:
            tell(line)
            told = line
        await asyncio.wait((wire.ended,), timeout=min(0.2, until - now))
    tell(_progress(seen, seen.ended_at))


def _progress(seen: Observation, now: float) -> str:
    if not seen.begun:
        return f"waiting for an answer ({now:.0f} s)" if now >= 1 else "waiting for an answer"
    count = f"{len(seen.arrivals)} of {seen.asked.events} events"
    if seen.asked.idle and len(seen.arrivals) == seen.asked.middle and not seen.ended:
        return f"{count}, then silence ({max(0.0, now - seen.arrivals[-1].came):.0f} of {seen.asked.idle:g} s)"
    return count


class _Wire(asyncio.Protocol):
    """Where the bytes come in, each read with its time."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.transport: asyncio.Transport = asyncio.Transport()
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.asked = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def send(self, request: bytes) -> None:
        self.asked = time.monotonic()
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._answer.feed(data, time.monotonic() - self.asked)
        self._finish()

    def eof_received(self) -> None:
        self._answer.end("closed", time.monotonic() - self.asked)
        self._finish()

    def connection_lost(self, exc: Exception | None) -> None:
        self._answer.end("reset" if exc is not None else "closed", time.monotonic() - self.asked)
        self._finish()

    def late(self) -> None:
        """Nobody waits any more."""
        self._answer.end("late", time.monotonic() - self.asked)
        self._finish()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.transport.abort()

    def _finish(self) -> None:
        if self._answer.over and not self.ended.done():
            self.ended.set_result(None)
