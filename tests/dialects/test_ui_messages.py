"""The `ui-messages` dialect as a whole: golden transcripts, and round trips through it."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.dialects.anthropic import Anthropic
from penstock.dialects.base import Dialect, Ending, Kind, Message
from penstock.dialects.native import Native
from penstock.dialects.openai_chat import OpenAIChat
from penstock.dialects.ui_messages import UIMessages
from penstock.exceptions import ProtocolError, Refused
from penstock.wire import sse
from penstock.wire.events import NAMES, Done, Error, Event, Finish, Reasoning, Refusal, Segment, Token, ToolCall, Usage
from tests.dialects.answers import ABOUT, START, answers, told, usages, written
from tests.dialects.ui_messages.grammar import legal

ui = UIMessages()
anthropic = Anthropic()
chat = OpenAIChat()
native = Native()
SPEC = Path(__file__).parents[2] / "spec" / "ui-messages"
TRANSCRIPTS = sorted(SPEC.glob("*.sse"))
CANCELLED = Done("cancelled", 3)
STALLED = Error("stalled", "silent", True, "stalled")
DONE = b"data: [DONE]\n\n"


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
        assert len(TRANSCRIPTS) > len(COMPLETE) > 25

    @pytest.mark.parametrize("transcript", TRANSCRIPTS, ids=lambda path: path.stem)
    def test_tells_its_events(self, transcript: Path) -> None:
        body, expected = transcript.read_bytes(), expected_of(transcript)
        assert told(ui, [body]) == expected
        assert told(ui, [body[at : at + 1] for at in range(len(body))]) == expected
        assert told(ui, [body[at : at + 97] for at in range(0, len(body), 97)]) == expected

    @pytest.mark.parametrize("dialect", [chat, native], ids=lambda dialect: dialect.name)
    @pytest.mark.parametrize("transcript", COMPLETE, ids=lambda path: path.stem)
    def test_clients_of_other_dialects_see_the_same(self, transcript: Path, dialect: Dialect) -> None:
        expected = expected_of(transcript)
        parts, usage, last = split(expected)
        if dialect is chat and usage is not None:
            # Chat has no word for what was written to the cache.
            plain = msgspec.structs.replace(usage, cache_write_tokens=msgspec.UNSET)
            expected = [plain if event is usage else event for event in expected]
        assert told(dialect, written(dialect, parts, usage, last)) == expected

    @pytest.mark.parametrize("transcript", COMPLETE, ids=lambda path: path.stem)
    def test_clients_of_this_dialect_see_the_upstreams_own_blocks(self, transcript: Path) -> None:
        probe, log = ui.probe(), []
        sent = sse.Splitter().feed(transcript.read_bytes())
        for block in sent:
            log.append(block)
            if probe(block) is Kind.LAST:
                break
        last = expected_of(transcript)[-1]
        assert isinstance(last, Done)
        seen = [*log, *ui.ending(ABOUT, Ending(None, probe.held, last, len(log)), include_usage=True)]
        assert sse.payload(seen[-1]).strip() == b"[DONE]"
        assert seen[: len(log)] == sent[: len(log)]
        assert [block for block in seen if b"[DONE]" in block] == seen[-1:]
        assert told(ui, seen) == expected_of(transcript)


class TestEnding:
    @pytest.mark.parametrize(("last", "kind"), [(STALLED, "error"), (CANCELLED, "abort")], ids=["stalled", "cancelled"])
    def test_what_did_not_end_well_does_not_look_so(self, last: Any, kind: str) -> None:
        blocks = ui.ending(ABOUT, Ending(None, None, last, 3), include_usage=True)
        assert ui.probe()(blocks[0]) is Kind.FAILED
        assert json.loads(sse.payload(blocks[0]))["type"] == kind
        assert blocks[1:] == [DONE]


text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
json_values = st.recursive(
    st.none() | text | st.integers(0, 9),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(text, inner, max_size=2),
    max_leaves=4,
)


@st.composite
def expressible(draw: st.DrawFn) -> list[Event]:
    """An answer that this dialect has words for: one choice, calls in turns but begun in order, and first a `Finish`."""
    events: list[Event] = [START]
    rest: list[str] = []
    for kind in draw(st.lists(st.sampled_from(["say", "say", "call", "go on"]), max_size=12)):
        if kind == "call":
            events.append(ToolCall(len(rest), f"id{len(rest)}{draw(text)}", draw(text)))
            rest.append(json.dumps(draw(json_values)))
        elif kind == "go on" and rest:
            index = draw(st.integers(0, len(rest) - 1))
            at = draw(st.integers(0, len(rest[index])))
            if piece := rest[index][:at]:
                events.append(ToolCall(index, arguments=piece))
            rest[index] = rest[index][at:]
        else:
            events.append(draw(st.builds(Token, text) | st.builds(Reasoning, text)))
    events += [ToolCall(index, arguments=piece) for index, piece in enumerate(rest) if piece]
    reasons = ["tool_calls" if rest else "completed", "length", "content_filter"]
    return [*events, Finish(draw(st.sampled_from(reasons)))]


count = st.integers(0, 2**40)
maybe = st.none() | count
known_usages = st.builds(
    Usage, count, maybe, maybe, maybe, st.sampled_from(["final", "estimated"]), st.just(msgspec.UNSET) | count
) | st.builds(Usage, maybe, count, maybe, maybe)
"""None = nobody said; it must not become a zero."""


class TestRoundTrips:
    """What is written is what is read: nothing is lost that this dialect can say."""

    @given(expressible(), known_usages)
    def test_in_this_dialect(self, events: list[Event], usage: Usage) -> None:
        finish = events[-1]
        assert isinstance(finish, Finish)
        last = Done(finish.reason)
        assert told(ui, written(ui, events, usage, last)) == [*events, usage, last]

    @given(expressible(), known_usages)
    def test_chat_to_ui_messages_to_chat(self, events: list[Event], usage: Usage) -> None:
        usage = msgspec.structs.replace(usage, cache_write_tokens=msgspec.UNSET)
        finish = events[-1]
        assert isinstance(finish, Finish)
        upstream = written(chat, events, usage, Done(finish.reason))
        for read, target in ((chat, ui), (ui, chat)):
            parts, told_usage, last = split(told(read, upstream))
            upstream = written(target, parts, told_usage, last)
        assert told(chat, upstream) == [*events, usage, Done(finish.reason)]


class TestWhateverComes:
    """Also answers that have no words here: several choices, names that come late, ends in the middle."""

    @given(answers, usages)
    def test_is_legal(self, events: list[Event], usage: Usage) -> None:
        blocks = written(ui, events, usage, Done("completed"))
        assert sse.Splitter().feed(b"".join(blocks)) == blocks
        assert legal(blocks) == "finish"

    @given(answers)
    def test_an_error_is_never_an_end(self, events: list[Event]) -> None:
        for last, kind in ((CANCELLED, "abort"), (STALLED, "error")):
            encoder = ui.encoder(ABOUT, include_usage=True)
            blocks = [*encoder.encode(events), *encoder.end(None, last)]
            assert legal(blocks) == kind
            assert [ui.probe()(block) for block in blocks[-2:]] == [Kind.FAILED, Kind.LAST]
            assert isinstance(told(ui, blocks)[-1], Error)

    @given(answers, usages, st.integers(0, 12))
    def test_is_deterministic_and_may_go_on_from_a_copy(self, events: list[Event], usage: Usage, at: int) -> None:
        encoder = ui.encoder(ABOUT, include_usage=True)
        blocks = encoder.encode(events[:at])
        copied = copy.deepcopy(encoder)
        encoder.encode([Token("only the first has this"), ToolCall(0, arguments="{")])
        blocks += copied.encode(events[at:]) + copied.end(usage, Done("completed"))
        assert blocks == written(ui, events, usage, Done("completed"))


def test_events_reach_its_clients_by_name() -> None:
    """Every kind of event is told, or meant to come through `end`; segments have no word here."""
    alone: list[Event] = [START, Token("x"), Reasoning("x"), Refusal("x"), ToolCall(0, name="f"), Finish("completed")]
    assert {type(event) for event in alone} | {Usage, Error, Done, Segment} == set(NAMES)
    assert all(ui.encoder(ABOUT, include_usage=True).encode([event]) for event in alone)
    assert ui.encoder(ABOUT, include_usage=True).encode([Usage(), Done("completed")]) == []


def test_headers() -> None:
    assert ui.headers("k") == [("authorization", "Bearer k")]
    assert ui.headers("") == []


values: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers(-2, 2**65) | st.text(max_size=5) | st.just({}) | st.just([])
)
SOME = [
    "start", "start-step", "text-start", "text-delta", "text-end", "reasoning-delta", "tool-input-start",
    "tool-input-delta", "tool-input-available", "tool-input-error", "tool-output-available", "finish-step", "finish",
    "error", "abort", "data-x", "file", "hologram",
]  # fmt: skip
strange = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(SOME) | values,
        "id": values,
        "delta": values,
        "toolCallId": st.sampled_from(["a", "b"]) | values,
        "toolName": values,
        "inputTextDelta": values,
        "inputEncoding": st.just("text") | values,
        "input": values,
        "providerExecuted": values,
        "finishReason": st.sampled_from(["stop", "error"]) | values,
        "messageMetadata": values | st.fixed_dictionaries({"usage": values, "outcome": values}),
        "errorText": values,
    },
)
anything = st.one_of(
    st.binary(max_size=60).map(sse.encode),
    strange.map(lambda part: sse.encode(json.dumps(part))),
    strange.map(lambda part: sse.encode(json.dumps(part, indent=1), "part")),
    st.just(DONE),
)


@given(st.lists(anything, max_size=8))
def test_what_the_probe_lets_pass_the_decoder_can_tell(sent: list[bytes]) -> None:
    probe, decoder = ui.probe(), ui.decoder(ABOUT)
    for read in sse.Splitter().feed(b"\n" + b"".join(sent)):
        try:
            probe(read)
        except ProtocolError:
            with pytest.raises(ProtocolError):
                decoder.decode(read)
        else:
            decoder.decode(read)


class TestRequests:
    @given(st.data())
    def test_a_conversation_survives(self, data: st.DataObject) -> None:
        """Of any dialect, told to an upstream of this one and read again."""
        messages = data.draw(conversations())
        body = json.dumps({"model": "m", "messages": [_plain(message) for message in messages]}).encode()
        sent = ui.encode_request(chat.parse_request(body), "x")
        assert sent.path == ""
        assert list(ui.parse_request(sent.body).messages) == messages

    @given(st.data())
    def test_its_own_goes_on_as_it_came(self, data: st.DataObject) -> None:
        messages = data.draw(conversations())
        body = json.dumps({"model": "m", "messages": [_plain(message) for message in messages]}).encode()
        first = ui.encode_request(chat.parse_request(body), "x")
        fields = {**json.loads(first.body), "temperature": 1, "data": [None]}
        again = ui.encode_request(ui.parse_request(json.dumps(fields).encode()), "y")
        assert json.loads(again.body) == fields | {"model": "y"}
        assert again.dropped == ()


def _plain(message: Message) -> dict[str, Any]:
    return {name: value for name, value in msgspec.to_builtins(message).items() if value is not None}


pictures = st.just({"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}) | st.just(
    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
)
files = st.just({"type": "file", "file": {"file_data": "data:application/pdf;base64,AA==", "filename": "a.pdf"}})
sounds = st.just({"type": "input_audio", "input_audio": {"data": "AA==", "format": "mp3"}})


@st.composite
def conversations(draw: st.DrawFn) -> list[Message]:
    messages: list[Message] = []
    for kind in draw(st.lists(st.sampled_from(["system", "user", "parts", "assistant", "calls"]), min_size=1)):
        match kind:
            case "system" | "user":
                messages.append(Message(kind, draw(text)))
            case "parts":
                more = st.lists(pictures | files | sounds, min_size=1, max_size=3)
                messages.append(Message("user", [{"type": "text", "text": draw(text)}, *draw(more)]))
            case "assistant":
                messages.append(Message("assistant", draw(text)))
            case _:
                ids = [f"c{len(messages)}_{n}" for n in range(draw(st.integers(1, 3)))]
                arguments = st.dictionaries(text, json_values, max_size=2).map(
                    lambda v: msgspec.json.encode(v).decode()
                )
                calls = [
                    {"id": id, "type": "function", "function": {"name": draw(text), "arguments": draw(arguments)}}
                    for id in ids
                ]
                messages.append(Message("assistant", draw(st.none() | text), tool_calls=calls))
                failed = st.none() | st.just(True)
                messages += [Message("tool", draw(text), tool_call_id=id, is_error=draw(failed)) for id in ids]
    return messages


names = ["type", "text", "url", "mediaType", "filename", "toolCallId", "toolName", "state", "input", "output", "content",
         "errorText", "rawInput", "approval", "id", "function", "name", "arguments", "image_url", "file",
         "file_data"]  # fmt: skip
kinds = st.sampled_from(["text", "file", "reasoning", "step-start", "tool-f", "dynamic-tool", "data-x", "source-url",
                         "output-available", "output-error", "output-denied", "image/png", "image_url",
                         "function"])  # fmt: skip
trees = st.recursive(
    values | kinds,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(names), inner, max_size=6),
    max_leaves=16,
)
parts = st.fixed_dictionaries({"type": kinds}, optional=dict.fromkeys(names[1:], kinds | values | trees))
turn = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "tool", "system"])},
    optional={
        "parts": st.lists(parts, max_size=4) | trees,
        "content": trees,
        "tool_calls": st.lists(trees, max_size=2),
    },
)
more = st.dictionaries(
    st.sampled_from(["id", "trigger", "tools", "system", "messageId", "tool_choice"]), trees, max_size=2
)


@pytest.mark.parametrize("dialect", [ui, chat], ids=lambda dialect: dialect.name)
@given(st.lists(turn, min_size=1, max_size=3), more)
def test_whatever_is_asked_is_answered_or_refused(dialect: Any, turns: Any, asked: Any) -> None:
    body = json.dumps({"model": "m", "messages": turns, **asked}).encode()
    for target in (ui, chat, anthropic):
        try:
            sent = target.encode_request(dialect.parse_request(body), "x")
        except Refused as refused:
            assert refused.status == 400  # noqa: PT017  # any other exception is the failure
        else:
            assert json.loads(sent.body)["model"] == "x"
