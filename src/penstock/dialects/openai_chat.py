"""The `openai-chat` dialect: OpenAI's chat completions, streamed and not.

Reference: https://platform.openai.com/docs/api-reference/chat and /chat-streaming. An answer is a sequence of
`chat.completion.chunk` objects, then `data: [DONE]`; the usage comes in an extra chunk without choices when
`stream_options.include_usage` was asked for; an error in the stream is `{"error": {...}}` as data.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from penstock.dialects.base import Description, Kind, Message, Request, Tool, decode_json
from penstock.exceptions import ProtocolError, Refused, UpstreamFailed
from penstock.wire import sse
from penstock.wire.events import (
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

MAX_CHOICES = 16
DONE = b"data: [DONE]\n\n"

_OUTCOME = {
    "stop": "completed",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
_FINISH_REASON = {
    "completed": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
}
_ERROR_TYPE = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "invalid_request_error",
    429: "rate_limit_error",
}


# -- the request ---------------------------------------------------------------------------------------------------


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _Function(msgspec.Struct):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None


class _Tool(msgspec.Struct):
    type: str = "function"
    function: _Function | None = None


class _ChatRequest(msgspec.Struct):
    """The fields that Penstock itself reads. All others go to the upstream as the client wrote them."""

    model: str
    messages: list[Message]
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    n: int | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    tools: list[_Tool] | None = None


class OpenAIChat:
    """See the module. Has no state: one instance serves all."""

    name = "openai-chat"
    path = "/chat/completions"

    def parse_request(self, body: bytes) -> Request:
        asked: _ChatRequest = decode_json(body, _ChatRequest)
        if not asked.messages:
            raise Refused(400, "invalid_request", "messages is empty", param="messages")
        choices = 1 if asked.n is None else asked.n
        if not 1 <= choices <= MAX_CHOICES:
            raise Refused(400, "invalid_request", f"n must be from 1 to {MAX_CHOICES}", param="n")
        max_tokens = asked.max_completion_tokens if asked.max_completion_tokens is not None else asked.max_tokens
        if max_tokens is not None and max_tokens < 1:
            raise Refused(400, "invalid_request", "max_tokens must be at least 1", param="max_tokens")
        return Request(
            dialect=self.name,
            model=asked.model,
            messages=asked.messages,
            stream=bool(asked.stream),
            include_usage=bool(asked.stream_options and asked.stream_options.include_usage),
            choices=choices,
            max_tokens=max_tokens,
            tools=[
                Tool(tool.function.name, tool.function.description, tool.function.parameters or {})
                for tool in asked.tools or ()
                if tool.function
            ],
            fields=decode_json(body, dict[str, Any]),
        )

    def encode_request(self, request: Request, model: str) -> bytes:
        """The upstream's request: always streamed and with usage, whatever the client asked for."""
        if request.dialect not in (self.name, "native"):
            raise Refused(400, "unsupported_translation", f"{request.dialect} requests can't go to {self.name} yet")
        # The native dialect takes its sampling fields in this dialect's names, so both travel alike.
        fields = dict(request.fields)
        options = fields.get("stream_options")
        fields["model"] = model
        fields["stream"] = True
        fields["stream_options"] = {**(options if isinstance(options, dict) else {}), "include_usage": True}
        return msgspec.json.encode(fields)

    def auth_headers(self, api_key: str) -> list[tuple[str, str]]:
        return [("authorization", f"Bearer {api_key}")]

    # -- the answer ------------------------------------------------------------------------------------------------

    def probe(self) -> ChatProbe:
        return ChatProbe()

    def decoder(self, about: Description) -> ChatDecoder:
        return ChatDecoder(about)

    def encoder(self, about: Description, *, include_usage: bool) -> ChatEncoder:
        return ChatEncoder(about, include_usage=include_usage)

    def collect(self, about: Description, events: Iterable[Event]) -> bytes:
        """The `chat.completion` object of an answer that was not streamed. Raises Refused if it ended in an error."""
        return _collect(about, events)

    # -- errors ----------------------------------------------------------------------------------------------------

    def error_body(self, refused: Refused) -> bytes:
        kind = _ERROR_TYPE.get(refused.status, "invalid_request_error" if refused.status < 500 else "server_error")
        error = {"message": refused.message, "type": kind, "param": refused.param, "code": refused.code}
        return msgspec.json.encode({"error": error})

    def read_error(self, status: int, body: bytes, retry_after: float | None) -> UpstreamFailed:
        return read_error(status, body, retry_after)


class _ErrorDetail(msgspec.Struct):
    message: str | None = None
    code: str | int | None = None
    type: str | None = None
    param: str | None = None


class _ErrorBody(msgspec.Struct):
    error: _ErrorDetail | str | None = None


def read_error(status: int, body: bytes, retry_after: float | None) -> UpstreamFailed:
    """What an upstream's refusal means to our client.

    A fault of the request (400, 404, 413, 422) keeps its status and the upstream's words. A limit keeps 429 and its
    Retry-After. A fault of the gateway's own credentials is not the client's: 502, and the upstream's words stay inside.
    """
    try:
        detail = msgspec.json.decode(body, type=_ErrorBody).error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        detail = None
    if isinstance(detail, str):
        detail = _ErrorDetail(message=detail)
    detail = detail or _ErrorDetail()
    said = (detail.message or "").strip()[:500]
    if status in (400, 404, 413, 422):
        code = detail.code if isinstance(detail.code, str) and detail.code else "upstream_rejected"
        return UpstreamFailed(status, code[:64], said or f"the upstream answered {status}", param=detail.param)
    if status == 429:
        message = said or "the upstream's rate limit is reached"
        return UpstreamFailed(429, "upstream_rate_limited", message, retry_after=retry_after)
    if status in (401, 403):
        return UpstreamFailed(502, "upstream_error", "the upstream refused the gateway's credentials", retryable=False)
    return UpstreamFailed(502, "upstream_error", f"the upstream answered {status}", retry_after=retry_after)


# -- reading the upstream's blocks ---------------------------------------------------------------------------------

_NOTHING = msgspec.Raw()


class _ProbedChoice(msgspec.Struct, gc=False):
    finish_reason: str | None = None
    delta: msgspec.Raw = _NOTHING


class _ProbedChunk(msgspec.Struct, gc=False):
    choices: list[_ProbedChoice] = []
    usage: msgspec.Raw = _NOTHING
    error: msgspec.Raw = _NOTHING


class _PromptDetails(msgspec.Struct):
    cached_tokens: int | None = None


class _CompletionDetails(msgspec.Struct):
    reasoning_tokens: int | None = None


class _ChatUsage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None

    def fact(self) -> Usage:
        prompt, completion = self.prompt_tokens_details, self.completion_tokens_details
        return Usage(
            input_tokens=self.prompt_tokens,
            output_tokens=self.completion_tokens,
            cached_tokens=prompt.cached_tokens if prompt else None,
            reasoning_tokens=completion.reasoning_tokens if completion else None,
        )


class _FunctionDelta(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _ToolDelta(msgspec.Struct):
    index: int = 0
    id: str | None = None
    function: _FunctionDelta | None = None


class _Delta(msgspec.Struct):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[_ToolDelta] | None = None


class _Choice(msgspec.Struct):
    index: int = 0
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] = []
    usage: _ChatUsage | None = None


_decode_probed = msgspec.json.Decoder(_ProbedChunk).decode
_decode_delta = msgspec.json.Decoder(_Delta | None).decode
_decode_usage = msgspec.json.Decoder(_ChatUsage | None).decode
_decode_chunk = msgspec.json.Decoder(_Chunk).decode
_decode_error = msgspec.json.Decoder(_ErrorDetail | str | None).decode


class ChatProbe:
    """One typed parse per block.

    It costs 0.4 microseconds, less than two `in` searches over the same bytes, and unlike them it cannot be fooled by
    text that looks like a key; JSON that is broken anywhere is found here.
    """

    __slots__ = ("failure", "held", "outcome", "started", "usage")

    def __init__(self) -> None:
        self.started = False
        self.held: bytes | None = None
        self.usage: Usage | None = None
        self.failure: Error | None = None
        self.outcome = "completed"

    def __call__(self, block: bytes) -> Kind:
        data = block[6:-2]
        try:
            chunk = _decode_probed(data)
        except msgspec.MsgspecError:
            return self._unusual(block)
        if chunk.error is not _NOTHING and bytes(chunk.error) != b"null":
            self.failure = _told_error(chunk.error)
            return Kind.FAILED
        if chunk.usage is not _NOTHING:
            self._read_usage(chunk.usage)
        if not chunk.choices and self.usage is not None:
            self.held = block
            return Kind.HELD
        for choice in chunk.choices:
            if choice.finish_reason:
                self.outcome = _OUTCOME.get(choice.finish_reason, "completed")
            if not self.started and choice.delta is not _NOTHING:
                self.started = _has_token(choice.delta)
        return Kind.DATA

    def _read_usage(self, raw: msgspec.Raw) -> None:
        try:
            usage = _decode_usage(raw)
        except msgspec.MsgspecError:
            return  # a usage of another shape is as good as none: it will be estimated
        if usage is not None:
            self.usage = usage.fact()

    def _unusual(self, block: bytes) -> Kind:
        """A block that is not one plain JSON line: the end marker, several lines, an event name; or no sense at all."""
        data = sse.payload(block)
        if data.strip() == b"[DONE]":
            return Kind.END
        canonical = b"data: %b\n\n" % data.replace(b"\n", b" ")
        if canonical != block:
            return self(canonical)
        raise ProtocolError("the upstream sent data that is not a chat completion chunk")


def _has_token(raw: msgspec.Raw) -> bool:
    try:
        delta = _decode_delta(raw)
    except msgspec.MsgspecError as error:
        raise ProtocolError(f"the upstream sent a delta of the wrong shape: {error}") from None
    if delta is None:
        return False
    return bool(delta.content or delta.reasoning_content or delta.reasoning or delta.refusal or delta.tool_calls)


def _told_error(raw: msgspec.Raw) -> Error:
    try:
        detail = _decode_error(raw)
    except msgspec.MsgspecError:
        detail = None
    if isinstance(detail, str):
        detail = _ErrorDetail(message=detail)
    message = (detail.message if detail else None) or "the upstream reported an error"
    return Error("upstream_error", message[:500], retryable=True, outcome="upstream_error")


class ChatDecoder:
    """Chunks -> events."""

    __slots__ = ("_about",)

    def __init__(self, about: Description) -> None:
        self._about: Description | None = about

    def decode(self, block: bytes) -> list[Event]:
        events: list[Event] = []
        if self._about is not None:
            events.append(Start(self._about.stream, self._about.model))
            self._about = None
        try:
            chunk = _decode_chunk(sse.payload(block))
        except msgspec.MsgspecError as error:
            raise ProtocolError(f"the upstream sent a chunk of the wrong shape: {error}") from None
        for choice in chunk.choices:
            if choice.delta is not None:
                _read_delta(choice.delta, choice.index, events)
            if choice.finish_reason:
                reason = _OUTCOME.get(choice.finish_reason, "completed")
                events.append(Finish(reason, choice.index))  # type: ignore[arg-type]  # the table's values are the reasons
        return events


def _read_delta(delta: _Delta, index: int, events: list[Event]) -> None:
    if thought := delta.reasoning_content or delta.reasoning:
        events.append(Reasoning(thought, index))
    if delta.content:
        events.append(Token(delta.content, index))
    if delta.refusal:
        events.append(Refusal(delta.refusal, index))
    for call in delta.tool_calls or ():
        function = call.function or _FunctionDelta()
        events.append(ToolCall(call.index, call.id, function.name, function.arguments or "", choice=index))


# -- writing the client's blocks -----------------------------------------------------------------------------------


def _usage_object(usage: Usage) -> dict[str, Any]:
    read, wrote = usage.input_tokens or 0, usage.output_tokens or 0
    told: dict[str, Any] = {"prompt_tokens": read, "completion_tokens": wrote, "total_tokens": read + wrote}
    if usage.cached_tokens is not None:
        told["prompt_tokens_details"] = {"cached_tokens": usage.cached_tokens}
    if usage.reasoning_tokens is not None:
        told["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning_tokens}
    if usage.source != "final":
        told["source"] = usage.source
    return told


class ChatEncoder:
    """Events -> chunks."""

    __slots__ = ("_about", "_include_usage", "_opened")

    def __init__(self, about: Description, *, include_usage: bool) -> None:
        self._about = about
        self._include_usage = include_usage
        self._opened: set[int] = set()

    def encode(self, events: Iterable[Event]) -> list[bytes]:
        blocks: list[bytes] = []
        for event in events:
            match event:
                case Start():
                    self._open(0, blocks)
                case Token(text, index):
                    self._open(index, blocks)
                    blocks.append(self._delta(index, {"content": text}))
                case Reasoning(text, index):
                    self._open(index, blocks)
                    blocks.append(self._delta(index, {"reasoning_content": text}))
                case Refusal(text, index):
                    self._open(index, blocks)
                    blocks.append(self._delta(index, {"refusal": text}))
                case ToolCall():
                    self._open(event.choice, blocks)
                    blocks.append(self._delta(event.choice, {"tool_calls": [_tool_delta(event)]}))
                case Finish(reason, index):
                    self._open(index, blocks)
                    blocks.append(self._delta(index, {}, _FINISH_REASON[reason]))
                case _:
                    pass  # Usage, Error and Done come through end()
        return blocks

    def end(self, usage: Usage | None, last: Terminal) -> list[bytes]:
        blocks: list[bytes] = []
        if usage is not None and self._include_usage:
            blocks.append(self._chunk([], usage=_usage_object(usage)))
        if isinstance(last, Done) and last.outcome != "cancelled":
            blocks.append(DONE)
        else:
            blocks.append(_error_block(last))
        return blocks

    def _open(self, index: int, blocks: list[bytes]) -> None:
        if index not in self._opened:
            self._opened.add(index)
            blocks.append(self._delta(index, {"role": "assistant", "content": ""}))

    def _delta(self, index: int, delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
        return self._chunk([{"index": index, "delta": delta, "finish_reason": finish_reason}])

    def _chunk(self, choices: list[dict[str, Any]], **more: Any) -> bytes:
        chunk = {
            "id": f"chatcmpl-{self._about.stream}",
            "object": "chat.completion.chunk",
            "created": self._about.created,
            "model": self._about.model,
            "choices": choices,
            **more,
        }
        return b"data: %b\n\n" % msgspec.json.encode(chunk)


def _tool_delta(call: ToolCall) -> dict[str, Any]:
    delta: dict[str, Any] = {"index": call.index}
    if call.id is not None:
        delta |= {"id": call.id, "type": "function"}
    function: dict[str, Any] = {"arguments": call.arguments}
    if call.name is not None:
        function["name"] = call.name
    return {**delta, "function": function}


def _error_block(last: Terminal) -> bytes:
    """This dialect has no word for an answer that was cut short on purpose: a cancelled stream says so as an error."""
    if isinstance(last, Done):
        last = Error("cancelled", "the stream was cancelled", retryable=False, outcome=last.outcome)
    error = {
        "message": last.message,
        "type": "server_error",
        "param": None,
        "code": last.code,
        "retryable": last.retryable,
        "outcome": last.outcome,
    }
    return b"data: %b\n\n" % msgspec.json.encode({"error": error})


class _Collected:
    """One choice of a whole answer."""

    def __init__(self) -> None:
        self.text: list[str] = []
        self.reasoning: list[str] = []
        self.refusal: list[str] = []
        self.calls: dict[int, dict[str, Any]] = {}
        self.finish_reason: str | None = None

    def message(self) -> dict[str, Any]:
        text = "".join(self.text)
        message: dict[str, Any] = {"role": "assistant", "content": text if text or not self.calls else None}
        message["refusal"] = "".join(self.refusal) or None
        if self.reasoning:
            message["reasoning_content"] = "".join(self.reasoning)
        if self.calls:
            message["tool_calls"] = [self.calls[i] for i in sorted(self.calls)]
        return message

    def call(self, piece: ToolCall) -> None:
        call = self.calls.setdefault(
            piece.index, {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}
        )
        call["id"] = piece.id or call["id"]
        call["function"]["name"] += piece.name or ""
        call["function"]["arguments"] += piece.arguments


def _collect(about: Description, events: Iterable[Event]) -> bytes:
    choices: dict[int, _Collected] = {}

    def choice(index: int) -> _Collected:
        return choices.setdefault(index, _Collected())

    usage, outcome = None, "completed"
    for event in events:
        match event:
            case Token(text, index):
                choice(index).text.append(text)
            case Reasoning(text, index):
                choice(index).reasoning.append(text)
            case Refusal(text, index):
                choice(index).refusal.append(text)
            case ToolCall():
                choice(event.choice).call(event)
            case Finish(reason, index):
                choice(index).finish_reason = _FINISH_REASON[reason]
            case Usage():
                usage = event
            case Error(code, message, retryable):
                raise UpstreamFailed(502, code, message, retryable=retryable)
            case Done():
                outcome = event.outcome
            case Start():
                pass
    if outcome == "cancelled":
        raise Refused(409, "cancelled", "the stream was cancelled before the answer was complete", retryable=False)
    choice(0)
    answer = {
        "id": f"chatcmpl-{about.stream}",
        "object": "chat.completion",
        "created": about.created,
        "model": about.model,
        "choices": [
            {
                "index": index,
                "message": collected.message(),
                "logprobs": None,
                "finish_reason": collected.finish_reason or _FINISH_REASON.get(outcome, "stop"),
            }
            for index, collected in sorted(choices.items())
        ],
        "usage": _usage_object(usage) if usage else None,
    }
    return msgspec.json.encode(answer)
