"""OpenAI's chat completions, `POST /v1/chat/completions`.

Format: platform.openai.com/docs/api-reference/chat; `reasoning_content` is how DeepSeek, vLLM and SGLang show it.
"""

import time
from typing import Any

import msgspec

from penstock.sim.answer import Answer, Ask, Piece, count_tokens
from penstock.sim.cue import Cue
from penstock.sim.voices.base import RequestError, Said, Speech, Style

_ERROR_TYPES = {
    400: "invalid_request_error",
    401: "invalid_request_error",
    403: "invalid_request_error",
    404: "invalid_request_error",
    429: "rate_limit_error",
}
_ERROR_CODES = {401: "invalid_api_key", 404: "not_found", 429: "rate_limit_exceeded"}
_DELTA_KEYS = {"text": "content", "reasoning": "reasoning_content", "refusal": "refusal"}
_MOST_CHOICES = 128


class OpenAIChat:
    """The voice of OpenAI's chat completions."""

    name = "openai-chat"

    def answers(self, path: str) -> bool:
        return path.rstrip("/").endswith("/chat/completions")

    def read(self, _path: str, body: object) -> Ask:
        if not isinstance(body, dict):
            raise RequestError("The body must be a JSON object")
        messages = body.get("messages")
        if not isinstance(messages, list) or not messages or not all(isinstance(message, dict) for message in messages):
            raise RequestError("`messages` must be a list of objects, and not empty", "messages")
        model = body.get("model")
        if not isinstance(model, str):
            raise RequestError("`model` must be a string", "model")
        options = body.get("stream_options")
        texts = [_text(message.get("content")) for message in messages]
        users = [text for message, text in zip(messages, texts, strict=True) if message.get("role") == "user"]
        limit = _whole_number(body, "max_completion_tokens", 0)
        if limit is None:
            limit = _whole_number(body, "max_tokens", 0)
        choices = _whole_number(body, "n", 1)
        if choices is not None and choices > _MOST_CHOICES:
            raise RequestError(f"`n` is at most {_MOST_CHOICES}", "n")
        return Ask(
            model=model,
            prompt=users[-1] if users else "",
            stream=body.get("stream") is True,
            choices=choices or 1,
            limit=limit,
            wants_usage=isinstance(options, dict) and options.get("include_usage") is True,
            prompt_tokens=sum(map(count_tokens, texts)),
        )

    def refusal(self, status: int, message: str, param: str | None = None) -> dict[str, Any]:
        kind = _ERROR_TYPES.get(status, "server_error")
        return {"error": {"message": message, "type": kind, "param": param, "code": _ERROR_CODES.get(status)}}

    def speak(self, ask: Ask, answer: Answer, cue: Cue, number: int) -> Speech:
        return _Completion(ask, answer, cue, number)


class _Completion:
    """One completion being said."""

    def __init__(self, ask: Ask, answer: Answer, cue: Cue, number: int) -> None:
        self._ask = ask
        self._answer = answer
        self._cue = cue
        self._json = Style(cue.json_style)
        self._id = f"chatcmpl-sim{number}"
        self._created = int(time.time())
        self._tokens = 0
        self._reasoning_tokens = 0
        self._said = [] if ask.stream else [Said() for _ in range(ask.choices)]
        self._shells: dict[tuple[str, int], tuple[bytes, bytes]] = {}
        self._shows_usage = cue.usage is not False and (ask.wants_usage or bool(cue.usage) or not ask.stream)
        self.usage: dict[str, Any] | None = None

    def opening(self) -> bytes:
        if not self._cue.role_chunk:
            return b""
        return b"".join(
            self._block(self._chunk(choice, {"role": "assistant", "content": ""}))
            for choice in range(self._ask.choices)
        )

    def piece(self, piece: Piece) -> bytes:
        self._tokens += 1
        if piece.kind == "reasoning":
            self._reasoning_tokens += 1
        if not self._ask.stream:
            self._said[piece.choice].add(piece)
            return b""
        if piece.kind == "tool_call":
            call: dict[str, Any] = {"index": piece.tool}
            if piece.name:
                call |= {"id": piece.id, "type": "function"}
                call["function"] = {"name": piece.name, "arguments": piece.text}
            else:
                call["function"] = {"arguments": piece.text}
            return self._block(self._chunk(piece.choice, {"tool_calls": [call]}))
        if self._cue.usage_every_chunk:
            return self._block(self._chunk(piece.choice, {_DELTA_KEYS[piece.kind]: piece.text}))
        # The same bytes around every text: rendered once for a choice.
        shell = self._shells.get((piece.kind, piece.choice))
        if shell is None:
            shell = self._shell(piece.kind, piece.choice)
        return shell[0] + self._json(piece.text) + shell[1]

    def ending(self) -> bytes:
        blocks = []
        for choice in range(self._ask.choices):
            chunk = self._chunk(choice, {}, self._answer.finish_reason(choice))
            if self._cue.usage_at == "finish" and self._shows_usage and choice == self._ask.choices - 1:
                chunk["usage"] = self._count()
            blocks.append(self._block(chunk))
        if self._shows_usage and self._cue.usage_at != "finish":
            chunk = self._base() | {"choices": [], "usage": self._count()}
            if self._cue.usage_at == "bare":
                del chunk["choices"]
            blocks.append(self._block(chunk))
        return b"".join(blocks)

    def done(self) -> bytes:
        return b"data: [DONE]\n\n"

    def late(self, number: int) -> bytes:
        return self._block(self._chunk(0, {"content": f"late{number} "}))

    def error(self, body: dict[str, Any] | None) -> bytes:
        usual = {"error": {"message": "The model failed", "type": "server_error", "param": None, "code": None}}
        return self._block(usual if body is None else body)

    def whole(self) -> bytes:
        choices = []
        for number, said in enumerate(self._said):
            silent = not said.text and (said.tools or said.refusal)
            message: dict[str, Any] = {"role": "assistant", "content": None if silent else "".join(said.text)}
            message["refusal"] = "".join(said.refusal) if said.refusal else None
            if said.reasoning:
                message["reasoning_content"] = "".join(said.reasoning)
            if said.tools:
                message["tool_calls"] = [
                    {
                        "id": call["id"],
                        "type": "function",
                        "function": {"name": call["name"], "arguments": call["arguments"]},
                    }
                    for call in said.tools
                ]
            reason = self._answer.finish_reason(number)
            choices.append({"index": number, "message": message, "logprobs": None, "finish_reason": reason})
        body = {"id": self._id, "object": "chat.completion", "created": self._created, "model": self._ask.model}
        body |= {"choices": choices}
        if self._shows_usage:
            body["usage"] = self._count()
        return self._json(body)

    def _base(self) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": "chat.completion.chunk",
            "created": self._created,
            "model": self._ask.model,
            "system_fingerprint": "fp_sim",
        }

    def _chunk(self, choice: int, delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        chunk = self._base()
        chunk["choices"] = [{"index": choice, "delta": delta, "logprobs": None, "finish_reason": finish_reason}]
        if self._cue.usage_every_chunk and self._cue.usage is not False:
            chunk["usage"] = self._count()
        elif self._shows_usage:
            chunk["usage"] = None  # as OpenAI does: every chunk has the key once usage was asked for
        return chunk

    def _shell(self, kind: str, choice: int) -> tuple[bytes, bytes]:
        mark = "\x00"  # encodes to an escape that no other value here can hold
        block = self._block(self._chunk(choice, {_DELTA_KEYS[kind]: mark}))
        before, after = block.split(msgspec.json.encode(mark))
        self._shells[kind, choice] = before, after
        return before, after

    def _count(self) -> dict[str, Any]:
        if isinstance(self._cue.usage, dict):
            self.usage = self._cue.usage
        else:
            self.usage = {
                "prompt_tokens": self._ask.prompt_tokens,
                "completion_tokens": self._tokens,
                "total_tokens": self._ask.prompt_tokens + self._tokens,
                "prompt_tokens_details": {"cached_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": self._reasoning_tokens},
            }
        return self.usage

    def _block(self, value: object) -> bytes:
        return b"data: " + self._json(value) + b"\n\n"


def _text(content: object) -> str:
    """The text of a message's content: a string, or a list of parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        texts = [part.get("text") for part in content if isinstance(part, dict)]
        return "".join(text for text in texts if isinstance(text, str))
    return ""


def _whole_number(body: dict[str, Any], key: str, least: int) -> int | None:
    value = body.get(key)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise RequestError(f"`{key}` must be a whole number, at least {least}", key)
    return value
