"""Reads the truth file: what the sim was asked, what it sent, and how it ended.

All times are `time.monotonic()` of the machine, and may be compared with another process's on it.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

_T = TypeVar("_T")

Ended = Literal["done", "error", "cut", "stalled", "closed_by_peer", "shutdown"]


class Opened(msgspec.Struct, frozen=True, tag="opened"):
    """A peer connected."""

    at: float
    connection: int


class Asked(msgspec.Struct, frozen=True, tag="request"):
    """A request came, whole."""

    id: int
    at: float
    connection: int
    method: str
    path: str
    """With its query."""
    headers: dict[str, str]
    """Lowercased names."""
    body: Any
    """Decoded JSON; a string when it was none; None when it was empty."""
    cue: dict[str, Any]

    @property
    def prompt(self) -> str:
        """The body as text, to look for a prompt in."""
        return self.body if isinstance(self.body, str) else "\n".join(_strings(self.body))


class End(msgspec.Struct, frozen=True, tag="end"):
    """An answer ended. Lists have one entry for every choice, and are empty where no model answered."""

    id: int
    at: float
    ended: Ended
    """`error`: by status, or in the stream. `stalled`: the peer closed while the sim hung or stalled."""
    status: int | None
    """None: no response head was sent."""
    text: list[str]
    """Exactly what was handed to the socket, whole tokens only; when the peer stopped reading, at most one write too many."""
    reasoning: list[str]
    refusal: list[str]
    tool_calls: list[list[dict[str, str]]]
    finish_reason: list[str] | None
    usage: dict[str, Any] | None
    """As it was sent."""
    tokens_sent: int
    """In all choices, reasoning and tool arguments included."""
    bytes_sent: int
    """Of the body, without HTTP's framing."""
    first_token_at: float | None
    last_token_at: float | None


class Closed(msgspec.Struct, frozen=True, tag="closed"):
    """A connection closed."""

    at: float
    connection: int
    by: Literal["peer", "sim"]
    during: int | None
    """The request whose answer was not complete."""


Line = Opened | Asked | End | Closed
_decoder = msgspec.json.Decoder(Line)


class Answered(msgspec.Struct, frozen=True):
    """A request, and the end of its answer, if it has ended."""

    request: Asked
    end: End | None


class Truth:
    """The lines of a truth file, as far as they were written."""

    def __init__(self, lines: list[Line]) -> None:
        self.lines = lines
        self.requests = [line for line in lines if isinstance(line, Asked)]
        self.ends = [line for line in lines if isinstance(line, End)]

    def answers(self, which: int | str = "") -> list[Answered]:
        """Every request with that id, or whose body's text contains that string, in order."""
        ends = {end.id: end for end in self.ends}
        found = [row for row in self.requests if (row.id == which if isinstance(which, int) else which in row.prompt)]
        return [Answered(row, ends.get(row.id)) for row in found]

    def answer(self, which: int | str = "") -> End:
        """The end of the one answer to that one request. Raises LookupError for none yet, or several requests."""
        found = self.answers(which)
        if len(found) != 1:
            raise LookupError(f"{len(found)} requests for {which!r}")
        if found[0].end is None:
            raise LookupError(f"the answer to {which!r} has not ended")
        return found[0].end

    def opened(self) -> list[Opened]:
        """Every connection that was made."""
        return [line for line in self.lines if isinstance(line, Opened)]

    def closed(self, connection: int | None = None, during: int | None = None) -> list[Closed]:
        """Every closing; only that connection's, only during that request, where they are given."""
        return [
            line
            for line in self.lines
            if isinstance(line, Closed)
            and (connection is None or line.connection == connection)
            and (during is None or line.during == during)
        ]


def read_truth(path: Path) -> Truth:
    """Reads a truth file that may still be growing; a file that is not there yet is empty."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        data = b""
    whole = data[: data.rfind(b"\n") + 1]
    return Truth([_decoder.decode(line) for line in whole.split(b"\n") if line])


def wait_for(path: Path, found: Callable[[Truth], _T], seconds: float = 10.0) -> _T:
    """Reads the file again and again until `found(truth)` is true or a non-empty result, and returns that.

    A LookupError from `found` means: not yet. Raises TimeoutError after `seconds`, showing the file's last lines.
    """
    deadline = time.monotonic() + seconds
    while True:
        truth = read_truth(path)
        reason = "nothing found"
        try:
            if result := found(truth):
                return result
        except LookupError as error:
            reason = str(error)
        if time.monotonic() > deadline:
            tail = "\n".join(map(repr, truth.lines[-5:]))
            raise TimeoutError(f"{reason} in {path} within {seconds} s; it ends with\n{tail}")
        time.sleep(0.01)


def _strings(value: object) -> list[str]:
    """Every string in a JSON value."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for part in value.values() for text in _strings(part)]
    if isinstance(value, list):
        return [text for part in value for text in _strings(part)]
    return []
