"""The `openai-chat` dialect as a whole: golden transcripts, and round trips through both dialects."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given

from penstock.dialects.native import Native, encode_event
from penstock.dialects.openai_chat import OpenAIChat
from penstock.exceptions import PenstockError, ProtocolError
from penstock.wire.events import (
    NAMES,
    Done,
    Error,
    Event,
    Finish,
    Reasoning,
    Refusal,
    Segment,
    Start,
    Token,
    ToolCall,
    Usage,
)
from tests.dialects.answers import ABOUT, START, told, usages, written
from tests.dialects.answers import answers as invented

chat = OpenAIChat()
native = Native()
SPEC = Path(__file__).parents[2] / "spec" / "openai-chat"
TRANSCRIPTS = sorted(SPEC.glob("*.sse"))


def expected_of(transcript: Path) -> list[Event]:
    kinds = {name: kind for kind, name in NAMES.items()}
    lines = map(json.loads, transcript.with_suffix(".events.jsonl").read_text().splitlines())
    return [msgspec.convert(line["data"], kinds[line["event"]]) for line in lines]


COMPLETE = [path for path in TRANSCRIPTS if isinstance(expected_of(path)[-1], Done)]


class TestTranscripts:
    def test_there_are_some(self) -> None:
        assert len(TRANSCRIPTS) > len(COMPLETE) > 10

    @pytest.mark.parametrize("transcript", TRANSCRIPTS, ids=lambda path: path.stem)
    def test_tells_its_events(self, transcript: Path) -> None:
        body, expected = transcript.read_bytes(), expected_of(transcript)
        assert told(chat, [body]) == expected
        assert told(chat, [body[at : at + 1] for at in range(len(body))]) == expected
        assert told(chat, [body[at : at + 97] for at in range(0, len(body), 97)]) == expected

    @pytest.mark.parametrize("transcript", COMPLETE, ids=lambda path: path.stem)
    def test_says_the_same_in_both_dialects(self, transcript: Path) -> None:
        *facts, last = expected_of(transcript)
        assert isinstance(last, Done)
        usage = next((event for event in facts if isinstance(event, Usage)), None)
        parts = [event for event in facts if not isinstance(event, Usage)]
        for dialect in (chat, native):
            assert told(dialect, written(dialect, parts, usage, last)) == [*facts, last]


def outcome_of(events: list[Event]) -> Any:
    return next((event.reason for event in reversed(events) if isinstance(event, Finish)), "completed")


def named_once(events: list[Event]) -> list[Event]:
    """As in real answers, a call's id and name come with its first piece: another id would be another call."""
    begun: set[tuple[int, int]] = set()
    told: list[Event] = []
    for event in events:
        if isinstance(event, ToolCall):
            if (event.choice, event.index) in begun:
                event = ToolCall(event.index, arguments=event.arguments, choice=event.choice)
            begun.add((event.choice, event.index))
        told.append(event)
    return told


answers = invented.map(named_once)


class TestRoundTrips:
    """What is written is what is read: nothing is lost, in either dialect, nor on the way through both."""

    @pytest.mark.parametrize("dialect", [chat, native], ids=lambda dialect: dialect.name)
    @given(answers, usages)
    def test_in_one_dialect(self, dialect: Any, events: list[Event], usage: Usage) -> None:
        last = Done(outcome_of(events))
        read = told(dialect, written(dialect, events, usage, last))
        assert read == [*events, usage, last]

    @given(answers, usages)
    def test_native_to_chat_to_native(self, events: list[Event], usage: Usage) -> None:
        last = Done(outcome_of(events))
        upstream = written(native, events, usage, last)
        through_chat = written(chat, events, usage, last)
        *facts, last_usage, end = told(chat, through_chat)
        assert written(native, facts, last_usage, end) == upstream  # type: ignore[arg-type]  # a Usage and a Done


def test_events_reach_chat_clients_by_name() -> None:
    """Every kind of event is told, or meant to come through `end`; segments have no word here."""
    encoder = chat.encoder(ABOUT, include_usage=True)
    silent = (Usage, Error, Done, Segment)
    told_alone: list[Event] = [START, Token("x"), Reasoning("x"), Refusal("x"), ToolCall(0), Finish("completed")]
    assert {type(event) for event in told_alone} | set(silent) == set(NAMES)
    assert all(encoder.encode([event]) for event in told_alone)
    assert encoder.encode([Usage(), Done("completed")]) == []
    assert encode_event(Start("s1", "m")).startswith(b"event: start\n")
    assert issubclass(ProtocolError, PenstockError)
