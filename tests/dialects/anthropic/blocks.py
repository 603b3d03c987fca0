"""Blocks of the Messages API, as an upstream sends them."""

from __future__ import annotations

import json
from typing import Any

from penstock.dialects.anthropic import Anthropic

messages = Anthropic()


def block(event: str, **fields: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (event.encode(), json.dumps({"type": event, **fields}).encode())


def data(value: Any) -> bytes:
    """A block without a name."""
    return b"data: %b\n\n" % (value if isinstance(value, bytes) else json.dumps(value).encode())


def start(**usage: Any) -> bytes:
    return block("message_start", message={"id": "msg_1", "content": [], "usage": usage})


def begin(index: int, type: str, **fields: Any) -> bytes:
    return block("content_block_start", index=index, content_block={"type": type, **fields})


def delta(index: int, type: str, **fields: Any) -> bytes:
    return block("content_block_delta", index=index, delta={"type": type, **fields})


def text(words: str, index: int = 0) -> bytes:
    return delta(index, "text_delta", text=words)


def stop(index: int = 0) -> bytes:
    return block("content_block_stop", index=index)


def reason(why: str | None, **usage: Any) -> bytes:
    return block("message_delta", delta={"stop_reason": why, "stop_sequence": None}, usage=usage)
