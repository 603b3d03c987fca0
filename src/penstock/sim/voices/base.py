"""What every voice provides, and what it is given."""

import json
from typing import Any, Literal, Protocol

import msgspec

from penstock.sim.answer import Answer, Ask, Piece
from penstock.sim.cue import Cue


class RequestError(ValueError):
    """A request that a real server would refuse with status 400."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class Said(msgspec.Struct):
    """What one choice has said so far."""

    text: list[str] = msgspec.field(default_factory=list)
    reasoning: list[str] = msgspec.field(default_factory=list)
    refusal: list[str] = msgspec.field(default_factory=list)
    tools: list[dict[str, str]] = msgspec.field(default_factory=list)

    def add(self, piece: Piece) -> None:
        """Takes the next piece."""
        if piece.kind == "text":
            self.text.append(piece.text)
        elif piece.kind == "reasoning":
            self.reasoning.append(piece.text)
        elif piece.kind == "refusal":
            self.refusal.append(piece.text)
        else:
            if piece.tool == len(self.tools):
                self.tools.append({"id": piece.id, "name": piece.name, "arguments": ""})
            self.tools[piece.tool]["arguments"] += piece.text


class Style:
    """How JSON is written: one of the cue's `json_style`s."""

    def __init__(self, name: Literal["compact", "spaced", "escaped"]) -> None:
        self.compact = name == "compact"
        self._escaped = name == "escaped"

    def __call__(self, value: object) -> bytes:
        if self.compact:
            return msgspec.json.encode(value)
        return json.dumps(value, ensure_ascii=self._escaped).encode("utf-8", "surrogatepass")


class Speech(Protocol):
    """One answer being put in bytes. Lines of an event stream end with LF here."""

    usage: dict[str, Any] | None
    """The usage that was, or will be, sent."""

    def opening(self) -> bytes:
        """What comes before the first piece."""

    def piece(self, piece: Piece) -> bytes:
        """The block or blocks of the next piece."""

    def ending(self) -> bytes:
        """What comes after the last piece, without the end marker."""

    def done(self) -> bytes:
        """The end marker."""

    def late(self, number: int) -> bytes:
        """A block of text that comes after the end marker."""

    def error(self, body: dict[str, Any] | None) -> bytes:
        """The block that tells of an error in mid-stream; `body` instead of the usual one."""

    def whole(self) -> bytes:
        """The answer in one piece of JSON, from all pieces taken so far through `piece`."""


class Voice(Protocol):
    """A wire format."""

    name: str

    def answers(self, path: str) -> bool:
        """Whether a POST to this path is ours."""

    def read(self, _path: str, body: object) -> Ask:
        """What a request asks for. Raises RequestError."""

    def refusal(self, status: int, message: str, param: str | None = None) -> dict[str, Any]:
        """The JSON body of an answer with an error status."""

    def speak(self, ask: Ask, answer: Answer, cue: Cue, number: int) -> Speech:
        """Begins an answer; `number` is the request's, for ids."""
