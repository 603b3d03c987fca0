"""From frames to figures: percentiles, tenths of the answer, and when a limit was passed."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from bench.web.trace import Frame, Run

LIMIT = 16.0
"""Milliseconds: a display's frame."""
LONG = 50.0
"""Milliseconds: what browsers call a long task."""

Shown = Sequence[Sequence[float]]
"""At which time of the page how many characters were shown: pairs, in order."""


def percentile(values: Sequence[float], share: float) -> float | None:
    """The smallest value that at least so large a share of all does not exceed; None of none."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def tenths(run: Run, characters: int, shown: Shown | None = None) -> list[list[Frame]]:
    """The frames by tenths of the answer: by what was shown when each began, or by time where that is not known."""
    found: list[list[Frame]] = [[] for _ in range(10)]
    times = [time for time, _ in shown or ()]
    for frame in run.frames:
        if shown is None:
            share = frame.at / run.length
        else:
            # What is shown next is shown by this frame.
            number = min(bisect_right(times, run.began + frame.at), len(shown) - 1)
            share = shown[number][1] / characters
        found[min(9, int(share * 10))].append(frame)
    return found


def summary(run: Run, characters: int, shown: Shown | None = None) -> dict[str, Any]:
    """All that is reported of one run."""
    parts = tenths(run, characters, shown)
    first, last = ([frame.work for frame in part] for part in (parts[0], parts[-1]))
    p95 = [percentile([frame.work for frame in part], 0.95) for part in parts]
    return {
        "seconds": run.length / 1000,
        "frames": len(run.frames),
        "frames_per_tenth": [len(part) for part in parts],
        "p95_per_tenth": p95,
        "first": _percentiles(first),
        "last": _percentiles(last),
        "busy_p95": [percentile([frame.busy for frame in parts[at]], 0.95) for at in (0, -1)],
        "cpu_p95": [percentile([frame.cpu for frame in parts[at]], 0.95) for at in (0, -1)],
        "parts_p95": {
            name: [percentile([getattr(frame, name) for frame in parts[at]], 0.95) for at in (0, -1)]
            for name in ("script", "style", "layout")
        },
        "ratio": p95[-1] / p95[0] if p95[0] and p95[-1] else None,
        "passed_at": passed(p95, characters),
        "long_tasks": sum(task > LONG for task in run.tasks),
        "longest_task": max(run.tasks, default=0.0),
        "long_cpu_tasks": sum(task > LONG for task in run.cpu_tasks),
        "longest_cpu_task": max(run.cpu_tasks, default=0.0),
    }


def passed(p95: Sequence[float | None], characters: int) -> int | None:
    """At how many characters the p95 exceeded the limit: where the first tenth begins after which it always did."""
    found = None
    for number, value in enumerate(p95):
        if value is not None and value <= LIMIT:
            found = None
        elif value is not None and found is None:
            found = number * characters // 10
    return found


def _percentiles(values: Sequence[float]) -> list[float | None]:
    return [percentile(values, share) for share in (0.5, 0.95, 0.99)]
