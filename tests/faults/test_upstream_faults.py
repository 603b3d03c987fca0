"""Faults of an upstream, as clients of every dialect meet them: what they see, what is metered, and that it is let go of."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest

from penstock.sim.process import SimProcess, running
from penstock.sim.truth import End, Truth
from tests.support.client import Response, fetch, told
from tests.support.dialects import ASKED, UNSTREAMED, Spoken
from tests.support.routes import route, routed, upstream
from tests.support.serving import Served

pytestmark = pytest.mark.anyio
Place = tuple[SimProcess, Served]

SOON = 2.0
"""Seconds that a machine under load may take for what happens at once."""


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    tables = upstream("sim", "{}"), route("m", "sim"), route("brief", "sim", max_tokens=40)
    with running() as sim, routed(*(table.replace("{}", sim.url) for table in tables)) as served:
        yield sim, served


@pytest.fixture(params=ASKED.values(), ids=list(ASKED))
def client(request: pytest.FixtureRequest) -> Spoken:
    spoken: Spoken = request.param
    return spoken


async def ask(place: Place, client: Spoken, cue: dict[str, Any], prompt: str, **fields: Any) -> Response:
    assert client.path is not None
    return await fetch(place[1].port, "POST", client.path, client.request(cue, prompt, **fields))


async def usage_of(place: Place, got: Response) -> dict[str, Any]:
    """What is metered."""
    trace = await fetch(place[1].port, "GET", f"/v1/streams/{got.stream_id}/trace")
    usage: dict[str, Any] = trace.json["usage"]
    return usage


async def live(place: Place) -> int:
    """Streams that are running."""
    return int((await fetch(place[1].port, "GET", "/readyz")).json["live_streams"])


def let_go(prompt: str) -> Any:
    """In the truth: the connection of the one request closed. Gives its end, and when the connection closed."""

    def found(truth: Truth) -> tuple[End, float] | None:
        (row,) = truth.answers(prompt)
        closed = truth.closed(connection=row.request.connection)
        return (truth.answer(prompt), closed[0].at) if closed else None

    return found


# -- before the first byte: a status, and an error in the caller's dialect -----------------------------------------------

REFUSALS: dict[str, tuple[dict[str, Any], int, str | None, str | None]] = {
    "429": ({"status": 429, "retry_after": 7}, 429, "upstream_rate_limited", "7"),
    "500": ({"status": 500}, 502, "upstream_error", None),
    "503": ({"status": 503, "retry_after": 3}, 502, "upstream_error", "3"),
    "cut before any byte": ({"cut_before_headers": True, "cut": "reset"}, 502, "upstream_unreachable", None),
    "cut after the head": ({"tokens": 5, "cut_after": 0, "cut": "reset"}, 502, "upstream_truncated", None),
    "error before the first token": ({"tokens": 5, "error_after": 0}, 502, "upstream_error", None),
    "garbage before the first token": ({"tokens": 5, "garbage_after": 0}, 502, "upstream_protocol_error", None),
    "no HTTP": ({"raw": "SSH-2.0-OpenSSH_9.2\r\n"}, 502, "upstream_protocol_error", None),
    "no stream": ({"content_type": "text/html", "bad_sse": "html"}, 502, "upstream_protocol_error", None),
    "an empty stream": ({"bad_sse": "html"}, 502, "upstream_truncated", None),
    "oversize line first": ({"oversize_line": 2_000_000, "oversize_after": 0}, 502, "upstream_protocol_error", None),
}

WAYS = [pytest.param(spoken, True, id=f"{name}-streamed") for name, spoken in ASKED.items()] + [
    pytest.param(spoken, False, id=f"{name}-whole") for name, spoken in UNSTREAMED.items()
]


@pytest.mark.parametrize("name", REFUSALS)
@pytest.mark.parametrize(("client", "stream"), WAYS)
async def test_fault_before_the_first_byte_is_a_status_and_an_error(
    place: Place, client: Spoken, name: str, stream: bool
) -> None:
    cue, status, code, retry_after = REFUSALS[name]
    got = await ask(place, client, cue, f"refused-{client.name}-{name}-{stream}", stream=stream)
    assert (got.status, got.headers.get("retry-after")) == (status, retry_after)
    assert got.headers["content-type"] == "application/json"
    assert client.code(got.json) in (code, None)
    assert got.whole
    trace = (await fetch(place[1].port, "GET", f"/v1/streams/{got.stream_id}/trace")).json
    assert (trace["live"], trace["events"]) == (False, 1), "nothing was said but the end"
    assert [mark["code"] for mark in trace["marks"] if mark["what"] == "lost"] == [code]


@pytest.mark.parametrize("hang", ["connect", "headers"])
async def test_fault_hangs_before_first_byte_is_a_504_and_the_socket_closes(
    place: Place, client: Spoken, hang: str
) -> None:
    prompt, began = f"hangs-{client.name}-{hang}", time.monotonic()
    got = await ask(place, client, {"hang": hang}, prompt)
    assert (got.status, client.code(got.json)) in [(504, "upstream_timeout"), (504, None)]
    end, closed = await told(place[0], let_go(prompt))
    assert end.ended == "stalled"
    assert 1.0 <= closed - began < 1.0 + SOON, "at its deadline"


# -- after it: the text that came, then exactly one end, and never a good one --------------------------------------------

ENDS: dict[str, tuple[dict[str, Any], str]] = {
    "stalls": ({"stall_after": 4}, "stalled"),
    "reset": ({"cut_after": 4, "cut": "reset"}, "upstream_truncated"),
    "eof": ({"cut_after": 4, "cut": "eof"}, "upstream_truncated"),
    "half close": ({"cut_after": 4, "cut": "half_close"}, "upstream_truncated"),
    "body ended": ({"cut_after": 4, "cut": "clean"}, "upstream_truncated"),
    "cut in a character": ({"unicode": True, "cut_at_byte": 1501, "cut": "reset"}, "upstream_truncated"),
    "no end marker": ({"omit_done": True}, "upstream_truncated"),
    "closed after its finish": ({"cut_after": 9, "cut": "clean"}, "upstream_truncated"),
    "bad JSON": ({"garbage_after": 4}, "upstream_protocol_error"),
    "oversize line": ({"oversize_line": 2_000_000, "oversize_after": 4}, "upstream_protocol_error"),
    "error in the stream": ({"error_after": 4}, "upstream_error"),
    "error and then done": ({"error_after": 4, "error_then_done": True}, "upstream_error"),
    "never ends": ({"endless": True, "pace": 0.1}, "limit_exceeded"),
}
CLOSED_BY_US = ("stalls", "half close", "bad JSON", "oversize line", "never ends")


@pytest.mark.parametrize("name", ENDS)
async def test_fault_after_the_first_byte_keeps_the_text_and_never_looks_complete(
    place: Place, client: Spoken, name: str
) -> None:
    faults, code = ENDS[name]
    prompt, began = f"broken-{client.name}-{name}", time.monotonic()
    # One token a write: what came before the fault has come.
    got = await ask(place, client, {"tokens": 9, "pace": 0.01, **faults}, prompt)
    assert (got.status, got.whole) == (200, True)
    assert client.endings_of(got.blocks) == ["bad"]
    assert client.code_of(got.blocks) in (code, None)
    end = await told(place[0], lambda truth: truth.answer(prompt))
    if name == "oversize line":
        # The truth counts the line itself, which is not let through.
        assert len(client.text_of(got.blocks)) > 0
        assert end.text[0].startswith(client.text_of(got.blocks))
    elif name in ("bad JSON", "never ends"):
        assert end.text[0].startswith(client.text_of(got.blocks)), "what the upstream said on was not waited for"
        assert len(client.text_of(got.blocks)) > 0
    else:
        assert client.text_of(got.blocks) == end.text[0]
    usage = await usage_of(place, got)
    assert usage["source"] == ("final" if name == "no end marker" else "estimated"), "it had told its usage"
    assert 0 < usage["output_tokens"] <= end.tokens_sent + 2, "an event a token, and at most the role and the finish"
    if name in CLOSED_BY_US:
        _, closed = await told(place[0], let_go(prompt))
        assert closed - began < 3 + SOON
    assert await live(place) == 0


async def test_fault_never_ends_is_stopped_at_the_routes_token_cap(place: Place, client: Spoken) -> None:
    prompt = f"capped-{client.name}"
    got = await ask(place, client, {"endless": True, "pace": 0.002}, prompt, model="brief")
    assert client.endings_of(got.blocks) == ["bad"]
    assert client.code_of(got.blocks) in ("limit_exceeded", None)
    end, _ = await told(place[0], let_go(prompt))
    assert end.text[0].startswith(client.text_of(got.blocks))
    assert 20 < (await usage_of(place, got))["output_tokens"] < 90, "metered to the cap; more only of the same read"
    whole = await ask(place, client, {"tokens": 40, "pace": 0.002}, f"{prompt}-not", model="brief")
    assert client.endings_of(whole.blocks) == ["good"]


@pytest.mark.parametrize("client", UNSTREAMED.values(), ids=list(UNSTREAMED))
async def test_fault_cut_answers_that_are_not_streamed_are_errors_and_never_half_an_answer(
    place: Place, client: Spoken
) -> None:
    async def one(name: str) -> None:
        faults, code = ENDS[name]
        prompt = f"{client.name}-{name}-in-one-piece"
        got = await ask(place, client, {"tokens": 9, "pace": 0.01, **faults}, prompt, stream=False)
        assert got.status == (504 if code in ("stalled", "limit_exceeded") else 502), name
        assert client.code(got.json) in (code, None)

    await asyncio.gather(*map(one, ENDS))
    assert await live(place) == 0


async def test_fault_bad_json_in_the_same_read_is_metered_too(place: Place, client: Spoken) -> None:
    got = await ask(place, client, {"tokens": 9, "garbage_after": 4}, f"same-read-{client.name}")
    assert client.endings_of(got.blocks) == ["bad"]
    assert len(client.text_of(got.blocks)) > 0
    assert (await usage_of(place, got))["output_tokens"] >= 4


@pytest.mark.parametrize("name", ["duplicate_done", "late_tokens"])
async def test_fault_duplicate_or_late_done_is_ignored_and_metered_once(
    place: Place, client: Spoken, name: str
) -> None:
    prompt = f"{name}-{client.name}"
    got = await ask(place, client, {"text": "a b c", "pace": 0.01, name: 3 if name == "late_tokens" else True}, prompt)
    end = await told(place[0], lambda truth: truth.answer(prompt))
    assert (client.text_of(got.blocks), client.endings_of(got.blocks)) == ("a b c", ["good"])
    usage = await usage_of(place, got)
    assert end.usage is not None
    assert (usage["source"], usage["output_tokens"]) == ("final", end.usage["completion_tokens"])


async def test_fault_usage_missing_is_estimated_but_zero_stays_zero(place: Place, client: Spoken) -> None:
    missing = await ask(place, client, {"text": "a b c", "usage": False}, f"missing-{client.name}")
    zero = await ask(place, client, {"text": "a b c", "usage": {"prompt_tokens": 0, "completion_tokens": 0}}, "zero")
    assert (await usage_of(place, missing))["source"] == "estimated"
    usage = await usage_of(place, zero)
    assert (usage["source"], usage["input_tokens"], usage["output_tokens"]) == ("final", 0, 0)


async def test_fault_slow_drip_and_split_characters_pass_unnoticed(place: Place, client: Spoken) -> None:
    for cue in ({"text": "añ🌊 日本 café", "split": "every"}, {"text": "a b", "drip": 800}):
        got = await ask(place, client, cue, "slowly")
        assert (client.text_of(got.blocks), client.endings_of(got.blocks)) == (cue["text"], ["good"])
    broken = await ask(place, client, {"tokens": 4, "bad_utf8_after": 2}, f"bad-utf8-{client.name}")
    end = await told(place[0], lambda truth: truth.answer(f"bad-utf8-{client.name}"))
    assert client.text_of(broken.blocks) == end.text[0]
    assert "\ufffd" in end.text[0]
