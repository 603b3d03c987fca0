"""The load: many streamed requests from one process over uvloop, each checked by an `Answer`.

Source addresses are spread over 127.0.0.0/8, because one address has only some 28,000 ports towards one server.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import time
from collections.abc import Callable
from typing import Any

from bench import proc
from bench.check import SPOKEN, Answer, Tally

SOURCES = 16
"""Loopback addresses that clients connect from."""


def request_bytes(cue: dict[str, Any], port: int, spoken: str = "chat") -> bytes:
    """A streamed chat completion or message whose answer the simulated model takes from `cue`."""
    asked: dict[str, Any] = {"model": "m", "stream": True}
    if spoken == "messages":
        asked["max_tokens"] = 100_000
    body = json.dumps({**asked, "messages": [{"role": "user", "content": "sim:" + json.dumps(cue)}]}).encode()
    head = (
        f"POST {SPOKEN[spoken].path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer bench\r\n"
        f"Content-Type: application/json\r\nAccept: text/event-stream\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Connection(asyncio.Protocol):
    """One request on one connection; it closes when its answer is over."""

    __slots__ = ("answer", "ended", "request", "transport")

    def __init__(self, answer: Answer, request: bytes, ended: asyncio.Event | None = None) -> None:
        self.answer = answer
        self.request = request
        self.ended = ended
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.answer.sent_ns = time.monotonic_ns()
        self.transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        answer = self.answer
        answer.feed(data, time.monotonic_ns())
        if answer.over:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None and not self.answer.over:
            self.answer.fail(f"connection lost: {type(exc).__name__}")
        self.answer.end()


class Load:
    """Streams towards one server, opened gradually."""

    def __init__(self, port: int, *, ids: bool = False, spoken: str = "chat") -> None:
        self.port = port
        self.ids = ids
        self.spoken = spoken
        self.tally = Tally()
        self.answers: list[Answer] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._opened = 0
        self._connections: list[Connection] = []

    async def open(self, streams: int, per_second: float, cue: Callable[[], dict[str, Any]]) -> None:
        """Begin `streams` streams, `per_second` of them a second. `cue` is asked when each one begins."""
        begin = time.monotonic()
        for number in range(streams):
            wait = begin + number / per_second - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            task = asyncio.create_task(self._connect(cue()))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _connect(self, cue: dict[str, Any]) -> None:
        answer = Answer(self.tally, None if cue.get("endless") else cue["tokens"], ids=self.ids, spoken=self.spoken)
        self.answers.append(answer)
        source = f"127.0.0.{2 + self._opened % SOURCES}"
        self._opened += 1
        connection = Connection(answer, request_bytes(cue, self.port, self.spoken))
        self._connections.append(connection)
        loop = asyncio.get_running_loop()
        try:
            await asyncio.wait_for(
                loop.create_connection(lambda: connection, "127.0.0.1", self.port, local_addr=(source, 0)), 30
            )
        except (OSError, TimeoutError) as error:
            answer.fail(f"connect: {type(error).__name__}")

    async def until(self, reached: Callable[[Answer], bool], deadline: float) -> bool:
        """Wait until every answer is over or `reached`, at most until `deadline` (monotonic seconds)."""
        while not (all(answer.over or reached(answer) for answer in self.answers) and not self._tasks):
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(0.1)
        return True

    async def finish(self, deadline: float) -> None:
        """Wait for the end of every stream; those that have none by `deadline` (monotonic seconds) have failed."""
        await self.until(lambda _: False, deadline)
        for answer in self.answers:
            if not answer.over:
                answer.fail("never ended" if answer.tokens else "never answered")
        self.close()

    def close(self) -> None:
        """Drop every connection."""
        for connection in self._connections:
            if connection.transport is not None:
                connection.transport.abort()

    @property
    def live(self) -> int:
        return sum(1 for answer in self.answers if answer.tokens and not answer.over)

    def outcome(self) -> dict[str, Any]:
        """Counts of what became of the streams."""
        return {
            "opened": len(self.answers),
            "right": sum(1 for answer in self.answers if answer.over and answer.failure is None),
            "failures": dict(self.tally.failures),
            "sample_failure": self.tally.sample,
        }


def until_cue(end: float, rate: float, **more: Any) -> Callable[[], dict[str, Any]]:
    """Cues for stamped streams of `rate` tokens a second that all end at `end` (monotonic seconds)."""

    def cue() -> dict[str, Any]:
        tokens = max(1, math.ceil((end - time.monotonic()) * rate))
        return {"tokens": tokens, "pace": round(1 / rate, 6), "stamp": True, **more}

    return cue


async def warm_up(port: int, patience: float, streams: int = 20, spoken: str = "chat") -> None:
    """Wait until the server streams, at most `patience` seconds, then send a few short streams through it.

    Raises RuntimeError with what the last attempt saw.
    """
    deadline = time.monotonic() + patience
    cue = {"tokens": 5, "pace": 0.01, "stamp": True}
    while True:
        probe = Load(port, spoken=spoken)
        await probe.open(1, 1, lambda: cue)
        await probe.finish(min(deadline, time.monotonic() + 10) + 0.1)
        if not probe.tally.failures:
            break
        if time.monotonic() > deadline:
            raise RuntimeError(f"it never streamed: {probe.tally.sample[:600]}")
        await asyncio.sleep(0.25)
    load = Load(port, spoken=spoken)
    await load.open(streams, 20, lambda: cue)
    await load.finish(time.monotonic() + 15)
    if load.tally.failures:
        raise RuntimeError(f"warming up failed: {load.tally.sample[:600]}")
    await asyncio.sleep(0.5)


class Window:
    """CPU seconds of several processes, and events, between `__enter__` and `__exit__`."""

    def __init__(self, load: Load, proxy: list[int], origin: list[int]) -> None:
        self._load = load
        self._pids = {"proxy": proxy, "origin": origin, "client": [os.getpid()]}
        self.seconds = 0.0
        self.events = 0
        self.cpu: dict[str, float] = {}

    def __enter__(self) -> Window:
        self._load.tally.recording = True
        self._before = self._read()
        return self

    def __exit__(self, *_: object) -> None:
        now, events, cpu = self._read()
        self._load.tally.recording = False
        self.seconds = now - self._before[0]
        self.events = events - self._before[1]
        self.cpu = {name: used - self._before[2][name] for name, used in cpu.items()}

    def _read(self) -> tuple[float, int, dict[str, float]]:
        cpu = {name: proc.cpu_seconds(pids) for name, pids in self._pids.items()}
        cpu["others"] = proc.busy_seconds() - sum(cpu.values())
        return time.monotonic(), self._load.tally.events, cpu

    def result(self) -> dict[str, Any]:
        """Events, rate (1/s), and the share of one core that each part, and everything else on the machine, used."""
        return {
            "seconds": round(self.seconds, 3),
            "events": self.events,
            "events_per_s": round(self.events / self.seconds, 1),
            "proxy_cpu_s": round(self.cpu["proxy"], 3),
            "us_per_event": round(self.cpu["proxy"] / self.events * 1e6, 3) if self.events else None,
            "core_share": {name: round(used / self.seconds, 3) for name, used in self.cpu.items()},
        }
