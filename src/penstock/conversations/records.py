"""What is kept of conversations. Times are Unix seconds, with fractions."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import msgspec

from penstock.exceptions import Refused

ID = re.compile(r"[A-Za-z0-9_-]{8,64}")
TITLE_LENGTH = 80


class Conversation(msgspec.Struct, frozen=True):
    """`leaf` is the last message of the branch that is shown."""

    id: str
    title: str
    created: float
    updated: float
    leaf: str | None = None


class Call(msgspec.Struct, frozen=True):
    """One tool call of an answer; `arguments` is JSON text, whole only after a good end."""

    id: str
    name: str
    arguments: str


class Failure(msgspec.Struct, frozen=True):
    """Why an answer did not end well."""

    code: str
    message: str
    retryable: bool


class Pace(msgspec.Struct, frozen=True):
    """How fast an answer was: seconds from the request to the first token and to the end."""

    first_token: float | None
    total: float
    tokens_per_second: float | None


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A question, or an answer. `parent` is what it follows; None = it begins the conversation.

    What stands below `model` is of answers only. `stream` is the answer's stream, as long as it may be there. `position`,
    which is not kept, is of an answer that is being made: its log goes on after what is here.
    """

    id: str
    parent: str | None
    role: Literal["user", "assistant"]
    created: float
    text: str = ""
    model: str | None = None
    reasoning: str = ""
    tool_calls: list[Call] = []
    stream: str | None = None
    position: str | None = None
    state: Literal["streaming", "ended"] = "ended"
    outcome: str | None = None
    error: Failure | None = None
    usage: dict[str, Any] | None = None
    timing: Pace | None = None


def check_id(value: str, field: str) -> str:
    """Raises Refused (400) for what no client of ours makes."""
    if not ID.fullmatch(value):
        raise Refused(400, "invalid_request", f"{field}: an id is 8 to 64 letters, digits, - or _", param=field)
    return value


def title_of(text: str) -> str:
    """A conversation's name until somebody gives it a better one: the first line of what was asked."""
    line = next((line for line in text.splitlines() if line.strip()), "New conversation")
    line = " ".join(line.split())
    if len(line) <= TITLE_LENGTH:
        return line
    cut = line[:TITLE_LENGTH]
    return (cut[: cut.rfind(" ")] if " " in cut[TITLE_LENGTH // 2 :] else cut).rstrip(" ,.;:") + "…"


class Question(msgspec.Struct, forbid_unknown_fields=True):
    """What the person wrote."""

    id: str
    text: str


class Asked(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """An answer that is asked for. Without `message`, `parent` is the question."""

    id: str
    model: str
    parent: str | None = None
    message: Question | None = None
    system: str | None = None
    temperature: float | None = None
    max_tokens: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)] | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = None
