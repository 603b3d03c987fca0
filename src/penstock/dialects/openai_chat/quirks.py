"""Habits of servers that speak this dialect almost.

Most are simply understood: `reasoning` beside `reasoning_content`, comments, usage in every chunk, in the last chunk, without
`choices`, or not at all, unknown reasons to finish or none before `[DONE]`, content in parts, calls numbered alike or not at
all, arguments that are objects, halves of characters, numbers that JSON has no words for, errors as text or without
the word. What has to be said beforehand is declared by `quirks` of an upstream:

    no_stream_options        refuses requests with `stream_options`; its usage is estimated unless it tells it anyway
    max_completion_tokens    knows `max_tokens` only by this name
    max_tokens               knows `max_completion_tokens` only by this name
    no_developer_role        takes `developer` messages only as `system`
    continue_final_message   goes on with a last message of the assistant's if `continue_final_message` says so
    no_done                  ends without `data: [DONE]`: a finish_reason and the end of the connection will do
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec

QUIRKS = (
    "no_stream_options",
    "max_completion_tokens",
    "max_tokens",
    "no_developer_role",
    "no_done",
    "continue_final_message",
)


def adapt(body: bytes, quirks: Collection[str]) -> bytes:
    """A request of this dialect, as a server with these habits takes it."""
    fields: dict[str, Any] = msgspec.json.decode(body)
    if "no_stream_options" in quirks:
        fields.pop("stream_options", None)
    if "max_completion_tokens" in quirks and "max_tokens" in fields:
        fields.setdefault("max_completion_tokens", fields.pop("max_tokens"))
    if "max_tokens" in quirks and "max_completion_tokens" in fields:
        fields["max_tokens"] = fields.pop("max_completion_tokens")
    if "no_developer_role" in quirks:
        for message in fields.get("messages", ()):
            if isinstance(message, dict) and message.get("role") == "developer":
                message["role"] = "system"
    if "continue_final_message" in quirks and _role_of_last(fields) == "assistant":
        fields |= {"continue_final_message": True, "add_generation_prompt": False}
    return msgspec.json.encode(fields)


def _role_of_last(fields: dict[str, Any]) -> Any:
    messages = fields.get("messages")
    return (
        messages[-1].get("role") if isinstance(messages, list) and messages and isinstance(messages[-1], dict) else None
    )
