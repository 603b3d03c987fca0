"""Penstock: every answer is a stream, and a stream is a log.

    import penstock
    app.mount("/ai", penstock.asgi("penstock.toml"))

An async generator of one's own takes a `Request`, and yields text or the events named here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock.dialects.base import Message, Request
from penstock.version import __version__
from penstock.wire.events import Done, Error, Event, Finish, Reasoning, Refusal, Token, ToolCall, Usage

if TYPE_CHECKING:
    from penstock.app import asgi

__all__ = [
    "Done",
    "Error",
    "Event",
    "Finish",
    "Message",
    "Reasoning",
    "Refusal",
    "Request",
    "Token",
    "ToolCall",
    "Usage",
    "__version__",
    "asgi",
]


def __getattr__(name: str) -> Any:
    # The application is imported when it is asked for: the pure parts can be used without a server.
    if name == "asgi":
        from penstock.app import asgi

        return asgi
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
