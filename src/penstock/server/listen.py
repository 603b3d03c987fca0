"""Listening, and leaving: sockets, signals, and a shutdown that loses no word.

SIGTERM or SIGINT: stop accepting at once, let running streams finish within the grace time, then tell the readers of the
rest `interrupted` and go. A second signal goes now.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Protocol

import uvicorn

from penstock.policy.capacity import Capacity
from penstock.server.http import DirectProtocol

log = logging.getLogger("penstock.server")

BACKLOG = 8192
NOTSENT_LOWAT = 16 * 1024
"""Unsent bytes the kernel may hold per connection: the rest of a slow reader's lag stays in the log, where it is shared."""

USER_TIMEOUT_MS = 15_000
"""How long sent bytes may stay unacknowledged. With a keepalive every 15 s a dead peer is noticed within 30 s."""


class Served(Protocol):
    """What is served."""

    capacity: Capacity

    @property
    def gateway(self) -> Any: ...
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...
    async def close(self) -> None: ...


def bind(host: str, port: int) -> socket.socket:
    """A listening socket whose connections are set up for streams. Raises OSError."""
    family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[
        0
    ]
    listener = socket.socket(family, kind, proto)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Set on the listener, these are inherited by every connection: no call per connection.
        for level, option, value in (
            (socket.IPPROTO_TCP, "TCP_NODELAY", 1),
            (socket.IPPROTO_TCP, "TCP_NOTSENT_LOWAT", NOTSENT_LOWAT),
            (socket.IPPROTO_TCP, "TCP_USER_TIMEOUT", USER_TIMEOUT_MS),
            (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
        ):
            if hasattr(socket, option):
                listener.setsockopt(level, getattr(socket, option), value)
        listener.bind(address)
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


class Server(uvicorn.Server):
    """uvicorn's server, with our own signals and our own way to leave."""

    def __init__(self, config: uvicorn.Config, served: Served, grace: float) -> None:
        super().__init__(config)
        self._served = served
        self._grace = grace

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._leave)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    def _leave(self) -> None:
        if self.should_exit:
            log.warning("second signal: leaving now")
            self._grace = 0
            self.force_exit = True
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        gateway = self._served.gateway
        for server in self.servers:
            server.close()
        for listener in sockets or ():
            listener.close()
        gateway.drain()
        for connection in list(self.server_state.connections):
            connection.shutdown()  # idle ones close now, busy ones after their answer
        loop = asyncio.get_running_loop()
        until = loop.time() + self._grace
        if gateway.live():
            log.info("streams that are running: %d; waiting up to %g s for them", gateway.live(), self._grace)
        while gateway.live() and loop.time() < until and not self.force_exit:
            await asyncio.sleep(0.05)
        if gateway.live():
            log.warning("streams ended as interrupted: %d", gateway.live())
        await self._served.close()
        # The last words are in the transports' buffers: give each a moment to leave.
        until = loop.time() + 2.0
        while self.server_state.tasks and loop.time() < until:
            await asyncio.sleep(0.02)
        for task in self.server_state.tasks:
            task.cancel()
        for connection in list(self.server_state.connections):
            connection.transport.close()
        await asyncio.sleep(0)


async def serve(
    served: Served, listener: socket.socket, *, grace: float, started: Callable[[], Awaitable[None]]
) -> None:
    """Serve until a signal. `started` is awaited once connections are accepted."""

    class Protocol(DirectProtocol):
        capacity = served.capacity

    config = uvicorn.Config(
        served,
        http=Protocol,
        ws="none",
        lifespan="off",
        access_log=False,
        proxy_headers=False,  # nothing here believes them; and each would cost every request a coroutine
        log_config=None,
        server_header=False,
        date_header=False,
        backlog=BACKLOG,
        timeout_keep_alive=75,
    )
    server = Server(config, served, grace)
    # Events make no garbage that needs collecting; streams make a few hundred objects each, in no cycles. With thousands
    # live, a full collection stops the world for longer than a token's gap: look seldom, and never at what is imported.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    running = asyncio.ensure_future(server.serve(sockets=[listener]))
    while not server.started and not running.done():
        await asyncio.sleep(0.005)
    if not running.done():
        await started()
    await running
