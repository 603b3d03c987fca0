"""The `native` dialect: Penstock's own typed events, as they are.

An answer is `event: <name>` with JSON `data`: `start {stream, model}` · `token {text}` · `reasoning {text}` ·
`refusal {text}` · `tool_call {index, id?, name?, arguments}` (a piece) · `finish {reason}` · `usage {...}` and one last
`error {code, message, retryable, outcome}` or `done {outcome}`. With several choices, events of the others carry `index`
(`choice` for tool calls). A request is `{model, messages, ...}` with the sampling fields in OpenAI's names.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from penstock.dialects.base import (
    BROKEN_JSON,
    Description,
    Ending,
    Kind,
    Message,
    Outgoing,
    Request,
    Tool,
    decode_json,
    encode_json,
)
from penstock.dialects.calls import CallNumbers
from penstock.dialects.openai_chat import MAX_CHOICES, Sampling, build_fields, note, read_error, read_options
from penstock.exceptions import ProtocolError, Refused, UpstreamFailed
from penstock.wire import sse
from penstock.wire.events import (
    DONE_OUTCOMES,
    NAMES,
    Done,
    Error,
    Event,
    Finish,
    Reasoning,
    Refusal,
    Start,
    Terminal,
    Token,
    ToolCall,
    Usage,
)

_DECODERS: dict[str, msgspec.json.Decoder[Any]] = {name: msgspec.json.Decoder(kind) for kind, name in NAMES.items()}
_ENCODE = msgspec.json.Encoder().encode


class _ToolSpec(msgspec.Struct):
    """OpenAI's `{type, function: {...}}`."""

    function: Tool
    type: str = "function"


class _NativeRequest(Sampling, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Every field of a native request. A field that is not listed is refused by name, never dropped in silence."""

    model: str
    messages: list[Message]
    stream: bool | None = None
    n: int | None = None
    max_tokens: int | None = None
    tools: list[_ToolSpec] | None = None


class Native:
    """See the module. Has no state: one instance serves all."""

    name = "native"
    max_event_bytes = sse.MAX_EVENT_BYTES
    request_headers: Sequence[str] = ()

    def parse_request(self, body: bytes) -> Request:
        asked: _NativeRequest = decode_json(body, _NativeRequest)
        if not asked.messages:
            raise Refused(400, "invalid_request", "messages is empty", param="messages")
        choices = 1 if asked.n is None else asked.n
        if not 1 <= choices <= MAX_CHOICES:
            raise Refused(400, "invalid_request", f"n must be from 1 to {MAX_CHOICES}", param="n")
        if asked.max_tokens is not None and asked.max_tokens < 1:
            raise Refused(400, "invalid_request", "max_tokens must be at least 1", param="max_tokens")
        fields: dict[str, Any] = decode_json(body, dict[str, Any])
        noted = note(fields, asked.messages)
        return Request(
            dialect=self.name,
            model=asked.model,
            messages=asked.messages,
            stream=asked.stream is not False,
            include_usage=True,
            choices=choices,
            max_tokens=asked.max_tokens,
            tools=[tool.function for tool in asked.tools or ()],
            options=read_options(asked),
            others=noted.hints,
            needs=noted.needs,
            fields=fields,
        )

    def encode_request(self, request: Request, model: str) -> Outgoing:
        known = _NativeRequest.__struct_fields__
        if request.dialect == self.name:
            fields = request.fields
            dropped: list[str] = []
        else:
            # The native dialect has its fields in OpenAI's names.
            built, dropped = build_fields(request, self.name)
            fields = {name: value for name, value in built.items() if name in known}
        return Outgoing("/streams", encode_json({**fields, "model": model, "stream": True}), dropped)

    def headers(self, api_key: str) -> list[tuple[str, str]]:
        return [("authorization", f"Bearer {api_key}")] if api_key else []

    def probe(self) -> NativeProbe:
        return NativeProbe()

    def decoder(self, about: Description) -> NativeDecoder:
        return NativeDecoder(about)

    def encoder(self, about: Description, *, include_usage: bool) -> NativeEncoder:
        return NativeEncoder(include_usage=include_usage)

    def ending(self, about: Description, end: Ending, *, include_usage: bool) -> list[bytes]:
        return NativeEncoder(include_usage=include_usage).end(end.usage, end.last)

    def collect(self, about: Description, events: Iterable[Event]) -> bytes:
        """`{stream, model, outcome, text, reasoning?, refusal?, tool_calls?, usage}`; the first choice's. Raises Refused."""
        return _collect(about, events)

    def assemble(self, about: Description, blocks: Iterable[bytes], end: Ending) -> bytes | None:
        return None

    def error_body(self, refused: Refused) -> bytes:
        error: dict[str, Any] = {"code": refused.code, "message": refused.message, "retryable": refused.retryable}
        if refused.param is not None:
            error["param"] = refused.param
        return msgspec.json.encode({"error": error})

    def read_error(self, status: int, body: bytes, retry_after: float | None) -> UpstreamFailed:
        return read_error(status, body, retry_after)


def encode_event(event: Event) -> bytes:
    """One canonical block: `event: <name>`, `data: <json>`. JSON holds no line end, so the data is one line."""
    return b"event: %b\ndata: %b\n\n" % (NAMES[type(event)].encode(), _ENCODE(event))


def decode_event(block: bytes) -> Event | None:
    """The event of a canonical block; None for a name that this version does not know. Raises ProtocolError."""
    decoder = _DECODERS.get(sse.event_name(block))
    if decoder is None:
        return None
    try:
        event: Event = decoder.decode(sse.payload(block))
    except BROKEN_JSON as error:
        raise ProtocolError(f"not a native event: {error}") from None
    return event


class NativeProbe:
    """Reads a native upstream's blocks."""

    __slots__ = ("complete", "failure", "held", "outcome", "started", "usage")

    def __init__(self) -> None:
        self.started = False
        self.complete = False
        self.usage: Usage | None = None
        self.held: bytes | None = None
        self.failure: Error | None = None
        self.outcome = "completed"

    def __call__(self, block: bytes) -> Kind:
        match decode_event(block):
            case Usage() as usage:
                self.usage, self.held = usage, block
                return Kind.HELD
            case Start() | None:
                # The stream announces itself under its own id.
                return Kind.HELD
            case Error() as error:
                if error.outcome in DONE_OUTCOMES:
                    raise ProtocolError(f"the upstream sent an error with the outcome {error.outcome}")
                self.failure = error
                return Kind.FAILED
            case Done(outcome):
                self.outcome = outcome
                return Kind.END
            case Finish(reason):
                self.outcome = reason
            case Token(text) | Reasoning(text) | Refusal(text):
                self.started = self.started or bool(text)
            case ToolCall():
                self.started = True
        return Kind.DATA


class NativeDecoder:
    """Blocks -> events. Generators of users' may number their calls as they like."""

    __slots__ = ("_about", "_numbers")

    def __init__(self, about: Description) -> None:
        self._about: Description | None = about
        self._numbers = CallNumbers()

    def decode(self, block: bytes) -> list[Event]:
        event = decode_event(block)
        events: list[Event] = []
        if self._about is not None:
            if not isinstance(event, Start):
                events.append(Start(self._about.stream, self._about.model))
            self._about = None
        if isinstance(event, ToolCall):
            number = self._numbers.of(event.choice, event.index, event.id, event.name)
            if number != event.index:
                event = ToolCall(number, event.id, event.name, event.arguments, event.choice)
        if event is not None:
            events.append(event)
        return events


class NativeEncoder:
    """Events -> blocks."""

    __slots__ = ("_include_usage",)

    def __init__(self, *, include_usage: bool) -> None:
        self._include_usage = include_usage

    @property
    def holds(self) -> bool:
        return False

    def encode(self, events: Iterable[Event]) -> list[bytes]:
        return [encode_event(event) for event in events if not isinstance(event, Usage | Error | Done)]

    def end(self, usage: Usage | None, last: Terminal) -> list[bytes]:
        blocks = [encode_event(usage)] if usage is not None and self._include_usage else []
        return [*blocks, encode_event(last)]


def _collect(about: Description, events: Iterable[Event]) -> bytes:
    text: list[str] = []
    reasoning: list[str] = []
    refusal: list[str] = []
    calls: dict[int, dict[str, Any]] = {}
    answer: dict[str, Any] = {"stream": about.stream, "model": about.model}
    for event in events:
        match event:
            case Token(piece, 0):
                text.append(piece)
            case Reasoning(piece, 0):
                reasoning.append(piece)
            case Refusal(piece, 0):
                refusal.append(piece)
            case ToolCall(choice=0):
                call = calls.setdefault(event.index, {"id": None, "name": None, "arguments": []})
                call["id"] = call["id"] or event.id
                call["name"] = call["name"] or event.name
                call["arguments"].append(event.arguments)
            case Usage():
                answer["usage"] = event
            case Error(code, message, retryable):
                raise UpstreamFailed(502, code, message, retryable=retryable)
            case Done(outcome):
                answer["outcome"] = outcome
            case _:
                pass
    answer["text"] = "".join(text)
    if reasoning:
        answer["reasoning"] = "".join(reasoning)
    if refusal:
        answer["refusal"] = "".join(refusal)
    if calls:
        answer["tool_calls"] = [{**calls[i], "arguments": "".join(calls[i]["arguments"])} for i in sorted(calls)]
    return msgspec.json.encode(answer)
