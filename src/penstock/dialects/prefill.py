"""Prefill: the same request, with the beginning of its answer as the last message.

Models that continue a last message of the assistant's own (Anthropic's and Gemini's do; vLLM and SGLang are told to by the
quirk `continue_final_message`) go on where another one broke off.
"""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.dialects.base import Message, Request


def prefilled(request: Request, text: str) -> Request | None:
    """The request that asks for what follows `text`, in every dialect that it may be told in; None if there is none."""
    told = {"role": "assistant", "content": text}
    fields: dict[str, Any]
    match request.dialect:
        case "openai-chat" | "anthropic" | "native" if isinstance(request.fields.get("messages"), list):
            fields = {**request.fields, "messages": [*request.fields["messages"], told]}
        case "openai-responses":
            given = request.fields.get("input")
            turns = given if isinstance(given, list) else [{"role": "user", "content": given}]
            fields = {**request.fields, "input": [*turns, told]}
        case "ui-messages":
            fields = request.fields  # no upstream speaks it: every one gets what is made of `messages`
        case _:
            return None
    messages = [*request.messages, Message("assistant", text)]
    return msgspec.structs.replace(request, messages=messages, fields=fields)
