"""The `openai-responses` dialect as a whole: golden transcripts, and round trips through it."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import Response

from penstock.dialects.anthropic import Anthropic
from penstock.dialects.base import Dialect, Ending, Kind
from penstock.dialects.native import Native
from penstock.dialects.openai_chat import OpenAIChat
from penstock.dialects.openai_responses import OpenAIResponses
from penstock.exceptions import ProtocolError, Refused
from penstock.wire import sse
from penstock.wire.events import NAMES, Done, Error, Event, Finish, Reasoning, Refusal, Token, ToolCall, Usage
from tests.dialects.answers import ABOUT, START, answers, told, usages, written

responses = OpenAIResponses()
anthropic = Anthropic()
chat = OpenAIChat()
native = Native()
SPEC = Path(__file__).parents[2] / "spec" / "openai-responses"
TRANSCRIPTS = sorted(SPEC.glob("*.sse"))
CANCELLED = Done("cancelled", 3)
STALLED = Error("stalled", "silent", True, "stalled")


def expected_of(transcript: Path) -> list[Event]:
    kinds = {name: kind for kind, name in NAMES.items()}
    lines = map(json.loads, transcript.with_suffix(".events.jsonl").read_text("utf-8").splitlines())
    return [msgspec.convert(line["data"], kinds[line["event"]]) for line in lines]


COMPLETE = [path for path in TRANSCRIPTS if isinstance(expected_of(path)[-1], Done)]


def log_of(transcript: Path) -> list[bytes]:
    """The upstream's blocks up to its last one, which is part of the log."""
    probe, log = responses.probe(), []
    for block in sse.Splitter().feed(transcript.read_bytes()):
        log.append(block)
        if probe(block) is Kind.LAST:
            break
    return log


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
        assert told(responses, [body]) == expected
        assert told(responses, [body[at : at + 1] for at in range(len(body))]) == expected
        assert told(responses, [body[at : at + 97] for at in range(0, len(body), 97)]) == expected

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
        log = log_of(transcript)
        last = expected_of(transcript)[-1]
        assert isinstance(last, Done)
        seen = [*log, *responses.ending(ABOUT, Ending(None, None, last, len(log)), include_usage=True)]
        assert seen == sse.Splitter().feed(transcript.read_bytes())[: len(seen)]
        assert told(responses, seen) == expected_of(transcript)

    @pytest.mark.parametrize("transcript", COMPLETE, ids=lambda path: path.stem)
    def test_a_whole_answer_is_the_upstreams_own_under_the_public_name(self, transcript: Path) -> None:
        log = log_of(transcript)
        whole = responses.assemble(ABOUT, log, Ending(None, None, Done("completed"), len(log)))
        assert whole is not None
        response = json.loads(sse.payload(log[-1]))["response"]
        if not response["output"]:
            done = [json.loads(sse.payload(block)) for block in log if b"response.output_item.done" in block]
            response["output"] = [event["item"] for event in done]
        assert json.loads(whole) == response | {"model": "m"}


class TestEnding:
    @pytest.mark.parametrize("last", [STALLED, CANCELLED], ids=["stalled", "cancelled"])
    def test_what_did_not_end_well_does_not_look_so(self, last: Any) -> None:
        (block,) = responses.ending(ABOUT, Ending(None, None, last, 3), include_usage=True)
        assert responses.probe()(block) is Kind.FAILED
        assert json.loads(sse.payload(block))["sequence_number"] == 3
        assert responses.assemble(ABOUT, [block], Ending(None, None, last, 3)) is None


text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)


@st.composite
def expressible(draw: st.DrawFn) -> list[Event]:
    """An answer that this dialect has words for: one choice, calls in turns but begun in order, and first a `Finish`."""
    spoken = st.builds(Token, text) | st.builds(Reasoning, text) | st.builds(Refusal, text)
    events: list[Event] = [START]
    calls = 0
    for kind in draw(st.lists(st.sampled_from(["say", "say", "call", "go on"]), max_size=12)):
        if kind == "call":
            events.append(ToolCall(calls, draw(text), draw(text)))
            calls += 1
        elif kind == "go on" and calls:
            events.append(ToolCall(draw(st.integers(0, calls - 1)), arguments=draw(text)))
        else:
            events.append(draw(spoken))
    reasons = ["tool_calls" if calls else "completed", "length", "content_filter"]
    return [*events, Finish(draw(st.sampled_from(reasons)))]


count = st.integers(0, 2**40)
maybe = st.none() | count
known_usages = st.builds(
    Usage, maybe, maybe, maybe, maybe, st.sampled_from(["final", "estimated"]), st.just(msgspec.UNSET) | count
)
"""None = nobody said; it must not become a zero."""


def parsed(block: bytes) -> Any:
    return json.loads(sse.payload(block))


class TestRoundTrips:
    """What is written is what is read: nothing is lost that this dialect can say."""

    @given(expressible(), known_usages)
    def test_in_this_dialect(self, events: list[Event], usage: Usage) -> None:
        finish = events[-1]
        assert isinstance(finish, Finish)
        last = Done(finish.reason)
        assert told(responses, written(responses, events, usage, last)) == [*events, usage, last]

    @given(expressible(), known_usages)
    def test_chat_to_responses_to_chat(self, events: list[Event], usage: Usage) -> None:
        usage = msgspec.structs.replace(usage, cache_write_tokens=msgspec.UNSET)
        finish = events[-1]
        assert isinstance(finish, Finish)
        upstream = written(chat, events, usage, Done(finish.reason))
        for read, target in ((chat, responses), (responses, chat)):
            parts, told_usage, last = split(told(read, upstream))
            upstream = written(target, parts, told_usage, last)
        assert told(chat, upstream) == [*events, usage, Done(finish.reason)]

    @given(expressible(), known_usages)
    def test_a_whole_answer_is_what_a_stream_ends_with(self, events: list[Event], usage: Usage) -> None:
        finish = events[-1]
        assert isinstance(finish, Finish)
        last = Done(finish.reason)
        streamed = parsed(written(responses, events, usage, last)[-1])["response"]
        assert json.loads(responses.collect(ABOUT, [*events, usage, last])) == streamed
        streamed["usage"]["input_tokens_details"].setdefault("cache_write_tokens", 0)  # newer clients want it
        Response.model_validate(streamed, strict=False)


class TestWhateverComes:
    """Also answers that have no words here: several choices, names that come late, ends in the middle."""

    @given(answers, usages)
    def test_is_numbered_and_named(self, events: list[Event], usage: Usage) -> None:
        blocks = written(responses, events, usage, Done("completed"))
        assert sse.Splitter().feed(b"".join(blocks)) == blocks
        assert [parsed(block)["sequence_number"] for block in blocks] == list(range(len(blocks)))
        assert [parsed(block)["type"] for block in blocks] == [sse.event_name(block) for block in blocks]

    @given(answers, usages, st.integers(0, 12))
    def test_is_deterministic_and_may_go_on_from_a_copy(self, events: list[Event], usage: Usage, at: int) -> None:
        encoder = responses.encoder(ABOUT, include_usage=True)
        blocks = encoder.encode(events[:at])
        copied = copy.deepcopy(encoder)
        encoder.encode([Token("only the first has this"), ToolCall(0, arguments="{")])
        blocks += copied.encode(events[at:]) + copied.end(usage, Done("completed"))
        assert blocks == written(responses, events, usage, Done("completed"))

    @given(answers)
    def test_an_error_is_never_an_end(self, events: list[Event]) -> None:
        for last in (CANCELLED, STALLED):
            encoder = responses.encoder(ABOUT, include_usage=True)
            blocks = [*encoder.encode(events), *encoder.end(None, last)]
            kinds = [responses.probe()(block) for block in blocks]
            assert kinds[-1] is Kind.FAILED
            assert Kind.LAST not in kinds


values: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers(-2, 2**65) | st.text(max_size=5) | st.just({}) | st.just([])
)
fields = st.dictionaries(
    st.sampled_from(
        ["type", "arguments", "call_id", "name", "usage", "error", "incomplete_details", "code", "message"]
    ),
    values | st.sampled_from(["function_call", "message", "web_search_call"]),
    max_size=4,
)
SOME = [
    "response.created", "response.output_item.added", "response.output_item.done", "response.output_text.delta",
    "response.function_call_arguments.delta", "response.function_call_arguments.done", "response.completed",
    "response.reasoning_summary_part.added", "response.incomplete", "response.failed", "error", "response.weather",
]  # fmt: skip
strange = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(SOME) | values,
        "delta": values,
        "output_index": st.integers(-1, 2) | values,
        "summary_index": st.integers(0, 2),
        "arguments": values,
        "item": fields | values,
        "response": fields | values,
        "error": fields | values,
        "code": values,
    },
)
anything = st.one_of(
    st.binary(max_size=60).map(sse.encode),
    strange.map(lambda event: sse.encode(json.dumps(event))),
    st.builds(lambda event, name: sse.encode(json.dumps(event), name), strange, st.sampled_from(SOME)),
)


@given(st.lists(anything, max_size=8))
def test_what_the_probe_lets_pass_the_decoder_can_tell(sent: list[bytes]) -> None:
    probe, decoder = responses.probe(), responses.decoder(ABOUT)
    for read in sse.Splitter().feed(b"\n" + b"".join(sent)):
        try:
            probe(read)
        except ProtocolError:
            with pytest.raises(ProtocolError):
                decoder.decode(read)
        else:
            decoder.decode(read)


names = ["type", "text", "content", "id", "name", "role", "call_id", "arguments", "output", "image_url", "file_data",
         "file", "function", "url", "tool_calls", "format", "effort", "schema", "json_schema"]  # fmt: skip
kinds = st.sampled_from(["input_text", "input_image", "input_file", "function_call", "function_call_output", "user",
                         "assistant", "reasoning", "json_schema", "function", "text", "image_url", "file"])  # fmt: skip
trees = st.recursive(
    values | kinds,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(names), inner, max_size=4),
    max_leaves=12,
)
more = st.dictionaries(
    st.sampled_from(["tools", "tool_choice", "text", "reasoning", "instructions", "response_format", "stop"]),
    trees,
    max_size=2,
)
turn = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "tool", "system"]), "content": trees},
    optional={"tool_calls": st.lists(trees, max_size=2), "tool_call_id": st.text(max_size=3)},
)


@pytest.mark.parametrize("dialect", [responses, chat], ids=lambda dialect: dialect.name)
@given(st.lists(turn, min_size=1, max_size=3), trees, more)
def test_whatever_is_asked_is_answered_or_refused(dialect: Any, turns: Any, given_input: Any, asked: Any) -> None:
    body = json.dumps({"model": "m", "messages": turns, "input": given_input, **asked}).encode()
    for target in (responses, chat, anthropic):
        try:
            sent = target.encode_request(dialect.parse_request(body), "x")
        except Refused as refused:
            assert refused.status == 400  # noqa: PT017  # any other exception is the failure
        else:
            assert json.loads(sent.body)["model"] == "x"
