"""The other side of a gate: a function of the user's, or an HTTP service.

    async def check(passage: Passage) -> str | None      # or without async; None = pass, text = the reason to refuse

A service gets `POST` with the passage as JSON (`stream model tenant text new final`) and answers 200 with
`{"allow": true}` or `{"allow": false, "reason": "..."}`. Redirects are not followed.
"""

from __future__ import annotations

import asyncio
import contextvars
import http.client
import inspect
import socket
import threading
import urllib.parse
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec

from penstock.exceptions import ProtocolError
from penstock.streams.gate import Check, Passage

MAX_ANSWER_BYTES = 64 * 1024

MOST_THREADS = 32
"""Of one gate. Further checks wait for their turn."""


class _Verdict(msgspec.Struct):
    allow: bool
    reason: str | None = None


class Threads:
    """One gate's threads, up to `most` at a time.

    Not those of the loop's executor: a check that never returns would take one of the few that everything else in the
    process shares, and the process could not leave, for those are joined. These are not.
    """

    def __init__(self, most: int = MOST_THREADS) -> None:
        self._most = most
        self._free = asyncio.Semaphore(most)
        self._stuck = 0

    async def run(self, function: Callable[[Passage], Any], passage: Passage) -> Any:
        """What `function` returns or raises. Raises RuntimeError at once when all threads are in checks given up."""
        if self._stuck >= self._most:
            raise RuntimeError(f"all {self._most} threads of this gate are stuck in checks that never returned")
        await self._free.acquire()
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[tuple[Any, BaseException | None]] = loop.create_future()
        context = contextvars.copy_context()

        def work() -> None:
            said, error = None, None
            try:
                said = context.run(function, passage)
            except BaseException as raised:  # noqa: BLE001  # raised again where it is awaited
                error = raised
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(self._ended, ended, said, error)

        try:
            threading.Thread(target=work, name="penstock-gate", daemon=True).start()
        except RuntimeError:  # the machine has no more threads
            self._free.release()
            raise
        try:
            said, error = await ended
        finally:
            if ended.cancelled():
                self._stuck += 1
        if error is not None:
            raise error
        return said

    def _ended(
        self, ended: asyncio.Future[tuple[Any, BaseException | None]], said: Any, error: BaseException | None
    ) -> None:
        self._free.release()
        if not ended.cancelled():
            ended.set_result((said, error))
            return
        self._stuck -= 1
        if inspect.iscoroutine(said):
            said.close()  # it came too late to be awaited


def function_gate(function: Any) -> Check:
    """A check that calls `function`; one that is not async runs in a thread. True and None pass, False refuses."""
    threads = Threads()
    is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)

    async def check(passage: Passage) -> str | None:
        said = function(passage) if is_async else await threads.run(function, passage)
        if inspect.isawaitable(said):
            said = await said
        if said is None or said is True:
            return None
        if said is False:
            return "refused"
        if not isinstance(said, str):
            raise TypeError(f"a gate returns None, a bool or text, not {type(said).__name__}")
        return said

    return check


def http_gate(url: str, timeout: float) -> Check:
    """A check that asks the service at `url`. Raises what asking it raises, and ProtocolError for a wrong answer."""
    threads = Threads()
    place = urllib.parse.urlsplit(url)
    connect = http.client.HTTPSConnection if place.scheme == "https" else http.client.HTTPConnection
    path = (place.path or "/") + (f"?{place.query}" if place.query else "")

    def ask(connection: http.client.HTTPConnection, sockets: list[socket.socket], passage: Passage) -> str | None:
        body = msgspec.json.encode(passage._asdict())
        try:
            connection.connect()
            sockets.append(connection.sock)
            connection.request("POST", path, body, {"content-type": "application/json"})
            with connection.getresponse() as response:
                answer = response.read(MAX_ANSWER_BYTES)
        finally:
            connection.close()
        if response.status != 200:
            raise ProtocolError(f"the gate's service answered {response.status}, not a verdict")
        try:
            verdict = msgspec.json.decode(answer, type=_Verdict)
        except msgspec.MsgspecError as error:
            raise ProtocolError(f"the gate's answer is not a verdict: {error}") from None
        return None if verdict.allow else verdict.reason or "refused"

    async def check(passage: Passage) -> str | None:
        connection = connect(place.hostname or "", place.port, timeout=timeout)
        sockets: list[socket.socket] = []
        try:
            said: str | None = await threads.run(lambda passage: ask(connection, sockets, passage), passage)
        except asyncio.CancelledError:
            # The connection's timeout is for one read: a service that drips would keep the thread. This ends its read.
            for each in sockets:
                with suppress(OSError):
                    socket.socket.shutdown(each, socket.SHUT_RDWR)
            raise
        return said

    return check
