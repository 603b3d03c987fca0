"""Reading a `gemini` upstream's blocks."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.dialects.base import Description, Kind
from penstock.dialects.gemini import Gemini
from penstock.exceptions import ProtocolError
from penstock.wire import sse
from penstock.wire.events import Error, Event, Finish, Reasoning, Token, ToolCall, Usage
from tests.dialects.answers import ABOUT, START

gemini = Gemini()


def block(chunk: Any) -> bytes:
    return b"data: %b\n\n" % (chunk if isinstance(chunk, bytes) else json.dumps(chunk).encode())


def parts(*given: Any, reason: str | None = None, index: int | None = None) -> bytes:
    candidate: dict[str, Any] = {"content": {"parts": list(given), "role": "model"}}
    if reason is not None:
        candidate["finishReason"] = reason
    if index is not None:
        candidate["index"] = index
    return block({"candidates": [candidate]})


def usage(**counts: Any) -> bytes:
    return block({"candidates": [], "usageMetadata": counts})


class TestProbe:
    @pytest.mark.parametrize(
        ("read", "kind"),
        [
            (parts({"text": "x"}), Kind.DATA),
            (block({}), Kind.DATA),
            (block({"candidates": None}), Kind.DATA),
            (block({"candidates": [{"content": None}]}), Kind.DATA),
            (block({"candidates": [{"content": {}, "finishReason": None, "index": None}]}), Kind.DATA),
            (block({"error": None, "candidates": []}), Kind.DATA),
            (block({"promptFeedback": None}), Kind.DATA),
            (parts({"text": "x"}, reason="STOP"), Kind.DATA),
            (usage(promptTokenCount=1), Kind.DATA),
            (block({"candidates": [], "usageMetadata": "many"}), Kind.DATA),
            (block({"promptFeedback": {"blockReason": "SAFETY"}}), Kind.DATA),
            (b'event: x\ndata: {"candidates": []}\n\n', Kind.DATA),
            (b'data: {"candidates":\ndata: []}\n\n', Kind.DATA),
            (block({"error": {"code": 503, "message": "no"}}), Kind.FAILED),
            (block({"error": {}}), Kind.FAILED),
            (block({"error": "no"}), Kind.FAILED),
            (b'event: error\ndata: {"error": {"message": "no"}}\n\n', Kind.FAILED),
            (parts(reason="MALFORMED_FUNCTION_CALL"), Kind.FAILED),
            (parts(reason="OTHER"), Kind.FAILED),
        ],
        ids=lambda read: repr(read)[:70],
    )
    def test_kinds(self, read: bytes, kind: Kind) -> None:
        assert gemini.probe()(read) is kind

    WRONG = (
        b"data: \n\n",
        b"data: hello\n\n",
        b"data: [DONE]\n\n",
        b"data: null\n\n",
        b"data: 1\n\n",
        b"data: []\n\n",
        b'data: {"candidates": [\n\n',
        b'data: {"candidates": []}}\n\n',
        b'data: {"candidates": {}}\n\n',
        b'data: {"candidates": [1]}\n\n',
        b'data: {"candidates": [{"content": []}]}\n\n',
        b'data: {"candidates": [{"content": {"parts": {}}}]}\n\n',
        b'data: {"candidates": [{"content": {"parts": [{"text": 1}]}}]}\n\n',
        b'data: {"candidates": [{"content": {"parts": [{"text": "\\ud800"}]}}]}\n\n',
        b'data: {"candidates": [{"content": {"parts": [{"functionCall": {"args": []}}]}}]}\n\n',
        b'data: {"candidates": [{"content": {"parts": [{"functionCall": {"args": "{}"}}]}}]}\n\n',
        b'data: {"candidates": [{"content": {"parts": [{"functionCall": {"name": 1}}]}}]}\n\n',
        b'data: {"candidates": [{"content": {"parts": [{"functionCall": {"args": '
        + b'{"a":' * 500
        + b"1"
        + b"}" * 500
        + b"}}]}}]}\n\n",
        b'data: {"candidates": [{"finishReason": 0}]}\n\n',
        b'data: {"candidates": [{"index": "0"}]}\n\n',
        b'data: {"promptFeedback": {"blockReason": 1}}\n\n',
        b'data: {"candidates": [], "x": NaN}\n\n',
        b'data: {"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n\n",
        b'data: {"usageMetadata": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n\n",
        b'data: {"candidates":\ndata: 0}\n\n',
    )

    @pytest.mark.parametrize("read", WRONG, ids=lambda read: repr(read[:70]))
    def test_wrong_shapes(self, read: bytes) -> None:
        with pytest.raises(ProtocolError) as raised:
            gemini.probe()(read)
        assert len(str(raised.value)) < 300

    @pytest.mark.parametrize(
        ("read", "started"),
        [
            (parts(), False),
            (parts({"text": ""}), False),
            (parts({"thoughtSignature": "CrIB"}), False),
            (parts({"text": ""}, reason="STOP"), False),
            (usage(promptTokenCount=1), False),
            (block({"promptFeedback": {"blockReason": "SAFETY"}}), False),
            (parts({"text": " "}), True),
            (parts({"text": "Hm", "thought": True}), True),
            (parts({"functionCall": {"name": "f"}}), True),
            (parts({"inlineData": {}}, {"text": "x"}), True),
        ],
        ids=lambda read: repr(read)[:70],
    )
    def test_only_a_token_is_a_token(self, read: bytes, started: bool) -> None:
        probe = gemini.probe()
        probe(read)
        assert probe.started is started
        probe(parts())
        assert probe.started is started

    @pytest.mark.parametrize(
        ("reason", "outcome"),
        [
            ("STOP", "completed"),
            ("MAX_TOKENS", "length"),
            ("SAFETY", "content_filter"),
            ("RECITATION", "content_filter"),
            ("BLOCKLIST", "content_filter"),
            ("PROHIBITED_CONTENT", "content_filter"),
            ("SPII", "content_filter"),
            ("IMAGE_SAFETY", "content_filter"),
            ("LANGUAGE", "content_filter"),
            ("SOMETHING_NEW", "completed"),
        ],
    )
    def test_how_it_ended(self, reason: str, outcome: str) -> None:
        probe = gemini.probe()
        probe(parts({"text": "x"}))
        assert (probe.outcome, probe.complete) == ("completed", False)
        probe(parts(reason=reason))
        assert (probe.outcome, probe.complete) == (outcome, True)

    def test_a_call_seen_before_makes_the_stop_one_for_tools(self) -> None:
        probe = gemini.probe()
        probe(parts({"functionCall": {"name": "f"}}))
        probe(parts({"text": ""}, reason="STOP"))
        assert (probe.outcome, probe.complete) == ("tool_calls", True)
        probe = gemini.probe()
        probe(parts({"functionCall": {"name": "f"}}, reason="MAX_TOKENS"))
        assert probe.outcome == "length"

    @pytest.mark.parametrize(
        ("reason", "retryable"),
        [("MALFORMED_FUNCTION_CALL", True), ("OTHER", False), ("MISSING_THOUGHT_SIGNATURE", False)],
    )
    def test_broken_off_is_not_complete(self, reason: str, retryable: bool) -> None:
        probe = gemini.probe()
        read = {"finishReason": reason, "finishMessage": "because " + "x" * 5000}
        assert probe(block({"candidates": [read]})) is Kind.FAILED
        assert not probe.complete
        assert probe.failure is not None
        assert (probe.failure.outcome, probe.failure.retryable) == ("upstream_error", retryable)
        assert f"{reason}: because" in probe.failure.message
        assert len(probe.failure.message) < 600

    def test_unspecified_reasons_are_none(self) -> None:
        probe = gemini.probe()
        probe(parts({"text": "x"}, reason="FINISH_REASON_UNSPECIFIED"))
        probe(block({"promptFeedback": {"blockReason": "BLOCK_REASON_UNSPECIFIED"}}))
        assert not probe.complete

    def test_all_candidates_must_have_finished(self) -> None:
        probe = gemini.probe()
        complete = []
        for read in (
            parts({"text": "a"}),
            parts({"text": "b"}, index=1),
            parts(reason="STOP"),
            parts({"text": "c"}, index=1),
            parts(reason="MAX_TOKENS", index=1),
            usage(promptTokenCount=1),
        ):
            probe(read)
            complete.append(probe.complete)
        assert complete == [False, False, False, False, True, True]

    @pytest.mark.parametrize(
        ("counts", "fact"),
        [
            ({"promptTokenCount": 0, "candidatesTokenCount": 0}, Usage(0, 0)),
            ({"promptTokenCount": 3}, Usage(3, None)),
            ({"promptTokenCount": 3, "totalTokenCount": 3}, Usage(3, 0)),
            ({"promptTokenCount": 3, "totalTokenCount": 2}, Usage(3, 0)),
            ({"promptTokenCount": 3, "toolUsePromptTokenCount": 4, "totalTokenCount": 9}, Usage(7, 2)),
            ({"candidatesTokenCount": 3, "thoughtsTokenCount": 4}, Usage(None, 7, None, 4)),
            ({"thoughtsTokenCount": 4}, Usage(None, 4, None, 4)),
            ({"cachedContentTokenCount": 0}, Usage(None, None, 0)),
            ({"candidatesTokenCount": None}, Usage()),
            ({}, Usage()),
        ],
    )
    def test_usage(self, counts: Any, fact: Usage) -> None:
        probe = gemini.probe()
        assert probe(usage(**counts)) is Kind.DATA
        assert (probe.usage, probe.held) == (fact, None)

    def test_usage_is_the_count_so_far(self) -> None:
        probe = gemini.probe()
        probe(usage(promptTokenCount=9, cachedContentTokenCount=8, thoughtsTokenCount=5))
        probe(usage(promptTokenCount=9, candidatesTokenCount=1))
        probe(usage(candidatesTokenCount=2))
        assert probe.usage == Usage(9, 7, 8, 5)

    @pytest.mark.parametrize("told", ["many", 5, [1], {"promptTokenCount": "3"}, {"promptTokenCount": 1.5}, None])
    def test_usage_of_another_shape_is_none(self, told: Any) -> None:
        probe = gemini.probe()
        chunk = {"candidates": [{"content": {"parts": [{"text": "x"}]}, "finishReason": "STOP"}], "usageMetadata": told}
        assert probe(block(chunk)) is Kind.DATA
        assert (probe.usage, probe.started, probe.complete) == (None, True, True)


KEYS = [
    *(
        "candidates",
        "content",
        "parts",
        "text",
        "thought",
        "functionCall",
        "args",
        "name",
        "id",
        "index",
        "finishReason",
    ),
    *("usageMetadata", "promptTokenCount", "promptFeedback", "blockReason", "error"),
]
shapes = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(KEYS),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
nearly = st.builds(
    lambda part, more: {"candidates": [{"content": {"parts": [part]}, **more}]},
    st.dictionaries(st.sampled_from(["text", "thought", "functionCall"]), shapes, max_size=3),
    st.dictionaries(st.sampled_from(["index", "finishReason", "finishMessage"]), shapes, max_size=2),
)


class TestWhateverComes:
    @given(st.binary(max_size=60) | (shapes | nearly).map(lambda value: json.dumps(value).encode()))
    def test_what_the_probe_lets_pass_the_decoder_can_tell(self, data: bytes) -> None:
        for read in sse.Splitter().feed(b"\n" + sse.encode(data)):
            try:
                kind = gemini.probe()(read)
            except ProtocolError:
                with pytest.raises(ProtocolError):
                    gemini.decoder(ABOUT).decode(read)
                continue
            if kind is Kind.DATA:
                assert gemini.decoder(ABOUT).decode(read)[0] == START


class TestDecoder:
    def test_the_first_block_gives_the_start(self) -> None:
        decoder = gemini.decoder(ABOUT)
        assert decoder.decode(parts({"text": "a"})) == [START, Token("a")]
        assert decoder.decode(parts({"text": "b"})) == [Token("b")]

    @pytest.mark.parametrize(
        ("given", "events"),
        [
            ([{"text": "x"}], [Token("x")]),
            ([{"text": "x", "thought": True}], [Reasoning("x")]),
            ([{"text": "x", "thought": False}], [Token("x")]),
            ([{"text": ""}, {"thoughtSignature": "CrIB"}, {}], []),
            ([{"executableCode": {"code": "1"}}, {"inlineData": {"data": "AA=="}}], []),
            ([{"text": "a"}, {"text": "b", "thought": True}], [Token("a"), Reasoning("b")]),
            ([{"functionCall": {"id": "c", "name": "f", "args": {"x": [1, "é"]}}}], [ToolCall(0, "c", "f", '{"x":[1,"é"]}')]),
            ([{"functionCall": {"name": "f"}}, {"functionCall": {"name": "f", "args": None}}],
             [ToolCall(0, "call_s1_0", "f", "{}"), ToolCall(1, "call_s1_1", "f", "{}")]),
        ],
    )  # fmt: skip
    def test_parts(self, given: Any, events: list[Event]) -> None:
        assert gemini.decoder(ABOUT).decode(parts(*given)) == [START, *events]

    def test_calls_are_counted_for_each_choice(self) -> None:
        decoder = gemini.decoder(ABOUT)
        call = {"functionCall": {"name": "f"}}
        events = [event for index in (0, 1, 1, 0) for event in decoder.decode(parts(call, index=index))]
        assert [(one.choice, one.index, one.id) for one in events if isinstance(one, ToolCall)] == [
            (0, 0, "call_s1_0"),
            (1, 0, "call_s1_1_0"),
            (1, 1, "call_s1_1_1"),
            (0, 1, "call_s1_1"),
        ]

    def test_a_copy_goes_on_where_the_original_is(self) -> None:
        decoder = gemini.decoder(ABOUT)
        decoder.decode(parts({"functionCall": {"name": "f"}}))
        read = parts({"functionCall": {"name": "g"}}, reason="STOP")
        assert copy.deepcopy(decoder).decode(read) == decoder.decode(read)
        assert decoder.decode(read)[0] == ToolCall(2, "call_s1_2", "g", "{}")

    def test_ids_are_those_of_the_stream(self) -> None:
        decoder = gemini.decoder(Description("other", "m", 0))
        (_, call) = decoder.decode(parts({"functionCall": {"name": "f"}}))
        assert isinstance(call, ToolCall)
        assert call.id == "call_other_0"

    @pytest.mark.parametrize(
        ("given", "missed"),
        [
            ([{"inlineData": {"mimeType": "image/png", "data": "AA=="}}], "inlineData (image/png)"),
            ([{"text": "look"}, {"inlineData": [1]}], "inlineData"),
            ([{"fileData": {"mimeType": "audio/wav", "fileUri": "gs://x"}}], "fileData (audio/wav)"),
            ([{"executableCode": {"code": "1"}}, {"codeExecutionResult": {"output": "1"}}],
             "executableCode, codeExecutionResult"),
            ([{"executableCode": {"code": "1"}}, {"text": "hm", "thought": True}], "executableCode"),
            ([{"executableCode": {"code": "1"}}, {"text": "one"}], None),
            ([{"inlineData": {"mimeType": "image/png", "data": "AA=="}, "thought": True}, {"text": "a"}], None),
            ([{"inlineData": None, "text": "a"}], None),
        ],
    )  # fmt: skip
    def test_what_has_no_words_elsewhere(self, given: Any, missed: str | None) -> None:
        decoder, probe = gemini.decoder(ABOUT), gemini.probe()
        for read in (parts(*given), parts(reason="STOP")):
            probe(read)
            last = decoder.decode(read)[-1]
        assert probe.started
        assert (probe.complete, probe.outcome) == (True, "completed")
        if missed is None:
            assert last == Finish("completed")
        else:
            assert isinstance(last, Error)
            assert last.message.endswith(f": {missed}")

    def test_a_blocked_prompt(self) -> None:
        read = block({"promptFeedback": {"blockReason": "SAFETY"}})
        assert gemini.decoder(ABOUT).decode(read) == [START, Finish("content_filter")]

    @pytest.mark.parametrize("read", TestProbe.WRONG[7:13])
    def test_wrong_shapes(self, read: bytes) -> None:
        with pytest.raises(ProtocolError):
            gemini.decoder(ABOUT).decode(read)
