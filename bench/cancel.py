"""How soon an upstream's socket is closed: after a cancel, and after the last reader has left.

    python -m bench.cancel [--cancels 200]

Times are from just before the client sends its cancel (or closes its connection) to the moment when the simulated model
saw its own socket closed, as its truth file says; both are the machine's monotonic clock.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click

from bench.configs import PENSTOCK
from bench.processes import free_port
from penstock.sim.process import SimProcess, running
from penstock.sim.truth import read_truth

GRACE = 1.0
"""The route's `grace` in this run, in seconds."""


async def _open(port: int, prompt: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, str]:
    """Begin an endless answer; gives the connection and the stream's id once a token has come."""
    cue = json.dumps({"endless": True, "pace": 0.05})
    body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": f"{prompt} sim:{cue}"}]}
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(_request("/v1/chat/completions", body))
    seen = b""
    while b'"content":"' not in seen.partition(b'"content":""')[2]:
        seen += await reader.read(65536)
    stream = seen.lower().partition(b"penstock-stream-id: ")[2].split(b"\r\n", 1)[0].decode()
    return reader, writer, stream


def _request(path: str, body: dict[str, Any]) -> bytes:
    data = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(data)}\r\nConnection: keep-alive\r\n\r\n"
    return head.encode() + data


async def _measure(port: int, sim: SimProcess, cancels: int) -> dict[str, list[float]]:
    open_streams = [await _open(port, f"number-{number}.") for number in range(cancels * 2)]
    asked: dict[int, float] = {}
    for number, (_, writer, stream) in enumerate(open_streams):
        asked[number] = time.monotonic()
        if number % 2:
            writer.transport.abort()
        else:
            reader, other = await asyncio.open_connection("127.0.0.1", port)
            asked[number] = time.monotonic()
            other.write(_request(f"/v1/streams/{stream}/cancel", {}))
            await reader.readuntil(b"}")
            other.close()
    await asyncio.sleep(GRACE + 1.5)
    for _, writer, _ in open_streams:
        writer.transport.abort()
    truth = read_truth(sim.truth_path)
    closed = {number: truth.answer(f"number-{number}. ").at - at for number, at in asked.items()}
    return {
        "after a cancel": [closed[number] for number in closed if not number % 2],
        f"after the last reader left (grace {GRACE:g} s)": [closed[number] for number in closed if number % 2],
    }


@click.command()
@click.option("--cancels", default=200, show_default=True, help="Cancels, and as many readers that leave.")
def main(cancels: int) -> None:
    """Measure, and print a table."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder, running() as sim:
        path = Path(folder) / "penstock.toml"
        path.write_text(PENSTOCK.replace("@ORIGIN@", str(sim.port)) + f"grace = {GRACE}\n", "utf-8")
        command = [sys.executable, "-m", "penstock", "serve", "--config", str(path), "--port", str(port)]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            assert server.stdout is not None
            server.stdout.readline()
            figures = asyncio.run(_measure(port, sim, cancels))
        finally:
            server.terminate()
            server.wait(60)
    click.echo("| upstream's socket closed | count | p50, ms | p99, ms | most, ms |\n|---|---:|---:|---:|---:|")
    for name, seconds in figures.items():
        ms = sorted(value * 1000 for value in seconds)
        p50, p99 = ms[len(ms) // 2], ms[min(len(ms) - 1, len(ms) * 99 // 100)]
        click.echo(f"| {name} | {len(ms)} | {p50:.1f} | {p99:.1f} | {ms[-1]:.1f} |")


if __name__ == "__main__":
    main()
