"""The `gemini` dialect as a whole: golden transcripts, and round trips."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.dialects.base import Kind
from penstock.dialects.gemini import Gemini
from penstock.dialects.native import Native
from penstock.dialects.openai_chat import OpenAIChat
from penstock.wire import sse
from penstock.wire.events import (
    NAMES,
    Done,
    Error,
    Event,
    Finish,
    Reasoning,
    Refusal,
    Token,
    ToolCall,
    Usage,
)
from tests.dialects.answers import ABOUT, START, answers, count, text, written
from tests.dialects.answers import told as told_with_marker

gemini = Gemini()
chat = OpenAIChat()
native = Native()
SPEC = Path(__file__).parents[2] / "spec" / "gemini"
TRANSCRIPTS = sorted(SPEC.glob("*.sse"))


def told(reads: Iterable[bytes]) -> list[Event]:
    """The events of a body; with a last one if the answer was complete when the connection ended, or told of an error."""
    probe, decoder, splitter = gemini.probe(), gemini.decoder(ABOUT), sse.Splitter()
    events: list[Event] = []
    for read in reads:
        for block in splitter.feed(read):
            if probe(block) is Kind.FAILED:
                assert probe.failure is not None
                return [*(events or [START]), probe.failure]
            events += decoder.decode(block)
    if not probe.complete:
        return events
    usage = [] if probe.usage is None else [probe.usage]
    return [*events, *usage, Done(probe.outcome)]  # type: ignore[arg-type]  # the probe's words are outcomes


def expected_of(transcript: Path) -> list[Event]:
    kinds = {name: kind for kind, name in NAMES.items()}
    lines = map(json.loads, transcript.with_suffix(".events.jsonl").read_text().splitlines())
    return [msgspec.convert(line["data"], kinds[line["event"]]) for line in lines]


COMPLETE = [path for path in TRANSCRIPTS if isinstance(expected_of(path)[-1], Done)]


class TestTranscripts:
    def test_there_are_some(self) -> None:
        assert len(TRANSCRIPTS) > len(COMPLETE) > 15

    @pytest.mark.parametrize("transcript", TRANSCRIPTS, ids=lambda path: path.stem)
    def test_tells_its_events(self, transcript: Path) -> None:
        body, expected = transcript.read_bytes(), expected_of(transcript)
        assert told([body]) == expected
        assert told([body[at : at + 1] for at in range(len(body))]) == expected
        assert told([body[at : at + 97] for at in range(0, len(body), 97)]) == expected

    @pytest.mark.parametrize("transcript", COMPLETE, ids=lambda path: path.stem)
    def test_says_the_same_in_other_dialects(self, transcript: Path) -> None:
        *facts, last = expected_of(transcript)
        assert isinstance(last, Done)
        usage = next((event for event in facts if isinstance(event, Usage)), None)
        parts = [event for event in facts if not isinstance(event, Usage)]
        for dialect in (chat, native):
            assert told_with_marker(dialect, written(dialect, parts, usage, last)) == [*facts, last]
        # Here the reasons come last, all in one block.
        reasons = [event for event in parts if isinstance(event, Finish)]
        others = [event for event in parts if not isinstance(event, Finish)]
        given_usage = [] if usage is None else [usage]
        assert told(written(gemini, parts, usage, last)) == [*others, *reasons, *given_usage, last]

    @pytest.mark.parametrize("transcript", TRANSCRIPTS, ids=lambda path: path.stem)
    def test_only_a_whole_answer_is_complete(self, transcript: Path) -> None:
        """Cut after any of its blocks but those from the finish on, it does not look complete."""
        blocks = sse.Splitter().feed(transcript.read_bytes())
        probe = gemini.probe()
        finished = False
        for block in blocks:
            if probe(block) is Kind.FAILED:
                break
            finished = finished or b"finishReason" in block or b"blockReason" in block
            assert not probe.complete or finished
        assert probe.complete is (transcript in COMPLETE)


words = st.from_regex(r"[a-z_][a-z0-9_.-]{0,12}", fullmatch=True)
numbers = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
values = st.recursive(
    st.none() | st.booleans() | numbers | text, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner)
)
objects = st.dictionaries(text, values, max_size=3).map(lambda value: msgspec.json.encode(value).decode())


@st.composite
def expressible(draw: st.DrawFn) -> tuple[list[Event], Usage, Done]:
    """An answer that this dialect can tell whole: calls numbered as they come, reasons at the end."""
    choices = draw(st.integers(1, 3))
    events: list[Event] = [START]
    calls = dict.fromkeys(range(choices), 0)
    for _ in range(draw(st.integers(0, 12))):
        choice = draw(st.integers(0, choices - 1))
        match draw(st.integers(0, 2)):
            case 0:
                events.append(Token(draw(text), choice))
            case 1:
                events.append(Reasoning(draw(text), choice))
            case _:
                events.append(ToolCall(calls[choice], draw(words), draw(words), draw(objects), choice))
                calls[choice] += 1
    reasons: list[Any] = [
        draw(st.sampled_from(["tool_calls" if calls[choice] else "completed", "length", "content_filter"]))
        for choice in range(choices)
    ]
    thought = draw(st.none() | count)
    usage = Usage(draw(count), draw(count) + (thought or 0), draw(st.none() | count), thought)
    return [*events, *(Finish(reason, choice) for choice, reason in enumerate(reasons))], usage, Done(reasons[-1])


def by_choice(events: list[Event]) -> dict[int, list[Event]]:
    rows: dict[int, list[Event]] = {}
    for event in events:
        if isinstance(event, ToolCall):
            rows.setdefault(event.choice, []).append(event)
        elif isinstance(event, Token | Reasoning | Finish):
            rows.setdefault(event.index, []).append(event)
    return rows


class TestRoundTrips:
    @given(expressible())
    def test_what_is_written_is_what_is_read(self, answer: tuple[list[Event], Usage, Done]) -> None:
        events, usage, last = answer
        read = told(written(gemini, events, usage, last))
        assert by_choice(read) == by_choice(events)
        assert (read[0], *read[-2:]) == (START, usage, last)

    @given(expressible())
    def test_gemini_to_native_to_gemini(self, answer: tuple[list[Event], Usage, Done]) -> None:
        events, usage, last = answer
        *facts, last_usage, end = told(written(gemini, events, usage, last))
        through_native = written(native, facts, last_usage, end)  # type: ignore[arg-type]  # a Usage and a Done
        *facts, last_usage, end = told_with_marker(native, through_native)
        read = told(written(gemini, facts, last_usage, end))  # type: ignore[arg-type]
        assert by_choice(read) == by_choice(events)
        assert (read[0], *read[-2:]) == (START, usage, last)

    @given(expressible(), st.integers(1, 5))
    def test_arguments_in_pieces_are_one_call(self, answer: tuple[list[Event], Usage, Done], size: int) -> None:
        events, usage, last = answer
        pieces: list[Event] = []
        for event in events:
            if isinstance(event, ToolCall):
                told_in = [event.arguments[at : at + size] for at in range(0, len(event.arguments), size)]
                pieces.append(ToolCall(event.index, event.id, event.name, told_in[0], event.choice))
                pieces += [ToolCall(event.index, arguments=piece, choice=event.choice) for piece in told_in[1:]]
            else:
                pieces.append(event)
        assert by_choice(told(written(gemini, pieces, usage, last))) == by_choice(events)

    @given(answers)
    def test_no_word_is_lost_of_any_answer(self, events: list[Event]) -> None:
        def said(of: list[Event], kinds: Any) -> dict[int, str]:
            texts: dict[int, str] = {}
            for event in of:
                if isinstance(event, kinds):
                    texts[event.index] = texts.get(event.index, "") + event.text
            return texts

        read = told(written(gemini, events, None, Done("completed")))
        assert isinstance(read[-1], Done)
        assert said(read, Token) == said(events, Token | Refusal)
        assert said(read, Reasoning) == said(events, Reasoning)

    @given(answers, st.sampled_from(["stalled", "upstream_truncated", "cancelled"]))
    def test_an_answer_that_was_cut_never_looks_complete(self, events: list[Event], how: Any) -> None:
        last: Any = Done(how) if how == "cancelled" else Error(how, "cut", True, how)
        encoder = gemini.encoder(ABOUT, include_usage=True)
        blocks = [block for event in events for block in encoder.encode([event])] + encoder.end(Usage(1, 2), last)
        probe = gemini.probe()
        assert [probe(block) for block in blocks][-1] is Kind.FAILED
        assert not probe.complete
