"""Answers: invented ones, and how the bytes of an upstream's answer become events."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hypothesis import strategies as st

from penstock.dialects.base import Description, Dialect, Kind
from penstock.wire import sse
from penstock.wire.events import (
    Done,
    Event,
    Finish,
    Reasoning,
    Refusal,
    Start,
    Token,
    ToolCall,
    Usage,
)

ABOUT = Description("s1", "m", 1_700_000_000)
START = Start("s1", "m")

text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
index = st.integers(0, 3)
names = st.none() | text

pieces: st.SearchStrategy[Event] = st.one_of(
    st.builds(Token, text, index),
    st.builds(Reasoning, text, index),
    st.builds(Refusal, text, index),
    st.builds(ToolCall, index, names, names, st.just("") | text, index),
    st.builds(Finish, st.sampled_from(["completed", "length", "tool_calls", "content_filter"]), index),
)
answers: st.SearchStrategy[list[Event]] = st.lists(pieces, max_size=12).map(lambda events: [START, *events])

count = st.integers(0, 2**40)
usages = st.builds(Usage, count, count, st.none() | count, st.none() | count, st.sampled_from(["final", "estimated"]))
partly_known = st.builds(Usage, st.none() | count, st.none() | count, st.none() | count, st.none() | count)


def told(dialect: Dialect, reads: Iterable[bytes]) -> list[Event]:
    """The events that the upstream's `reads` tell; without a last one if the end marker is missing."""
    probe, decoder, splitter = dialect.probe(), dialect.decoder(ABOUT), sse.Splitter()
    events: list[Event] = []
    for read in reads:
        for block in splitter.feed(read):
            match probe(block):
                case Kind.DATA:
                    events += decoder.decode(block)
                case Kind.HELD:
                    pass
                case Kind.END | Kind.LAST as kind:
                    if kind == Kind.LAST:
                        events += decoder.decode(block)
                    usage = [] if probe.usage is None else [probe.usage]
                    return [*(events or [START]), *usage, Done(probe.outcome)]  # type: ignore[arg-type]  # the probe's words are outcomes
                case Kind.FAILED:
                    assert probe.failure is not None
                    return [*(events or [START]), probe.failure]
    return events


def written(dialect: Dialect, events: Sequence[Event], usage: Usage | None, last: Done) -> list[bytes]:
    """The blocks that tell an answer to a client who asked for the usage. One log entry per event."""
    encoder = dialect.encoder(ABOUT, include_usage=True)
    blocks = [block for event in events for block in encoder.encode([event])]
    return blocks + encoder.end(usage, last)
