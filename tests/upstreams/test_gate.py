"""The gate's other side: functions, and services over real sockets."""

from __future__ import annotations

import asyncio
import functools
import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest

from penstock.streams.gate import Passage
from penstock.upstreams.gate import Threads, function_gate, http_gate

pytestmark = pytest.mark.anyio
PASSAGE = Passage("s", "m", "t", "all of it", "it", False)


@pytest.mark.parametrize(("said", "reason"), [(None, None), (True, None), (False, "refused"), ("no", "no"), ("", "")])
async def test_what_a_function_says(said: Any, reason: str | None) -> None:
    async def waits(passage: Passage) -> Any:
        assert passage is PASSAGE
        return said

    assert await function_gate(waits)(PASSAGE) == reason
    assert await function_gate(lambda _: said)(PASSAGE) == reason


async def test_a_function_that_says_something_else() -> None:
    with pytest.raises(TypeError, match="not int"):
        await function_gate(lambda _: 7)(PASSAGE)


class Object:
    async def __call__(self, passage: Passage) -> str:
        return passage.text

    async def method(self, passage: Passage, more: str = "") -> str:
        return passage.text + more


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (Object(), "all of it"),
        (Object().method, "all of it"),
        (functools.partial(Object().method, more="!"), "all of it!"),
        (lambda passage: Object()(passage), "all of it"),
    ],
    ids=["object", "method", "partial", "returns an awaitable"],
)
async def test_what_may_be_a_function(function: Any, reason: str) -> None:
    assert await function_gate(function)(PASSAGE) == reason


def threads_of_gates() -> int:
    return sum(thread.name == "penstock-gate" for thread in threading.enumerate())


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not true():
            await asyncio.sleep(0.001)


async def test_functions_have_threads_of_their_own() -> None:
    """However many of them hang: the loop's executor has a thread for others."""
    go_on = threading.Event()
    check = function_gate(lambda _: go_on.wait(60) and None)
    asking = [asyncio.create_task(check(PASSAGE)) for _ in range(40)]
    await asyncio.sleep(0)
    assert await asyncio.wait_for(asyncio.to_thread(lambda: "free"), 30) == "free"
    assert all(thread.daemon for thread in threading.enumerate() if thread.name == "penstock-gate")
    await until(lambda: threads_of_gates() == 32)  # the other eight wait for their turn
    go_on.set()
    assert await asyncio.gather(*asking) == [None] * 40


async def test_when_all_threads_are_stuck_checks_fail_at_once() -> None:
    go_on = threading.Event()
    threads = Threads(2)

    async def late(passage: Passage) -> None: ...

    def hangs(passage: Passage) -> Any:
        go_on.wait(60)
        return late(passage)

    for _ in range(2):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(threads.run(hangs, PASSAGE), 0.01)
    with pytest.raises(RuntimeError, match="all 2 threads"):
        await threads.run(hangs, PASSAGE)
    go_on.set()
    await until(lambda: threads_of_gates() == 0)
    await asyncio.sleep(0.01)
    assert await threads.run(lambda passage: passage.new, PASSAGE) == "it", "those that came back serve again"


async def test_a_check_that_is_given_up_while_it_waits_for_its_turn_takes_none() -> None:
    go_on = threading.Event()
    threads = Threads(1)
    first = asyncio.create_task(threads.run(lambda _: go_on.wait(60), PASSAGE))
    await asyncio.sleep(0)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(threads.run(lambda _: True, PASSAGE), 0.01)
    go_on.set()
    assert await first
    assert await threads.run(lambda _: "turn", PASSAGE) == "turn"


async def test_no_thread_to_be_had_is_a_check_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    threads = Threads(1)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", start)
        for _ in range(2):
            with pytest.raises(RuntimeError, match="can't start"):
                await threads.run(lambda _: True, PASSAGE)
    assert await threads.run(lambda _: True, PASSAGE)


def test_a_loop_that_is_closed_needs_no_answer() -> None:
    go_on = threading.Event()
    loop = asyncio.new_event_loop()
    with pytest.raises(TimeoutError):
        loop.run_until_complete(asyncio.wait_for(Threads().run(lambda _: go_on.wait(60), PASSAGE), 0.01))
    loop.close()
    (thread,) = (thread for thread in threading.enumerate() if thread.name == "penstock-gate")
    go_on.set()
    thread.join(30)
    assert not thread.is_alive()


class Service(http.server.BaseHTTPRequestHandler):
    asked: ClassVar[list[Any]] = []
    status = 200
    answer = b'{"allow": true}'

    def do_POST(self) -> None:
        self.asked.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(self.status)
        self.send_header("location", "http://127.0.0.1:9/")
        self.send_header("content-length", str(len(self.answer)))
        self.end_headers()
        self.wfile.write(self.answer)

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def service() -> Iterator[tuple[str, type[Service]]]:
    class Own(Service):
        asked: ClassVar[list[Any]] = []

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Own)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/check", Own
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [(b'{"allow": true}', None), (b'{"allow": false}', "refused"), (b'{"allow": false, "reason": "rude"}', "rude")],
)
async def test_what_a_service_says(service: tuple[str, type[Service]], answer: bytes, reason: str | None) -> None:
    url, handler = service
    handler.answer = answer
    assert await http_gate(url, 5)(PASSAGE) == reason
    assert handler.asked == [
        {"stream": "s", "model": "m", "tenant": "t", "text": "all of it", "new": "it", "final": False}
    ]


@pytest.mark.parametrize(("status", "answer"), [(500, b"{}"), (302, b""), (200, b"fine!"), (200, b'{"ok": true}')])
async def test_what_is_no_verdict_does_not_pass(service: tuple[str, type[Service]], status: int, answer: bytes) -> None:
    url, handler = service
    handler.status, handler.answer = status, answer
    with pytest.raises(Exception, match="verdict"):
        await http_gate(url, 5)(PASSAGE)


async def test_nobody_there_does_not_pass() -> None:
    with pytest.raises(OSError, match="refused"):
        await http_gate("http://127.0.0.1:9/", 1)(PASSAGE)


async def test_a_service_that_drips_keeps_no_thread(service: tuple[str, type[Service]]) -> None:
    """Each read of it is in time; the whole is not."""
    url, handler = service
    gone = threading.Event()

    def drips(self: Service) -> None:
        self.send_response(200)
        self.end_headers()
        try:
            while True:
                self.wfile.write(b" ")
                time.sleep(0.01)
        except OSError:
            gone.set()

    handler.do_POST = drips  # type: ignore[method-assign]
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(http_gate(url, 20)(PASSAGE), 0.3)
    await until(gone.is_set)
    await until(lambda: threads_of_gates() == 0)
