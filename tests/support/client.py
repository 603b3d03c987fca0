"""A client that sees every byte: it can stop reading anywhere, even in the middle of a character.

It is the tests' own, so that no parser of the product judges itself: blocks are what stands between empty lines, HTTP chunks
are taken apart by hand.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from penstock.sim.process import SimProcess
from penstock.sim.truth import Truth, wait_for

T = TypeVar("T")


@dataclass(frozen=True)
class Block:
    """One SSE block. A block without data (a comment) has no id."""

    id: str
    event: str
    data: str

    @property
    def json(self) -> Any:
        return json.loads(self.data)

    @property
    def terminal(self) -> bool:
        """It ends the answer, in the native or the openai-chat dialect."""
        if self.event:
            return self.event in ("done", "error")
        return self.data == "[DONE]" or '"error"' in self.data

    @property
    def text(self) -> str:
        """The answer's text in this block."""
        if self.event:
            return str(self.json["text"]) if self.event == "token" else ""
        if self.terminal:
            return ""
        return "".join(choice["delta"].get("content") or "" for choice in self.json["choices"])


def parse_blocks(body: bytes) -> list[Block]:
    """The complete blocks of an event stream, comments left out."""
    blocks = []
    for raw in body.split(b"\n\n")[:-1]:
        fields: dict[str, list[str]] = {}
        for line in raw.decode().split("\n"):
            name, _, value = line.partition(":")
            fields.setdefault(name, []).append(value.removeprefix(" "))
        if "data" in fields:
            blocks.append(
                Block("".join(fields.get("id", [])), "".join(fields.get("event", [])), "\n".join(fields["data"]))
            )
    return blocks


@dataclass
class Response:
    """What has come of a response. `body` has no chunk framing; `whole` says that it was ended in good order."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    whole: bool = False

    @property
    def blocks(self) -> list[Block]:
        return parse_blocks(self.body)

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def stream_id(self) -> str:
        return self.headers["penstock-stream-id"]


def parse_response(raw: bytes) -> Response:
    """As much of a response as `raw` holds."""
    head, separator, rest = raw.partition(b"\r\n\r\n")
    if not separator:
        return Response()
    lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    response = Response(int(lines[0].split(" ")[1]), headers)
    if headers.get("transfer-encoding") == "chunked":
        response.body, response.whole = dechunk(rest)
    else:
        response.body = rest
        response.whole = len(rest) == int(headers.get("content-length", "0"))
    return response


def dechunk(raw: bytes) -> tuple[bytes, bool]:
    """The data of a chunked body as far as it came, and whether its end came too (RFC 9112, section 7.1)."""
    body = b""
    while True:
        size_text, separator, rest = raw.partition(b"\r\n")
        if not separator:
            return body, False
        size = int(size_text, 16)
        if size == 0:
            return body, rest == b"\r\n"
        body += rest[:size]
        if len(rest) < size + 2:
            return body, False
        assert rest[size : size + 2] == b"\r\n", "a chunk does not end where it says"
        raw = rest[size + 2 :]


def request_bytes(method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> bytes:
    """One HTTP/1.1 request; a body that is not bytes is sent as JSON."""
    data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {len(data)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + data


class Client:
    """One connection. Use as `async with Client(port) as client`."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.raw = b""

    async def __aenter__(self) -> Client:
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        # Gone without a word, as a lost network is.
        self._writer.transport.abort()

    async def send(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> None:
        self._writer.write(request_bytes(method, path, body, headers))
        await self._writer.drain()

    async def read(self, most: int | None = None, until: str | None = None, seconds: float = 60.0) -> Response:
        """Read until the response is whole, the connection ends, `most` bytes came in all, or `until` is in the body."""
        async with asyncio.timeout(seconds):
            while True:
                response = parse_response(self.raw)
                if response.whole or (until is not None and response.status and until.encode() in response.body):
                    return response
                room = 65536 if most is None else min(65536, most - len(self.raw))
                data = await self._reader.read(room) if room > 0 else b""
                if not data:
                    return response
                self.raw += data


async def fetch(
    port: int, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None, seconds: float = 60.0
) -> Response:
    """One request on a connection of its own, to its end."""
    async with Client(port) as client:
        await client.send(method, path, body, headers)
        return await client.read(seconds=seconds)


def chat(cue: dict[str, Any], prompt: str = "", **fields: Any) -> dict[str, Any]:
    """A chat request whose answer the simulated model takes from `cue`; `prompt` tells it apart in the truth file."""
    content = f"{prompt} sim:{json.dumps(cue)}"
    return {"model": "m", "stream": True, "messages": [{"role": "user", "content": content}], **fields}


def native(cue: dict[str, Any], prompt: str = "", **fields: Any) -> dict[str, Any]:
    """The same in the native dialect."""
    return chat(cue, prompt, **fields)


async def told(sim: SimProcess, found: Callable[[Truth], T]) -> T:
    """What the simulated model's truth file says, once it says it. The event loop goes on in the meantime."""
    return await asyncio.to_thread(wait_for, sim.truth_path, found)
