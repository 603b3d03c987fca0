"""Reading an `openai-chat` upstream's blocks.

The probe and the decoder read a chunk by the same types, so whatever the probe lets into a log, the decoder can tell.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from penstock.dialects.base import BROKEN_JSON, Description, Kind
from penstock.dialects.openai_chat.errors import read_told
from penstock.exceptions import ProtocolError
from penstock.wire import sse
from penstock.wire.events import Error, Event, Finish, Reasoning, Refusal, Start, Token, ToolCall, Usage, UsageSource

_Reason = Literal["completed", "length", "tool_calls", "content_filter"]

_OUTCOME: dict[str, _Reason] = {
    "stop": "completed",
    "length": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
"""What a `finish_reason` is called here. One that is not listed is some provider's own way to say `stop` ..."""

_BROKEN_OFF = frozenset({"error", "abort", "network_error", "insufficient_system_resource"})
"""... except for these, by which providers say that the answer is not complete: it must not look so."""

_NOTHING = msgspec.Raw()

_DATA = Kind.DATA  # by far the most frequent, and an enum's member costs a search


class _FunctionDelta(msgspec.Struct, gc=False):
    name: str | None = None
    arguments: str | None = None


class _ToolDelta(msgspec.Struct, gc=False):
    index: int = 0
    id: str | None = None
    function: _FunctionDelta | None = None


class _Delta(msgspec.Struct, gc=False):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[_ToolDelta] | None = None


class _Choice(msgspec.Struct, gc=False):
    index: int = 0
    delta: _Delta | None = None
    finish_reason: str | None = None


class _PromptDetails(msgspec.Struct):
    cached_tokens: int | None = None


class _CompletionDetails(msgspec.Struct):
    reasoning_tokens: int | None = None


class _ChatUsage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None
    source: UsageSource = "final"
    """Ours (see `write.py`): so that an estimate stays one when it has come through two gateways."""

    def fact(self) -> Usage:
        prompt, completion = self.prompt_tokens_details, self.completion_tokens_details
        return Usage(
            input_tokens=self.prompt_tokens,
            output_tokens=self.completion_tokens,
            cached_tokens=prompt.cached_tokens if prompt else None,
            reasoning_tokens=completion.reasoning_tokens if completion else None,
            source=self.source,
        )


class _Chunk(msgspec.Struct, gc=False):
    choices: list[_Choice] | None = None
    usage: _ChatUsage | None = None
    error: msgspec.Raw = _NOTHING


class _LooseChunk(msgspec.Struct, gc=False):
    """A chunk whose usage has a shape of its own: as good as none, it will be estimated."""

    choices: list[_Choice] | None = None
    error: msgspec.Raw = _NOTHING


_decode_chunk = msgspec.json.Decoder(_Chunk).decode
_decode_loosely = msgspec.json.Decoder(_LooseChunk).decode


def _read_chunk(block: bytes) -> _Chunk:
    data = sse.payload(block)
    try:
        return _decode_chunk(data)
    except msgspec.ValidationError:
        pass
    except BROKEN_JSON as error:
        raise ProtocolError(f"the upstream sent data that is not a chat completion chunk: {error}") from None
    try:
        loose = _decode_loosely(data)
    except BROKEN_JSON as error:
        raise ProtocolError(f"the upstream sent data that is not a chat completion chunk: {error}") from None
    return _Chunk(loose.choices, None, loose.error)


class ChatProbe:
    """One typed parse per block.

    It costs half a microsecond, as much as two `in` searches over the same bytes, and unlike them it cannot be fooled by
    text that looks like a key; JSON that is broken anywhere is found here.
    """

    __slots__ = ("complete", "failure", "held", "needs_done", "outcome", "started", "usage")

    def __init__(self) -> None:
        self.needs_done = True
        """Without its end marker the answer is not whole. Servers with the quirk `no_done` never send one."""
        self.started = False
        self.complete = False
        self.held: bytes | None = None
        self.usage: Usage | None = None
        self.failure: Error | None = None
        self.outcome: str = "completed"

    def __call__(self, block: bytes) -> Kind:
        try:
            chunk = _decode_chunk(block[6:-2])
        except BROKEN_JSON:
            # Not one plain line of JSON: the end marker, several lines, a named event; or no sense at all.
            if sse.payload(block).strip() == b"[DONE]":
                return Kind.END
            chunk = _read_chunk(block)
        if chunk.error is not _NOTHING and bytes(chunk.error) != b"null":
            self.failure = read_told(chunk.error)
            return Kind.FAILED
        if chunk.usage is not None:
            self.usage = chunk.usage.fact()
        if not chunk.choices:
            if chunk.usage is None:
                return _DATA
            self.held = block
            return Kind.HELD
        for choice in chunk.choices:
            if reason := choice.finish_reason:
                if reason in _BROKEN_OFF:
                    message = f"the upstream broke off: finish_reason {reason}"
                    self.failure = Error("upstream_error", message, retryable=True, outcome="upstream_error")
                    return Kind.FAILED
                self.outcome = _OUTCOME.get(reason, "completed")
                self.complete = not self.needs_done
            if not self.started and choice.delta is not None:
                self.started = _has_token(choice.delta)
        return _DATA


def _has_token(delta: _Delta) -> bool:
    return bool(delta.content or delta.reasoning_content or delta.reasoning or delta.refusal or delta.tool_calls)


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
        for choice in _read_chunk(block).choices or ():
            if choice.delta is not None:
                _read_delta(choice.delta, choice.index, events)
            if choice.finish_reason:
                events.append(Finish(_OUTCOME.get(choice.finish_reason, "completed"), choice.index))
        return events


def _read_delta(delta: _Delta, index: int, events: list[Event]) -> None:
    # One thought, under either of the two names that are in use; some upstreams send both.
    if thought := delta.reasoning_content or delta.reasoning:
        events.append(Reasoning(thought, index))
    if delta.content:
        events.append(Token(delta.content, index))
    if delta.refusal:
        events.append(Refusal(delta.refusal, index))
    for call in delta.tool_calls or ():
        function = call.function or _FunctionDelta()
        events.append(ToolCall(call.index, call.id, function.name, function.arguments or "", choice=index))
