"""The client process: reads a specification (JSON) from its standard input, writes a result (JSON) to its output.

It runs apart from the program that starts it, pinned beside the origin, with a fresh heap for every measurement.
"""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import sys
import time
from typing import Any

import uvloop

from bench import proc
from bench.load import Load, Window, request_bytes, until_cue, warm_up

SETTLE = 1.0
"""Seconds between the last stream's first token and the window."""
TAIL = 2.0
"""Seconds that streams live on after the window, so that none ends within it."""


async def cost(spec: dict[str, Any]) -> dict[str, Any]:
    """CPU per relayed event, latency, time to first token and memory at `streams` concurrent streams."""
    await warm_up(spec["port"], spec["patience"], spoken=spec["spoken"])
    pids, origin = proc.tree(spec["proxy"]) if spec["proxy"] else [], proc.tree(spec["origin"])
    idle = proc.memory_bytes(pids)
    load = Load(spec["port"], ids=spec["ids"], spoken=spec["spoken"])
    ramp = spec["streams"] / spec["connects_per_s"]
    end = time.monotonic() + ramp * 1.1 + SETTLE + spec["seconds"] + TAIL + 2 / spec["rate"]
    await load.open(spec["streams"], spec["connects_per_s"], until_cue(end, spec["rate"], pad=spec["pad"]))
    begun = await load.until(lambda answer: answer.tokens > 0, end - spec["seconds"] / 2 - TAIL)
    await asyncio.sleep(SETTLE)
    _quiet_collector()
    live = load.live
    with Window(load, pids, origin) as window:
        await asyncio.sleep(max(1.0, min(spec["seconds"], end - TAIL - time.monotonic())))
    memory = proc.memory_bytes(pids)
    tokens = sum(answer.tokens for answer in load.answers)
    kept = sum(answer.bytes for answer in load.answers) / max(1, len(load.answers)) if spec["ids"] else 0
    live_after = load.live
    await load.finish(end + 15)
    return {
        **window.result(),
        **load.outcome(),
        "live": live,
        "live_after": live_after,
        "ramp_complete": begun,
        "latency": load.tally.latency.summary(),
        "ttft": load.tally.first.summary(),
        "memory_idle": idle,
        "memory_live": memory,
        "memory_per_stream": round((memory - idle) / live_after) if live_after and pids else None,
        "text_kept_per_stream": round(kept),
        "events_per_stream": round(tokens / max(1, len(load.answers)), 1),
    }


async def capacity(spec: dict[str, Any]) -> dict[str, Any]:
    """`streams` concurrent streams on one process, then `extra` more, past what its descriptors allow."""
    await warm_up(spec["port"], spec["patience"])
    pids, origin = proc.tree(spec["proxy"]), proc.tree(spec["origin"])
    idle = proc.memory_bytes(pids)
    load, extra = Load(spec["port"], ids=spec["ids"]), Load(spec["port"], ids=spec["ids"])
    ramp = spec["streams"] / spec["connects_per_s"]
    end = time.monotonic() + ramp * 1.1 + SETTLE + spec["seconds"] + TAIL + 2 / spec["rate"]
    cue = until_cue(end, spec["rate"], pad=spec["pad"])
    await load.open(spec["streams"], spec["connects_per_s"], cue)
    await load.until(lambda answer: answer.tokens > 0, end - spec["seconds"] / 2 - TAIL)
    await asyncio.sleep(SETTLE)
    _quiet_collector()
    live = load.live
    began = time.monotonic()
    with Window(load, pids, origin) as window:
        await extra.open(spec["extra"], 100, cue)
        await extra.until(lambda answer: answer.status > 0, end - TAIL)
        answered = time.monotonic() - began
        most, live_with_extra = proc.descriptors(pids), load.live
        await asyncio.sleep(max(0.5, end - TAIL - time.monotonic()))
    memory = proc.memory_bytes(pids)
    await load.finish(end + 20)
    await extra.finish(end + 25)
    refused = extra.tally.statuses.get(503, 0)
    served = sum(1 for answer in extra.answers if answer.failure is None)
    return {
        **window.result(),
        **load.outcome(),
        "live": live,
        "live_with_extra": live_with_extra,
        "latency": load.tally.latency.summary(),
        "memory_per_stream": round((memory - idle) / max(1, live)),
        "descriptors": most,
        "extra": {
            "opened": len(extra.answers),
            "refused_503": refused,
            "served": served,
            "otherwise": len(extra.answers) - refused - served,
            "failures": dict(extra.tally.failures),
            "statuses": {str(status): count for status, count in extra.tally.statuses.items()},
            "all_answered_s": round(answered, 3),
            "sample": extra.tally.sample,
        },
    }


async def never_reads(spec: dict[str, Any]) -> dict[str, Any]:
    """Neighbours' latency, and memory, beside `readers` of fast endless streams that read (`reading`) or never do."""
    await warm_up(spec["port"], spec["patience"])
    pids, origin = proc.tree(spec["proxy"]), proc.tree(spec["origin"])
    load, fast = Load(spec["port"], ids=spec["ids"]), Load(spec["port"])
    end = time.monotonic() + spec["neighbours"] / 100 + 4 * SETTLE + spec["seconds"] + TAIL
    await load.open(spec["neighbours"], 100, until_cue(end, spec["rate"]))
    await load.until(lambda answer: answer.tokens > 0, end - spec["seconds"])
    await asyncio.sleep(SETTLE)
    before = proc.memory_bytes(pids)
    cue = {"endless": True, "pace": spec["fast_pace"], "pad": spec["fast_pad"], "stamp": True}
    silent: list[socket.socket] = []
    if spec["phase"] == "reading":
        await fast.open(spec["readers"], 50, lambda: cue)
    elif spec["phase"] == "never":
        for _ in range(spec["readers"]):
            silent.append(_silent_reader(spec["port"], request_bytes(cue, spec["port"])))
            await asyncio.sleep(0.02)
    await asyncio.sleep(SETTLE)
    queued = 0
    with Window(load, pids, origin) as window:
        stop = time.monotonic() + max(1.0, min(spec["seconds"], end - TAIL - time.monotonic()))
        while time.monotonic() < stop:
            await asyncio.sleep(min(1.0, max(0.01, stop - time.monotonic())))
            sockets = [queue for queue in proc.queues() if queue.local_port == spec["port"] and queue.state == 1]
            queued = max(queued, sum(queue.send_bytes for queue in sockets))
    memory = proc.memory_bytes(pids)
    still_open = len(sockets) - load.live - fast.live
    await load.finish(end + 15)
    failed_readers = dict(fast.tally.failures)
    fast.close()
    for reader in silent:
        reader.close()
    return {
        **window.result(),
        **load.outcome(),
        "us_per_event": None,  # the readers' events are not all counted
        "failed_readers": failed_readers,
        "latency": load.tally.latency.summary(),
        "memory_before": before,
        "memory_growth": memory - before,
        "send_queue_bytes": queued,
        "still_connected": still_open if silent else fast.live,
        "fast_events": fast.tally.events,
    }


def _silent_reader(port: int, request: bytes) -> socket.socket:
    """A connection that has asked and will never read."""
    reader = socket.create_connection(("127.0.0.1", port), timeout=10)
    reader.sendall(request)
    return reader


def _quiet_collector() -> None:
    """No garbage collection pauses of ours within the window."""
    gc.collect()
    gc.freeze()
    gc.disable()


SCENARIOS = {"cost": cost, "capacity": capacity, "never_reads": never_reads}


def main() -> None:
    """Run the scenario named in the specification."""
    spec = json.load(sys.stdin)
    try:
        result = uvloop.run(SCENARIOS[spec["scenario"]](spec))
    except RuntimeError as error:
        result = {"error": str(error)}
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main()
