"""The arithmetic of a browser's trace: what the main thread did for each frame."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

Event = dict[str, Any]
Interval = tuple[float, float]

SCRIPT = frozenset({
    "EvaluateScript", "FunctionCall", "RunMicrotasks", "BlinkScheduler_PerformMicrotaskCheckpoint", "TimerFire",
    "FireAnimationFrame", "FireIdleCallback", "EventDispatch", "v8.compile", "v8.callFunction", "XHRReadyStateChange",
    "XHRLoad", "IntersectionObserverController::computeIntersections",
})  # fmt: skip
STYLE = frozenset({"UpdateLayoutTree", "RecalcStyle", "RecalculateStyles"})
LAYOUT = frozenset({"Layout"})
WORK = SCRIPT | STYLE | LAYOUT
TASK = frozenset({"RunTask", "ThreadControllerImpl::RunTask"})
FRAME = "BeginCommitCompositorFrame"
"""Where the main thread hands a frame over: what it did since the one before was for this one."""
BEGIN, END, PAUSE, RESUME = "bench:begin", "bench:end", "bench:pause", "bench:resume"
"""Marks that the page sets (`performance.mark`): what lies between a pause and its end was the benchmark's own doing."""


class Frame(NamedTuple):
    """From the commit before to its own. Times in milliseconds, since the beginning."""

    at: float
    work: float
    """Script, style and layout; nested events counted once."""
    script: float
    style: float
    layout: float
    busy: float
    """All tasks of the main thread: painting and the collection of garbage besides."""
    cpu: float
    """What of `work` the thread was really given by a processor: less, where others use the machine."""


class Run(NamedTuple):
    """What the main thread did between the two marks."""

    frames: list[Frame]
    tasks: list[float]
    """How long each task took, in ms."""
    cpu_tasks: list[float]
    """The same, by the processor's time."""
    began: float
    """The begin mark, on the page's own clock (`performance.now()`), in ms."""
    length: float


def read(events: Iterable[Event]) -> Run:
    """What the marks enclose. Raises ValueError when there are none."""
    events = list(events)
    marks = [event for event in events if "blink.user_timing" in event.get("cat", "") and event.get("ph") in "IRi"]
    begin = next((event for event in marks if event["name"] == BEGIN), None)
    end = min((event for event in marks if event["name"] == END), key=lambda event: event["ts"], default=None)
    if begin is None or end is None:
        raise ValueError("the trace does not hold the marks of the benchmark")
    place = (begin["pid"], begin["tid"])
    low, high = begin["ts"], end["ts"]
    here = [
        event for event in events
        if (event["pid"], event.get("tid")) == place and low <= event.get("ts", 0) <= high
    ]  # fmt: skip
    pauses = _pauses(here, high)
    frames = sorted(event["ts"] for event in here if event["name"] == FRAME)
    bounds = [(start, stop) for start, stop in pairwise(frames) if not _touches((start, stop), pauses)]
    columns = [per_interval(union(spans(here, names)), bounds) for names in (WORK, SCRIPT, STYLE, LAYOUT, TASK)]
    columns.append(per_start(outermost(here, WORK), bounds))
    tasks = [event for event in outermost(here, TASK) if not _touches(_span(event), pauses)]
    return Run(
        frames=[
            Frame((start - low) / 1000, *(column[number] / 1000 for column in columns))
            for number, (start, _) in enumerate(bounds)
        ],
        tasks=[event.get("dur", 0) / 1000 for event in tasks],
        cpu_tasks=[_cpu(event) / 1000 for event in tasks],
        began=float(begin.get("args", {}).get("data", {}).get("startTime") or 0.0),
        length=(high - low) / 1000,
    )


def _pauses(events: Sequence[Event], end: float) -> list[Interval]:
    starts = sorted(event["ts"] for event in events if event["name"] == PAUSE)
    stops = sorted(event["ts"] for event in events if event["name"] == RESUME)
    return [(start, next((stop for stop in stops if stop > start), end)) for start in starts]


def _touches(span: Interval, others: Sequence[Interval]) -> bool:
    return any(span[0] < stop and start < span[1] for start, stop in others)


def spans(events: Iterable[Event], names: frozenset[str]) -> list[Interval]:
    """Where the complete events of these names lie, in microseconds."""
    return [_span(event) for event in events if event.get("ph") == "X" and event["name"] in names]


def outermost(events: Iterable[Event], names: frozenset[str]) -> list[Event]:
    """The complete events of these names that lie in no other such one, in order. Those of one thread are nested."""
    found: list[Event] = []
    chosen = [event for event in events if event.get("ph") == "X" and event["name"] in names]
    for event in sorted(chosen, key=lambda event: (event["ts"], -event.get("dur", 0))):
        if not found or event["ts"] >= _span(found[-1])[1]:
            found.append(event)
    return found


def _span(event: Event) -> Interval:
    return event["ts"], event["ts"] + event.get("dur", 0)


def _cpu(event: Event) -> float:
    return float(event.get("tdur", event.get("dur", 0)))


def union(intervals: Iterable[Interval]) -> list[Interval]:
    """The same time, as intervals that do not overlap, in order."""
    found: list[Interval] = []
    for start, stop in sorted(intervals):
        if found and start < found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], stop))
        else:
            found.append((start, stop))
    return found


def per_interval(work: Sequence[Interval], bounds: Sequence[Interval]) -> list[float]:
    """How much of `work` lies in each of `bounds`. Both are in order, and neither overlaps itself."""
    sums = []
    first = 0
    for low, high in bounds:
        while first < len(work) and work[first][1] <= low:
            first += 1
        total = 0.0
        at = first
        while at < len(work) and work[at][0] < high:
            total += min(work[at][1], high) - max(work[at][0], low)
            at += 1
        sums.append(total)
    return sums


def per_start(events: Sequence[Event], bounds: Sequence[Interval]) -> list[float]:
    """The processor's time of the events that begin in each of `bounds`."""
    starts = [low for low, _ in bounds]
    sums = [0.0] * len(bounds)
    for event in events:
        number = bisect_right(starts, event["ts"]) - 1
        if number >= 0 and event["ts"] < bounds[number][1]:
            sums[number] += _cpu(event)
    return sums
