"""Google's Gemini API, `POST .../models/NAME:streamGenerateContent?alt=sse` and `:generateContent`.

Format: ai.google.dev/api/generate-content. There is no end marker: what ends an answer is the chunk with its
`finishReason`, so that is what `omit_done`, `duplicate_done` and a clean `cut` leave out or repeat. A function call is
one part, sent with its last piece. There is no word for a refusal: it is text.
"""

from typing import Any
from urllib.parse import unquote

import msgspec

from penstock.sim.answer import Answer, Ask, Piece, count_tokens
from penstock.sim.cue import Cue
from penstock.sim.voices.base import RequestError, Said, Speech, Style

_STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_FINISH_REASON = {"stop": "STOP", "length": "MAX_TOKENS", "tool_calls": "STOP", "content_filter": "SAFETY"}
_STREAMED, _WHOLE = ":streamGenerateContent", ":generateContent"
_MOST_CHOICES = 8


class Gemini:
    """The voice of Google's Gemini API."""

    name = "gemini"

    def answers(self, path: str) -> bool:
        return "/models/" in path and path.endswith((_STREAMED, _WHOLE))

    def read(self, path: str, body: object) -> Ask:
        if not isinstance(body, dict):
            raise RequestError("The body must be a JSON object")
        contents = body.get("contents")
        if not isinstance(contents, list) or not contents or not all(isinstance(content, dict) for content in contents):
            raise RequestError("`contents` must be a list of objects, and not empty", "contents")
        if any(content.get("role", "user") not in ("user", "model") for content in contents):
            raise RequestError("Please use a valid role: user, model.", "contents")
        settings = body.get("generationConfig") or {}
        if not isinstance(settings, dict):
            raise RequestError("`generationConfig` must be an object", "generationConfig")
        texts = [_text(content) for content in contents]
        said = [text for content, text in zip(contents, texts, strict=True) if content.get("role") != "model"]
        choices = _whole_number(settings, "candidateCount")
        if choices is not None and choices > _MOST_CHOICES:
            raise RequestError(f"`candidateCount` is at most {_MOST_CHOICES}", "candidateCount")
        instruction = body.get("systemInstruction")
        return Ask(
            model=unquote(path.rpartition("/models/")[2].rpartition(":")[0]),
            # What a tool answers is the user's turn too, but it has no text to take a cue from.
            prompt=next((text for text in reversed(said) if text), ""),
            stream=path.endswith(_STREAMED),
            choices=choices or 1,
            limit=_whole_number(settings, "maxOutputTokens"),
            wants_usage=True,
            prompt_tokens=sum(map(count_tokens, [*texts, _text(instruction)])),
        )

    def refusal(self, status: int, message: str, param: str | None = None) -> dict[str, Any]:
        word = _STATUS.get(status, "FAILED_PRECONDITION" if status < 500 else "INTERNAL")
        error: dict[str, Any] = {"code": status, "message": message, "status": word}
        if param is not None:
            violation = {"field": param, "description": message}
            error["details"] = [{"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]}]
        return {"error": error}

    def speak(self, ask: Ask, answer: Answer, cue: Cue, number: int) -> Speech:
        return _Response(ask, answer, cue, number)


class _Response:
    """One response being said."""

    def __init__(self, ask: Ask, answer: Answer, cue: Cue, number: int) -> None:
        self._ask = ask
        self._answer = answer
        self._cue = cue
        self._json = Style(cue.json_style)
        self._id = f"sim{number}"
        self._tokens = 0
        self._reasoning_tokens = 0
        self._said = [Said() for _ in range(ask.choices)]
        self.usage: dict[str, Any] | None = None

    def opening(self) -> bytes:
        return b""

    def piece(self, piece: Piece) -> bytes:
        self._tokens += 1
        if piece.kind == "reasoning":
            self._reasoning_tokens += 1
        if piece.kind != "tool_call":
            if not self._ask.stream:
                self._said[piece.choice].add(piece)
                return b""
            return self._part(piece.choice, _text_part(piece.text, thought=piece.kind == "reasoning"))
        said = self._said[piece.choice]
        said.add(piece)
        call = said.tools[piece.tool]
        if not self._ask.stream or call["arguments"] != self._arguments(piece.tool):
            return b""
        return self._part(piece.choice, _call_part(call))

    def ending(self) -> bytes:
        return b""

    def done(self) -> bytes:
        rows = [self._candidate(n, [{"text": ""}], self._reason(n)) for n in range(self._ask.choices)]
        return self._block(self._chunk(rows, counted=self._cue.usage is not False))

    def late(self, number: int) -> bytes:
        return self._part(0, {"text": f"late{number} "})

    def error(self, body: dict[str, Any] | None) -> bytes:
        usual = {"error": {"code": 500, "message": "The model failed", "status": "INTERNAL"}}
        return self._block(usual if body is None else body)

    def whole(self) -> bytes:
        rows = []
        for number, said in enumerate(self._said):
            parts = [_text_part("".join(said.reasoning), thought=True)] if said.reasoning else []
            if said.text or said.refusal:
                parts.append({"text": "".join(said.refusal + said.text)})
            # A call whose arguments were cut is none.
            calls = [call for tool, call in enumerate(said.tools) if call["arguments"] == self._arguments(tool)]
            parts += map(_call_part, calls)
            rows.append(self._candidate(number, parts, self._reason(number)))
        return self._json(self._chunk(rows, counted=self._cue.usage is not False))

    def _arguments(self, tool: int) -> str:
        return (self._cue.tool_calls or [])[tool].argument_text()

    def _reason(self, choice: int) -> str:
        """A cue may also give one of Gemini's own words."""
        reason = self._answer.finish_reason(choice)
        return _FINISH_REASON.get(reason, reason)

    def _part(self, choice: int, part: dict[str, Any]) -> bytes:
        counted = self._cue.usage_every_chunk and self._cue.usage is not False
        return self._block(self._chunk([self._candidate(choice, [part])], counted=counted))

    def _candidate(self, choice: int, parts: list[dict[str, Any]], reason: str | None = None) -> dict[str, Any]:
        row: dict[str, Any] = {"content": {"parts": parts, "role": "model"}}
        if reason is not None:
            row["finishReason"] = reason
        if choice:
            row["index"] = choice  # zeros are left out of this API's JSON
        return row

    def _chunk(self, candidates: list[dict[str, Any]], *, counted: bool) -> dict[str, Any]:
        chunk: dict[str, Any] = {"candidates": candidates}
        if counted:
            chunk["usageMetadata"] = self._count()
        return {**chunk, "modelVersion": self._ask.model, "responseId": self._id}

    def _count(self) -> dict[str, Any]:
        if isinstance(self._cue.usage, dict):
            self.usage = self._cue.usage
            return self.usage
        self.usage = {
            "promptTokenCount": self._ask.prompt_tokens,
            "candidatesTokenCount": self._tokens - self._reasoning_tokens,
            "totalTokenCount": self._ask.prompt_tokens + self._tokens,
        }
        if self._reasoning_tokens:
            self.usage["thoughtsTokenCount"] = self._reasoning_tokens
        return self.usage

    def _block(self, value: object) -> bytes:
        return b"data: " + self._json(value) + b"\n\n"


def _text_part(text: str, *, thought: bool) -> dict[str, Any]:
    return {"text": text, "thought": True} if thought else {"text": text}


def _call_part(call: dict[str, str]) -> dict[str, Any]:
    try:
        args = msgspec.json.decode(call["arguments"] or "{}", type=dict[str, Any])
    except msgspec.MsgspecError:
        args = {"_raw": call["arguments"]}
    return {"functionCall": {"id": call["id"], "name": call["name"], "args": args}}


def _text(content: object) -> str:
    """The text of a turn's parts."""
    parts = content.get("parts") if isinstance(content, dict) else None
    if not isinstance(parts, list):
        return ""
    texts = [part.get("text") for part in parts if isinstance(part, dict)]
    return "".join(text for text in texts if isinstance(text, str))


def _whole_number(settings: dict[str, Any], key: str) -> int | None:
    value = settings.get(key)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise RequestError(f"`{key}` must be a whole number, at least 1", key)
    return value
