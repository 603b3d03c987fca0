"""The gate's other side: functions, and services over real sockets."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from penstock.streams.gate import Passage
from penstock.upstreams.gate import function_gate, http_gate

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
