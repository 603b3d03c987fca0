"""Faults of the user's own code, in gates and Python upstreams: it ends the process, never returns, does not let go."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.client import Client, Response, fetch
from tests.support.serving import PATIENCE, Served, penstock

pytestmark = pytest.mark.anyio

OWN = """
import asyncio, sys, time

async def good(request):
    yield "one "
    yield "two"

async def exits(request):
    yield "one "
    sys.exit(7)

async def interrupts(request):
    yield "one "
    raise KeyboardInterrupt

async def keeps(request):
    yield "one "
    while True:
        try:
            await asyncio.sleep(1)
        except asyncio.CancelledError:
            pass

async def endless(request):
    while True:
        yield "x" * 1_000_000
        await asyncio.sleep(0)

async def sits_in_a_thread(request):
    yield "one "
    await asyncio.to_thread(time.sleep, 10_000)

async def gate_exits(passage):
    raise SystemExit(3)

def gate_exits_in_a_thread(passage):
    sys.exit(4)

async def gate_interrupts(passage):
    raise KeyboardInterrupt

async def gate_is_cancelled(passage):
    raise asyncio.CancelledError

def gate_hangs(passage):
    time.sleep(10_000)

async def gate_keeps(passage):
    while True:
        try:
            await asyncio.sleep(1)
        except asyncio.CancelledError:
            pass

async def gate_passes(passage):
    return None

class Gate:
    async def __call__(self, passage):
        return "an object says no"

gate_is_an_object = Gate()
"""
UPSTREAMS = ("good", "exits", "interrupts", "keeps", "endless", "sits_in_a_thread")
GATES = (
    "gate_exits",
    "gate_exits_in_a_thread",
    "gate_interrupts",
    "gate_is_cancelled",
    "gate_hangs",
    "gate_keeps",
    "gate_is_an_object",
)


def config(upstreams: tuple[str, ...] = UPSTREAMS, gates: tuple[str, ...] = GATES) -> str:
    """A model of each upstream's name, and one of each gate's in front of `good`."""
    lines = ["[server]", "grace = 0.3"]
    for name in upstreams:
        lines += [
            "[[upstream]]",
            f'name = "{name}"',
            'dialect = "python"',
            f'function = "own:{name}"',
            "max_failures = 0",
        ]
        lines += ["[[route]]", f'model = "{name}"', f'targets = [{{ upstream = "{name}" }}]']
    for name in gates:
        lines += ["[[route]]", f'model = "{name}"', 'targets = [{ upstream = "good" }]']
        lines += [f'gate = {{ function = "own:{name}", timeout = 0.5 }}']
    if "endless" in upstreams:
        lines += ["[[route]]", 'model = "gated_endless"', 'targets = [{ upstream = "endless" }]']
        lines += ['gate = { function = "own:gate_passes" }']
    return "\n".join(lines) + "\n"


@contextmanager
def own(folder: Path) -> Iterator[Served]:
    (folder / "own.py").write_text(OWN)
    (folder / "penstock.toml").write_text(config())
    with penstock("serve", "--config", "penstock.toml", "--port", "0", cwd=folder) as served:
        yield served


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with own(tmp_path_factory.mktemp("own")) as served:
        yield served


async def ask(served: Served, model: str, **headers: str) -> Response:
    body = {"model": model, "stream": True, "messages": [{"role": "user", "content": "hello"}]}
    return await fetch(served.port, "POST", "/v1/streams", body, headers)


def ending(got: Response) -> dict[str, Any]:
    """The last event's data, or the refusal."""
    told: dict[str, Any] = got.blocks[-1].json if got.status == 200 else got.json["error"]
    return told


@pytest.mark.parametrize("model", ["exits", "interrupts"])
async def test_fault_user_code_upstream_that_would_end_the_process_ends_one_answer(place: Served, model: str) -> None:
    got = await ask(place, model)
    assert got.whole
    assert ending(got)["code"] == "upstream_error"
    assert "".join(block.text for block in got.blocks) == "one "
    assert (await fetch(place.port, "GET", "/healthz")).status == 200


@pytest.mark.parametrize(
    "model",
    ["gate_exits", "gate_exits_in_a_thread", "gate_interrupts", "gate_is_cancelled", "gate_keeps", "gate_hangs"],
)
async def test_fault_user_code_gate_that_fails_lets_nothing_pass_and_ends_nothing_else(
    place: Served, model: str
) -> None:
    got = await ask(place, model)
    assert (got.status, ending(got)["code"]) == (503, "gate_failed")
    assert b"one" not in got.body
    assert (await ask(place, "good")).blocks[-1].json == {"outcome": "completed"}


async def test_fault_user_code_gate_may_be_an_object(place: Served) -> None:
    got = await ask(place, "gate_is_an_object")
    assert (got.status, ending(got)["message"]) == (403, "an object says no")


async def test_fault_user_code_gates_that_hang_stop_no_other_answer(place: Served) -> None:
    """More of them than the loop's executor may have threads: whoever else uses it goes on."""
    for got in await asyncio.gather(*(ask(place, "gate_hangs") for _ in range(24))):
        assert (got.status, ending(got)["code"]) == (503, "gate_failed")
    got = await ask(place, "good", **{"Penstock-Delivery": "buffer"})
    assert got.blocks[-1].json == {"outcome": "completed"}


async def test_fault_user_code_what_a_gate_holds_back_is_bounded(place: Served) -> None:
    got = await ask(place, "gated_endless")
    assert (got.status, ending(got)["code"]) == (504, "limit_exceeded")


@pytest.mark.parametrize("model", ["keeps", "sits_in_a_thread", "gate_keeps", "gate_hangs"])
async def test_fault_user_code_that_never_ends_does_not_keep_the_process(tmp_path: Path, model: str) -> None:
    with own(tmp_path) as served:
        if model.startswith("gate"):
            await ask(served, model)
            assert await asyncio.to_thread(served.stop) == 0
            return
        async with Client(served.port) as client:
            body = {"model": model, "stream": True, "messages": [{"role": "user", "content": "hello"}]}
            await client.send("POST", "/v1/streams", body)
            await client.read(until="one ")
            served.process.terminate()
            assert (await client.read()).blocks[-1].json["outcome"] == "interrupted"
        assert await asyncio.to_thread(served.process.wait, PATIENCE) == 0
        assert "leaving without" in served.log


@pytest.mark.parametrize("command", ["check", "serve"])
@pytest.mark.parametrize(
    ("module", "said"),
    [
        ("import sys\nsys.exit(9)\n", "SystemExit(9)"),
        ("raise KeyboardInterrupt\n", "KeyboardInterrupt()"),
        ("raise RuntimeError('two\\nlines')\n", "two lines"),
    ],
)
@pytest.mark.parametrize("place_of", ["upstream", "gate"])
def test_fault_user_code_module_that_does_not_import_is_one_line(
    tmp_path: Path, command: str, module: str, said: str, place_of: str
) -> None:
    (tmp_path / "own.py").write_text(module)
    if place_of == "upstream":
        text = config(("good",), ())
    else:
        text = (
            '[[upstream]]\nname = "d"\ndialect = "demo"\n'
            '[[route]]\nmodel = "m"\ntargets = [{ upstream = "d" }]\ngate = { function = "own:gate" }\n'
        )
    (tmp_path / "penstock.toml").write_text(text)
    arguments = [sys.executable, "-m", "penstock", command, "--config", "penstock.toml"]
    if command == "serve":
        arguments += ["--port", "0"]
    done = subprocess.run(arguments, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert said in line
    assert place_of in line
