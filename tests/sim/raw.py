"""A client that shows what was on the wire, byte by byte."""

import json
import socket
from dataclasses import dataclass, field
from typing import Any

PATIENCE = 20  # seconds; only ever reached when something is broken


def request(cue: dict[str, Any] | None, *, prompt: str = "", stream: bool = True, **body: Any) -> bytes:
    """A chat completion request, whose last user message carries the cue."""
    said = prompt if cue is None else f"{prompt} sim:{json.dumps(cue)}"
    content = json.dumps(
        {"model": "m", "stream": stream, "messages": [{"role": "user", "content": said}], **body}
    ).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: sim\r\ncontent-length: {len(content)}\r\n\r\n"
    return head.encode() + content


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)


@dataclass
class Reply:
    """A response as it came, and how its body ended."""

    head: bytes = b""
    body: bytes = b""
    chunks: list[bytes] = field(default_factory=list)
    ended: str = ""
    """`chunked` or `length`: as declared; `eof` or `reset`: by the connection."""

    @property
    def status(self) -> int:
        return int(self.head.split()[1])

    @property
    def headers(self) -> dict[str, str]:
        lines = self.head.decode().split("\r\n")[1:]
        return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines) if name}

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def data(self) -> list[str]:
        """The `data` of every event; lines end with LF."""
        return [line[6:] for line in self.body.decode().split("\n") if line.startswith("data: ")]

    @property
    def events(self) -> list[Any]:
        return [json.loads(data) for data in self.data if data != "[DONE]"]

    @property
    def text(self) -> str:
        return texts(self.events)


def texts(events: list[Any], key: str = "content", choice: int = 0) -> str:
    deltas = [c["delta"] for event in events for c in event.get("choices", []) if c["index"] == choice]
    return "".join(delta.get(key) or "" for delta in deltas)


def read(sock: socket.socket) -> Reply:
    """Reads one response to its end, whatever end that is."""
    reply = Reply()
    got = b""

    def more() -> bool:
        nonlocal got
        try:
            data = sock.recv(1 << 16)
        except ConnectionResetError:
            reply.ended = "reset"
            return False
        if not data:
            reply.ended = "eof"
        got += data
        return bool(data)

    while b"\r\n\r\n" not in got:
        if not more():
            reply.head = got
            return reply
    reply.head, _, got = got.partition(b"\r\n\r\n")
    if reply.headers.get("transfer-encoding") == "chunked":
        while True:
            while b"\r\n" not in got:
                if not more():
                    return reply
            line, _, rest = got.partition(b"\r\n")
            size = int(line, 16)
            while len(rest) < size + 2:
                if not more():
                    reply.body += rest[:size]
                    return reply
                _, _, rest = got.partition(b"\r\n")
            got = rest[size + 2 :]
            if size == 0:
                assert got == b"", "nothing may follow the last chunk"
                reply.ended = "chunked"
                return reply
            reply.chunks.append(rest[:size])
            reply.body += rest[:size]
    length = int(reply.headers.get("content-length", 1 << 60))
    while len(got) < length:
        if not more():
            reply.body = got
            return reply
    reply.body = got
    reply.ended = "length"
    return reply


def ask(port: int, cue: dict[str, Any] | None = None, **more: Any) -> Reply:
    """Asks on a connection of its own, and reads the answer."""
    with connect(port) as sock:
        sock.sendall(request(cue, **more))
        return read(sock)
