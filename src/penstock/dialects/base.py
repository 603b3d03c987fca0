"""What a dialect is: one wire format, all its directions in one place.

                        client's side                     upstream's side
    request      parse_request: bytes -> Request   encode_request: Request -> Outgoing
    answer       Encoder: events -> blocks         Decoder: blocks -> events
    answer       collect: events -> one JSON       Probe: what a block means, without translating it
    the end      ending: after the log's blocks
    refusal      error_body: Refused -> JSON       read_error: HTTP status and body -> UpstreamFailed

A request of the same dialect goes on as the client wrote it (`Request.fields`). One of another dialect is built from what
was understood of it: `messages`, `tools`, `options`. What a target can't express is refused by name where it would change
the answer, and listed in `Outgoing.dropped` where it is a hint; never dropped in silence.

Everything here is pure: no clock, no event loop. An encoder is a function of the stream's description and its events,
so that rendering the same log again gives the same bytes: that is what makes every block a resume point.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import IntEnum
from itertools import islice
from typing import Any, NamedTuple, Protocol

import msgspec

from penstock.exceptions import Refused, UpstreamFailed
from penstock.wire.events import Error, Event, Terminal, Usage


class Message(msgspec.Struct):
    """One message of a conversation, in the words of OpenAI's chat completions.

    `role` is `system`, `developer`, `user`, `assistant` or `tool`. `content` is text, or parts:

        {"type": "text", "text": ...}
        {"type": "image_url", "image_url": {"url": "https:..." or "data:image/png;base64,...", "detail"?: ...}}
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,..." or "file_id": ..., "filename"?: ...}}
        {"type": "input_audio", "input_audio": {"data": base64, "format": "wav" or "mp3"}}

    A dialect with other words for them translates them to these in `parse_request`, and back in `encode_request`.
    """

    role: str
    content: str | list[dict[str, Any]] | None = None
    name: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    """`{"id", "type": "function", "function": {"name", "arguments": JSON text}}`"""
    tool_call_id: str | None = None
    """Which call a `tool` message answers."""
    is_error: bool | None = None
    """A `tool` message: the tool failed."""

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
    strict: bool | None = None


class Options(msgspec.Struct, kw_only=True, omit_defaults=True):
    """How the answer is to be made. None = the client did not say. Every dialect maps its own words to these."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: list[str] | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    response_format: dict[str, Any] | None = None
    """`{"type": "json_object"}` or `{"type": "json_schema", "json_schema": {"name", "schema", "strict"?}}`."""
    tool_choice: str | None = None
    """`auto`, `none`, `required`, or `function:` and the name of the one to call."""
    parallel_tool_calls: bool | None = None
    reasoning_effort: str | None = None
    """`none`, `minimal`, `low`, `medium`, `high`, `xhigh`."""
    reasoning_tokens: int | None = None
    """The budget for thinking, where a dialect counts it in tokens (0 = do not think)."""
    user: str | None = None
    """Who is asking, as the client tells its provider."""


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
    options: Options = msgspec.field(default_factory=Options)
    others: Sequence[str] = ()
    """Hints that the client gave, in its dialect's names, that are in none of the above: only its own dialect has them."""
    needs: Sequence[str] = ()
    """The same, but of fields without which it would be another answer."""
    fields: dict[str, Any] = {}
    """The whole request in its own dialect, untouched."""
    message: str = ""
    """The id of the message that the answer is a part of, where it goes on with one that the client has already."""
    headers: Sequence[tuple[str, str]] = ()
    """Those of `Dialect.request_headers` that it came with: they go on to upstreams of the same dialect."""


class Outgoing(NamedTuple):
    """A request in an upstream's dialect."""

    path: str
    """Below the upstream's base address; with the query, if there is one."""
    body: bytes
    dropped: Sequence[str] = ()
    """Hints that could not be told, in the client's names for them. It is told so in a header."""


class Description(msgspec.Struct, frozen=True):
    """What an encoder may say about a stream."""

    stream: str
    model: str
    created: int
    """Unix time in seconds."""
    message: str = ""
    """`Request.message`."""


class Ending(NamedTuple):
    """How a log ended."""

    usage: Usage | None
    held: bytes | None
    """The block that the probe kept for the end."""
    last: Terminal
    entries: int
    """How many entries came before: for dialects that number their blocks."""


class Kind(IntEnum):
    """What a block of the upstream is to the stream."""

    DATA = 0
    """Part of the answer: into the log as it is."""
    HELD = 1
    """Not part of the log: a fact that belongs to the end (usage), which the probe keeps until then; or no fact at all."""
    END = 2
    """The dialect's end marker."""
    FAILED = 3
    """The upstream reports an error in the stream."""
    LAST = 4
    """Part of the answer, and its end."""


class Probe(Protocol):
    """Reads each block of an upstream just far enough to know what it means to the stream."""

    started: bool
    """A token, of text, reasoning, refusal or tool call, was seen. A chunk with only a role is no token."""
    usage: Usage | None
    held: bytes | None
    """The block that is kept for the end, where `ending` decides what a client of the same dialect sees of it."""
    complete: bool
    """The answer is whole even without an end marker: for dialects that end with the connection."""
    failure: Error | None
    outcome: str
    """How the upstream says that the answer ended: an outcome told by `done`."""

    def __call__(self, block: bytes) -> Kind:
        """Raises ProtocolError when the block is not what the dialect allows."""
        ...


class Decoder(Protocol):
    def decode(self, block: bytes) -> list[Event]:
        """The events of one canonical block of the log. The first block also gives the stream's `Start`.

        Where the answer holds what no event tells, an `Error` is in the place of the `Finish` (see `penstock.dialects.untold`).
        """
        ...


class Encoder(Protocol):
    @property
    def holds(self) -> bool:
        """It was told something that it has not said yet, and will with a later entry or at the end."""
        ...

    def encode(self, events: Iterable[Event]) -> list[bytes]:
        """The canonical blocks, without ids, that tell the events of one log entry."""
        ...

    def end(self, usage: Usage | None, last: Terminal) -> list[bytes]:
        """The last blocks: the usage if this client asked for it, then exactly one that ends the answer."""
        ...


class Dialect(Protocol):
    """One wire format. `name` is its word in configuration and in `?format=`."""

    name: str
    max_event_bytes: int
    """An upstream's event above this is a broken one; twice as much may come before its first token."""

    request_headers: Sequence[str]
    """Headers that are part of a request in this dialect, lower case."""

    def parse_request(self, body: bytes) -> Request:
        """Raises Refused (400)."""
        ...

    def encode_request(self, request: Request, model: str) -> Outgoing:
        """The upstream's request: always streamed, and with usage. Raises Refused (400)."""
        ...

    def probe(self) -> Probe: ...
    def decoder(self, about: Description) -> Decoder: ...
    def encoder(self, about: Description, *, include_usage: bool) -> Encoder: ...
    def ending(self, about: Description, end: Ending, *, include_usage: bool) -> list[bytes]:
        """What follows a log that an upstream of this dialect wrote, for a client of this dialect."""
        ...

    def collect(self, about: Description, events: Iterable[Event]) -> bytes:
        """The whole answer in one piece of JSON. Raises Refused if it did not end well."""
        ...

    def assemble(self, about: Description, blocks: Iterable[bytes], end: Ending) -> bytes | None:
        """The same from the log of an upstream of this dialect, after a good end: with what events have no words for.

        None = nothing is gained, or it can't be done: `collect` it.
        """
        ...

    def error_body(self, refused: Refused) -> bytes: ...
    def read_error(self, status: int, body: bytes, retry_after: float | None) -> UpstreamFailed: ...
    def headers(self, api_key: str) -> list[tuple[str, str]]:
        """What this dialect's requests carry besides the ordinary. `api_key` may be empty."""
        ...


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


def other_fields(fields: dict[str, Any], known: Iterable[str]) -> list[str]:
    """For `Request.others`: the fields that are set (not null, not false) and not among `known`."""
    return [name for name, value in fields.items() if value is not None and value is not False and name not in known]


def tokens_field(request: Request) -> str:
    """What the client itself calls `Request.max_tokens`."""
    if request.dialect == "gemini":
        return "generationConfig.maxOutputTokens"
    names = ("max_tokens", "max_completion_tokens", "max_output_tokens")
    return next((name for name in names if request.fields.get(name) == request.max_tokens), names[0])


class Noted:
    """What a request holds that only its own dialect has: hints, and what it would be another answer without."""

    def __init__(self) -> None:
        # Once each and in order: a request may hold a hundred thousand of them, so none may cost a search among the others.
        self._others: dict[str, None] = {}
        self._needs: dict[str, None] = {}

    @property
    def others(self) -> list[str]:
        return list(self._others)

    @property
    def needs(self) -> list[str]:
        return list(self._needs)

    def hint(self, name: str) -> None:
        self._others[name] = None

    def need(self, name: str) -> None:
        self._needs[name] = None


MOST_HINTS = 64
"""So many names of dropped hints are kept: more than any real client has, and few enough to look through again and again."""


def untold(request: Request, target: str, *told: str) -> list[str]:
    """What a request in another dialect than `target` can't say in it: the hints, less those that are `told` all the same.

    At most MOST_HINTS, each once. Raises Refused (400) for more than hints.
    """
    for name in request.needs:
        raise unsupported(name, target)
    return list(islice(dict.fromkeys(name for name in request.others if name not in told), MOST_HINTS))


def unsupported(field: str, target: str) -> Refused:
    """A field of the client's that the upstream's dialect has no words for."""
    message = f"{field} can't be translated: the upstream behind this model speaks {target}"
    return Refused(400, "unsupported_translation", message, param=field)


def encode_json(value: Any) -> bytes:
    """Encode what `decode_json` gave. Raises Refused (400) if it is nested more deeply than can be told again."""
    try:
        return msgspec.json.encode(value)
    except RecursionError:
        raise _too_deep() from None


def _too_deep() -> Refused:
    return Refused(400, "invalid_json", "the body is not valid JSON: it is nested too deeply")
