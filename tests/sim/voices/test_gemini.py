"""Google's Gemini API, as the raw socket sees it."""

import json
from typing import Any

import pytest

from penstock.sim.process import SimProcess
from tests.sim.raw import Reply, connect, read

STREAMED = "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse"
WHOLE = "/v1beta/models/gemini-2.5-flash:generateContent"


def send(sim: SimProcess, target: str, body: bytes) -> Reply:
    with connect(sim.port) as sock:
        head = f"POST {target} HTTP/1.1\r\nhost: sim\r\nx-goog-api-key: k\r\ncontent-length: {len(body)}\r\n\r\n"
        sock.sendall(head.encode() + body)
        return read(sock)


def ask(sim: SimProcess, cue: dict[str, Any], target: str = STREAMED, **fields: Any) -> Reply:
    contents = [{"role": "user", "parts": [{"text": f"hello sim:{json.dumps(cue)}"}]}]
    return send(sim, target, json.dumps({"contents": contents, **fields}).encode())


def parts(reply: Reply, choice: int = 0) -> list[Any]:
    rows = [row for event in reply.events for row in event["candidates"] if row.get("index", 0) == choice]
    return [part for row in rows for part in row["content"]["parts"]]


def text(reply: Reply, *, thought: bool = False, choice: int = 0) -> str:
    return "".join(
        part["text"] for part in parts(reply, choice) if "text" in part and part.get("thought", False) is thought
    )


def reasons(reply: Reply) -> list[Any]:
    return [[row.get("finishReason") for row in event["candidates"]] for event in reply.events]


def test_a_stream(sim: SimProcess) -> None:
    reply = ask(sim, {"text": "You said hello", "reasoning": "let me see"})
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert (text(reply), text(reply, thought=True)) == ("You said hello", "let me see")
    assert reasons(reply) == [[None]] * 6 + [["STOP"]]
    assert {event["modelVersion"] for event in reply.events} == {"gemini-2.5-flash"}
    assert len({event["responseId"] for event in reply.events}) == 1
    assert [event.get("usageMetadata") is None for event in reply.events] == [True] * 6 + [False]
    usage = reply.events[-1]["usageMetadata"]
    assert (usage["candidatesTokenCount"], usage["thoughtsTokenCount"]) == (3, 3)
    assert usage["totalTokenCount"] == usage["promptTokenCount"] + 6


def test_an_answer_in_one_piece_says_the_same_as_a_stream(sim: SimProcess) -> None:
    cue = {
        "tokens": 30,
        "unicode": True,
        "reasoning": "first think",
        "tool_calls": [{"name": "f", "arguments": {"a": 1}}],
    }
    streamed, whole = ask(sim, cue), ask(sim, cue, WHOLE)
    assert whole.headers["content-type"] == "application/json"
    (candidate,) = whole.json["candidates"]
    thought, said, call = candidate["content"]["parts"]
    assert thought == {"text": "first think", "thought": True}
    assert said["text"] == text(streamed)
    assert call == parts(streamed)[-2]
    assert candidate["finishReason"] == "STOP"
    assert whole.json["usageMetadata"] == streamed.events[-1]["usageMetadata"]


def test_tool_calls_come_whole(sim: SimProcess) -> None:
    calls = [{"id": "call_a", "name": "weather", "arguments": {"city": "Zürich"}}, {"name": "time", "arguments": "{}"}]
    reply = ask(sim, {"tool_calls": calls})
    assert [part["functionCall"] for part in parts(reply)[:-1]] == [
        {"id": "call_a", "name": "weather", "args": {"city": "Zürich"}},
        {"id": "call_0_1", "name": "time", "args": {}},
    ]
    assert reasons(reply)[-1] == ["STOP"]


@pytest.mark.parametrize("target", [STREAMED, WHOLE])
def test_half_a_tool_call_is_none(sim: SimProcess, target: str) -> None:
    cue = {"text": "look", "tool_calls": [{"name": "f", "arguments": {"city": "Oslo and Bergen"}}]}
    reply = ask(sim, cue, target, generationConfig={"maxOutputTokens": 2})
    events = reply.events if target == STREAMED else [reply.json]
    assert "functionCall" not in json.dumps(events)
    assert events[-1]["candidates"][0]["finishReason"] == "MAX_TOKENS"


def test_arguments_that_are_no_object(sim: SimProcess) -> None:
    reply = ask(sim, {"tool_calls": [{"name": "f", "arguments": "Oslo"}]})
    assert parts(reply)[0]["functionCall"]["args"] == {"_raw": "Oslo"}


def test_every_choice_has_its_own_text(sim: SimProcess) -> None:
    reply = ask(sim, {"tokens": 10}, generationConfig={"candidateCount": 3})
    answers = [text(reply, choice=choice) for choice in range(3)]
    assert len(set(answers)) == 3
    assert reasons(reply)[-1] == ["STOP"] * 3
    whole = ask(sim, {"tokens": 10}, WHOLE, generationConfig={"candidateCount": 3})
    assert [row["content"]["parts"][0]["text"] for row in whole.json["candidates"]] == answers


@pytest.mark.parametrize(
    ("asked", "told"),
    [("length", "MAX_TOKENS"), ("content_filter", "SAFETY"), ("MALFORMED_FUNCTION_CALL", "MALFORMED_FUNCTION_CALL")],
)
def test_finish_reasons(sim: SimProcess, asked: str, told: str) -> None:
    assert reasons(ask(sim, {"tokens": 2, "finish_reason": asked}))[-1] == [told]


def test_a_refusal_is_text(sim: SimProcess) -> None:
    assert text(ask(sim, {"refusal": "I will not"})) == "I will not"
    assert ask(sim, {"refusal": "I will not"}, WHOLE).json["candidates"][0]["content"]["parts"] == [
        {"text": "I will not"}
    ]


@pytest.mark.parametrize("target", [STREAMED, WHOLE])
def test_usage_may_lie_or_be_missing(sim: SimProcess, target: str) -> None:
    def usage(cue: Any) -> Any:
        reply = ask(sim, {"tokens": 3, **cue}, target)
        return (reply.events[-1] if target == STREAMED else reply.json).get("usageMetadata")

    lie = {"promptTokenCount": 0}
    assert usage({"usage": lie}) == lie
    assert usage({"usage": False}) is None
    assert usage({"usage": False, "usage_every_chunk": True}) is None


def test_usage_in_every_chunk_is_the_count_so_far(sim: SimProcess) -> None:
    reply = ask(sim, {"tokens": 3, "usage_every_chunk": True})
    assert [event["usageMetadata"]["candidatesTokenCount"] for event in reply.events] == [1, 2, 3, 3]


@pytest.mark.parametrize("cue", [{"omit_done": True}, {"cut": "clean"}])
def test_the_finish_is_what_ends_an_answer(sim: SimProcess, cue: dict[str, Any]) -> None:
    reply = ask(sim, {"tokens": 3, **cue})
    assert reasons(reply) == [[None]] * 3
    assert reply.ended == "chunked"


def test_an_error_in_the_stream(sim: SimProcess) -> None:
    *_, last = ask(sim, {"tokens": 3, "error_after": 2}).events
    assert last == {"error": {"code": 500, "message": "The model failed", "status": "INTERNAL"}}
    *_, last = ask(sim, {"tokens": 3, "error_after": 2, "error_body": {"error": {"code": 503}}}).events
    assert last == {"error": {"code": 503}}


def test_an_error_instead_of_an_answer(sim: SimProcess) -> None:
    reply = ask(sim, {"status": 429, "retry_after": 3})
    assert (reply.status, reply.headers["retry-after"]) == (429, "3")
    assert reply.json["error"]["status"] == "RESOURCE_EXHAUSTED"


def test_late_words(sim: SimProcess) -> None:
    reply = ask(sim, {"text": "a", "late_tokens": 1})
    assert reasons(reply) == [[None], ["STOP"], [None]]


def test_the_last_words_of_the_user_count(sim: SimProcess) -> None:
    contents = [
        {"parts": [{"text": "say "}, {"inlineData": {}}, {"text": "it"}]},
        {"role": "model", "parts": [{"functionCall": {"name": "f"}}]},
        {"role": "user", "parts": [{"functionResponse": {"name": "f"}}]},
    ]
    reply = send(
        sim, STREAMED, json.dumps({"contents": contents, "systemInstruction": {"parts": [{"text": "x"}]}}).encode()
    )
    assert text(reply) == "You said: say it"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"{", None),
        (b"[1]", None),
        (b"{}", "contents"),
        (b'{"contents": []}', "contents"),
        (b'{"contents": [1]}', "contents"),
        (b'{"contents": [{"role": "assistant"}]}', "contents"),
        (b'{"contents": [{}], "generationConfig": 1}', "generationConfig"),
        (b'{"contents": [{}], "generationConfig": {"candidateCount": 0}}', "candidateCount"),
        (b'{"contents": [{}], "generationConfig": {"candidateCount": 99}}', "candidateCount"),
        (b'{"contents": [{}], "generationConfig": {"maxOutputTokens": "x"}}', "maxOutputTokens"),
    ],
)
def test_what_google_would_refuse_is_refused_in_its_shape(sim: SimProcess, body: bytes, field: str | None) -> None:
    reply = send(sim, STREAMED, body)
    error = reply.json["error"]
    assert (reply.status, error["code"], error["status"]) == (400, 400, "INVALID_ARGUMENT")
    if field is not None:
        assert error["details"][0]["fieldViolations"][0]["field"] == field


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/v1/projects/p/locations/l/publishers/google/models/m:streamGenerateContent", 200),
        ("/v1beta/models/a%20b:generateContent", 200),
        ("/v1beta/models/m:countTokens", 404),
        ("/v1beta/other/m:generateContent", 404),
    ],
)
def test_addresses(sim: SimProcess, target: str, status: int) -> None:
    reply = ask(sim, {"text": "ok"}, target)
    assert reply.status == status
    if "%20" in target:
        assert reply.json["modelVersion"] == "a b"
