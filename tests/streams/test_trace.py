"""Traces: bounded, and in order."""

from __future__ import annotations

from penstock.streams.trace import MAX_MARKS, Mark, Trace


def test_marks_count_from_the_request() -> None:
    trace = Trace(100.0)
    trace.note(100.5, "attempt", upstream="main", model=None)
    assert trace.marks == [Mark(0.5, "attempt", {"upstream": "main"})]


def test_it_keeps_its_first_marks_and_the_end() -> None:
    trace = Trace(0.0)
    for number in range(MAX_MARKS + 50):
        trace.note(number, "attached")
    trace.note(1000, "ended", outcome="completed")
    assert len(trace.marks) == MAX_MARKS + 1
    assert trace.left_out == 50
    assert trace.marks[-1].what == "ended"
