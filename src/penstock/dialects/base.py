"""What a dialect is: one wire format, all its directions in one place.

                        client's side                     upstream's side
    request      parse_request: bytes -> Request   encode_request: Request -> bytes
    answer       Encoder: events -> blocks         Decoder: blocks -> events
    answer       collect: events -> one JSON       Probe: what a block means, without translating it
    refusal      error_body: Refused -> JSON       read_error: HTTP status and body -> UpstreamFailed

Everything here is pure: no clock, no event loop. An encoder is a function of the stream's description and its events,
so that rendering the same log again gives the same bytes: that is what makes every block a resume point.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import IntEnum
from typing import Any, Protocol

import msgspec

from penstock.exceptions import Refused, UpstreamFailed
from penstock.wire.events import Error, Event, Terminal, Usage


class Message(msgspec.Struct):
    """One message of a conversation. `content` is text, or parts as the client wrote them (`{"type": "text", ...}`)."""

    role: str
    content: str | list[dict[str, Any]] | None = None
    name: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None

    @property
    def text(self) -> str:
        """The plain text of the message: its text parts, joined."""
        if isinstance(self.content, list):
            texts = (part.get("text") for part in self.content if part.get("type") == "text")
            return "".join(text for text in texts if isinstance(text, str))
        return self.content or ""


class Tool(msgspec.Struct):
    """A function that the model may call; `parameters` is a JSON schema."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] = {}


class Request(msgspec.Struct, kw_only=True):
    """What a client asked for, whatever dialect it spoke."""

    dialect: str
    """The dialect that the client spoke."""
    model: str
    """The public model name."""
    messages: Sequence[Message]
    stream: bool = False
    include_usage: bool = False
    """The client asked to be shown the usage."""
    choices: int = 1
    max_tokens: int | None = None
    tools: Sequence[Tool] = ()
    fields: dict[str, Any] = {}
    """The request's other fields in its own dialect's names, untouched."""


class Description(msgspec.Struct, frozen=True):
    """What an encoder may say about a stream."""

    stream: str
    model: str
    created: int
    """Unix time in seconds."""


class Kind(IntEnum):
    """What a block of the upstream is to the stream."""

    DATA = 0
    """Part of the answer: into the log as it is."""
    HELD = 1
    """A fact that belongs to the end (usage): the probe keeps it until then."""
    END = 2
    """The dialect's end marker."""
    FAILED = 3
    """The upstream reports an error in the stream."""


class Probe(Protocol):
    """Reads each block of an upstream just far enough to know what it means to the stream."""

    started: bool
    """A token, of text, reasoning, refusal or tool call, was seen. A chunk with only a role is no token."""
    usage: Usage | None
    held: bytes | None
    """The block that told the usage, if it told nothing else: for clients of the same dialect."""
    failure: Error | None
    outcome: str
    """How the upstream says that the answer ended: an outcome told by `done`."""

    def __call__(self, block: bytes) -> Kind:
        """Raises ProtocolError when the block is not what the dialect allows."""
        ...


class Decoder(Protocol):
    def decode(self, block: bytes) -> list[Event]:
        """The events of one canonical block of the log. The first block also gives the stream's `Start`."""
        ...


class Encoder(Protocol):
    def encode(self, events: Iterable[Event]) -> list[bytes]:
        """The canonical blocks, without ids, that tell the events of one log entry."""
        ...

    def end(self, usage: Usage | None, last: Terminal) -> list[bytes]:
        """The last blocks: the usage if this client asked for it, then exactly one that ends the answer."""
        ...


class Dialect(Protocol):
    """One wire format. `name` is its word in configuration and in `?format=`."""

    name: str
    path: str
    """The upstream's path below its base address."""

    def parse_request(self, body: bytes) -> Request: ...
    def encode_request(self, request: Request, model: str) -> bytes: ...
    def probe(self) -> Probe: ...
    def decoder(self, about: Description) -> Decoder: ...
    def encoder(self, about: Description, *, include_usage: bool) -> Encoder: ...
    def collect(self, about: Description, events: Iterable[Event]) -> bytes: ...
    def error_body(self, refused: Refused) -> bytes: ...
    def read_error(self, status: int, body: bytes, retry_after: float | None) -> UpstreamFailed: ...
    def auth_headers(self, api_key: str) -> list[tuple[str, str]]: ...


BROKEN_JSON = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""All that decoding JSON of strangers can raise: not JSON or of the wrong shape, not UTF-8, nested without end."""


def decode_json(body: bytes, shape: Any) -> Any:
    """Decode JSON into `shape`. Raises Refused (400) for what is not JSON, not UTF-8, too deep, or of the wrong type."""
    try:
        body.decode()
        return msgspec.json.decode(body, type=shape)
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `")
        field = path.rstrip("`").removeprefix("$").removeprefix(".") or None
        raise Refused(400, "invalid_request", f"{message}{f' (at {field})' if field else ''}", param=field) from None
    except RecursionError:
        raise _too_deep() from None
    except BROKEN_JSON as error:
        raise Refused(400, "invalid_json", f"the body is not valid JSON: {error}") from None


def encode_json(value: Any) -> bytes:
    """Encode what `decode_json` gave. Raises Refused (400) if it is nested more deeply than can be told again."""
    try:
        return msgspec.json.encode(value)
    except RecursionError:
        raise _too_deep() from None


def _too_deep() -> Refused:
    return Refused(400, "invalid_json", "the body is not valid JSON: it is nested too deeply")
