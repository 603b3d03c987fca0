"""OpenAI's Responses API, `POST /v1/responses`.

Format: platform.openai.com/docs/api-reference/responses and /responses-streaming. What is of chat completions only has no
effect here: several choices, `role_chunk`, `usage_at`, `usage_every_chunk`. A cue's `usage` is in this API's names, and
`false` leaves the usage out. The end marker is `response.completed` (or `response.incomplete`), which repeats everything.
"""

from __future__ import annotations

import time
from typing import Any

from penstock.sim.answer import Answer, Ask, Piece, count_tokens
from penstock.sim.cue import Cue
from penstock.sim.voices.base import RequestError, Speech, Style

_ERROR_TYPES = {401: "invalid_request_error", 429: "rate_limit_error"}
_REASONS = {"length": "max_output_tokens", "content_filter": "content_filter"}


class OpenAIResponses:
    """The voice of OpenAI's Responses API."""

    name = "openai-responses"

    def answers(self, path: str) -> bool:
        return path.rstrip("/").endswith("/responses")

    def read(self, _path: str, body: object) -> Ask:
        if not isinstance(body, dict):
            raise RequestError("The body must be a JSON object")
        model, asked = body.get("model"), body.get("input")
        if not isinstance(model, str):
            raise RequestError("Missing required parameter: 'model'.", "model")
        if isinstance(asked, str):
            texts, users = [asked], [asked]
        elif isinstance(asked, list) and asked and all(isinstance(item, dict) for item in asked):
            texts = [_text(item.get("content", item.get("output"))) for item in asked]
            users = [text for item, text in zip(asked, texts, strict=True) if item.get("role") == "user"]
        else:
            raise RequestError("Missing required parameter: 'input'.", "input")
        limit = body.get("max_output_tokens")
        if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 1):
            raise RequestError("Invalid 'max_output_tokens': integer below minimum value.", "max_output_tokens")
        return Ask(
            model=model,
            prompt=users[-1] if users else "",
            stream=body.get("stream") is True,
            limit=limit,
            wants_usage=True,
            prompt_tokens=sum(map(count_tokens, [_text(body.get("instructions")), *texts])),
        )

    def refusal(self, status: int, message: str, param: str | None = None) -> dict[str, Any]:
        kind = _ERROR_TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
        return {"error": {"message": message, "type": kind, "param": param, "code": None}}

    def speak(self, ask: Ask, answer: Answer, cue: Cue, number: int) -> Speech:
        return _Response(ask, answer, cue, number)


class _Response:
    """One response being said: items one after the other."""

    def __init__(self, ask: Ask, answer: Answer, cue: Cue, number: int) -> None:
        self._ask = ask
        self._answer = answer
        self._cue = cue
        self._json = Style(cue.json_style)
        self._id = f"resp_sim{number}"
        self._created = int(time.time())
        self._sequence = 0
        self._tokens = 0
        self._reasoning_tokens = 0
        self._output: list[dict[str, Any]] = []
        self._open: tuple[str, int] | None = None
        self._text: list[str] = []
        self._call: Piece | None = None
        self.usage: dict[str, Any] | None = None

    def opening(self) -> bytes:
        response = self._response("in_progress")
        return self._event("response.created", response=response) + self._event(
            "response.in_progress", response=response
        )

    def piece(self, piece: Piece) -> bytes:
        self._tokens += 1
        if piece.kind == "reasoning":
            self._reasoning_tokens += 1
        before = b"" if self._open == (piece.kind, piece.tool) else self._close() + self._begin(piece)
        self._text.append(piece.text)
        where = self._where()
        match piece.kind:
            case "reasoning":
                said = self._event("response.reasoning_summary_text.delta", **where, summary_index=0, delta=piece.text)
            case "refusal":
                said = self._event("response.refusal.delta", **where, content_index=0, delta=piece.text)
            case "tool_call":
                said = self._event("response.function_call_arguments.delta", **where, delta=piece.text)
            case _:
                said = self._event(
                    "response.output_text.delta", **where, content_index=0, delta=piece.text, logprobs=[]
                )
        return before + said

    def ending(self) -> bytes:
        return self._close()

    def done(self) -> bytes:
        response = self._whole()
        return self._event(f"response.{response['status']}", response=response)

    def late(self, number: int) -> bytes:
        where = {"item_id": "msg_late", "output_index": 0, "content_index": 0}
        return self._event("response.output_text.delta", **where, delta=f"late{number} ", logprobs=[])

    def error(self, body: dict[str, Any] | None) -> bytes:
        if body is None:
            return self._event("error", code="server_error", message="The model failed", param=None)
        return b"event: error\ndata: " + self._json(body) + b"\n\n"

    def whole(self) -> bytes:
        self._close()
        return self._json(self._whole())

    # -- inside ------------------------------------------------------------------------------------------------------

    def _begin(self, piece: Piece) -> bytes:
        self._open, self._text, self._call = (piece.kind, piece.tool), [], piece
        added = self._event(
            "response.output_item.added", output_index=len(self._output), item=self._item("in_progress")
        )
        where = self._where()
        match piece.kind:
            case "reasoning":
                part = {"type": "summary_text", "text": ""}
                return added + self._event("response.reasoning_summary_part.added", **where, summary_index=0, part=part)
            case "tool_call":
                return added
            case _:
                return added + self._event("response.content_part.added", **where, content_index=0, part=self._part())

    def _close(self) -> bytes:
        if self._open is None:
            return b""
        kind, where, text = self._open[0], self._where(), "".join(self._text)
        match kind:
            case "reasoning":
                part = {"type": "summary_text", "text": text}
                told = self._event("response.reasoning_summary_text.done", **where, summary_index=0, text=text)
                told += self._event("response.reasoning_summary_part.done", **where, summary_index=0, part=part)
            case "tool_call":
                told = self._event("response.function_call_arguments.done", **where, arguments=text)
            case "refusal":
                told = self._event("response.refusal.done", **where, content_index=0, refusal=text)
                told += self._event("response.content_part.done", **where, content_index=0, part=self._part())
            case _:
                told = self._event("response.output_text.done", **where, content_index=0, text=text, logprobs=[])
                told += self._event("response.content_part.done", **where, content_index=0, part=self._part())
        item = self._item("completed")
        told += self._event("response.output_item.done", output_index=len(self._output), item=item)
        self._output.append(item)
        self._open = None
        return told

    def _part(self) -> dict[str, Any]:
        text = "".join(self._text)
        if self._open is not None and self._open[0] == "refusal":
            return {"type": "refusal", "refusal": text}
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}

    def _item(self, status: str) -> dict[str, Any]:
        assert self._open is not None
        assert self._call is not None
        done = status == "completed"
        match self._open[0]:
            case "reasoning":
                summary = [{"type": "summary_text", "text": "".join(self._text)}] if done else []
                return {"id": self._item_id(), "type": "reasoning", "summary": summary}
            case "tool_call":
                return {
                    "id": self._item_id(),
                    "type": "function_call",
                    "status": status,
                    "call_id": self._call.id,
                    "name": self._call.name,
                    "arguments": "".join(self._text) if done else "",
                }
            case _:
                content = [self._part()] if done else []
                told = {"id": self._item_id(), "type": "message", "role": "assistant"}
                return told | {"status": status, "content": content}

    def _item_id(self) -> str:
        return f"item_{len(self._output)}"

    def _where(self) -> dict[str, Any]:
        return {"item_id": self._item_id(), "output_index": len(self._output)}

    def _whole(self) -> dict[str, Any]:
        reason = _REASONS.get(self._answer.finish_reason(0))
        response = self._response("incomplete" if reason else "completed") | {"output": self._output}
        if reason:
            response["incomplete_details"] = {"reason": reason}
        if self._cue.usage is not False:
            response["usage"] = self._count()
        return response

    def _response(self, status: str) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": "response",
            "created_at": self._created,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "instructions": None,
            "metadata": {},
            "model": self._ask.model,
            "output": [],
            "parallel_tool_calls": True,
            "temperature": 1.0,
            "tool_choice": "auto",
            "tools": [],
            "top_p": 1.0,
            "usage": None,
        }

    def _count(self) -> dict[str, Any]:
        if isinstance(self._cue.usage, dict):
            self.usage = self._cue.usage
        else:
            self.usage = {
                "input_tokens": self._ask.prompt_tokens,
                "input_tokens_details": {"cached_tokens": 0},
                "output_tokens": self._tokens,
                "output_tokens_details": {"reasoning_tokens": self._reasoning_tokens},
                "total_tokens": self._ask.prompt_tokens + self._tokens,
            }
        return self.usage

    def _event(self, kind: str, **fields: Any) -> bytes:
        told = {"type": kind, "sequence_number": self._sequence, **fields}
        self._sequence += 1
        return b"event: " + kind.encode() + b"\ndata: " + self._json(told) + b"\n\n"


def _text(content: object) -> str:
    """The text of an item's content: a string, or a list of parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        texts = [part.get("text") for part in content if isinstance(part, dict)]
        return "".join(text for text in texts if isinstance(text, str))
    return ""
