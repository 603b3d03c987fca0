"""The `anthropic` dialect as a whole: golden transcripts, and round trips through it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.dialects.anthropic import VERSION, Anthropic
from penstock.dialects.base import Dialect, Ending, Kind
from penstock.dialects.native import Native
from penstock.dialects.openai_chat import OpenAIChat
from penstock.exceptions import Refused
from penstock.wire import sse
from penstock.wire.events import (
    NAMES,
    Done,
    Error,
    Event,
    Finish,
    Reasoning,
    Refusal,
    Segment,
    Token,
    ToolCall,
    Usage,
)
from tests.dialects.answers import ABOUT, START, told, written

messages = Anthropic()
chat = OpenAIChat()
native = Native()
SPEC = Path(__file__).parents[2] / "spec" / "anthropic"
TRANSCRIPTS = sorted(SPEC.glob("*.sse"))


def expected_of(transcript: Path) -> list[Event]:
    kinds = {name: kind for kind, name in NAMES.items()}
    lines = map(json.loads, transcript.with_suffix(".events.jsonl").read_text("utf-8").splitlines())
    return [msgspec.convert(line["data"], kinds[line["event"]]) for line in lines]


COMPLETE = [path for path in TRANSCRIPTS if isinstance(expected_of(path)[-1], Done)]


def split(events: list[Event]) -> tuple[list[Event], Usage | None, Done]:
    """An answer as an encoder is given it: the usage and the end by themselves."""
    *facts, last = events
    assert isinstance(last, Done)
    usage = next((event for event in facts if isinstance(event, Usage)), None)
    return [event for event in facts if not isinstance(event, Usage)], usage, last


class TestTranscripts:
    def test_there_are_some(self) -> None:
        assert len(TRANSCRIPTS) > len(COMPLETE) > 15

    @pytest.mark.parametrize("transcript", TRANSCRIPTS, ids=lambda path: path.stem)
    def test_tells_its_events(self, transcript: Path) -> None:
        body, expected = transcript.read_bytes(), expected_of(transcript)
        assert told(messages, [body]) == expected
        assert told(messages, [body[at : at + 1] for at in range(len(body))]) == expected
        assert told(messages, [body[at : at + 97] for at in range(0, len(body), 97)]) == expected

    @pytest.mark.parametrize("dialect", [chat, native], ids=lambda dialect: dialect.name)
    @pytest.mark.parametrize("transcript", COMPLETE, ids=lambda path: path.stem)
    def test_clients_of_other_dialects_see_the_same(self, transcript: Path, dialect: Dialect) -> None:
        expected = expected_of(transcript)
        parts, usage, last = split(expected)
        if dialect is chat and usage is not None:
            # Chat has no word for what was written to the cache.
            expected = [
                msgspec.structs.replace(e, cache_write_tokens=msgspec.UNSET) if e is usage else e for e in expected
            ]
        assert told(dialect, written(dialect, parts, usage, last)) == expected

    @pytest.mark.parametrize("transcript", COMPLETE, ids=lambda path: path.stem)
    def test_clients_of_this_dialect_see_the_upstreams_own_blocks(self, transcript: Path) -> None:
        probe, log, held = messages.probe(), [], None
        for block in sse.Splitter().feed(transcript.read_bytes()):
            kind = probe(block)
            if kind is Kind.END:
                held = probe.held
                break
            if kind is Kind.DATA:
                log.append(block)
        end = Ending(probe.usage, held, Done("completed"), len(log))
        seen = [*log, *messages.ending(ABOUT, end, include_usage=True)]
        sent = sse.Splitter().feed(transcript.read_bytes())
        assert seen == [block for block in sent if b"ping" not in block][: len(seen)]
        assert told(messages, seen) == expected_of(transcript)


class TestEnding:
    def test_without_the_upstreams_own_block_there_is_one_of_ours(self) -> None:
        (block,) = messages.ending(ABOUT, Ending(None, None, Done("length"), 3), include_usage=True)
        assert messages.probe()(block) is Kind.END

    @pytest.mark.parametrize("last", [Error("stalled", "silent", True, "stalled"), Done("cancelled", 3)])
    def test_what_did_not_end_well_does_not_look_so(self, last: Any) -> None:
        held = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
        (block,) = messages.ending(ABOUT, Ending(None, held, last, 3), include_usage=True)
        assert messages.probe()(block) is Kind.FAILED


text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
json_objects = st.dictionaries(text, st.none() | text | st.integers(0, 9) | st.lists(text, max_size=2), max_size=3)


@st.composite
def tool_calls(draw: st.DrawFn) -> list[Event]:
    """One call: its name, then its arguments in pieces. The index is given later."""
    arguments = json.dumps(draw(json_objects), ensure_ascii=False)
    cuts = sorted(draw(st.lists(st.integers(1, max(1, len(arguments) - 1)), max_size=3, unique=True)))
    pieces = [arguments[a:b] for a, b in zip([0, *cuts], [*cuts, len(arguments)], strict=True)]
    return [ToolCall(0, draw(text), draw(text)), *(ToolCall(0, arguments=piece) for piece in pieces if piece)]


spoken: st.SearchStrategy[list[Event]] = st.builds(Token, text).map(lambda e: [e]) | st.builds(Reasoning, text).map(
    lambda e: [e]
)
count = st.integers(0, 2**40)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    """What this dialect can tell: the parts of the input are no more than the input."""
    read, wrote = draw(st.none() | count), draw(st.just(msgspec.UNSET) | count)
    given = draw(st.none() | count)
    parts = (read or 0) + (0 if wrote is msgspec.UNSET else wrote)
    source = draw(st.sampled_from(["final", "estimated"]))
    total = None if given is None else given + parts
    return Usage(total, draw(count), read, draw(st.none() | count), source, wrote)  # type: ignore[arg-type]


@st.composite
def expressible(draw: st.DrawFn) -> list[Event]:
    """An answer that this dialect has words for: one choice, calls one after the other, whole, and first a `Finish`."""
    groups = draw(st.lists(spoken | tool_calls(), max_size=6))
    events: list[Event] = [START]
    calls = 0
    for group in groups:
        numbered = [msgspec.structs.replace(e, index=calls) if isinstance(e, ToolCall) else e for e in group]
        calls += isinstance(group[0], ToolCall)
        events += numbered
    reasons = ["tool_calls", "length", "content_filter"] if calls else ["completed", "length", "content_filter"]
    return [*events, Finish(draw(st.sampled_from(reasons)))]  # type: ignore[arg-type]


class TestRoundTrips:
    """What is written is what is read: nothing is lost that this dialect can say."""

    @given(expressible(), usages())
    def test_in_this_dialect(self, events: list[Event], usage: Usage) -> None:
        finish = events[-1]
        assert isinstance(finish, Finish)
        last = Done(finish.reason)
        assert told(messages, written(messages, events, usage, last)) == [*events, usage, last]

    @given(expressible(), usages())
    def test_chat_to_messages_to_chat(self, events: list[Event], usage: Usage) -> None:
        usage = msgspec.structs.replace(usage, cache_write_tokens=msgspec.UNSET)
        finish = events[-1]
        assert isinstance(finish, Finish)
        upstream = written(chat, events, usage, Done(finish.reason))
        for block in (chat, messages):
            parts, told_usage, last = split(told(block, upstream))
            upstream = written(messages if block is chat else chat, parts, told_usage, last)
        assert told(chat, upstream) == [*events, usage, Done(finish.reason)]


def test_events_reach_its_clients_by_name() -> None:
    """Every kind of event is told, or meant to come through `end`; segments have no word here."""
    alone: list[Event] = [START, Token("x"), Reasoning("x"), Refusal("x"), ToolCall(0, name="f"), Finish("completed")]
    assert {type(event) for event in alone} | {Usage, Error, Done, Segment} == set(NAMES)
    assert all(messages.encoder(ABOUT, include_usage=True).encode([event]) for event in alone)
    assert messages.encoder(ABOUT, include_usage=True).encode([Usage(), Done("completed")]) == []


def test_headers() -> None:
    assert messages.headers("k") == [("x-api-key", "k"), ("anthropic-version", VERSION)]
    assert messages.headers("") == [("anthropic-version", VERSION)]


values = st.none() | st.booleans() | st.integers(-2, 2**65) | st.text(max_size=5)
names = ["type", "text", "source", "content", "id", "name", "input", "tool_use_id", "role", "url", "data", "media_type",
         "thinking", "format", "schema", "effort", "file_id", "image_url", "function"]  # fmt: skip
kinds = st.sampled_from(["text", "image", "document", "tool_use", "tool_result", "user", "assistant", "base64", "url",
                         "custom", "tool", "json_schema", "enabled", "image_url", "file", "function"])  # fmt: skip
trees = st.recursive(
    values | kinds,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(names), inner, max_size=4),
    max_leaves=12,
)
turn = st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant", "tool", "system"]), "content": trees})


@pytest.mark.parametrize("dialect", [messages, chat], ids=lambda dialect: dialect.name)
@given(
    st.lists(turn, min_size=1, max_size=3),
    st.dictionaries(
        st.sampled_from(["tools", "tool_choice", "thinking", "output_config", "system", "metadata", "response_format"]),
        trees,
        max_size=2,
    ),
)
def test_whatever_is_asked_is_answered_or_refused(dialect: Any, turns: Any, more: Any) -> None:
    body = json.dumps({"model": "m", "max_tokens": 5, "messages": turns, **more}).encode()
    for target in (messages, chat):
        try:
            sent = target.encode_request(dialect.parse_request(body), "x")
        except Refused as refused:
            assert refused.status == 400  # noqa: PT017  # any other exception is the failure
        else:
            assert json.loads(sent.body)["model"] == "x"
