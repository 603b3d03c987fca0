"""HTTP upstreams over real sockets: what the endpoint does, and what the client is told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from penstock.sim.process import SimProcess, running
from penstock.upstreams.http import parse_retry_after
from tests.support.client import Client, Response, chat, fetch, native, told
from tests.support.serving import Served, free_port, river, serving

pytestmark = pytest.mark.anyio
CHAT = "/v1/chat/completions"


@pytest.fixture(scope="module")
def place() -> Iterator[tuple[SimProcess, Served]]:
    timeouts = "timeouts = { connect = 2, first_token = 1, silence = 1, total = 6 }"
    with river(timeouts) as both:
        yield both


async def ask(place: tuple[SimProcess, Served], cue: dict[str, Any], prompt: str = "", **fields: Any) -> Response:
    return await fetch(place[1].port, "POST", "/v1/streams", native(cue, prompt, **fields))


def outcome(response: Response) -> tuple[str, str]:
    """The error's code and outcome, and that nothing else ended the stream."""
    assert response.status == 200, response.body
    assert [block.terminal for block in response.blocks].count(True) == 1
    last = response.blocks[-1]
    assert last.event == "error", last
    return last.json["code"], last.json["outcome"]


def text(response: Response) -> str:
    return "".join(block.text for block in response.blocks)


# -- what the upstream is sent ---------------------------------------------------------------------------------------


async def test_the_upstream_is_asked_for_a_stream_with_usage_and_with_our_key(place: tuple[SimProcess, Served]) -> None:
    body = chat({"text": "x"}, "what-is-sent", stream=False, temperature=0.5, metadata={"a": 1})
    headers = {"Authorization": "Bearer sk-of-the-client", "Cookie": "a=b", "X-Forwarded-For": "1.2.3.4"}
    await fetch(place[1].port, "POST", CHAT, body, headers)
    (sent,) = await told(place[0], lambda truth: truth.answers("what-is-sent"))
    assert sent.request.body == body | {"stream": True, "stream_options": {"include_usage": True}}
    assert sent.request.headers["authorization"] == "Bearer sk-upstream-secret"
    assert set(sent.request.headers) == {
        *("host", "user-agent", "accept", "accept-encoding", "content-type", "content-length", "authorization")
    }, "nothing of the client's own headers goes on"


async def test_a_connection_serves_one_request_after_another(place: tuple[SimProcess, Served]) -> None:
    for number in range(5):
        await ask(place, {"text": "x"}, f"kept-{number}")
    rows = await told(place[0], lambda truth: truth.answers("kept-"))
    assert len({row.request.connection for row in rows}) == 1


# -- the fault catalogue, the upstream's rows ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "cue", "expected"),
    [
        (429, {"retry_after": 7}, (429, "upstream_rate_limited", "7")),
        (500, {}, (502, "upstream_error", None)),
        (503, {"retry_after": 3}, (502, "upstream_error", "3")),
        (401, {}, (502, "upstream_error", None)),
        (404, {}, (404, None, None)),
        (400, {}, (400, None, None)),
    ],
)
async def test_fault_upstream_429_500_503(
    place: tuple[SimProcess, Served], status: int, cue: dict[str, Any], expected: tuple[int, str | None, str | None]
) -> None:
    for path in (CHAT, "/v1/streams"):
        got = await fetch(place[1].port, "POST", path, chat({"status": status, **cue}))
        assert (got.status, got.headers.get("retry-after")) == (expected[0], expected[2])
        assert expected[1] in (None, got.json["error"]["code"])
        assert ("retryable" in got.json["error"]) == (path == "/v1/streams"), "each in its caller's dialect"


async def test_fault_refuses_connection() -> None:
    nowhere = SimProcess(f"http://127.0.0.1:{free_port()}", 0, Path(), 0)
    with serving(nowhere) as served:
        got = await fetch(served.port, "POST", CHAT, chat({}))
    assert (got.status, got.json["error"]["code"]) == (502, "upstream_unreachable")
    assert "127.0.0.1" not in got.body.decode()


@pytest.mark.parametrize("hang", ["connect", "headers"])
async def test_fault_hangs_before_first_byte(place: tuple[SimProcess, Served], hang: str) -> None:
    got = await ask(place, {"hang": hang}, f"hangs-{hang}")
    assert (got.status, got.json["error"]["code"]) == (504, "upstream_timeout")
    assert (await told(place[0], lambda truth: truth.answer(f"hangs-{hang}"))).ended == "stalled", "and was let go of"


async def test_fault_stalls_mid_stream(place: tuple[SimProcess, Served]) -> None:
    got = await ask(place, {"tokens": 9, "stall_after": 4}, "stalls")
    assert outcome(got) == ("stalled", "stalled")
    assert text(got) == (await told(place[0], lambda truth: truth.answer("stalls"))).text[0]


@pytest.mark.parametrize("cut", ["reset", "eof", "half_close", "clean"])
async def test_fault_cut_without_its_end_marker(place: tuple[SimProcess, Served], cut: str) -> None:
    got = await ask(place, {"tokens": 9, "cut_after": 4, "cut": cut, "pace": 0.01}, f"cut-{cut}")
    assert outcome(got) == ("upstream_truncated", "upstream_truncated")
    assert text(got) == (await told(place[0], lambda truth: truth.answer(f"cut-{cut}"))).text[0]
    whole = await fetch(place[1].port, "POST", CHAT, chat({"tokens": 9, "cut_after": 4, "cut": cut}, stream=False))
    assert (whole.status, whole.json["error"]["code"]) == (502, "upstream_truncated"), "never a 400: clients retry this"
    openai = await fetch(place[1].port, "POST", CHAT, chat({"tokens": 9, "cut_after": 4, "cut": cut}))
    assert "[DONE]" not in openai.body.decode()


async def test_fault_cut_right_before_the_end_marker(place: tuple[SimProcess, Served]) -> None:
    got = await ask(place, {"tokens": 3, "omit_done": True})
    assert outcome(got) == ("upstream_truncated", "upstream_truncated")


@pytest.mark.parametrize(
    "cue", [{"garbage_after": 2}, {"bad_sse": "bare_json"}, {"bad_sse": "html"}, {"oversize_line": 2_000_000}]
)
async def test_fault_bad_sse_or_json_or_oversize_line(place: tuple[SimProcess, Served], cue: dict[str, Any]) -> None:
    prompt = f"bad-{next(iter(cue))}-{next(iter(cue.values()))}"
    got = await ask(place, {"tokens": 9, "pace": 0.01, **cue}, prompt)
    if got.status == 200:
        assert outcome(got)[0] in ("upstream_protocol_error", "upstream_truncated")
    else:
        assert (got.status, got.json["error"]["code"]) in [
            (502, "upstream_protocol_error"),
            (502, "upstream_truncated"),
        ]
    await told(place[0], lambda truth: truth.answers(prompt)[0].end)


async def test_fault_utf8_split_over_chunks_is_invisible(place: tuple[SimProcess, Served]) -> None:
    got = await ask(place, {"text": "añ🌊 日本 café", "split": "every"})
    assert text(got) == "añ🌊 日本 café"


async def test_fault_bad_utf8_becomes_the_replacement_character(place: tuple[SimProcess, Served]) -> None:
    got = await ask(place, {"tokens": 4, "bad_utf8_after": 2}, "bad-utf8")
    assert text(got) == (await told(place[0], lambda truth: truth.answer("bad-utf8"))).text[0]
    assert "\ufffd" in text(got)


async def test_fault_never_ends(place: tuple[SimProcess, Served]) -> None:
    got = await ask(place, {"endless": True, "pace": 0.2}, "never-ends")
    assert outcome(got) == ("limit_exceeded", "limit_exceeded")
    assert (await told(place[0], lambda truth: truth.answer("never-ends"))).ended == "closed_by_peer"


@pytest.mark.parametrize("cue", [{"duplicate_done": True}, {"late_tokens": 3}])
async def test_fault_duplicate_or_late_done(place: tuple[SimProcess, Served], cue: dict[str, Any]) -> None:
    got = await ask(place, {"text": "a b c", **cue})
    assert text(got) == "a b c"
    assert got.blocks[-1].json == {"outcome": "completed"}
    assert [block.terminal for block in got.blocks].count(True) == 1


async def test_fault_usage_missing_is_estimated_and_zero_stays_zero(place: tuple[SimProcess, Served]) -> None:
    missing = (await ask(place, {"text": "a b c", "usage": False})).blocks[-2].json
    zero = (await ask(place, {"text": "a b c", "usage": {"prompt_tokens": 0, "completion_tokens": 0}})).blocks[-2].json
    assert missing["source"] == "estimated"
    assert 3 <= missing["output_tokens"] <= 5, "an event a token"
    assert (zero["source"], zero["input_tokens"], zero["output_tokens"]) == ("final", 0, 0)


async def test_fault_slow_drip_passes(place: tuple[SimProcess, Served]) -> None:
    got = await ask(place, {"text": "a b", "drip": 600})
    assert (text(got), got.blocks[-1].event) == ("a b", "done")


async def test_an_error_in_the_stream_is_told_as_one(place: tuple[SimProcess, Served]) -> None:
    got = await ask(place, {"tokens": 9, "error_after": 3, "error_then_done": True}, "in-band")
    assert outcome(got) == ("upstream_error", "upstream_error")


async def test_comments_of_a_thinking_upstream_are_no_tokens_and_no_death(place: tuple[SimProcess, Served]) -> None:
    got = await ask(place, {"text": "a b", "pace": 2.5, "comments": 0.4})
    assert (text(got), got.blocks[-1].event) == ("a b", "done")


@pytest.mark.parametrize("habit", [{"http10": True}, {"content_length": True}, {"connection_close": True}])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
async def test_every_way_to_frame_an_answer(
    place: tuple[SimProcess, Served], habit: dict[str, bool], line_end: str
) -> None:
    got = await ask(place, {"text": "one two three", "line_end": line_end, "bom": True, "split": 5, **habit})
    assert (text(got), got.blocks[-1].event) == ("one two three", "done")


async def test_no_redirect_is_followed(place: tuple[SimProcess, Served]) -> None:
    got = await ask(place, {"redirect": f"{place[0].url}/v1/chat/completions"}, "redirects")
    assert (got.status, got.json["error"]["code"]) == (502, "upstream_error")
    assert len(await told(place[0], lambda truth: truth.answers("redirects"))) == 1


# -- kept connections that died ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("habit", [{"close_idle_after": 1}, {"close_next_request": True}])
async def test_a_kept_connection_that_died_is_replaced_once(
    place: tuple[SimProcess, Served], habit: dict[str, Any]
) -> None:
    for number in range(4):
        got = await ask(place, {"text": f"answer {number}", **habit}, f"dies-{next(iter(habit))}-{number}")
        assert text(got) == f"answer {number}"


async def test_a_new_connection_that_dies_is_not_tried_again(place: tuple[SimProcess, Served]) -> None:
    with running() as sim, serving(sim) as served:
        got = await ask((sim, served), {"cut_before_headers": True, "cut": "reset"}, "dies-new")
        assert (got.status, got.json["error"]["code"]) == (502, "upstream_unreachable")
        assert len(await told(sim, lambda truth: truth.answers("dies-new"))) == 1


# -- cancel closes the socket ----------------------------------------------------------------------------------------


async def test_cancel_closes_the_upstreams_socket_before_it_answers(place: tuple[SimProcess, Served]) -> None:
    for number in range(5):
        async with Client(place[1].port) as client:
            await client.send("POST", CHAT, chat({"endless": True, "pace": 0.01}, f"closes-{number}"))
            stream = (await client.read(until='"content"')).stream_id
            asked = time.monotonic()
            await fetch(place[1].port, "POST", f"/v1/streams/{stream}/cancel")
            answered = time.monotonic()
        end = await told(place[0], lambda truth, number=number: truth.answer(f"closes-{number}"))
        assert end.ended == "closed_by_peer"
        assert asked <= end.at, "it ran until then"
        print(
            f"upstream closed {(end.at - asked) * 1000:.1f} ms after the request to cancel, answered {answered - asked:.4f}"
        )


# -- TLS and proxies ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[trustme.CA, Path]:
    ca = trustme.CA()
    path = tmp_path_factory.mktemp("tls") / "ca.pem"
    ca.cert_pem.write_to_path(str(path))
    return ca, path


def tls_files(ca: trustme.CA, folder: Path, *names: str) -> tuple[Path, Path]:
    issued = ca.issue_cert(*names)
    certificate, key = folder / "cert.pem", folder / "key.pem"
    issued.private_key_pem.write_to_path(str(key))
    for blob in issued.cert_chain_pems:
        blob.write_to_path(str(certificate), append=True)
    return certificate, key


async def test_tls_is_spoken_and_verified(authority: tuple[trustme.CA, Path], tmp_path: Path) -> None:
    ca, root = authority
    with running(tls=tls_files(ca, tmp_path, "localhost")) as sim:
        local = SimProcess(sim.url.replace("127.0.0.1", "localhost"), sim.port, sim.truth_path, sim.pid)
        with serving(local, env={"SSL_CERT_FILE": str(root)}) as served:
            assert text(await ask((sim, served), {"text": "over TLS"})) == "over TLS"
        with serving(local) as distrusting:
            got = await ask((sim, distrusting), {"text": "x"}, "untrusted")
            assert (got.status, got.json["error"]["code"]) == (502, "upstream_unreachable")
            assert "certificate" in got.json["error"]["message"]
        with serving(sim, env={"SSL_CERT_FILE": str(root)}) as misnamed:
            got = await ask((sim, misnamed), {"text": "x"}, "untrusted")
            assert got.status == 502, "a certificate for another name"
        assert await told(sim, lambda truth: not truth.answers("untrusted"))


class Proxy:
    """A forward proxy: CONNECT, and nothing else."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        host, _, port = head.split(b" ")[1].rpartition(b":")
        there, out = await asyncio.open_connection(host.decode(), int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")

        async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            while data := await source.read(65536):
                target.write(data)
            target.close()

        await asyncio.gather(copy(reader, out), copy(there, writer))


async def test_https_goes_through_the_environments_proxy(authority: tuple[trustme.CA, Path], tmp_path: Path) -> None:
    ca, root = authority
    proxy = Proxy()
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with running(tls=tls_files(ca, tmp_path, "localhost")) as sim:
        local = SimProcess(sim.url.replace("127.0.0.1", "localhost"), sim.port, sim.truth_path, sim.pid)
        env = {"SSL_CERT_FILE": str(root), "HTTPS_PROXY": f"http://user:pass@127.0.0.1:{port}", "NO_PROXY": ""}
        with serving(local, env=env) as served:
            assert text(await ask((sim, served), {"text": "through the tunnel"})) == "through the tunnel"
            assert text(await ask((sim, served), {"text": "and again"})) == "and again"
    server.close()
    assert proxy.heads
    for head in proxy.heads:
        assert head.startswith(f"CONNECT localhost:{sim.port} HTTP/1.1".encode())
        assert b"Proxy-Authorization: Basic dXNlcjpwYXNz" in head
        assert b"sk-upstream-secret" not in head


def test_retry_after_is_seconds_or_a_date() -> None:
    assert parse_retry_after(b"7") == 7
    assert parse_retry_after(b"1.5") == 1.5
    assert parse_retry_after(b"-3") == 0
    assert parse_retry_after(b"nan") is None
    assert parse_retry_after(b"soon") is None
    assert parse_retry_after(None) is None
    assert parse_retry_after(b"Thu, 01 Jan 1970 00:00:00 GMT") == 0
    far = parse_retry_after(b"Fri, 31 Dec 9999 23:59:59 GMT")
    assert far == 86400
