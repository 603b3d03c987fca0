"""Reading a `gemini` upstream's blocks.

The probe and the decoder read a chunk by the same types, so whatever the probe lets into a log, the decoder can tell.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from penstock.dialects.base import BROKEN_JSON, Description, Kind
from penstock.dialects.gemini.errors import read_told
from penstock.dialects.gemini.schema import arguments_text
from penstock.dialects.untold import Untold
from penstock.exceptions import ProtocolError
from penstock.wire import sse
from penstock.wire.events import Error, Event, Finish, Reasoning, Start, Token, ToolCall, Usage, UsageSource

_Reason = Literal["completed", "length", "tool_calls", "content_filter"]

_FILTERED: _Reason = "content_filter"

_OUTCOME: dict[str, _Reason] = {
    "STOP": "completed",
    "MAX_TOKENS": "length",
    "CONTINUATION": "length",
    "SAFETY": _FILTERED,
    "RECITATION": _FILTERED,
    "LANGUAGE": _FILTERED,
    "BLOCKLIST": _FILTERED,
    "PROHIBITED_CONTENT": _FILTERED,
    "SPII": _FILTERED,
    "IMAGE_SAFETY": _FILTERED,
    "IMAGE_PROHIBITED_CONTENT": _FILTERED,
    "IMAGE_RECITATION": _FILTERED,
    "MODEL_ARMOR": _FILTERED,
    "ESCALATION": _FILTERED,
}
"""What a `finishReason` is called here. One that is not listed is a new way to say `STOP` ..."""

_BROKEN_OFF = {
    "MALFORMED_FUNCTION_CALL": True,
    "MALFORMED_RESPONSE": True,
    "UNEXPECTED_TOOL_CALL": True,
    "TOO_MANY_TOOL_CALLS": False,
    "MISSING_THOUGHT_SIGNATURE": False,
    "OTHER": False,
}
"""... except for these, by which the API says that the answer is not complete: it must not look so. True: retry may help."""

_NO_REASON = frozenset({"FINISH_REASON_UNSPECIFIED", "BLOCK_REASON_UNSPECIFIED", "BLOCKED_REASON_UNSPECIFIED"})

_NOTHING = msgspec.Raw()

_DATA = Kind.DATA  # by far the most frequent, and an enum's member costs a search


class _FunctionCall(msgspec.Struct, gc=False):
    id: str | None = None
    name: str | None = None
    args: msgspec.Raw = _NOTHING


class _Part(msgspec.Struct, gc=False, rename="camel"):
    text: str | None = None
    thought: bool | None = None
    function_call: _FunctionCall | None = None
    inline_data: msgspec.Raw = _NOTHING
    file_data: msgspec.Raw = _NOTHING
    executable_code: msgspec.Raw = _NOTHING
    code_execution_result: msgspec.Raw = _NOTHING

    @property
    def file(self) -> str | None:
        """What only this dialect has words for: a file that the model made, by its type."""
        for name, raw in (("inlineData", self.inline_data), ("fileData", self.file_data)):
            if _is_given(raw):
                kind = _type_of(raw)
                return f"{name} ({kind})" if kind else name
        return None

    @property
    def work(self) -> str | None:
        """The same: code that ran at the provider's."""
        if _is_given(self.executable_code):
            return "executableCode"
        return "codeExecutionResult" if _is_given(self.code_execution_result) else None


class _Content(msgspec.Struct, gc=False):
    parts: list[_Part] | None = None


class _Candidate(msgspec.Struct, gc=False, rename="camel"):
    index: int | None = None
    content: _Content | None = None
    finish_reason: str | None = None
    finish_message: str | None = None


class _PromptFeedback(msgspec.Struct, rename="camel"):
    block_reason: str | None = None


class _UsageMetadata(msgspec.Struct, gc=False, rename="camel"):
    prompt_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None
    """What the provider's own tools found: it is read by the model too, and not part of the prompt's count."""
    cached_content_token_count: int | None = None
    candidates_token_count: int | None = None
    thoughts_token_count: int | None = None
    total_token_count: int | None = None
    source: UsageSource = "final"
    """Ours (see `write.py`): so that an estimate stays one when it has come through two gateways."""

    def keep(self, earlier: _UsageMetadata) -> None:
        """Take over what was said before and is not said again. Runs for every chunk, so there is no loop."""
        if self.prompt_token_count is None:
            self.prompt_token_count = earlier.prompt_token_count
        if self.tool_use_prompt_token_count is None:
            self.tool_use_prompt_token_count = earlier.tool_use_prompt_token_count
        if self.cached_content_token_count is None:
            self.cached_content_token_count = earlier.cached_content_token_count
        if self.candidates_token_count is None:
            self.candidates_token_count = earlier.candidates_token_count
        if self.thoughts_token_count is None:
            self.thoughts_token_count = earlier.thoughts_token_count
        if self.total_token_count is None:
            self.total_token_count = earlier.total_token_count

    def fact(self) -> Usage:
        read, wrote = self.prompt_token_count, self.candidates_token_count
        if read is not None:
            read += self.tool_use_prompt_token_count or 0
        if self.thoughts_token_count is not None:
            wrote = (wrote or 0) + self.thoughts_token_count
        if wrote is None and read is not None and self.total_token_count is not None:
            # A count of zero is left out of this API's JSON; the total says that it is one.
            wrote = max(self.total_token_count - read, 0)
        return Usage(read, wrote, self.cached_content_token_count, self.thoughts_token_count, self.source)


class _Chunk(msgspec.Struct, gc=False, rename="camel"):
    candidates: list[_Candidate] | None = None
    prompt_feedback: _PromptFeedback | None = None
    usage_metadata: _UsageMetadata | None = None
    error: msgspec.Raw = _NOTHING


class _LooseChunk(msgspec.Struct, gc=False, rename="camel"):
    """A chunk whose usage has a shape of its own: as good as none, it will be estimated."""

    candidates: list[_Candidate] | None = None
    prompt_feedback: _PromptFeedback | None = None
    error: msgspec.Raw = _NOTHING


class _Typed(msgspec.Struct, gc=False, rename="camel"):
    mime_type: str | None = None


_decode_type = msgspec.json.Decoder(_Typed).decode
_decode_chunk = msgspec.json.Decoder(_Chunk).decode
_decode_loosely = msgspec.json.Decoder(_LooseChunk).decode


def _is_given(raw: msgspec.Raw) -> bool:
    return raw is not _NOTHING and bytes(raw) != b"null"


def _type_of(raw: msgspec.Raw) -> str | None:
    try:
        return _decode_type(raw).mime_type
    except BROKEN_JSON:
        return None


def _read_chunk(block: bytes) -> _Chunk:
    data = sse.payload(block)
    try:
        return _decode_chunk(data)
    except msgspec.ValidationError:
        pass
    except BROKEN_JSON as error:
        raise ProtocolError(f"the upstream sent data that is not a GenerateContentResponse: {error}") from None
    try:
        loose = _decode_loosely(data)
    except BROKEN_JSON as error:
        raise ProtocolError(f"the upstream sent data that is not a GenerateContentResponse: {error}") from None
    return _Chunk(loose.candidates, loose.prompt_feedback, None, loose.error)


def _is_blocked(feedback: _PromptFeedback | None) -> bool:
    return feedback is not None and bool(feedback.block_reason) and feedback.block_reason not in _NO_REASON


class GeminiProbe:
    """One typed parse per block. Every block but an error is part of the log: no fact stands in one of its own."""

    __slots__ = (
        "_calling",
        "_counted",
        "_finished",
        "_open",
        "complete",
        "failure",
        "held",
        "outcome",
        "started",
        "usage",
    )

    def __init__(self) -> None:
        self.started = False
        self.complete = False
        self.held: bytes | None = None
        self.usage: Usage | None = None
        self.failure: Error | None = None
        self.outcome: str = "completed"
        self._counted: _UsageMetadata | None = None
        self._open: set[int] = set()
        """Choices that have begun and not ended."""
        self._finished: set[int] = set()
        self._calling: set[int] = set()

    def __call__(self, block: bytes) -> Kind:
        try:
            chunk = _decode_chunk(block[6:-2])
        except BROKEN_JSON:
            # Not one plain line of JSON: several lines, a named event; or no sense at all.
            chunk = _read_chunk(block)
        if _is_given(chunk.error):
            self.failure = read_told(chunk.error)
            return Kind.FAILED
        counted = chunk.usage_metadata
        if counted is not None:
            if self._counted is not None:
                counted.keep(self._counted)
            self._counted = counted
            self.usage = counted.fact()
        for candidate in chunk.candidates or ():
            index = candidate.index or 0
            if candidate.content is not None and candidate.content.parts:
                self._look_at(candidate.content.parts, index)
            reason = candidate.finish_reason
            if not reason or reason in _NO_REASON:
                if index not in self._finished:
                    self._open.add(index)
                    self.complete = False
                continue
            if reason in _BROKEN_OFF:
                self.failure = _broken_off(reason, candidate.finish_message)
                return Kind.FAILED
            self._finished.add(index)
            self._open.discard(index)
            self.complete = not self._open
            self.outcome = _outcome(reason, index in self._calling)
        if _is_blocked(chunk.prompt_feedback):
            self.complete, self.outcome = True, _FILTERED
        return _DATA

    def _look_at(self, parts: list[_Part], index: int) -> None:
        for part in parts:
            if part.text or (not self.started and (part.file or part.work) is not None):
                self.started = True
            if part.function_call is not None:
                arguments_text(part.function_call.args)  # what can't be told must not come into the log
                self.started = True
                self._calling.add(index)


def _outcome(reason: str, calling: bool) -> _Reason:
    outcome = _OUTCOME.get(reason, "completed")
    return "tool_calls" if calling and outcome == "completed" else outcome


def _broken_off(reason: str, message: str | None) -> Error:
    said = (message or "").strip()[:400]
    told = f"the upstream broke off: {reason}{': ' if said else ''}{said}"
    return Error("upstream_error", told, retryable=_BROKEN_OFF[reason], outcome="upstream_error")


class GeminiDecoder:
    """Chunks -> events."""

    __slots__ = ("_about", "_calls", "_opened", "_untold")

    def __init__(self, about: Description) -> None:
        self._about = about
        self._opened = False
        self._calls: dict[int, int] = {}
        """How many calls each choice has made."""
        self._untold = Untold("gemini")

    def decode(self, block: bytes) -> list[Event]:
        events: list[Event] = []
        if not self._opened:
            self._opened = True
            events.append(Start(self._about.stream, self._about.model))
        chunk = _read_chunk(block)
        for candidate in chunk.candidates or ():
            index = candidate.index or 0
            for part in (candidate.content.parts if candidate.content is not None else None) or ():
                if part.text:
                    events.append(Reasoning(part.text, index) if part.thought else Token(part.text, index))
                    if not part.thought:
                        self._untold.said = True
                if part.function_call is not None:
                    events.append(self._call(part.function_call, index))
                    self._untold.said = True
                elif not part.text:
                    self._note(part)
            reason = candidate.finish_reason
            if reason and reason not in _NO_REASON:
                events.append(Finish(_outcome(reason, index in self._calls), index))
        if _is_blocked(chunk.prompt_feedback):
            events.append(Finish(_FILTERED))
        if events and isinstance(finish := events[-1], Finish):
            events[-1] = self._untold.end(finish)
        return events

    def _note(self, part: _Part) -> None:
        if (file := part.file) is not None and not part.thought:  # a sketch is no part of the answer
            self._untold.part(file)
        if (work := part.work) is not None:
            self._untold.work(work)

    def _call(self, call: _FunctionCall, choice: int) -> ToolCall:
        number = self._calls.get(choice, 0)
        self._calls[choice] = number + 1
        # Most models give no ids; every other dialect answers a call by its id.
        made = f"call_{self._about.stream}_{choice}_{number}" if choice else f"call_{self._about.stream}_{number}"
        return ToolCall(number, call.id or made, call.name, arguments_text(call.args), choice)
