"""`GET /v1/streams/{id}/trace`: the flight recorder of one stream, as JSON.

    {"stream", "model", "dialect", "outcome", "events", "usage"?, "live",
     "time_to_first_token"?, "mean_gap"?, "longest_gap", "stalls",
     "marks": [{"at", "what", ...}]}

Times are seconds; `at` counts from the request. What a mark can be is told in docs/operations.md.
"""

from __future__ import annotations

from typing import Any

from penstock.streams.stream import Stream
from penstock.streams.trace import Mark
from penstock.wire.events import Error


def trace_of(stream: Stream) -> dict[str, Any]:
    """See the module."""
    timing, end = stream.timing, stream.end
    told: dict[str, Any] = {
        "stream": stream.id,
        "model": stream.about.model,
        "dialect": stream.dialect,
        "live": end is None,
        "outcome": end.last.outcome if end is not None else None,
        "events": stream.produced,
        "readers": len(stream.readers),
    }
    if end is not None and end.usage is not None:
        told["usage"] = end.usage
    if timing is not None:
        told |= {
            "time_to_first_token": _seconds(timing.time_to_first_token),
            "mean_gap": _seconds(timing.mean_gap),
            "longest_gap": _seconds(timing.longest_gap),
            "stalls": timing.stalls,
        }
        silences = [Mark(at - timing.asked, "silence", {"seconds": _seconds(gap)}) for at, gap in timing.silences]
    else:
        silences = []
    accepted = Mark(0.0, "accepted", {} if stream.home is None else {"format": stream.home.dialect})
    marks = sorted([accepted, *stream.trace.marks, *silences], key=lambda mark: mark.at)
    told["marks"] = [{"at": _seconds(mark.at), "what": mark.what, **mark.facts} for mark in marks]
    if end is not None and isinstance(end.last, Error):
        told["marks"][-1]["message"] = end.last.message
    if stream.trace.left_out:
        told["left_out"] = stream.trace.left_out
    return told


def _seconds(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
