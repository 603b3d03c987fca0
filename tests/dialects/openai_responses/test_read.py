"""Reading a Responses upstream."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.dialects.base import Kind
from penstock.dialects.openai_responses import OpenAIResponses
from penstock.exceptions import ProtocolError
from penstock.wire import sse
from penstock.wire.events import Done, Error, Event, Finish, Reasoning, Refusal, Start, Token, ToolCall, Usage
from tests.dialects.answers import ABOUT, START, told, written

responses = OpenAIResponses()


def event(kind: str, **fields: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), json.dumps({"type": kind, **fields}).encode())


CREATED = event("response.created", response={"id": "r", "output": []}, sequence_number=0)
COMPLETED = event(
    "response.completed",
    response={
        "usage": {
            "input_tokens": 9,
            "input_tokens_details": {"cached_tokens": 4},
            "output_tokens": 2,
            "output_tokens_details": {"reasoning_tokens": 1},
        }
    },
)


def call(index: int, **more: Any) -> bytes:
    item = {"type": "function_call", "call_id": f"c{index}", "name": "f", "arguments": "", **more}
    return event("response.output_item.added", output_index=index, item=item)


def test_an_answer() -> None:
    said = told(
        responses,
        [
            CREATED,
            event("response.reasoning_summary_part.added", summary_index=0),
            event("response.reasoning_summary_text.delta", delta="hm"),
            event("response.reasoning_summary_part.added", summary_index=1),
            event("response.reasoning_text.delta", delta="!"),
            event("response.output_text.delta", delta="a", logprobs=[]),
            event("response.output_text.annotation.added", annotation={"strange": [1]}),
            event("response.refusal.delta", delta="no"),
            event("response.something.new", delta={"not": "text"}),
            COMPLETED,
        ],
    )
    assert said == [
        START,
        Reasoning("hm"),
        Reasoning("\n\n"),
        Reasoning("!"),
        Token("a"),
        Refusal("no"),
        Finish("completed"),
        Usage(9, 2, 4, 1),
        Done("completed"),
    ]


def test_calls_side_by_side_and_arguments_that_come_whole() -> None:
    said = told(
        responses,
        [
            call(1),
            call(2),
            event("response.function_call_arguments.delta", output_index=2, delta='{"b":'),
            event("response.function_call_arguments.delta", output_index=2, delta="2}"),
            event("response.function_call_arguments.done", output_index=2, arguments='{"b":2}'),
            event("response.function_call_arguments.done", output_index=1, arguments='{"a":1}'),
            COMPLETED,
        ],
    )
    calls = [event for event in said if isinstance(event, ToolCall)]
    assert calls == [
        ToolCall(0, "c1", "f"),
        ToolCall(1, "c2", "f"),
        ToolCall(1, arguments='{"b":'),
        ToolCall(1, arguments="2}"),
        ToolCall(0, arguments='{"a":1}'),
    ]
    assert said[-1] == Done("tool_calls")


@pytest.mark.parametrize(
    ("details", "outcome"),
    [
        ({"reason": "max_output_tokens"}, "length"),
        ({"reason": "max_tool_calls"}, "length"),
        ({"reason": "content_filter"}, "content_filter"),
        (None, "length"),
    ],
)
def test_incomplete(details: Any, outcome: Any) -> None:
    block = event("response.incomplete", response={"incomplete_details": details})
    assert told(responses, [CREATED, block])[-1] == Done(outcome)


@pytest.mark.parametrize(
    "block",
    [
        event("response.failed", response={"error": {"code": "server_error", "message": "broke"}}),
        event("error", code="x", message="broke", param=None),
        event("response.cancelled", message="broke"),
    ],
)
def test_failures(block: bytes) -> None:
    probe = responses.probe()
    assert probe(block) == Kind.FAILED
    assert probe.failure is not None
    assert probe.failure.message == "broke"


def test_the_last_block_is_part_of_the_log_and_the_end() -> None:
    assert responses.probe()(COMPLETED) == Kind.LAST


def test_a_first_token_is_one() -> None:
    probe = responses.probe()
    for block in (CREATED, event("response.output_text.delta", delta="")):
        probe(block)
        assert not probe.started
    probe(event("response.output_text.delta", delta="a"))
    assert probe.started


def delta(text: str, index: int | None = 0, part: int | None = 0, **more: Any) -> bytes:
    where = {"output_index": index, "content_index": part}
    told = {name: value for name, value in where.items() if value is not None}
    return event("response.output_text.delta", delta=text, **told, **more)


def message(*texts: str, **more: Any) -> Any:
    return {"type": "message", "role": "assistant", **more, "content": [said(text) for text in texts]}


def said(text: str) -> Any:
    return {"type": "output_text", "text": text}


def done(item: Any, index: int | None = 0, **more: Any) -> bytes:
    return event("response.output_item.done", item=item, **({} if index is None else {"output_index": index}), **more)


def part_done(text: str, index: int | None = 0, part: int | None = 0, **more: Any) -> bytes:
    where = {"output_index": index, "content_index": part}
    told = {name: value for name, value in where.items() if value is not None}
    return event("response.output_text.done", text=text, **told, **more)


def completed(*output: Any) -> bytes:
    return event("response.completed", response={"status": "completed", "output": list(output)})


class TestWhatIsSaidTwice:
    """Each row is what an upstream sends after `response.created`, and the text that it says."""

    @pytest.mark.parametrize(
        ("blocks", "text"),
        [
            # one item in deltas, another only whole
            ([delta("a"), part_done("a"), done(message("b"), 1), completed()], "ab"),
            ([delta("a"), done(message("a")), done(message("a"), 1), completed()], "aa"),
            ([delta("a"), completed(message("a"), message("b"))], "ab"),
            ([delta("a"), done(message("a")), completed(message("a"), message("b"))], "ab"),
            # one part in deltas, another only whole
            ([delta("a"), part_done("b", part=1), completed()], "ab"),
            ([delta("a"), part_done("a"), done(message("a", "b")), completed(message("a", "b"))], "ab"),
            # nothing in deltas
            ([part_done("a"), done(message("a")), completed(message("a"))], "a"),
            ([done(message("a")), completed(message("a"))], "a"),
            ([completed(message("a", "b"))], "ab"),
            ([event("response.output_item.added", output_index=0, item=message()), completed(message("a"))], "a"),
            # all of it again and again
            ([delta("a"), delta("b"), part_done("ab"), done(message("ab")), completed(message("ab"))], "ab"),
            # without numbers: by the items' ids, or by nothing at all
            ([delta("a", None, item_id="x"), part_done("a", None, item_id="x"), done(message("a", id="x"), None),
              delta("b", None, item_id="y"), done(message("b", id="y"), None),
              completed(message("a", id="x"), message("b", id="y"))], "ab"),
            ([delta("a", None, None), part_done("a", None, None), done(message("a"), None), completed(message("a"))],
             "a"),
            ([delta("a", None, None), done(message("a"), 3), completed(message("a"))], "a"),
            ([delta("a", 0, None), delta("b", 0, None), done(message("a", "b")), completed()], "ab"),
            # numbers that do not fit: the item's id tells, or that the last event has no more than was told
            ([delta("a", item_id="x"), done(message("a", id="x"), 1), completed(message("a", id="x"))], "a"),
            ([delta("a", 1), done(message("a"), 1), completed(message("a", id="new"))], "a"),
        ],
    )  # fmt: skip
    def test_each_thing_is_told_once(self, blocks: list[bytes], text: str) -> None:
        assert self.text([CREATED, *blocks]) == text
        assert self.text(blocks) == text

    def test_a_reader_that_begins_in_the_middle(self) -> None:
        """What came before it in deltas is not told again: blocks are numbered."""
        late = [part_done("ab", sequence_number=9), done(message("ab"), sequence_number=10), completed(message("ab"))]
        assert self.text(late) == ""

    def test_thoughts_and_their_summary(self) -> None:
        thought = {
            "type": "reasoning",
            "content": [{"type": "reasoning_text", "text": "long"}],
            "summary": [{"type": "summary_text", "text": "a"}, {"type": "summary_text", "text": "b"}],
        }
        streamed = event("response.reasoning_text.delta", output_index=0, content_index=0, delta="long")
        assert self.text([CREATED, streamed, done(thought), completed(thought)], Reasoning) == "long"
        only = thought | {"content": None}
        assert self.text([CREATED, done(only), completed(only)], Reasoning) == "a\n\nb"

    def test_calls(self) -> None:
        calls = [{"type": "function_call", "call_id": f"c{n}", "name": "f", "arguments": f"[{n}]"} for n in range(3)]
        wanted = [ToolCall(n, f"c{n}", "f", f"[{n}]") for n in range(3)]
        for blocks in (
            [completed(*calls)],
            [done(calls[0]), completed(*calls)],
            [*(done(one, n) for n, one in enumerate(calls)), completed(*calls)],
            [*(done(one, None) for one in calls), completed(*calls)],
            [*(done(one, n + 5) for n, one in enumerate(calls)), completed(*calls)],
        ):
            told_calls = [one for one in told(responses, [CREATED, *blocks]) if isinstance(one, ToolCall)]
            assert told_calls == wanted

    def text(self, blocks: list[bytes], kind: Any = Token) -> str:
        return "".join(one.text for one in told(responses, blocks) if isinstance(one, kind))


class TestWhatHasNoWordsElsewhere:
    """Items as an upstream ends them, and the answer's end for others."""

    def last(self, *items: Any, before: tuple[bytes, ...] = ()) -> Any:
        blocks = [*before, *(done(item, n + 5) for n, item in enumerate(items)), COMPLETED]
        return next(one for one in told(responses, [CREATED, *blocks]) if isinstance(one, Finish | Error))

    def test_an_image_is_part_of_the_answer(self) -> None:
        last = self.last({"type": "image_generation_call", "result": "AA=="}, before=(delta("Here it is"),))
        assert last == Error(
            "unsupported_translation",
            "the answer holds what only openai-responses has words for: image_generation_call",
            retryable=False,
            outcome="upstream_error",
        )

    def test_so_is_a_part_of_a_message(self) -> None:
        last = self.last({"type": "message", "content": [said("a"), {"type": "output_audio", "data": "AA=="}]})
        assert last.message.endswith(": output_audio")

    def test_a_search_is_not_missed_but_where_it_is_all(self) -> None:
        search = {"type": "web_search_call", "status": "completed"}
        assert self.last(search, before=(delta("It rains"),)) == Finish("completed")
        assert self.last(search).code == "unsupported_translation"
        assert self.last({"type": "reasoning", "summary": []}) == Finish("completed")

    def test_a_call_that_takes_text_is_a_call(self) -> None:
        custom = {"type": "custom_tool_call", "call_id": "c", "name": "sh", "input": 'echo "ü"'}
        events = told(responses, [CREATED, done(custom), completed(custom)])
        assert events[1:3] == [ToolCall(0, "c", "sh", '{"input":"echo \\"ü\\""}'), Finish("tool_calls")]
        assert events[-1] == Done("tool_calls")

    @pytest.mark.parametrize("type", ["image_generation_call", "custom_tool_call", "mcp_approval_request"])
    def test_it_is_a_first_token(self, type: str) -> None:
        probe = responses.probe()
        probe(CREATED)
        probe(event("response.output_item.added", output_index=0, item={"type": type}))
        assert probe.started


spoken = st.lists(
    st.tuples(
        st.sampled_from([Token, Reasoning]), st.lists(st.text("abc", min_size=1, max_size=3), min_size=1, max_size=3)
    ),
    max_size=5,
)


@given(spoken, st.lists(st.integers(0, 3), min_size=5, max_size=5), st.booleans(), st.booleans())
def test_whatever_a_server_leaves_out_is_told_once(words: Any, levels: list[int], created: bool, whole: bool) -> None:
    """Of each item an upstream may leave out: nothing, the deltas, what says that a part is done, or all but the last event."""
    events = [START, *(kind(text) for kind, texts in words for text in texts), Finish("completed")]
    sent = []
    for block in written(responses, events, None, Done("completed")):
        fields = json.loads(sse.payload(block))
        kind, index = fields["type"].removeprefix("response."), fields.get("output_index")
        level = levels[index % 5] if index is not None else 0
        if not whole and level == 3:
            level = 2
        if (level > 0 and kind.endswith(".delta")) or (level > 1 and kind.endswith("_text.done")) or level > 2:
            continue
        if created or kind not in ("created", "in_progress"):
            sent.append(
                event(fields.pop("type"), **{n: value for n, value in fields.items() if n != "sequence_number"})
            )
    read = told(responses, sent)
    for kind in (Token, Reasoning):
        wanted = [one.text for one in events if isinstance(one, kind)]
        assert sorted("".join(one.text for one in read if isinstance(one, kind))) == sorted("".join(wanted))


@pytest.mark.parametrize("block", [event("response.output_text.delta", delta=7), b"data: <html>\n\n", b"data: [1]\n\n"])
def test_what_can_not_be_an_answer_is_refused(block: bytes) -> None:
    with pytest.raises(ProtocolError):
        responses.probe()(block)


@given(
    st.binary(max_size=60) | st.dictionaries(st.text(max_size=5), st.integers()).map(lambda d: json.dumps(d).encode())
)
def test_strange_bytes_raise_nothing_else(payload: bytes) -> None:
    block = b"data: %b\n\n" % payload.replace(b"\n", b"").replace(b"\r", b"")
    with contextlib.suppress(ProtocolError):
        responses.probe()(block)
        responses.decoder(ABOUT).decode(block)


plain = st.lists(
    st.builds(Token, st.text(min_size=1, max_size=5)) | st.builds(Reasoning, st.text(min_size=1, max_size=5)),
    max_size=8,
)


@given(plain, st.lists(st.text(max_size=5), max_size=3), st.sampled_from(["completed", "length", "content_filter"]))
def test_what_is_written_is_what_is_read(words: list[Event], arguments: list[str], why: Any) -> None:
    calls: list[Event] = [ToolCall(n, f"c{n}", "f", text) for n, text in enumerate(arguments)]
    reason: Any = "tool_calls" if calls and why == "completed" else why
    events = [START, *words, *calls, Finish(reason)]
    read = told(responses, written(responses, events, Usage(1, 2, 0, 0), Done(reason)))
    assert _facts(read) == _facts([*events, Usage(1, 2, 0, 0), Done(reason)])


def _facts(events: list[Event]) -> Any:
    text = "".join(event.text for event in events if isinstance(event, Token))
    thought = "".join(event.text for event in events if isinstance(event, Reasoning))
    calls: dict[int, list[Any]] = {}
    for event in events:
        if isinstance(event, ToolCall):
            known = calls.setdefault(event.index, [event.id, event.name, ""])
            known[2] += event.arguments
    rest = [event for event in events if isinstance(event, Start | Finish | Usage | Done)]
    return text, thought, calls, rest
