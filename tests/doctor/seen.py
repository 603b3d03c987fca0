"""Observations to start from: a good one, and what paths make of it."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from penstock.doctor.observation import Arrival, Asked, Observation, Start, Times

HEADERS = [
    ("content-type", "text/event-stream; charset=utf-8"),
    ("cache-control", "no-cache, no-transform"),
    ("x-accel-buffering", "no"),
    ("penstock-doctor", "1"),
    ("server-timing", "penstock;dur=0.2"),
    ("transfer-encoding", "chunked"),
]


def good(asked: Asked = Asked(), way: float = 0.02, hold: Callable[[float], float] = lambda at: at) -> Observation:  # noqa: B008
    """A stream that came whole over a way of `way` seconds; `hold` says when what was sent at a time is let through."""
    arrivals = []
    for number in range(1, asked.events + 1):
        sent = (number - 1) * asked.pace + (asked.idle if number > asked.middle else 0)
        came = hold(sent) + way
        together = arrivals and came - arrivals[-1].came < 1e-9
        read = arrivals[-1].read if together else number
        arrivals.append(Arrival(number, sent, came, f"abc123:{number + 1}", read))
    return Observation(
        url="http://127.0.0.1:8080/v1/doctor",
        asked=asked,
        peer="127.0.0.1",
        times=Times(connect=0.001, first_byte=way + 0.001, server=0.001),
        status=200,
        http="1.1",
        headers=list(HEADERS),
        chunked=True,
        start=Start(asked.events, "1.1", "", [], 1),
        start_id="abc123:1",
        comments=1,
        arrivals=arrivals,
        done=True,
        ended="complete",
        ended_at=arrivals[-1].came,
    )


def cut(seen: Observation, after: int, ended_at: float, how: str = "closed") -> Observation:
    """It ended after so many events."""
    changed = msgspec.structs.replace(seen, arrivals=seen.arrivals[:after], done=False, ended_at=ended_at)
    changed.ended = how  # type: ignore[assignment]
    return changed


def headed(seen: Observation, **headers: str | None) -> Observation:
    """With other headers; None takes one away."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    kept = [(name, value) for name, value in seen.headers if name not in named]
    return msgspec.structs.replace(
        seen, headers=kept + [(name, value) for name, value in named.items() if value is not None]
    )
