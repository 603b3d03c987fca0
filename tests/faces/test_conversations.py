"""Conversations over HTTP: what the page is made of."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock.conversations.records import Call, Conversation, Failure, Message
from penstock.faces.conversations import markdown
from penstock.sim.process import SimProcess, running
from tests.support.client import Client, Response, fetch, told
from tests.support.serving import Served, penstock, serving

pytestmark = pytest.mark.anyio
TALKS = "/v1/conversations"
KEY_A, KEY_B = {"x-api-key": "key-a"}, {"x-api-key": "key-b"}


def config(folder: Path) -> str:
    tenants = "".join(
        f'\n[[tenant]]\nname = "{name}"\nkey_hashes = ["sha256:{hashlib.sha256(f"key-{name}".encode()).hexdigest()}"]\n{more}'
        for name, more in (("a", ""), ("b", ""), ("once", "limits = { requests_per_minute = 1 }\n"))
    )
    return f'\n[storage]\ndatabase = "sqlite:///{folder / "kept.db"}"\n{tenants}'


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SimProcess, Served]]:
    with running() as sim:
        route = "retries = 0\ntimeouts = { first_token = 5, silence = 1 }"
        with serving(sim, route, config(tmp_path_factory.mktemp("kept"))) as served:
            yield sim, served


@pytest.fixture
async def place(servers: tuple[SimProcess, Served]) -> tuple[SimProcess, Served]:
    """Both servers, and nothing kept."""
    for key in (KEY_A, KEY_B):
        for talk in (await fetch(servers[1].port, "GET", TALKS, None, key)).json["conversations"]:
            await fetch(servers[1].port, "DELETE", f"{TALKS}/{talk['id']}", None, key)
    return servers


def here() -> str:
    """What the first question of this test begins with, for the sim's truth file."""
    return f"{os.environ.get('PYTEST_CURRENT_TEST')} number 1 "


def asking(number: int, cue: dict[str, Any], **more: Any) -> dict[str, Any]:
    text = f"{os.environ.get('PYTEST_CURRENT_TEST')} number {number} sim:{json.dumps(cue)}"
    return {"id": f"answer-{number}", "model": "m", "message": {"id": f"question-{number}", "text": text}} | more


async def ask(served: Served, body: object, talk: str = "talk-one", key: dict[str, str] = KEY_A) -> Response:
    return await fetch(served.port, "POST", f"{TALKS}/{talk}/answers", body, key)


async def kept(served: Served, talk: str = "talk-one") -> list[dict[str, Any]]:
    """The messages, once nothing is being made."""
    while True:
        got = await fetch(served.port, "GET", f"{TALKS}/{talk}", None, KEY_A)
        messages: list[dict[str, Any]] = got.json["messages"]
        if all(message["state"] == "ended" for message in messages):
            return messages
        await asyncio.sleep(0.02)


async def test_an_answer_is_a_stream_and_is_kept(place: tuple[SimProcess, Served]) -> None:
    sim, served = place
    got = await ask(served, asking(1, {"tokens": 20, "reasoning": "Let me see.", "unicode": True}))
    assert (got.status, got.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert got.blocks[-1].event == "done"
    text = "".join(block.json["text"] for block in got.blocks if block.event == "token")
    truth = (await told(sim, lambda t: t.answer(here()))).text[0]
    question, answer = await kept(served)
    assert answer["text"] == text == truth
    assert answer["reasoning"] == "Let me see."
    assert (answer["state"], answer["outcome"], answer["model"]) == ("ended", "completed", "m")
    assert answer["stream"] == got.stream_id
    assert answer["usage"]["output_tokens"] > 0
    assert answer["timing"]["first_token"] > 0
    assert (question["role"], question["parent"], answer["parent"]) == ("user", None, "question-1")


async def test_an_answer_is_delivered_as_its_client_wishes_and_told_to_nobody_before(
    place: tuple[SimProcess, Served],
) -> None:
    _, served = place
    body = asking(1, {"tokens": 20, "pace": 0.05})
    key = {**KEY_A, "Penstock-Delivery": "buffer"}
    whole = asyncio.create_task(fetch(served.port, "POST", f"{TALKS}/talk-one/answers", body, key))
    await asyncio.sleep(0.6)
    running = (await fetch(served.port, "GET", f"{TALKS}/talk-one", None, KEY_A)).json["messages"][-1]
    assert (running["state"], running["text"]) == ("streaming", "")
    tokens = [block for block in (await whole).blocks if block.event == "token"]
    assert len(tokens) == 1
    assert (await kept(served))[-1]["text"] == tokens[0].json["text"]
    wrong = await fetch(
        served.port, "POST", f"{TALKS}/talk-one/answers", asking(2, {}), {**KEY_A, "Penstock-Delivery": "post"}
    )
    assert (wrong.status, wrong.json["error"]["code"]) == (400, "invalid_request")


async def test_a_server_that_is_killed_keeps_what_was_said_and_says_that_it_was_interrupted(tmp_path: Path) -> None:
    with running() as sim:
        with serving(sim, "", config(tmp_path)) as served:
            async with Client(served.port) as client:
                await client.send(
                    "POST", f"{TALKS}/talk-one/answers", asking(1, {"endless": True, "pace": 0.01}), KEY_A
                )
                seen = await client.read(until="token")
                await asyncio.sleep(0.6)
                served.process.kill()
                served.process.wait()
        with serving(sim, "", config(tmp_path)) as served:
            (_, answer) = await kept(served)
            truth = (await told(sim, lambda t: t.answer(here()))).text[0]
            assert (answer["outcome"], answer["stream"]) == ("interrupted", None)
            assert answer["error"]["retryable"] is True
            assert truth.startswith(answer["text"])
            assert len(answer["text"]) > len("".join(block.text for block in seen.blocks))
            again = await ask(served, asking(1, {"endless": True, "pace": 0.01}))
            assert (again.status, again.json["error"]["code"]) == (410, "resume_expired")


async def test_sigterm_keeps_every_word(tmp_path: Path) -> None:
    with running() as sim, serving(sim, "", "\n[server]\ngrace = 0.3\n" + config(tmp_path)) as served:
        async with Client(served.port) as client:
            await client.send("POST", f"{TALKS}/talk-one/answers", asking(1, {"endless": True, "pace": 0.01}), KEY_A)
            await client.read(until="token")
            await asyncio.to_thread(served.stop)
            got = await client.read()
    with running() as sim, serving(sim, "", config(tmp_path)) as served:
        (_, answer) = await kept(served)
        text = "".join(block.json["text"] for block in got.blocks if block.event == "token")
        assert (answer["outcome"], answer["text"].endswith(text)) == ("interrupted", True)


async def test_a_refusal_keeps_the_question(place: tuple[SimProcess, Served]) -> None:
    _, served = place
    got = await ask(served, asking(1, {"status": 429, "retry_after": 3}))
    assert (got.status, got.headers["retry-after"], got.json["error"]["code"]) == (429, "3", "upstream_rate_limited")
    assert [message["id"] for message in await kept(served)] == ["question-1"]
    got = await ask(served, {"id": "answer-2", "model": "m", "parent": "question-1"})
    assert got.status == 429
    await ask(served, asking(3, {"tokens": 2}), "talk-two", {"x-api-key": "key-once"})
    got = await ask(served, asking(4, {"tokens": 2}), "talk-two", {"x-api-key": "key-once"})
    assert (got.status, got.json["error"]["code"], got.headers["x-ratelimit-remaining-requests"]) == (
        429,
        "rate_limit_exceeded",
        "0",
    )


async def test_an_answer_goes_on_when_nobody_reads(place: tuple[SimProcess, Served]) -> None:
    _, served = place
    async with Client(served.port) as client:
        await client.send("POST", f"{TALKS}/talk-one/answers", asking(1, {"tokens": 30, "pace": 0.02}), KEY_A)
        await client.read(until="token")
    assert (await kept(served))[1]["outcome"] == "completed"


async def test_stop_from_anywhere(place: tuple[SimProcess, Served]) -> None:
    sim, served = place
    async with Client(served.port) as first:
        await first.send("POST", f"{TALKS}/talk-one/answers", asking(1, {"endless": True, "pace": 0.02}), KEY_A)
        seen = await first.read(until="token")
        offset = int(seen.blocks[-1].id.partition(":")[2])
        await fetch(served.port, "POST", f"/v1/streams/{seen.stream_id}/cancel", {"seen": offset}, KEY_A)
        rest = await first.read()
    assert (rest.blocks[-1].event, rest.blocks[-1].json["outcome"]) == ("done", "cancelled")
    answer = (await kept(served))[1]
    assert (answer["outcome"], answer["text"]) == ("cancelled", seen.blocks[-1].json["text"])
    assert (await told(sim, lambda t: t.answer(here()))).ended == "closed_by_peer"


async def test_looking_renaming_exporting_and_deleting(place: tuple[SimProcess, Served]) -> None:
    _, served = place
    await ask(served, asking(1, {"text": "Because of **salt**."}))
    await kept(served)
    listed = (await fetch(served.port, "GET", TALKS, None, KEY_A)).json
    assert [talk["id"] for talk in listed["conversations"]] == ["talk-one"]
    assert listed["more"] is False
    assert (await fetch(served.port, "GET", f"{TALKS}?search=salt", None, KEY_A)).json["conversations"]
    assert not (await fetch(served.port, "GET", f"{TALKS}?search=pepper", None, KEY_A)).json["conversations"]
    renamed = await fetch(served.port, "PATCH", f"{TALKS}/talk-one", {"title": " Säle "}, KEY_A)
    assert renamed.json["title"] == "Säle"
    exported = await fetch(served.port, "GET", f"{TALKS}/talk-one/export", None, KEY_A)
    assert exported.headers["content-disposition"] == "attachment; filename*=UTF-8''S%C3%A4le.md"
    assert exported.body.decode().endswith("## m\n\nBecause of **salt**.\n")
    whole = await fetch(served.port, "GET", f"{TALKS}/talk-one/export?format=json", None, KEY_A)
    assert [message["id"] for message in whole.json["messages"]] == ["question-1", "answer-1"]
    for _ in range(2):
        assert (await fetch(served.port, "DELETE", f"{TALKS}/talk-one", None, KEY_A)).status == 204
    assert (await fetch(served.port, "GET", f"{TALKS}/talk-one", None, KEY_A)).status == 404


async def test_nothing_is_sent_twice_to_who_has_it(place: tuple[SimProcess, Served]) -> None:
    _, served = place
    await ask(served, asking(1, {"tokens": 2}))
    await kept(served)
    first = await fetch(served.port, "GET", f"{TALKS}/talk-one", None, KEY_A)
    again = await fetch(served.port, "GET", f"{TALKS}/talk-one", None, KEY_A | {"if-none-match": first.headers["etag"]})
    assert (again.status, again.body) == (304, b"")


async def test_another_tenant_finds_nothing(place: tuple[SimProcess, Served]) -> None:
    _, served = place
    await ask(served, asking(1, {"tokens": 2}))
    for method, path, body in (
        ("GET", "talk-one", None),
        ("PATCH", "talk-one", {"title": "mine"}),
        ("GET", "talk-one/export", None),
    ):
        got = await fetch(served.port, method, f"{TALKS}/{path}", body, KEY_B)
        assert (got.status, got.json["error"]["code"]) == (404, "conversation_not_found")
    assert (await fetch(served.port, "GET", TALKS, None, KEY_B)).json["conversations"] == []
    assert (await fetch(served.port, "DELETE", f"{TALKS}/talk-one", None, KEY_B)).status == 204
    assert len(await kept(served)) == 2
    assert (await fetch(served.port, "GET", TALKS)).status == 401


WRONG = {
    "no JSON": ("POST", "talk-one/answers", b"{", 400, "invalid_json"),
    "an unknown field": (
        "POST",
        "talk-one/answers",
        {"id": "answer-1", "model": "m", "oops": 1},
        400,
        "invalid_request",
    ),
    "no model": ("POST", "talk-one/answers", {"id": "answer-1"}, 400, "invalid_request"),
    "another model": ("POST", "talk-one/answers", asking(1, {}, model="x"), 404, "model_not_found"),
    "no tokens": ("POST", "talk-one/answers", asking(1, {}, max_tokens=0), 400, "invalid_request"),
    "more tokens than there are": (
        "POST",
        "talk-one/answers",
        asking(1, {}, max_tokens=10**30),
        400,
        "invalid_request",
    ),
    "a short id": ("POST", "talk/answers", asking(1, {}), 400, "invalid_request"),
    "an id with a slash": ("POST", "talk%2Fone/answers", asking(1, {}), 404, "not_found"),
    "the wrong method": ("GET", "talk-one/answers", None, 405, "method_not_allowed"),
    "a title that is none": ("PATCH", "talk-one", {"title": " "}, 400, "invalid_request"),
    "a change of nothing known": ("PATCH", "talk-one", {"name": "x"}, 400, "invalid_request"),
    "an unknown format": ("GET", "talk-one/export?format=pdf", None, 400, "invalid_request"),
    "a limit that is no number": ("GET", "?limit=many", None, 400, "invalid_request"),
}


@pytest.mark.parametrize("wrong", WRONG)
async def test_bad_input_is_told(place: tuple[SimProcess, Served], wrong: str) -> None:
    _, served = place
    method, path, body, status, code = WRONG[wrong]
    got = await fetch(served.port, method, f"{TALKS}/{path}".replace("/?", "?"), body, KEY_A)
    assert (got.status, got.json["error"]["code"]) == (status, code), got.body
    assert "retryable" in got.json["error"], "in the native dialect"


async def test_changes_are_told_to_who_is_looking(place: tuple[SimProcess, Served]) -> None:
    _, served = place
    async with Client(served.port) as mine, Client(served.port) as others:
        for client, key in ((mine, KEY_A), (others, KEY_B)):
            await client.send("GET", f"{TALKS}/events", None, key)
            assert (await client.read(until="ready")).blocks[-1].event == "ready"
        await ask(served, asking(1, {"tokens": 2}))
        assert (await mine.read(until="changed")).blocks[-1].json == {"conversation": "talk-one"}
        await ask(served, asking(2, {"tokens": 2}), "talk-two", KEY_B)
        assert (await others.read(until="changed")).blocks[-1].json == {"conversation": "talk-two"}


async def test_the_demo_keeps_conversations_where_the_user_s_data_are(tmp_path: Path) -> None:
    with penstock("demo", "--port", "0", env={"XDG_DATA_HOME": str(tmp_path)}) as served:
        got = await fetch(served.port, "POST", f"{TALKS}/talk-one/answers", asking(1, {}) | {"model": "demo"})
        assert got.status == 200
    assert (tmp_path / "penstock" / "demo.db").exists()


def test_an_export_is_the_branch_that_is_shown() -> None:
    messages = [
        Message(id="q", parent=None, role="user", created=1, text="why?"),
        Message(id="a", parent="q", role="assistant", created=2, text="other", model="m", outcome="completed"),
        Message(
            id="b",
            parent="q",
            role="assistant",
            created=3,
            text="half",
            reasoning="one\ntwo",
            model="m",
            outcome="stalled",
            tool_calls=[Call("c", "look", "{}")],
            error=Failure("stalled", "the upstream was silent", True),
        ),
    ]
    assert markdown(Conversation("talk-one", "Seas", 0.0, 0.0, "b"), messages) == (
        "# Seas\n\n1970-01-01 00:00 UTC\n\n## You\n\nwhy?\n\n## m\n\n> one\n> two\n\nhalf\n\n"
        "Called `look`:\n\n```json\n{}\n```\n\n*(the upstream was silent)*\n"
    )
    refused = markdown(Conversation("talk-one", "Seas", 0.0, 0.0, "an answer that was refused"), messages[:1])
    assert refused.endswith("## You\n\nwhy?\n")
    assert markdown(Conversation("talk-one", "Seas", 0.0, 0.0, None), []) == "# Seas\n\n1970-01-01 00:00 UTC\n"
