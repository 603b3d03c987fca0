"""Runs one measurement: an origin, a proxy before it, and the client process, all fresh, all ended afterwards."""

from __future__ import annotations

import shutil
import socket
import time
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from bench.peers import PEERS, Launch, Peer
from bench.plan import Cell
from bench.processes import LOAD_CORES, PLACE, PROXY_CORES, Running, free_port, run_client


@dataclass(frozen=True)
class Settings:
    """What a person may choose. Times in seconds, sizes in bytes."""

    seconds: float = 8
    pad: int = 20
    origin: tuple[str, ...] = ()
    """The command that starts the origin, without `--port P`."""
    capacity_streams: int = 9_900
    capacity_extra: int = 300
    readers: int = 50
    neighbours: int = 100
    neighbour_rate: float = 20
    fast_pace: float = 0.02
    fast_pad: int = 8_000


def run_cost(cell: Cell, settings: Settings) -> dict[str, Any]:
    """CPU per event, latency, time to first token and memory of one cell; `error` when there is no figure."""
    peer = PEERS.get(cell.proxy)
    spec = {"streams": cell.streams, "rate": cell.rate, "pad": settings.pad, "seconds": settings.seconds}
    timeout = cell.seconds(settings.seconds) + 60 + (peer.patience if peer else 20)
    result = _run("cost", cell.proxy, spec, settings, timeout)
    return {"round": cell.round, "proxy": cell.proxy, "streams": cell.streams, "rate": cell.rate, **result}


def run_capacity(proxy: str, settings: Settings) -> dict[str, Any]:
    """Many streams on one process, and more than its descriptors allow."""
    spec = {
        "streams": settings.capacity_streams,
        "extra": settings.capacity_extra,
        "rate": 1,
        "pad": settings.pad,
        "seconds": settings.seconds + 5,
    }
    return {"proxy": proxy, **spec, "extra_streams": spec["extra"], **_run("capacity", proxy, spec, settings, 180)}


def run_never_reads(proxy: str, phase: str, settings: Settings) -> dict[str, Any]:
    """Neighbours alone, beside fast readers, or beside readers that never read."""
    spec = {
        "phase": phase,
        "readers": settings.readers,
        "neighbours": settings.neighbours,
        "rate": settings.neighbour_rate,
        "fast_pace": settings.fast_pace,
        "fast_pad": settings.fast_pad,
        "seconds": settings.seconds + 7,
    }
    return {"proxy": proxy, **spec, **_run("never_reads", proxy, spec, settings, 120)}


def _run(scenario: str, proxy: str, spec: dict[str, Any], settings: Settings, timeout: float) -> dict[str, Any]:
    """One scenario with a fresh origin and a fresh proxy (none for the direct run)."""
    try:
        return _fresh(scenario, proxy, spec, settings, timeout)
    except OSError as error:
        return {"error": f"could not be started: {error}"}


def _fresh(scenario: str, proxy: str, spec: dict[str, Any], settings: Settings, timeout: float) -> dict[str, Any]:
    peer = PEERS.get(proxy)
    folder = PLACE / "run" / proxy
    shutil.rmtree(folder, ignore_errors=True)
    with ExitStack() as stack:
        port = free_port()
        origin = stack.enter_context(Running([*settings.origin, "--port", str(port)], LOAD_CORES, folder, "origin"))
        if not _listens(port, origin, 15):
            return {"error": f"the origin did not start: {origin.last_words()}"}
        spec = {
            **spec,
            "scenario": scenario,
            "port": port,
            "origin": origin.pid,
            "proxy": 0,
            "ids": False,
            "spoken": "chat",
            "connects_per_s": Peer.connects_per_s,
            "patience": 10,
        }
        server = None
        if peer is not None:
            launch = Launch(free_port(), port, folder)
            server = stack.enter_context(Running(peer.command(launch), PROXY_CORES, folder, "proxy", peer.env))
            if not _listens(launch.port, server, peer.patience):
                return {"error": f"it did not start: {server.last_words()}"}
            spec.update(
                port=launch.port,
                proxy=server.pid,
                ids=peer.ids,
                spoken=peer.spoken,
                connects_per_s=peer.connects_per_s,
                patience=peer.patience,
            )
        result = run_client(spec, timeout)
        if server is not None and server.ended is not None:
            result["error"] = f"it ended by itself with status {server.ended}: {server.last_words()}"
        return result


def _listens(port: int, process: Running, patience: float) -> bool:
    """Wait until something accepts connections on `port`, at most `patience` seconds."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline and process.ended is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return True
    return False
