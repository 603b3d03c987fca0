"""Prefill: the same request, with the beginning of its answer as the last message.

Models that continue a last message of the assistant's own (Anthropic's and Gemini's do; vLLM and SGLang are told to by the
quirk `continue_final_message`) go on where another one broke off.
"""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.dialects.base import Message, Request

_LIMITS = ("max_tokens", "max_completion_tokens", "max_output_tokens")


def prefilled(request: Request, text: str, tokens: int = 0) -> Request | None:
    """The request that asks for what follows `text`, in every dialect that it may be told in; None if there is none.

    `tokens` is what `text` has used of the answer's limit. A request that ends with a beginning of the client's own is not
    given a second one.
    """
    if request.messages and request.messages[-1].role == "assistant":
        return None
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
    limits = {name: max(1, fields[name] - tokens) for name in _LIMITS if isinstance(fields.get(name), int)}
    return msgspec.structs.replace(
        request,
        messages=[*request.messages, Message("assistant", text)],
        max_tokens=None if request.max_tokens is None else max(1, request.max_tokens - tokens),
        fields={**fields, **limits},
    )
