"""The `openai-chat` dialect, in all its directions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from penstock.dialects.base import Kind, Message, Request
from penstock.dialects.native import Native, encode_event
from penstock.dialects.openai_chat import DONE, MAX_CHOICES, OpenAIChat, read_error
from penstock.exceptions import PenstockError, ProtocolError, Refused, UpstreamFailed
from penstock.wire import sse
from penstock.wire.events import (
    NAMES,
    Done,
    Error,
    Event,
    Finish,
    Reasoning,
    Refusal,
    Start,
    Token,
    ToolCall,
    Usage,
)
from tests.dialects.answers import ABOUT, START, answers, partly_known, told, usages, written

chat = OpenAIChat()
native = Native()
SPEC = Path(__file__).parents[2] / "spec" / "openai-chat"
TRANSCRIPTS = sorted(SPEC.glob("*.sse"))


def block(chunk: Any) -> bytes:
    return b"data: %b\n\n" % (chunk if isinstance(chunk, bytes) else json.dumps(chunk).encode())


def delta(**fields: Any) -> bytes:
    return block({"choices": [{"index": 0, "delta": fields}]})


def objects(blocks: Sequence[bytes]) -> list[Any]:
    return [json.loads(sse.payload(block)) for block in blocks if block != DONE]


def ask(**fields: Any) -> bytes:
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}], **fields}).encode()


# -- golden transcripts ----------------------------------------------------------------------------------------------


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


# -- the request -----------------------------------------------------------------------------------------------------


class TestParseRequest:
    def test_the_least(self) -> None:
        request = chat.parse_request(ask())
        assert (request.dialect, request.model, request.choices) == ("openai-chat", "m", 1)
        assert request.messages == [Message("user", "hi")]
        assert (request.stream, request.include_usage, request.max_tokens) == (False, False, None)

    def test_everything_it_reads(self) -> None:
        weather = {"name": "weather", "description": "now", "parameters": {"type": "object"}}
        request = chat.parse_request(
            ask(
                stream=True,
                stream_options={"include_usage": True},
                n=2,
                max_tokens=5,
                max_completion_tokens=7,
                tools=[{"type": "function", "function": weather}, {"type": "web_search"}],
            )
        )
        assert (request.stream, request.include_usage, request.choices, request.max_tokens) == (True, True, 2, 7)
        assert [tool.name for tool in request.tools] == ["weather"]

    def test_nulls_are_as_good_as_nothing(self) -> None:
        nulls = dict.fromkeys(["stream", "stream_options", "n", "max_tokens", "max_completion_tokens", "tools"])
        assert chat.parse_request(ask(**nulls)).choices == 1

    def test_parts_of_a_message(self) -> None:
        image = {"type": "image_url", "image_url": {"url": "data:,"}}
        parts = [{"type": "text", "text": "a"}, image, {"type": "text", "text": "b"}, {"type": "text", "text": None}]
        (message,) = chat.parse_request(ask(messages=[{"role": "user", "content": parts}])).messages
        assert message.text == "ab"
        assert message.content == parts

    @pytest.mark.parametrize(
        ("body", "param"),
        [
            (b"{}", None),
            (ask(messages=[]), "messages"),
            (ask(messages=None), "messages"),
            (ask(messages=[{"content": "x"}]), "messages[0]"),
            (ask(messages=[{"role": 1}]), "messages[0].role"),
            (ask(messages=[{"role": "user", "content": 5}]), "messages[0].content"),
            (ask(model=None), "model"),
            (ask(n=0), "n"),
            (ask(n=MAX_CHOICES + 1), "n"),
            (ask(n=True), "n"),
            (ask(n=1.5), "n"),
            (ask(n="1"), "n"),
            (ask(n=10**30), "n"),
            (ask(max_tokens=0), "max_tokens"),
            (ask(max_completion_tokens=-1), "max_tokens"),
            (ask(stream="yes"), "stream"),
            (ask(stream_options=[]), "stream_options"),
            (ask(tools=[{"type": "function", "function": {}}]), "tools[0].function"),
        ],
    )
    def test_wrong_facts_are_refused_by_name(self, body: bytes, param: str | None) -> None:
        with pytest.raises(Refused) as refused:
            chat.parse_request(body)
        assert (refused.value.status, refused.value.code) == (400, "invalid_request")
        if param is not None:
            assert refused.value.param == param

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"hello",
            b"[1, 2",
            b"null",
            b'"text"',
            b"[]",
            b"\xef\xbb\xbf" + ask(),
            ask() + b"{}",
            b'{"model": "m", "messages": [{"role": "user", "content": "\xff"}]}',
            b'{"model": "m", "messages": [{"role": "user", "content": "hi"}], "extra": "\xff"}',
            b'{"model": "m", "messages": [{"role": "user", "content": "\\ud800"}]}',
            b'{"model": "m", "messages": [{"role": "user", "content": "hi"}], "extra": "\\udfff and more text"}',
            ask(temperature=float("nan")),
            ask(temperature=float("inf")),
            ask(temperature=1).replace(b": 1", b": 1e999"),
            ask(seed=1).replace(b": 1", b": " + b"9" * 5000),
            b'{"model": "m", "messages": ' + b"[" * 200_000,
            ask(extra=1).replace(b": 1", b": " + b"[" * 100_000 + b"]" * 100_000),
            ask(extra=1).replace(b": 1", b": " + b'{"a":' * 50_000 + b"1" + b"}" * 50_000),
        ],
        ids=lambda body: repr(body[:24]),
    )
    def test_what_is_no_json_is_refused(self, body: bytes) -> None:
        with pytest.raises(Refused) as refused:
            chat.parse_request(body)
        assert refused.value.status == 400
        assert len(refused.value.message) < 300
        json.loads(chat.error_body(refused.value))

    def test_the_last_of_duplicate_keys_counts_everywhere(self) -> None:
        body = b'{"model": "cheap", "model": "dear", "messages": [{"role": "user", "content": "hi"}]}'
        request = chat.parse_request(body)
        assert request.model == request.fields["model"] == "dear"

    @given(st.binary(max_size=60) | st.recursive(st.none() | st.text(), st.lists).map(lambda x: json.dumps(x).encode()))
    def test_never_anything_but_refused(self, body: bytes) -> None:
        with pytest.raises(Refused):
            chat.parse_request(body)


class TestEncodeRequest:
    def test_always_streams_and_asks_for_the_usage(self) -> None:
        sent = json.loads(chat.encode_request(chat.parse_request(ask(temperature=0.5, seed=2**70)), "gpt-9"))
        assert sent == {
            "model": "gpt-9",
            "messages": [{"role": "user", "content": "hi"}],
            "temperature": 0.5,
            "seed": 2**70,
            "stream": True,
            "stream_options": {"include_usage": True},
        }

    def test_other_stream_options_stay(self) -> None:
        asked = ask(stream_options={"include_usage": False, "continuous_usage_stats": True})
        sent = json.loads(chat.encode_request(chat.parse_request(asked), "m"))
        assert sent["stream_options"] == {"include_usage": True, "continuous_usage_stats": True}

    def test_the_request_itself_stays_as_it_was(self) -> None:
        request = chat.parse_request(ask(stream=False))
        chat.encode_request(request, "other")
        assert request.fields == json.loads(ask(stream=False))

    def test_unknown_fields_go_as_they_came(self) -> None:
        extra = {"deep": [1, {"null": None, "text": "wörld"}], "": 0.1}
        assert json.loads(chat.encode_request(chat.parse_request(ask(extra=extra)), "m"))["extra"] == extra

    def test_other_dialects_are_refused(self) -> None:
        with pytest.raises(Refused, match="anthropic"):
            chat.encode_request(Request(dialect="anthropic", model="m", messages=[]), "m")

    def test_what_is_nested_too_deeply_to_be_told_again_is_refused(self) -> None:
        deep: Any = []
        for _ in range(5000):
            deep = [deep]
        request = Request(dialect="openai-chat", model="m", messages=[], fields={"deep": deep})
        with pytest.raises(Refused, match="deeply"):
            chat.encode_request(request, "m")


# -- reading an upstream ---------------------------------------------------------------------------------------------


class TestProbe:
    @pytest.mark.parametrize(
        ("read", "kind"),
        [
            (delta(role="assistant"), Kind.DATA),
            (delta(content="x"), Kind.DATA),
            (block({"choices": []}), Kind.DATA),
            (block({"choices": None}), Kind.DATA),
            (block({}), Kind.DATA),
            (block({"choices": [], "usage": None}), Kind.DATA),
            (block({"choices": [{"delta": None}]}), Kind.DATA),
            (block({"choices": [{"delta": {}}], "error": None}), Kind.DATA),
            (block({"choices": [], "usage": {"prompt_tokens": 1}}), Kind.HELD),
            (block({"usage": {"prompt_tokens": 1}}), Kind.HELD),
            (block({"choices": [{"delta": {}}], "usage": {"prompt_tokens": 1}}), Kind.DATA),
            (block({"choices": [], "usage": "many"}), Kind.DATA),
            (b"data: [DONE]\n\n", Kind.END),
            (b"data:  [DONE] \n\n", Kind.END),
            (b"event: done\ndata: [DONE]\n\n", Kind.END),
            (b"data: \ndata: [DONE]\n\n", Kind.END),
            (block({"error": {"message": "no"}}), Kind.FAILED),
            (block({"error": "no"}), Kind.FAILED),
            (block({"error": {}}), Kind.FAILED),
            (block({"error": [1]}), Kind.FAILED),
            (block({"error": {"message": "no"}, "choices": []}), Kind.FAILED),
            (b'event: error\ndata: {"error": {"message": "no"}}\n\n', Kind.FAILED),
            (block({"choices": [{"delta": {}, "finish_reason": "error"}]}), Kind.FAILED),
        ],
        ids=lambda read: repr(read)[:70],
    )
    def test_kinds(self, read: bytes, kind: Kind) -> None:
        assert chat.probe()(read) is kind

    WRONG = (
        b"data: \n\n",
        b"data: hello\n\n",
        b"data: [done]\n\n",
        b"data: null\n\n",
        b"data: 1\n\n",
        b"data: []\n\n",
        b'data: {"choices": [\n\n',
        b'data: {"choices": []}}\n\n',
        b'data: {"choices": {}}\n\n',
        b'data: {"choices": [1]}\n\n',
        b'data: {"choices": [{"delta": 1}]}\n\n',
        b'data: {"choices": [{"delta": {"content": 1}}]}\n\n',
        b'data: {"choices": [{"delta": {"content": "\\ud800"}}]}\n\n',
        b'data: {"choices": [{"delta": {"content": "\\ud800 and more"}}]}\n\n',
        b'data: {"choices": [{"delta": {"tool_calls": {}}}]}\n\n',
        b'data: {"choices": [{"delta": {"tool_calls": [{"index": "0"}]}}]}\n\n',
        b'data: {"choices": [{"finish_reason": 0}]}\n\n',
        b'data: {"choices": [], "x": NaN}\n\n',
        b'data: {"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n\n",
        b'data: {"usage": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n\n",
        b'event: x\ndata: {"choices": 0}\n\n',
        b'data: {"choices":\ndata: 0}\n\n',
    )

    @pytest.mark.parametrize("read", WRONG, ids=lambda read: repr(read[:50]))
    @pytest.mark.parametrize("started", [False, True], ids=["at first", "later"])
    def test_wrong_shapes(self, read: bytes, started: bool) -> None:
        probe = chat.probe()
        if started:
            probe(delta(content="x"))
        with pytest.raises(ProtocolError) as raised:
            probe(read)
        assert len(str(raised.value)) < 300

    @pytest.mark.parametrize(
        ("read", "started"),
        [
            (delta(role="assistant", content=""), False),
            (delta(role="assistant", content=None, refusal=None, tool_calls=None), False),
            (delta(tool_calls=[]), False),
            (block({"choices": []}), False),
            (block({"choices": [{"delta": {}, "finish_reason": "stop"}]}), False),
            (delta(content=" "), True),
            (delta(reasoning_content="x"), True),
            (delta(reasoning="x"), True),
            (delta(refusal="x"), True),
            (delta(tool_calls=[{"index": 0}]), True),
            (block({"choices": [{"delta": {}}, {"index": 1, "delta": {"content": "x"}}]}), True),
            (b'event: x\ndata: {"choices": [{"delta": {"content": "x"}}]}\n\n', True),
        ],
        ids=lambda read: repr(read)[:70],
    )
    def test_only_a_token_is_a_token(self, read: bytes, started: bool) -> None:
        probe = chat.probe()
        probe(read)
        assert probe.started is started
        probe(delta(role="assistant"))
        assert probe.started is started

    @pytest.mark.parametrize(
        ("reason", "outcome"),
        [
            ("stop", "completed"),
            ("length", "length"),
            ("tool_calls", "tool_calls"),
            ("function_call", "tool_calls"),
            ("content_filter", "content_filter"),
            ("eos", "completed"),
        ],
    )
    def test_how_it_ended(self, reason: str, outcome: str) -> None:
        probe = chat.probe()
        assert probe.outcome == "completed"
        probe(block({"choices": [{"delta": {}, "finish_reason": reason}]}))
        probe(block({"choices": [{"delta": {}, "finish_reason": None}]}))
        assert probe.outcome == outcome

    @pytest.mark.parametrize("reason", ["error", "abort", "network_error", "insufficient_system_resource"])
    def test_broken_off_is_not_done(self, reason: str) -> None:
        probe = chat.probe()
        assert probe(block({"choices": [{"delta": {}, "finish_reason": reason}]})) is Kind.FAILED
        assert probe.failure is not None
        assert (probe.failure.outcome, probe.failure.retryable) == ("upstream_error", True)
        assert reason in probe.failure.message

    @pytest.mark.parametrize(
        ("usage", "fact"),
        [
            ({"prompt_tokens": 0, "completion_tokens": 0}, Usage(0, 0)),
            ({"prompt_tokens": 3}, Usage(3, None)),
            ({"prompt_tokens": 3, "completion_tokens": None}, Usage(3, None)),
            ({}, Usage()),
            ({"prompt_tokens_details": {"cached_tokens": 0}}, Usage(cached_tokens=0)),
            ({"prompt_tokens_details": None, "completion_tokens_details": {}}, Usage()),
            ({"completion_tokens_details": {"reasoning_tokens": 5}}, Usage(reasoning_tokens=5)),
            ({"completion_tokens": 5, "source": "estimated"}, Usage(None, 5, source="estimated")),
        ],
    )
    def test_usage(self, usage: Any, fact: Usage) -> None:
        probe = chat.probe()
        read = block({"choices": [], "usage": usage})
        assert probe(read) is Kind.HELD
        assert (probe.usage, probe.held) == (fact, read)

    def test_usage_of_another_shape_is_none(self) -> None:
        probe = chat.probe()
        for usage in ("many", 5, [1], {"prompt_tokens": "3"}, {"prompt_tokens": 1.5}, None):
            assert probe(block({"choices": [{"delta": {}}], "usage": usage})) is Kind.DATA
        assert probe.usage is None

    def test_the_last_usage_counts_and_null_does_not_take_it_back(self) -> None:
        probe = chat.probe()
        for usage in ({"completion_tokens": 1}, {"completion_tokens": 2}, None):
            assert probe(block({"choices": [{"delta": {}}], "usage": usage})) is Kind.DATA
        assert probe.usage == Usage(output_tokens=2)
        assert probe.held is None

    def test_a_chunk_without_choices_after_the_usage_is_not_the_usage(self) -> None:
        """Else a client that asked for the usage would be shown this instead of it."""
        probe = chat.probe()
        probe(block({"choices": [{"delta": {}}], "usage": {"completion_tokens": 1}}))
        assert probe(block({"choices": [], "x_note": "the end"})) is Kind.DATA
        assert probe.held is None

    @pytest.mark.parametrize(
        ("error", "message"),
        [
            ({"message": "overloaded", "code": 503}, "overloaded"),
            ("overloaded", "overloaded"),
            ({"message": None}, "the upstream reported an error"),
            ({"message": {"text": "x"}}, "the upstream reported an error"),
            (" ", "the upstream reported an error"),
            (7, "the upstream reported an error"),
            ({"message": "x" * 5000}, "x" * 500),
        ],
    )
    def test_errors(self, error: Any, message: str) -> None:
        probe = chat.probe()
        assert probe(block({"error": error})) is Kind.FAILED
        assert probe.failure == Error("upstream_error", message, True, "upstream_error")

    @given(
        st.binary(max_size=60)
        | st.text(max_size=30).map(
            lambda t: b'{"choices": [{"delta": {"content": %b}}]}' % t.encode("utf-8", "replace")
        )
    )
    def test_what_the_probe_lets_pass_the_decoder_can_tell(self, data: bytes) -> None:
        for read in sse.Splitter().feed(b"\n" + sse.encode(data)):
            try:
                kind = chat.probe()(read)
            except ProtocolError:
                continue
            if kind is Kind.DATA:
                chat.decoder(ABOUT).decode(read)


class TestDecoder:
    def test_the_first_block_gives_the_start(self) -> None:
        decoder = chat.decoder(ABOUT)
        assert decoder.decode(delta(content="a")) == [START, Token("a")]
        assert decoder.decode(delta(content="b")) == [Token("b")]

    @pytest.mark.parametrize(
        ("fields", "events"),
        [
            ({"reasoning_content": "x"}, [Reasoning("x")]),
            ({"reasoning": "x"}, [Reasoning("x")]),
            ({"reasoning": "x", "reasoning_content": "x"}, [Reasoning("x")]),
            ({"reasoning": "x", "reasoning_content": None}, [Reasoning("x")]),
            ({"refusal": "x"}, [Refusal("x")]),
            ({"content": ""}, []),
            ({"content": "b", "reasoning": "a"}, [Reasoning("a"), Token("b")]),
            (
                {"tool_calls": [{"index": 1, "id": "c", "function": {"name": "f"}}, {"index": 0, "function": None}]},
                [ToolCall(1, "c", "f"), ToolCall(0)],
            ),
            ({"tool_calls": [{"function": {"arguments": None}}]}, [ToolCall(0)]),
            ({"annotations": [], "audio": {}}, []),
        ],
    )
    def test_deltas(self, fields: Any, events: list[Event]) -> None:
        assert chat.decoder(ABOUT).decode(delta(**fields)) == [START, *events]

    @pytest.mark.parametrize("read", TestProbe.WRONG[5:9])
    def test_wrong_shapes(self, read: bytes) -> None:
        with pytest.raises(ProtocolError):
            chat.decoder(ABOUT).decode(read)


# -- writing for a client --------------------------------------------------------------------------------------------


class TestEncoder:
    def test_an_answer(self) -> None:
        blocks = written(chat, [START, Token("a"), Finish("completed")], Usage(1, 2), Done("completed"))
        base = {"id": "chatcmpl-s1", "object": "chat.completion.chunk", "created": ABOUT.created, "model": "m"}

        def choice(delta: Any, reason: str | None = None) -> Any:
            return {**base, "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}

        assert objects(blocks) == [
            choice({"role": "assistant", "content": ""}),
            choice({"content": "a"}),
            choice({}, "stop"),
            {**base, "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}},
        ]
        assert blocks[-1] == DONE

    def test_every_choice_is_opened_once(self) -> None:
        encoder = chat.encoder(ABOUT, include_usage=False)
        assert len(encoder.encode([START])) == 1
        assert len(encoder.encode([Token("a", 1)])) == 2
        assert len(encoder.encode([Token("b", 1), Token("c")])) == 2

    def test_the_usage_is_for_those_who_asked(self) -> None:
        assert chat.encoder(ABOUT, include_usage=False).end(Usage(1, 2), Done("completed")) == [DONE]
        assert chat.encoder(ABOUT, include_usage=True).end(None, Done("completed")) == [DONE]

    def test_what_nobody_knows_is_not_told_as_zero(self) -> None:
        encoder = chat.encoder(ABOUT, include_usage=True)
        assert encoder.end(Usage(source="unknown"), Done("completed")) == [DONE]
        assert objects(encoder.end(Usage(7, None), Done("completed")))[0]["usage"] == {"prompt_tokens": 7}

    @given(partly_known)
    def test_usage_survives(self, usage: Usage) -> None:
        first, *_ = chat.encoder(ABOUT, include_usage=True).end(usage, Done("completed"))
        probe = chat.probe()
        assert probe(first) is Kind.HELD
        assert probe.usage == usage

    @pytest.mark.parametrize("outcome", ["completed", "length", "tool_calls", "content_filter"])
    def test_a_good_end(self, outcome: Any) -> None:
        assert chat.encoder(ABOUT, include_usage=False).end(None, Done(outcome)) == [DONE]

    @pytest.mark.parametrize("last", [Error("stalled", "silent", True, "stalled"), Done("cancelled", 3)])
    def test_any_other_end_is_never_the_end_marker(self, last: Any) -> None:
        (block,) = chat.encoder(ABOUT, include_usage=False).end(None, last)
        error = json.loads(sse.payload(block))["error"]
        assert error["outcome"] == last.outcome
        assert error["code"] in ("stalled", "cancelled")
        assert error["retryable"] is (last.outcome == "stalled")
        assert chat.probe()(block) is Kind.FAILED

    @given(answers, usages)
    def test_is_deterministic(self, events: list[Event], usage: Usage) -> None:
        first, again = (written(chat, events, usage, Done("completed")) for _ in range(2))
        assert first == again

    @given(answers, usages)
    def test_the_official_client_reads_every_chunk(self, events: list[Event], usage: Usage) -> None:
        for chunk in objects(written(chat, events, usage, Done("length"))):
            ChatCompletionChunk.model_validate(chunk)

    @given(answers)
    def test_blocks_are_canonical(self, events: list[Event]) -> None:
        blocks = written(chat, events, None, Done("completed"))
        assert sse.Splitter().feed(b"".join(blocks)) == blocks


def outcome_of(events: list[Event]) -> Any:
    return next((event.reason for event in reversed(events) if isinstance(event, Finish)), "completed")


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


# -- the answer in one piece -----------------------------------------------------------------------------------------


class TestCollect:
    def collected(self, *events: Event) -> Any:
        answer = json.loads(chat.collect(ABOUT, [START, *events]))
        ChatCompletion.model_validate(answer)
        return answer

    def test_text(self) -> None:
        answer = self.collected(Token("Hel"), Token("lo"), Finish("length"), Usage(1, 2), Done("length"))
        assert answer["object"] == "chat.completion"
        assert answer["choices"] == [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello", "refusal": None},
                "logprobs": None,
                "finish_reason": "length",
            }
        ]
        assert answer["usage"] == {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}

    def test_nothing_at_all(self) -> None:
        (choice,) = self.collected(Done("completed"))["choices"]
        assert choice["message"]["content"] == ""
        assert choice["finish_reason"] == "stop"

    def test_tool_calls_in_pieces(self) -> None:
        pieces = [
            ToolCall(1, "b", "g"),
            ToolCall(0, "a", "f"),
            ToolCall(0, arguments='{"x":'),
            ToolCall(1, arguments="{}"),
            ToolCall(0, "a", "f", "1}"),  # some repeat the name with every piece
        ]
        (choice,) = self.collected(*pieces, Done("tool_calls"))["choices"]
        assert choice["message"]["content"] is None
        assert choice["finish_reason"] == "tool_calls"
        assert [(call["id"], call["function"]) for call in choice["message"]["tool_calls"]] == [
            ("a", {"name": "f", "arguments": '{"x":1}'}),
            ("b", {"name": "g", "arguments": "{}"}),
        ]

    def test_choices_in_order(self) -> None:
        told = [Token("b", 1), Token("a"), ToolCall(0, "x", "f", "", choice=2), Done("completed")]
        choices = self.collected(*told)["choices"]
        assert [choice["message"]["content"] for choice in choices] == ["a", "b", None]

    def test_reasoning_and_refusal(self) -> None:
        (choice,) = self.collected(Reasoning("Hm"), Refusal("No"), Refusal("."), Done("completed"))["choices"]
        message = choice["message"]
        assert (message["content"], message["refusal"], message["reasoning_content"]) == (None, "No.", "Hm")

    def test_unknown_usage_is_not_told_as_zero(self) -> None:
        assert self.collected(Usage(source="unknown"), Done("completed"))["usage"] is None

    def test_an_error_is_a_refusal(self) -> None:
        with pytest.raises(UpstreamFailed) as failed:
            self.collected(Token("half"), Error("stalled", "silent", True, "stalled"))
        assert (failed.value.code, failed.value.retryable) == ("stalled", True)

    def test_a_cancelled_answer_is_none(self) -> None:
        with pytest.raises(Refused) as refused:
            self.collected(Token("half"), Done("cancelled"))
        assert (refused.value.status, refused.value.code) == (409, "cancelled")

    @given(answers)
    def test_says_what_the_stream_says(self, events: list[Event]) -> None:
        answer = json.loads(chat.collect(ABOUT, [*events, Done("completed")]))
        for choice in answer["choices"]:
            said = [e.text for e in events if isinstance(e, Token) and e.index == choice["index"]]
            assert (choice["message"]["content"] or "") == "".join(said)


# -- errors ----------------------------------------------------------------------------------------------------------


class TestErrors:
    @pytest.mark.parametrize(
        ("status", "kind"),
        [
            (400, "invalid_request_error"),
            (401, "authentication_error"),
            (409, "invalid_request_error"),
            (503, "server_error"),
        ],
    )
    def test_error_body(self, status: int, kind: str) -> None:
        error = json.loads(chat.error_body(Refused(status, "word", "text", param="n")))["error"]
        assert error == {"message": "text", "type": kind, "param": "n", "code": "word"}

    @pytest.mark.parametrize(
        ("status", "body", "code", "message", "answered"),
        [
            (400, b'{"error": {"message": "too long", "code": "context"}}', "context", "too long", 400),
            (404, b'{"error": "no such model"}', "upstream_rejected", "no such model", 404),
            (422, b"<html>", "upstream_rejected", "the upstream answered 422", 422),
            (413, b'{"error": {"code": 7}}', "upstream_rejected", "the upstream answered 413", 413),
            (429, b'{"error": {"message": "slow down"}}', "upstream_rate_limited", "slow down", 429),
            (429, b"", "upstream_rate_limited", "the upstream's rate limit is reached", 429),
            (401, b'{"error": "bad key sk-1"}', "upstream_error", "the upstream refused the gateway's credentials", 502),
            (500, b'{"error": "stack trace"}', "upstream_error", "the upstream answered 500", 502),
            (302, b"", "upstream_error", "the upstream answered 302", 502),
            (400, b'{"error": ' + b"[" * 100_000, "upstream_rejected", "the upstream answered 400", 400),
            (400, b'{"error": "\xff"}', "upstream_rejected", "the upstream answered 400", 400),
            (400, b'{"error": null}', "upstream_rejected", "the upstream answered 400", 400),
        ],
    )  # fmt: skip
    def test_read_error(self, status: int, body: bytes, code: str, message: str, answered: int) -> None:
        failed = read_error(status, body, 7.0)
        assert (failed.code, failed.message, failed.status) == (code, message, answered)
        assert failed.retryable is (status not in (400, 401, 404, 413, 422))
        assert failed.retry_after == (7.0 if status in (429, 500, 302) else None)

    def test_long_words_are_cut(self) -> None:
        long = json.dumps({"error": {"message": "m" * 9000, "code": "c" * 9000, "param": "p" * 9000}}).encode()
        assert len(chat.error_body(read_error(400, long, None))) < 1000

    @given(st.integers(300, 599), st.binary(max_size=40))
    def test_whatever_it_says(self, status: int, body: bytes) -> None:
        assert 400 <= read_error(status, body, None).status <= 599


def test_the_official_client_knows_the_errors() -> None:
    """Its class hierarchy is by status; our body has the fields it reads."""
    error = json.loads(chat.error_body(Refused(429, "rate_limited", "slow down")))["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert issubclass(openai.RateLimitError, openai.APIStatusError)


def test_events_reach_chat_clients_by_name() -> None:
    """Every kind of event is told, or meant to come through `end`."""
    encoder = chat.encoder(ABOUT, include_usage=True)
    silent = (Usage, Error, Done)
    told_alone: list[Event] = [START, Token("x"), Reasoning("x"), Refusal("x"), ToolCall(0), Finish("completed")]
    assert {type(event) for event in told_alone} | set(silent) == set(NAMES)
    assert all(encoder.encode([event]) for event in told_alone)
    assert encoder.encode([Usage(), Done("completed")]) == []
    assert encode_event(Start("s1", "m")).startswith(b"event: start\n")
    assert issubclass(ProtocolError, PenstockError)
