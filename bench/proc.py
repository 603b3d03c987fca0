"""What the kernel says of processes and sockets: CPU, memory, descriptors, TCP queues, read from /proc."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

TICKS = os.sysconf("SC_CLK_TCK")
PROC = Path("/proc")


class Stat(NamedTuple):
    """The fields of /proc/<pid>/stat used here."""

    parent: int
    cpu_s: float
    """User and system time of all its threads, in seconds (the kernel's resolution here is 10 ms)."""


class Queue(NamedTuple):
    """One TCP socket: its ports, state (1 = established) and the bytes waiting in the kernel."""

    local_port: int
    remote_port: int
    state: int
    send_bytes: int
    receive_bytes: int


def parse_stat(text: str) -> Stat:
    """Read one line of /proc/<pid>/stat. The command's name may hold spaces and parentheses."""
    fields = text[text.rindex(")") + 2 :].split()
    return Stat(parent=int(fields[1]), cpu_s=(int(fields[11]) + int(fields[12])) / TICKS)


def parse_memory(text: str) -> int:
    """Bytes from smaps_rollup: Pss (its fair share of shared pages), or Rss where Pss is not given."""
    sizes = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        if name in ("Pss", "Rss"):
            sizes[name] = int(rest.split()[0]) * 1024
    return sizes["Pss"] if "Pss" in sizes else sizes["Rss"]


def parse_queues(text: str) -> list[Queue]:
    """Read /proc/net/tcp."""
    queues = []
    for line in text.splitlines()[1:]:
        fields = line.split()
        send, receive = fields[4].split(":")
        queues.append(
            Queue(
                local_port=int(fields[1].rpartition(":")[2], 16),
                remote_port=int(fields[2].rpartition(":")[2], 16),
                state=int(fields[3], 16),
                send_bytes=int(send, 16),
                receive_bytes=int(receive, 16),
            )
        )
    return queues


def parse_busy(text: str) -> float:
    """Seconds that all cores together were busy since boot, from /proc/stat; time stolen by the host counts."""
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, text.split("\n", 1)[0].split()[1:9])
    return (user + nice + system + irq + softirq + steal) / TICKS


def busy_seconds() -> float:
    """Seconds that all cores together were busy since boot, whoever used them."""
    return parse_busy((PROC / "stat").read_text())


def descendants(root: int, parents: dict[int, int]) -> list[int]:
    """`root` and all below it, given every process's parent."""
    tree = [root]
    for pid in tree:
        tree.extend(child for child, parent in parents.items() if parent == pid)
    return tree


def tree(root: int) -> list[int]:
    """The live process `root` and all its live descendants; empty when `root` is gone."""
    parents = {}
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            stat = _stat(int(entry.name))
            if stat is not None:
                parents[int(entry.name)] = stat.parent
    return descendants(root, parents) if root in parents else []


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system seconds that these processes have used since they began."""
    return sum(stat.cpu_s for stat in map(_stat, pids) if stat is not None)


def memory_bytes(pids: Iterable[int]) -> int:
    """Memory of these processes, shared pages counted in proportion, in bytes."""
    total = 0
    for pid in pids:
        try:
            total += parse_memory((PROC / str(pid) / "smaps_rollup").read_text())
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total


def descriptors(pids: Iterable[int]) -> int:
    """Open file descriptors of the process that has most."""
    return max((len(list((PROC / str(pid) / "fd").iterdir())) for pid in pids), default=0)


def queues() -> list[Queue]:
    """All IPv4 TCP sockets of this machine."""
    return parse_queues((PROC / "net" / "tcp").read_text())


def waiting_sockets() -> int:
    """TCP sockets of this machine that are closed but not forgotten yet (TIME_WAIT)."""
    found = re.search(r"^TCP: .*\btw (\d+)", (PROC / "net" / "sockstat").read_text(), re.MULTILINE)
    return int(found[1]) if found else 0


def _stat(pid: int) -> Stat | None:
    try:
        return parse_stat((PROC / str(pid) / "stat").read_text())
    except (FileNotFoundError, ProcessLookupError):
        return None
