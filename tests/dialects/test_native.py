"""The `native` dialect: Penstock's own events, as they are."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.dialects.base import Kind
from penstock.dialects.native import Native, decode_event, encode_event
from penstock.dialects.openai_chat import MAX_CHOICES, OpenAIChat
from penstock.exceptions import ProtocolError, Refused, UpstreamFailed
from penstock.wire import sse
from penstock.wire.events import (
    DONE_OUTCOMES,
    Done,
    Error,
    Event,
    Finish,
    Outcome,
    Reasoning,
    Refusal,
    Start,
    Token,
    ToolCall,
    Usage,
)
from tests.dialects.answers import ABOUT, START, partly_known, pieces, text

native = Native()

done = st.builds(Done, st.sampled_from(sorted(DONE_OUTCOMES)), st.none() | st.integers(0, 99))
failures = st.builds(Error, text, text, st.booleans(), st.sampled_from(sorted(set(get_args(Outcome)) - DONE_OUTCOMES)))
events = st.one_of(st.builds(Start, text, text), pieces, partly_known, failures, done)


def ask(**fields: Any) -> bytes:
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}], **fields}).encode()


# -- the contract ----------------------------------------------------------------------------------------------------

ON_THE_WIRE: list[tuple[Event, bytes]] = [
    (Start("s1", "m"), b'event: start\ndata: {"stream":"s1","model":"m"}\n\n'),
    (Token("a\n"), b'event: token\ndata: {"text":"a\\n"}\n\n'),
    (Token("b", 1), b'event: token\ndata: {"text":"b","index":1}\n\n'),
    (Reasoning("Hm"), b'event: reasoning\ndata: {"text":"Hm"}\n\n'),
    (Refusal("No"), b'event: refusal\ndata: {"text":"No"}\n\n'),
    (ToolCall(0, "c", "f"), b'event: tool_call\ndata: {"index":0,"id":"c","name":"f"}\n\n'),
    (ToolCall(0, arguments="{}", choice=2), b'event: tool_call\ndata: {"index":0,"arguments":"{}","choice":2}\n\n'),
    (Finish("length"), b'event: finish\ndata: {"reason":"length"}\n\n'),
    (
        Usage(1, 0, None, 3, "final"),
        (
            b'event: usage\ndata: {"input_tokens":1,"output_tokens":0,"cached_tokens":null,"reasoning_tokens":3,'
            b'"source":"final"}\n\n'
        ),
    ),
    (
        Error("stalled", "silent", True, "stalled"),
        b'event: error\ndata: {"code":"stalled","message":"silent","retryable":true,"outcome":"stalled"}\n\n',
    ),
    (Done("completed"), b'event: done\ndata: {"outcome":"completed"}\n\n'),
    (Done("cancelled", 0), b'event: done\ndata: {"outcome":"cancelled","kept":0}\n\n'),
]


@pytest.mark.parametrize(("event", "block"), ON_THE_WIRE, ids=lambda value: type(value).__name__)
def test_on_the_wire(event: Event, block: bytes) -> None:
    assert encode_event(event) == block
    assert decode_event(block) == event


@given(events)
def test_what_is_written_is_read(event: Event) -> None:
    (block,) = sse.Splitter().feed(encode_event(event))
    assert block == encode_event(event)
    assert decode_event(block) == event


# -- reading an upstream ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "block",
    [
        b"event: token\ndata: \n\n",
        b"event: token\ndata: hello\n\n",
        b"event: token\ndata: {}\n\n",
        b'event: token\ndata: {"text": 1}\n\n',
        b'event: token\ndata: {"text": "\\ud800 x"}\n\n',
        b'event: token\ndata: {"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n\n",
        b'event: usage\ndata: {"input_tokens": "1"}\n\n',
        b'event: usage\ndata: {"source": "guessed"}\n\n',
        b'event: finish\ndata: {"reason": "stalled"}\n\n',
        b'event: done\ndata: {"outcome": "stalled"}\n\n',
        b'event: done\ndata: {"outcome": "great"}\n\n',
        b'event: error\ndata: {"code": "x", "message": "y", "retryable": true, "outcome": "completed"}\n\n',
    ],
    ids=lambda block: repr(block[:50]),
)
def test_what_is_no_event_is_refused(block: bytes) -> None:
    with pytest.raises(ProtocolError):
        native.probe()(block)


def test_events_of_later_versions_are_passed_over() -> None:
    block = b"event: citation\ndata: whatever\n\n"
    assert native.probe()(block) is Kind.HELD
    assert decode_event(block) is None
    assert decode_event(b"data: {}\n\n") is None
    assert decode_event(b'event: token\ndata: {"text": "x", "later": 1}\n\n') == Token("x")


@pytest.mark.parametrize(
    ("event", "kind", "started"),
    [
        (Start("other", "other"), Kind.HELD, False),
        (Token(""), Kind.DATA, False),
        (Token("x"), Kind.DATA, True),
        (Reasoning("x"), Kind.DATA, True),
        (Refusal("x"), Kind.DATA, True),
        (ToolCall(0), Kind.DATA, True),
        (Finish("length"), Kind.DATA, False),
        (Usage(0, 0), Kind.HELD, False),
        (Error("e", "m", False, "refused"), Kind.FAILED, False),
        (Done("length"), Kind.END, False),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, bool) else "",
)
def test_probe(event: Event, kind: Kind, started: bool) -> None:
    probe = native.probe()
    assert probe(encode_event(event)) is kind
    assert probe.started is started
    assert probe.failure == (event if isinstance(event, Error) else None)
    assert probe.usage == (event if isinstance(event, Usage) else None)
    assert probe.outcome == ("length" if isinstance(event, Done | Finish) else "completed")


def test_the_decoder_gives_the_stream_s_own_start() -> None:
    token = encode_event(Token("x"))
    assert native.decoder(ABOUT).decode(token) == [START, Token("x")]
    assert native.decoder(ABOUT).decode(encode_event(START)) == [START]
    decoder = native.decoder(ABOUT)
    assert [*decoder.decode(token), *decoder.decode(token)] == [START, Token("x"), Token("x")]
    assert decoder.decode(b"event: citation\ndata: {}\n\n") == []


def test_calls_that_are_numbered_alike_stay_apart() -> None:
    """Generators of users' may give every call the number 0."""
    told = [
        ToolCall(0, "a", "f", "{}"),
        ToolCall(0, "b", "g"),
        ToolCall(0, arguments="{}"),
        ToolCall(1, "c", "h", "{}"),
    ]
    decoder = native.decoder(ABOUT)
    events = [event for piece in told for event in decoder.decode(encode_event(piece))]
    assert [event.index for event in events if isinstance(event, ToolCall)] == [0, 1, 1, 2]
    collected = json.loads(native.collect(ABOUT, [*events, Done("tool_calls")]))["tool_calls"]
    assert [(call["id"], call["arguments"]) for call in collected] == [("a", "{}"), ("b", "{}"), ("c", "{}")]


# -- writing ---------------------------------------------------------------------------------------------------------


def test_the_encoder_leaves_the_end_to_the_end() -> None:
    encoder = native.encoder(ABOUT, include_usage=True)
    assert encoder.encode([Token("x"), Usage(1, 2), Done("completed")]) == [encode_event(Token("x"))]
    usage, last = Usage(source="unknown"), Error("stalled", "", True, "stalled")
    assert encoder.end(usage, last) == [encode_event(usage), encode_event(last)]
    assert encoder.end(None, last) == [encode_event(last)]
    assert native.encoder(ABOUT, include_usage=False).end(usage, last) == [encode_event(last)]


def test_collect() -> None:
    pieces = [
        START,
        Reasoning("Hm"),
        Token("Hel"),
        Token("lo"),
        Token("not shown", 1),
        Refusal("No"),
        ToolCall(1, "b", "g", "{}"),
        ToolCall(0, "a"),
        ToolCall(0, name="f", arguments="{"),
        ToolCall(0, arguments="}"),
        ToolCall(0, "x", "not shown", choice=1),
        Finish("tool_calls"),
        Usage(1, 0),
        Done("tool_calls"),
    ]
    assert json.loads(native.collect(ABOUT, pieces)) == {
        "stream": "s1",
        "model": "m",
        "outcome": "tool_calls",
        "text": "Hello",
        "reasoning": "Hm",
        "refusal": "No",
        "tool_calls": [{"id": "a", "name": "f", "arguments": "{}"}, {"id": "b", "name": "g", "arguments": "{}"}],
        "usage": {
            "input_tokens": 1,
            "output_tokens": 0,
            "cached_tokens": None,
            "reasoning_tokens": None,
            "source": "final",
        },
    }


def test_collect_nothing_and_failures() -> None:
    empty = json.loads(native.collect(ABOUT, [START, Done("completed")]))
    assert empty == {"stream": "s1", "model": "m", "outcome": "completed", "text": ""}
    with pytest.raises(UpstreamFailed) as failed:
        native.collect(ABOUT, [START, Error("stalled", "silent", True, "stalled")])
    assert (failed.value.code, failed.value.retryable) == ("stalled", True)


# -- requests --------------------------------------------------------------------------------------------------------


def test_a_request_streams_and_shows_the_usage_unless_it_says_otherwise() -> None:
    request = native.parse_request(ask())
    assert (request.stream, request.include_usage, request.dialect) == (True, True, "native")
    assert native.parse_request(ask(stream=False)).stream is False
    assert native.parse_request(ask(stream=None)).stream is True


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": []}, "messages"),
        ({"n": 0}, "n"),
        ({"n": MAX_CHOICES + 1}, "n"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"temperature": "hot"}, "temperature"),
        ({"tools": [{"type": "function"}]}, "tools[0]"),
        ({"temprature": 1}, None),
    ],
)
def test_wrong_facts_are_refused_by_name(fields: dict[str, Any], param: str | None) -> None:
    with pytest.raises(Refused) as refused:
        native.parse_request(ask(**fields))
    assert (refused.value.status, refused.value.code, refused.value.param) == (400, "invalid_request", param)
    assert next(iter(fields)) in refused.value.message
    assert json.loads(native.error_body(refused.value))["error"]["retryable"] is False


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"model": "\xff"}', b'{"messages": ' + b"[" * 100_000])
def test_what_is_no_request_is_refused(body: bytes) -> None:
    with pytest.raises(Refused) as refused:
        native.parse_request(body)
    assert refused.value.status == 400


def test_a_chat_request_goes_to_a_native_upstream() -> None:
    chat = OpenAIChat().parse_request(ask(max_completion_tokens=9, temperature=0.5, stream_options={}, store=True))
    sent = native.encode_request(chat, "other").body
    assert json.loads(sent) == {
        **json.loads(ask()),
        "model": "other",
        "stream": True,
        "temperature": 0.5,
        "max_tokens": 9,
    }
    assert native.parse_request(sent).max_tokens == 9
    assert native.encode_request(chat, "other").dropped == ["store"]


def test_a_native_request_goes_to_a_chat_upstream() -> None:
    sent = OpenAIChat().encode_request(native.parse_request(ask(seed=1, n=2)), "other").body
    again = OpenAIChat().parse_request(sent)
    assert (again.model, again.choices, again.stream, again.include_usage) == ("other", 2, True, True)


def test_a_refusal_says_what_it_is() -> None:
    body = native.error_body(Refused(503, "shutting_down", "soon back", param="x"))
    assert json.loads(body)["error"] == {
        "code": "shutting_down",
        "message": "soon back",
        "retryable": True,
        "param": "x",
    }
