"""How each client dialect asks, for the matrix: the same question in everybody's words."""

from __future__ import annotations

import json
from typing import Any

PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
SYSTEM = "Speak of weather only."

ADDRESS = {
    "openai-chat": "/v1/chat/completions",
    "openai-responses": "/v1/responses",
    "anthropic": "/v1/messages",
    "ui-messages": "/api/chat",
    "native": "/v1/streams",
}


def prompt(cue: dict[str, Any], name: str) -> str:
    """The user's words: a name for the truth file, and how the simulated model is to answer."""
    return f"{name} sim:{json.dumps(cue)}"


def ask(dialect: str, model: str, words: str, *, image: bool = False, tools: bool = False) -> dict[str, Any]:
    """A streamed request with a system prompt, in the client's dialect; with a picture, or a tool that may be called."""
    data = f"data:image/png;base64,{PICTURE}"
    match dialect:
        case "openai-chat" | "native":
            picture = [{"type": "image_url", "image_url": {"url": data}}] if image else []
            told: dict[str, Any] = {
                "model": model,
                "stream": True,
                "max_tokens": 500,
                "messages": [
                    {"role": "system", "content": SYSTEM},
                    {"role": "user", "content": [*picture, {"type": "text", "text": words}]},
                ],
            }
            if dialect == "openai-chat":
                told["stream_options"] = {"include_usage": True}
            if tools:
                told["tools"] = [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}]
                told["tool_choice"] = "auto"
            return told
        case "openai-responses":
            picture = [{"type": "input_image", "image_url": data, "detail": "auto"}] if image else []
            told = {
                "model": model,
                "stream": True,
                "instructions": SYSTEM,
                "max_output_tokens": 500,
                "input": [{"role": "user", "content": [*picture, {"type": "input_text", "text": words}]}],
            }
            if tools:
                told["tools"] = [{"type": "function", "name": "weather", "parameters": SCHEMA}]
            return told
        case "anthropic":
            source = {"type": "base64", "media_type": "image/png", "data": PICTURE}
            picture = [{"type": "image", "source": source}] if image else []
            told = {
                "model": model,
                "stream": True,
                "system": SYSTEM,
                "max_tokens": 500,
                "messages": [{"role": "user", "content": [*picture, {"type": "text", "text": words}]}],
            }
            if tools:
                told["tools"] = [{"name": "weather", "input_schema": SCHEMA}]
            return told
        case "ui-messages":
            picture = [{"type": "file", "mediaType": "image/png", "url": data}] if image else []
            return {
                "id": "chat",
                "model": model,
                "trigger": "submit-message",
                "messages": [
                    {"id": "m0", "role": "system", "parts": [{"type": "text", "text": SYSTEM}]},
                    {"id": "m1", "role": "user", "parts": [*picture, {"type": "text", "text": words}]},
                ],
            }
    raise ValueError(dialect)
