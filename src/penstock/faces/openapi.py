"""The stream faces' part of the OpenAPI description: they are raw ASGI, so FastAPI does not see them."""

from __future__ import annotations

from typing import Any

_SSE = {
    "description": "A stream of server-sent events, each with `id: epoch:offset`.",
    "content": {"text/event-stream": {}},
}
_ERROR = {"description": "A refusal, in the caller's dialect.", "content": {"application/json": {}}}
_BODY = {"required": True, "content": {"application/json": {"schema": {"type": "object"}}}}
_DELIVERIES = ["stream", "tools", "buffer"]
_WISH = {
    "name": "Penstock-Delivery",
    "in": "header",
    "schema": {"type": "string", "enum": ["stream", "buffer", "auto"]},
}
_KEY = {"name": "Idempotency-Key", "in": "header", "schema": {"type": "string", "maxLength": 255}}
_ID = {"name": "stream_id", "in": "path", "required": True, "schema": {"type": "string"}}
_CHAT = {
    "name": "chat_id",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "maxLength": 255},
    "description": "The `id` of the requests to `/api/chat`.",
}
_SEEN = {
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "properties": {"seen": {"type": "integer", "description": "The last offset that was shown."}},
            }
        }
    }
}


def _query(name: str, schema: dict[str, Any], description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": schema, "description": description}


def _opens(summary: str) -> dict[str, Any]:
    """An address where an answer begins."""
    return {
        "post": {
            "tags": ["streams"],
            "summary": summary,
            "parameters": [_KEY, _WISH],
            "requestBody": _BODY,
            "responses": {"200": _SSE, "4XX": _ERROR, "5XX": _ERROR},
        }
    }


STREAM_PATHS: dict[str, Any] = {
    "/v1/conversations/{conversation_id}/answers": {
        "post": {
            "tags": ["conversations"],
            "summary": "Begin an answer in a conversation that is kept, in the native dialect",
            "parameters": [{**_ID, "name": "conversation_id"}],
            "requestBody": _BODY,
            "responses": {"200": _SSE, "4XX": _ERROR, "5XX": _ERROR},
        }
    },
    "/v1/conversations/events": {
        "get": {
            "tags": ["conversations"],
            "summary": "An event for every conversation that changes",
            "responses": {"200": _SSE, "4XX": _ERROR},
        }
    },
    "/v1/chat/completions": _opens("OpenAI's chat completions, streamed or not"),
    "/v1/responses": _opens("OpenAI's responses, streamed or not"),
    "/v1/messages": _opens("Anthropic's messages, streamed or not"),
    "/api/chat": _opens("The AI SDK's UI messages, always streamed"),
    "/api/chat/{chat_id}/stream": {
        "get": {
            "tags": ["streams"],
            "summary": "The answer that is being made in a chat: all of it again, then live",
            "parameters": [_CHAT],
            "responses": {
                "200": _SSE,
                "204": {"description": "No answer is being made in this chat."},
                "4XX": _ERROR,
            },
        }
    },
    "/api/chat/{chat_id}/stop": {
        "post": {
            "tags": ["streams"],
            "summary": "Cancel the answer that is being made in a chat",
            "parameters": [_CHAT],
            "requestBody": _SEEN,
            "responses": {
                "200": {"description": "`{stream, outcome}`"},
                "204": {"description": "No answer is being made in this chat."},
                "4XX": _ERROR,
            },
        }
    },
    "/v1/doctor": {
        "get": {
            "tags": ["operations"],
            "summary": "A stream at a known pace, to measure a path with",
            "parameters": [
                _query("events", {"type": "integer"}, "How many events."),
                _query("pace", {"type": "number"}, "Seconds between two of them."),
                _query("idle", {"type": "number"}, "Seconds of silence in the middle."),
                _query("pad", {"type": "integer"}, "Bytes of padding in each."),
            ],
            "responses": {"200": _SSE, "4XX": _ERROR},
        }
    },
    "/v1/streams/{stream_id}/trace": {
        "get": {
            "tags": ["streams"],
            "summary": "What happened to the stream, and when",
            "parameters": [_ID],
            "responses": {
                "200": {"description": "The trace.", "content": {"application/json": {}}},
                "4XX": _ERROR,
            },
        }
    },
    "/v1/streams": _opens("Open a stream in the native dialect"),
    "/v1/streams/{stream_id}": {
        "get": {
            "tags": ["streams"],
            "summary": "Attach to a stream, or resume it",
            "parameters": [
                _ID,
                {"name": "Last-Event-ID", "in": "header", "schema": {"type": "string"}},
                _query("after", {"type": "string"}, "A position; `Last-Event-ID` comes first."),
                _query("format", {"type": "string", "default": "native"}, "The dialect to read the stream in."),
                _query("delivery", {"type": "string", "enum": _DELIVERIES}, "Without it, as the stream was asked for."),
                _query(
                    "include_usage", {"type": "boolean"}, "Show the usage where the dialect leaves that to the client."
                ),
            ],
            "responses": {
                "200": _SSE,
                "204": {"description": "The stream has ended, and all of it was seen."},
                "404": _ERROR,
                "410": {"description": "`resume_expired`: what follows the position is no longer kept."},
            },
        }
    },
    "/v1/streams/{stream_id}/cancel": {
        "post": {
            "tags": ["streams"],
            "summary": "Cancel: the upstream is closed before this answers",
            "parameters": [_ID],
            "requestBody": _SEEN,
            "responses": {"200": {"description": "`{stream, outcome}`"}, "404": _ERROR},
        }
    },
}
