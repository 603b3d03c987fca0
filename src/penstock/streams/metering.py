"""Metering: what an answer used, as truly as can be known."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from penstock.dialects.base import Request
from penstock.streams.attempt import Attempt
from penstock.wire.events import Done, Error, Usage, UsageSource

BYTES_PER_TOKEN = 4
"""On the way in, where nobody counted."""


def prompt_bytes(request: Request) -> int:
    """What of a request a model reads as text: its messages, the calls in them, and the tools it may call."""
    size = sum(len(message.text.encode()) for message in request.messages)
    size += sum(len(msgspec.json.encode(message.tool_calls)) for message in request.messages if message.tool_calls)
    return size + sum(len(msgspec.json.encode(tool)) for tool in request.tools)


def used(attempt: Attempt | None, last: Done | Error, request_bytes: int) -> Usage:
    """What the upstream said; else an estimate from what went through; else the honest word that nobody knows."""
    if attempt is not None and attempt.probe.usage is not None:
        told = attempt.probe.usage
        if told.source == "estimated" and told.output_tokens is None:
            # The upstream had said only what it read, when the answer broke off.
            told = msgspec.structs.replace(told, output_tokens=attempt.tokens)
        return told
    if attempt is None or not attempt.answered or (isinstance(last, Error) and not attempt.won):
        return Usage(source="unknown")
    # An event to a token on the way out, as providers send them.
    return Usage(request_bytes // BYTES_PER_TOKEN, attempt.tokens, None, None, "estimated")


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
