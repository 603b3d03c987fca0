"""Anthropic's Messages API, `POST /v1/messages`.

Format: platform.claude.com/docs/en/api/messages and /build-with-claude/streaming. What is of chat completions only has no
effect here: several choices, `role_chunk`, `usage_at`, `usage_every_chunk`. A cue's `usage` is in this API's names, and
`false` leaves the usage out. A `refusal` is said as text, and ends with the stop reason `refusal`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.sim.answer import Answer, Ask, Piece, count_tokens
from penstock.sim.cue import Cue
from penstock.sim.voices.base import RequestError, Said, Speech, Style

_ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}
_STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}
_BLOCKS = {"text": "text", "refusal": "text", "reasoning": "thinking", "tool_call": "tool_use"}
_SIGNATURE = "c2ltIHRoaW5raW5n"


class Anthropic:
    """The voice of Anthropic's Messages API."""

    name = "anthropic"

    def answers(self, path: str) -> bool:
        return path.rstrip("/").endswith("/messages")

    def read(self, _path: str, body: object) -> Ask:
        if not isinstance(body, dict):
            raise RequestError("The body must be a JSON object")
        messages = body.get("messages")
        if not isinstance(messages, list) or not messages or not all(isinstance(message, dict) for message in messages):
            raise RequestError("messages: a list of objects is required, and not an empty one", "messages")
        model = body.get("model")
        if not isinstance(model, str):
            raise RequestError("model: a string is required", "model")
        limit = body.get("max_tokens")
        if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
            raise RequestError("max_tokens: a whole number is required, at least 1", "max_tokens")
        users = [_text(message.get("content")) for message in messages if message.get("role") == "user"]
        said = [text for text in users if text]  # results of tools are no prompt
        return Ask(
            model=model,
            prompt=said[-1] if said else "",
            stream=body.get("stream") is True,
            limit=limit,
            wants_usage=True,
            prompt_tokens=sum(
                _count_words(part) for part in [body.get("system"), *(m.get("content") for m in messages)]
            ),
        )

    def refusal(self, status: int, message: str, param: str | None = None) -> dict[str, Any]:
        return {"type": "error", "error": {"type": _ERROR_TYPES.get(status, "api_error"), "message": message}}

    def speak(self, ask: Ask, answer: Answer, cue: Cue, number: int) -> Speech:
        return _Message(ask, answer, cue, number)


class _Message:
    """One message being said: content blocks one after the other, each of one kind of piece."""

    def __init__(self, ask: Ask, answer: Answer, cue: Cue, number: int) -> None:
        self._ask = ask
        self._answer = answer
        self._cue = cue
        self._json = Style(cue.json_style)
        self._id = f"msg_sim{number}"
        self._tokens = 0
        self._thinking_tokens = 0
        self._index = -1
        self._open: tuple[str, int] | None = None
        self._shells: dict[tuple[str, int], tuple[bytes, bytes]] = {}
        self._said: list[tuple[str, Said]] = []
        self.usage: dict[str, Any] | None = None

    def opening(self) -> bytes:
        message = self._base() | {"content": [], "stop_reason": None, "stop_sequence": None}
        if self._cue.usage is not False:
            # As the API does: the input is known now; the output is a number that means nothing yet.
            message["usage"] = {**self._count(), "output_tokens": 1}
            message["usage"].pop("output_tokens_details", None)
        return self._block("message_start", message=message) + self._block("ping")

    def piece(self, piece: Piece) -> bytes:
        self._tokens += 1
        if piece.kind == "reasoning":
            self._thinking_tokens += 1
        kind = _BLOCKS[piece.kind]
        if not self._ask.stream:
            self._take(kind, piece)
            return b""
        before = b"" if self._open == (kind, piece.tool) else self._close() + self._start(kind, piece)
        shell = self._shells.get((kind, self._index))
        if shell is None:
            shell = self._shell(kind)
        return before + shell[0] + self._json(piece.text) + shell[1]

    def ending(self) -> bytes:
        told = {"delta": {"stop_reason": self._stop_reason(), "stop_sequence": None}}
        if self._cue.usage is not False:
            told["usage"] = self._count()
        return self._close() + self._block("message_delta", **told)

    def done(self) -> bytes:
        return self._block("message_stop")

    def late(self, number: int) -> bytes:
        return self._block("content_block_delta", index=0, delta={"type": "text_delta", "text": f"late{number} "})

    def error(self, body: dict[str, Any] | None) -> bytes:
        usual = {"type": "error", "error": {"type": "api_error", "message": "The model failed"}}
        return b"event: error\ndata: " + self._json(usual if body is None else body) + b"\n\n"

    def whole(self) -> bytes:
        content: list[dict[str, Any]] = []
        for kind, said in self._said:
            if kind == "tool_use":
                (call,) = said.tools
                content.append(
                    {"type": kind, "id": call["id"], "name": call["name"], "input": _object(call["arguments"])}
                )
            elif kind == "thinking":
                content.append({"type": kind, "thinking": "".join(said.reasoning), "signature": _SIGNATURE})
            else:
                content.append({"type": kind, "text": "".join(said.text)})
        message = self._base() | {"content": content, "stop_reason": self._stop_reason(), "stop_sequence": None}
        if self._cue.usage is not False:
            message["usage"] = self._count()
        return self._json(message)

    def _take(self, kind: str, piece: Piece) -> None:
        if self._open != (kind, piece.tool):
            self._open = kind, piece.tool
            self._said.append((kind, Said()))
        said = self._said[-1][1]
        if kind == "tool_use":
            said.add(msgspec.structs.replace(piece, tool=0))
        elif kind == "thinking":
            said.reasoning.append(piece.text)
        else:
            said.text.append(piece.text)

    def _start(self, kind: str, piece: Piece) -> bytes:
        self._open = kind, piece.tool
        self._index += 1
        block: dict[str, Any] = {"type": kind}
        if kind == "tool_use":
            block |= {"id": piece.id, "name": piece.name, "input": {}}
        elif kind == "thinking":
            block |= {"thinking": "", "signature": ""}
        else:
            block |= {"text": ""}
        return self._block("content_block_start", index=self._index, content_block=block)

    def _close(self) -> bytes:
        if self._open is None:
            return b""
        kind, self._open = self._open[0], None
        stop = self._block("content_block_stop", index=self._index)
        if kind != "thinking":
            return stop
        signature = {"type": "signature_delta", "signature": _SIGNATURE}
        return self._block("content_block_delta", index=self._index, delta=signature) + stop

    def _shell(self, kind: str) -> tuple[bytes, bytes]:
        """The bytes around every piece of a block: rendered once."""
        mark = "\x00"  # encodes to an escape that no other value here can hold
        keys = {"text": "text", "thinking": "thinking", "tool_use": "partial_json"}
        types = {"text": "text_delta", "thinking": "thinking_delta", "tool_use": "input_json_delta"}
        delta = {"type": types[kind], keys[kind]: mark}
        block = self._block("content_block_delta", index=self._index, delta=delta)
        before, after = block.split(msgspec.json.encode(mark))
        self._shells[kind, self._index] = before, after
        return before, after

    def _stop_reason(self) -> str:
        reason = self._answer.finish_reason(0)
        if reason == "stop" and self._cue.refusal is not None:
            return "refusal"
        return _STOP_REASONS.get(reason, reason)

    def _count(self) -> dict[str, Any]:
        if isinstance(self._cue.usage, dict):
            self.usage = self._cue.usage
        else:
            self.usage = {
                "input_tokens": self._ask.prompt_tokens,
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 0,
                "output_tokens": self._tokens,
                "output_tokens_details": {"thinking_tokens": self._thinking_tokens},
            }
        return self.usage

    def _base(self) -> dict[str, Any]:
        return {"id": self._id, "type": "message", "role": "assistant", "model": self._ask.model}

    def _block(self, event: str, **fields: Any) -> bytes:
        return b"event: " + event.encode() + b"\ndata: " + self._json({"type": event, **fields}) + b"\n\n"


def _text(content: object) -> str:
    """The text of a message's content: a string, or a list of blocks."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        texts = [block.get("text") for block in content if isinstance(block, dict)]
        return "".join(text for text in texts if isinstance(text, str))
    return ""


def _count_words(content: object) -> int:
    """The tokens of a message's content, or of `system`, with the results of tools."""
    results = (
        [block.get("content") for block in content if isinstance(block, dict)] if isinstance(content, list) else []
    )
    return count_tokens(_text(content)) + sum(count_tokens(_text(result)) for result in results)


def _object(arguments: str) -> Any:
    """The `input` of a call. What is no JSON is told as a string, as no real server would."""
    try:
        return msgspec.json.decode(arguments or "{}")
    except (msgspec.DecodeError, RecursionError):
        return arguments
