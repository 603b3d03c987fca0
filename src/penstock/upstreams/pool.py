"""The pool: kept-alive connections to one endpoint, and how new ones are made.

TLS is verified against the system's certificates. `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY` are honoured as everywhere.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
import urllib.parse
import urllib.request
from collections import deque
from typing import NamedTuple

from penstock.exceptions import Overdue, PenstockError
from penstock.policy.capacity import Capacity
from penstock.streams.wheel import Wheel
from penstock.upstreams.connection import Connection

IDLE_SECONDS = 50.0
"""How long an idle connection is kept. Many servers close theirs after 60 s or more."""

LINGER_SECONDS = 1.0
"""How long the rest of a response may take after its end marker, before the connection is closed instead of kept."""


class Unreachable(PenstockError):
    """No connection could be made. The message says why, without addresses."""


class Endpoint(NamedTuple):
    """Where an upstream is: scheme, host and port; `path` is the base path, without a slash at its end."""

    tls: bool
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """What a Host header says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"


def parse_endpoint(url: str) -> Endpoint:
    """Read a base address such as `https://api.example.com/v1`. Raises ValueError."""
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("not an http:// or https:// address")
    if parts.query or parts.fragment or parts.username or parts.password:
        raise ValueError("a base address has no query, fragment or credentials")
    if any(c <= " " or c == "\x7f" for c in url):
        raise ValueError("an address holds no spaces or control characters")
    tls = parts.scheme == "https"
    return Endpoint(tls, parts.hostname, parts.port or (443 if tls else 80), parts.path.rstrip("/"))


class Proxy(NamedTuple):
    """A forward proxy."""

    host: str
    port: int
    authorization: str | None


def proxy_for(endpoint: Endpoint) -> Proxy | None:
    """The environment's proxy for `endpoint`, if any. Raises ValueError for one that can't be used."""
    proxies = urllib.request.getproxies_environment()
    url = proxies.get("https" if endpoint.tls else "http") or proxies.get("all")
    if not url or urllib.request.proxy_bypass(endpoint.host):
        return None
    parts = urllib.parse.urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError("only http:// proxies can be used")
    authorization = None
    if parts.username is not None:
        user = f"{urllib.parse.unquote(parts.username)}:{urllib.parse.unquote(parts.password or '')}"
        authorization = "Basic " + base64.b64encode(user.encode()).decode()
    return Proxy(parts.hostname, parts.port or 80, authorization)


class Pool:
    """See the module. One pool per upstream; not thread-safe."""

    def __init__(
        self,
        endpoint: Endpoint,
        wheel: Wheel,
        capacity: Capacity,
        *,
        tls_context: ssl.SSLContext | None = None,
        proxy: Proxy | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.proxy = proxy
        self._wheel = wheel
        self._capacity = capacity
        self._idle: deque[tuple[float, Connection]] = deque()
        self._tls = tls_context or (ssl.create_default_context() if endpoint.tls else None)
        self._sweeping = False
        capacity.spare.append(self._close_one)

    def take(self) -> Connection | None:
        """An idle connection, the one used last first; None = there is none."""
        while self._idle:
            _, connection = self._idle.pop()
            if connection.transport is not None and not connection.transport.is_closing():
                return connection
        return None

    def reserve(self) -> bool:
        """Count a connection that is about to be made; when the process is full, an idle one makes room for it."""
        return self._capacity.take()

    def unreserve(self) -> None:
        self._capacity.give()

    async def connect(self, timeout: float) -> Connection:
        """A new connection; `reserve` was called for it. Raises Unreachable, and Overdue after `timeout` seconds."""
        made: list[Connection] = []
        connected = False
        try:
            async with asyncio.timeout(timeout):
                connection = await self._connect(made)
            connected = connection.counted = True
            return connection
        except TimeoutError:
            raise Overdue(f"no connection to the upstream within {timeout:g} s") from None
        except ssl.SSLCertVerificationError as error:
            raise Unreachable(f"the upstream's certificate is not valid: {error.verify_message}") from None
        except ssl.SSLError as error:
            raise Unreachable(f"TLS with the upstream failed: {error.reason}") from None
        except OSError as error:
            raise Unreachable(f"the upstream can't be reached: {error.strerror or type(error).__name__}") from None
        finally:
            # Cancelled or failed: give the place back, and leave no half-made connection behind.
            if not connected:
                for half in made:
                    half.close()
                self._capacity.give()

    async def _connect(self, made: list[Connection]) -> Connection:
        loop = asyncio.get_running_loop()
        endpoint, proxy = self.endpoint, self.proxy

        def protocol() -> Connection:
            made.append(Connection(self))
            return made[-1]

        if proxy is None:
            _, connection = await loop.create_connection(
                protocol,
                endpoint.host,
                endpoint.port,
                ssl=self._tls,
                server_hostname=endpoint.host if endpoint.tls else None,
            )
            return connection
        if not endpoint.tls:
            _, connection = await loop.create_connection(protocol, proxy.host, proxy.port)
            return connection
        transport, tunnel = await loop.create_connection(_Tunnel, proxy.host, proxy.port)
        try:
            await tunnel.open(endpoint, proxy)
            connection = protocol()
            assert self._tls is not None
            secured = await loop.start_tls(transport, connection, self._tls, server_hostname=endpoint.host)
        except BaseException:
            transport.abort()
            raise
        assert secured is not None
        if connection.transport is None:
            connection.connection_made(secured)
        return connection

    def put(self, connection: Connection) -> None:
        """Keep an idle connection."""
        self._idle.append((self._wheel.now(), connection))
        if not self._sweeping:
            self._sweeping = True
            self._wheel.at(self._wheel.now() + IDLE_SECONDS, self._sweep)

    def gone(self, connection: Connection) -> None:
        """A connection has closed."""
        if connection.counted:
            self._capacity.give()
        if connection.reused:
            self._idle = deque(kept for kept in self._idle if kept[1] is not connection)

    def close_later(self, connection: Connection) -> None:
        """Close `connection` unless its response is complete soon."""

        def due(_now: float) -> None:
            if connection.lingering:
                connection.close()

        self._wheel.at(self._wheel.now() + LINGER_SECONDS, due)

    def close(self) -> None:
        """Close every idle connection."""
        while self._idle:
            self._idle.pop()[1].close()

    def _close_one(self) -> bool:
        """Close the connection that was idle for longest; False = there is none."""
        if not self._idle:
            return False
        self._idle.popleft()[1].close()
        return True

    def _sweep(self, now: float) -> float | None:
        while self._idle and self._idle[0][0] + IDLE_SECONDS <= now:
            self._idle.popleft()[1].close()
        if self._idle:
            return self._idle[0][0] + IDLE_SECONDS
        self._sweeping = False
        return None


class _Tunnel(asyncio.Protocol):
    """The CONNECT conversation with a proxy, before TLS begins (RFC 9110, section 9.3.6)."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._head = bytearray()
        self._opened: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a stream connection has a full transport

    def data_received(self, data: bytes) -> None:
        self._head += data
        if not self._opened.done() and (b"\r\n\r\n" in self._head or len(self._head) > 16 * 1024):
            self._opened.set_result(bytes(self._head))

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._opened.done():
            self._opened.set_result(b"")

    async def open(self, endpoint: Endpoint, proxy: Proxy) -> None:
        """Ask for the tunnel. Raises ConnectionError if the proxy refuses."""
        assert self._transport is not None
        target = (
            f"{endpoint.host}:{endpoint.port}" if ":" not in endpoint.host else f"[{endpoint.host}]:{endpoint.port}"
        )
        lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
        if proxy.authorization:
            lines.append(f"Proxy-Authorization: {proxy.authorization}")
        self._transport.write("\r\n".join([*lines, "", ""]).encode())
        status = (await self._opened).split(b"\r\n", 1)[0].split(b" ")
        if len(status) < 2 or status[1] != b"200":
            raise ConnectionError(0, "the proxy refused the tunnel")
