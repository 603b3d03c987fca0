"""Metering: what an answer used, as truly as can be known."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from penstock.dialects.base import Request
from penstock.streams.attempt import Attempt
from penstock.wire.events import Done, Error, Usage, UsageSource

BYTES_PER_TOKEN = 4
"""On the way in, where nobody counted."""

MOST_TOKENS = 10**12
"""No answer uses more: what an upstream claims above it, or below zero, is a fault of its own, and no number."""

_ATTACHED = ("image_url", "file", "input_audio")


def prompt_bytes(request: Request) -> int:
    """What of a request a model reads as text: its messages, the calls in them, and the tools it may call."""
    size = sum(len(message.text.encode()) for message in request.messages)
    size += sum(len(msgspec.json.encode(message.tool_calls)) for message in request.messages if message.tool_calls)
    return size + sum(len(msgspec.json.encode(tool)) for tool in request.tools)


def attachments(request: Request) -> int:
    """Images, files and sounds in a request's messages: what a model reads of it that is no text."""
    return sum(
        part.get("type") in _ATTACHED
        for message in request.messages
        if isinstance(message.content, list)
        for part in message.content
    )


def used(attempt: Attempt | None, last: Done | Error, request_bytes: int) -> Usage:
    """What the upstream said; else an estimate from what went through; else the honest word that nobody knows."""
    if attempt is not None and attempt.probe.usage is not None:
        told = _sane(attempt.probe.usage)
        if told.output_tokens is not None:
            return told
        if told.input_tokens is not None:
            if attempt.won or told.source == "estimated":
                # It said only what it read: the answer broke off, or it never says more.
                told = msgspec.structs.replace(told, output_tokens=attempt.tokens, source="estimated")
            return told
    if attempt is None or not attempt.answered or (isinstance(last, Error) and not attempt.won):
        return Usage(source="unknown")
    # An event to a token on the way out, as providers send them.
    return Usage(request_bytes // BYTES_PER_TOKEN, attempt.tokens, None, None, "estimated")


def _sane(usage: Usage) -> Usage:
    """Without numbers that can be none, so that nobody further on ever meets one: they are what nobody said."""
    wrote = usage.cache_write_tokens
    return Usage(
        _count(usage.input_tokens),
        _count(usage.output_tokens),
        _count(usage.cached_tokens),
        _count(usage.reasoning_tokens),
        usage.source,
        msgspec.UNSET if wrote is msgspec.UNSET or _count(wrote) is None else wrote,
    )


def _count(said: object) -> int | None:
    return said if type(said) is int and 0 <= said <= MOST_TOKENS else None


def together(usages: Iterable[Usage]) -> Usage:
    """What several attempts at one answer used: those of which anything is known."""
    known = [usage for usage in usages if usage.source != "unknown"]
    if not known:
        return Usage(source="unknown")
    if len(known) == 1:
        return known[0]
    source: UsageSource = "final" if all(usage.source == "final" for usage in known) else "estimated"
    wrote = [usage.cache_write_tokens for usage in known if usage.cache_write_tokens is not msgspec.UNSET]
    return Usage(
        _sum(usage.input_tokens for usage in known),
        _sum(usage.output_tokens for usage in known),
        _sum(usage.cached_tokens for usage in known),
        _sum(usage.reasoning_tokens for usage in known),
        source,
        sum(wrote) if wrote else msgspec.UNSET,
    )


def _sum(counts: Iterable[int | None]) -> int | None:
    said = [count for count in counts if count is not None]
    return sum(said) if said else None
