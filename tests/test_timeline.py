"""`penstock trace`: a timeline that people can read, and clear words when there is none."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator

import pytest

from penstock.timeline import lines
from tests.support.client import fetch, native
from tests.support.serving import Served, river

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with river() as (_, served):
        yield served


def trace(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "penstock", "trace", *arguments], capture_output=True, text=True, timeout=60
    )


async def test_a_stream_that_was(served: Served) -> None:
    got = await fetch(served.port, "POST", "/v1/streams", native({"tokens": 3}))
    done = trace(got.stream_id, "--url", served.url)
    assert done.returncode == 0, done.stderr
    for address in (f"127.0.0.1:{served.port}", f"localhost:{served.port}/", f"{served.url}/v1"):
        assert trace(got.stream_id, "--url", address).stdout == done.stdout
    assert done.stdout.startswith(f"{got.stream_id}  m  completed, ")
    assert "sim, as m" in done.stdout
    assert done.stdout.rstrip().endswith("completed")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nobodys",), "no such stream"),
        (("x", "--url", "http://127.0.0.1:9"), "no trace from http://127.0.0.1:9"),
        (("x", "--url", "127.0.0.1:9"), "no trace from http://127.0.0.1:9"),
        (("x", "--url", "penstock.invalid"), "no trace from https://penstock.invalid"),
        (("x", "--url", ""), "not an http://"),
        (("x", "--url", "file:///etc/passwd"), "not an http://"),
        (("x", "--url", "http://127.0.0.1:9/a b"), "no spaces or control characters: 'http://127.0.0.1:9/a b'"),
        (("x", "--url", "http://127.0.0.1:9/é"), "an address is ASCII"),
        (("x", "--url", "http://127.0.0.1:9", "--key", "é"), "a key is printable ASCII"),
    ],
)
async def test_there_is_none(served: Served, arguments: tuple[str, ...], words: str) -> None:
    url = () if "--url" in arguments else ("--url", served.url)
    done = trace(*arguments, *url)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "said", [b"* OK IMAP4rev1\r\n", b"HTTP/1.1 200 OK\r\n\r\n<html>", b"HTTP/1.0 200 OK\r\n\r\n\xff"]
)
async def test_what_answers_is_no_penstock(said: bytes) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        done = await asyncio.to_thread(trace, "x", "--url", url)
    assert (done.returncode, done.stderr) == (2, f"penstock: what answers at {url} is no Penstock\n")


def test_every_mark_has_words() -> None:
    marks = [
        {"at": 0.0, "what": "accepted", "format": "anthropic"},
        {"at": 0.0, "what": "delivery", "delivery": "buffer", "why": "a short answer"},
        {"at": 0.0, "what": "attempt", "upstream": "main", "model": "gpt"},
        {"at": 0.1, "what": "connected", "upstream": "main", "model": "gpt"},
        {"at": 0.2, "what": "first_byte", "upstream": "main", "model": "gpt"},
        {"at": 0.5, "what": "lost", "upstream": "main", "code": "upstream_timeout", "message": "no token"},
        {"at": 0.5, "what": "waiting", "upstream": "main", "seconds": 0.25},
        {"at": 0.5, "what": "queued", "position": 3, "expected_seconds": 4.5},
        {"at": 0.6, "what": "hedged", "upstream": "spare"},
        {"at": 0.7, "what": "stopped", "upstream": "spare", "why": "another was first", "input_tokens": 7},
        {"at": 0.7, "what": "first_token", "upstream": "main"},
        {"at": 0.8, "what": "attached", "format": "native", "after": "e:3"},
        {"at": 0.9, "what": "detached", "format": "native", "readers": 0},
        {"at": 1.0, "what": "continued", "upstream": "spare", "after": 9},
        {"at": 5.0, "what": "silence", "seconds": 3.5},
        {"at": 6.0, "what": "ended", "outcome": "stalled", "code": "stalled", "message": "silent for 3 s"},
    ]
    told = list(
        lines(
            {
                "stream": "s1",
                "model": "m",
                "live": False,
                "outcome": "stalled",
                "events": 7,
                "time_to_first_token": 0.7,
                "longest_gap": 3.5,
                "stalls": 1,
                "usage": {"input_tokens": None, "output_tokens": 5, "source": "estimated"},
                "marks": marks,
                "left_out": 2,
            }
        )
    )
    assert told == [
        "s1  m  stalled, 7 events",
        "first token after 0.700 s, longest gap 3.500 s, 1 stalls",
        "tokens: ? in, 5 out (estimated)",
        "",
        "    0.000 s  accepted     a request in anthropic",
        "    0.000 s  delivery     buffer: a short answer",
        "    0.000 s  attempt      main, as gpt",
        "    0.100 s  connected    main",
        "    0.200 s  first byte   main",
        "    0.500 s  lost         main: upstream_timeout, no token",
        "    0.500 s  waiting      0.25 s, then main",
        "    0.500 s  queued       number 3 for a slot, some 4.5 s",
        "    0.600 s  hedged       spare",
        "    0.700 s  stopped      spare: another was first; it had read about 7 tokens",
        "    0.700 s  first token  main",
        "    0.800 s  attached     a reader in native, after e:3",
        "    0.900 s  detached     a reader in native; 0 left",
        "    1.000 s  continued    spare goes on after event 9",
        "    5.000 s  silence      of 3.5 s",
        "    6.000 s  ended        stalled: stalled, silent for 3 s",
        "              (2 more marks were left out)",
    ]
