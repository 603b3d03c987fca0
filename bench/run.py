"""One whole run: install the peers, measure part after part with progress on the terminal, gather the results."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from bench.measure import Settings, run_capacity, run_cost, run_never_reads
from bench.peers import PEERS
from bench.plan import Cell, cells, excluded, rate_for
from bench.proc import waiting_sockets
from bench.processes import ROOT
from bench.summary import rows

PARTS = ("cost", "capacity", "never_reads")
CAPACITY = ("penstock",)
NEVER_READS = ("penstock", "nginx", "envoy")
PHASES = ("alone", "reading", "never")


def wait_until_forgotten(most: int = 500, patience: float = 75.0) -> None:
    """Wait until at most `most` closed sockets are in the kernel's table (TIME_WAIT lasts 60 s)."""
    deadline = time.monotonic() + patience
    while waiting_sockets() > most and time.monotonic() < deadline:
        time.sleep(1)


class Run:
    """What was chosen, and what has been measured so far."""

    def __init__(
        self,
        settings: Settings,
        parts: list[str],
        proxies: list[str],
        sizes: list[int],
        rounds: int,
        events_per_s: float,
    ) -> None:
        self.settings = settings
        self.parts = parts
        self.proxies = proxies
        self.sizes = sizes
        self.rounds = rounds
        self.events_per_s = events_per_s
        self.unavailable: dict[str, str] = {}
        self.versions: dict[str, str] = {}
        self.cells: list[dict[str, Any]] = []
        self.capacity: list[dict[str, Any]] = []
        self.never_reads: dict[str, dict[str, dict[str, Any]]] = {}
        self._began = time.monotonic()

    @property
    def nothing(self) -> bool:
        """Not one figure came out."""
        measured = [
            *self.cells,
            *self.capacity,
            *(cell for phases in self.never_reads.values() for cell in phases.values()),
        ]
        return all("error" in cell for cell in measured)

    def everything(self) -> None:
        """All chosen parts, one after the other."""
        self._prepare()
        if "cost" in self.parts:
            self._cost()
        if "capacity" in self.parts:
            for key in self._there(CAPACITY):
                self._say(
                    f"capacity: {PEERS[key].title}, {self.settings.capacity_streams:,} streams and more (about 1 min)"
                )
                self.capacity.append(run_capacity(key, self.settings))
                self._say(f"  {_brief(self.capacity[-1])}")
        if "never_reads" in self.parts:
            # The client reads the kernel's table of sockets while it measures. Thousands of closed ones that are still in
            # it, from the parts before, would hold the client up, and look like the proxy's latency.
            self._say("waiting until the kernel has forgotten closed connections (up to a minute)")
            wait_until_forgotten()
            for key in self._there(NEVER_READS):
                for phase in PHASES:
                    self._say(f"never_reads: {PEERS[key].title}, {phase}")
                    cell = run_never_reads(key, phase, self.settings)
                    self.never_reads.setdefault(key, {})[phase] = cell
                    self._say(f"  {_brief(cell)}")

    def _prepare(self) -> None:
        for key in self.proxies:
            self._say(f"preparing {PEERS[key].title}")
            reason = PEERS[key].install()
            if reason is None:
                try:
                    self.versions[key] = PEERS[key].version()
                except (OSError, subprocess.TimeoutExpired) as error:
                    reason = f"does not run: {error}"
            if reason is not None:
                self.unavailable[key] = reason
                self._say(f"  {reason}")

    def _there(self, keys: tuple[str, ...] | list[str]) -> list[str]:
        return [key for key in keys if key in self.proxies and key not in self.unavailable]

    def _cost(self) -> None:
        plan = list(cells(self._there(self.proxies), self.sizes, self.rounds, self.events_per_s))
        for number, cell in enumerate(plan):
            left = sum(later.seconds(self.settings.seconds) for later in plan[number:]) / 60
            result = run_cost(cell, self.settings)
            self.cells.append(result)
            self._say(
                f"[{number + 1:>{len(str(len(plan)))}}/{len(plan)}] round {cell.round}  {_workload(cell)}  "
                f"{cell.proxy:<13} {_brief(result)}  (about {left:.0f} min left)"
            )

    def _say(self, words: str) -> None:
        elapsed = int(time.monotonic() - self._began)
        click.echo(f"{elapsed // 60:3d}:{elapsed % 60:02d}  {words}")

    def results(self, command: str) -> dict[str, Any]:
        """Everything, as it is written to latest.json."""
        return {
            "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            "commit": _commit(),
            "command": command.strip(),
            "machine": machine(),
            "parameters": {
                "parts": self.parts,
                "sizes": {str(size): rate_for(size, self.events_per_s) for size in self.sizes},
                "rounds": self.rounds,
                **{name: value for name, value in asdict(self.settings).items() if name != "origin"},
            },
            "versions": self.versions,
            "titles": {key: peer.title for key, peer in PEERS.items()},
            "reasons": {key: peer.why for key, peer in PEERS.items() if peer.why},
            "unavailable": self.unavailable,
            "excluded": {
                str(size): {key: why for key in self._there(self.proxies) if (why := excluded(PEERS[key], size))}
                for size in self.sizes
            },
            "cost": rows(self.cells, self.proxies),
            "capacity": self.capacity,
            "never_reads": self.never_reads,
            "cells": self.cells,
        }


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    cpu = "unknown CPU"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            cpu = value.strip()
            break
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gb": round(pages / 2**30),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "descriptors": resource.getrlimit(resource.RLIMIT_NOFILE)[1],
    }


def _commit() -> str:
    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True).stdout.strip()

    changed = git("status", "--porcelain", "--", "src")
    return (git("rev-parse", "--short", "HEAD") or "unknown") + (" with changes" if changed else "")


def _workload(cell: Cell) -> str:
    return f"{cell.streams:>5,} x {cell.rate:g}/s".ljust(13)


def _brief(result: dict[str, Any]) -> str:
    if "error" in result:
        return f"no figure: {result['error'][:300]}"
    failed = sum(result["failures"].values())
    cpu = f"{result['us_per_event']:6.1f} us/event" if result.get("us_per_event") else " " * 15
    latency = result["latency"]
    if latency["p50_ms"] is None:
        return f"no events: {result['sample_failure'][:300]}"
    return f"{cpu}  latency {latency['p50_ms']:.2f} / {latency['p99_ms']:.2f} ms" + (
        f"  {failed} FAILED" if failed else ""
    )
