"""What is measured in which order: proxies take turns within every size and round, so that drift hits all alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bench.peers import PEERS, Peer

EVENTS_PER_S = 10_000
"""Over all streams together; what a single core of any proxy but the slowest carries with ease."""
DIRECT = "direct"
"""No proxy at all: the clients ask the origin. What is added to its latency is a proxy's own."""
BASE = "nginx"
"""The proxy that the others are compared with."""


@dataclass(frozen=True)
class Cell:
    """One measurement: a proxy at a number of concurrent streams of `rate` events a second each."""

    round: int
    proxy: str
    streams: int
    rate: float

    @property
    def workload(self) -> tuple[int, float]:
        return self.streams, self.rate

    def seconds(self, window: float) -> float:
        """About how long it takes, in seconds, for a window of `window` seconds."""
        connects = PEERS[self.proxy].connects_per_s if self.proxy in PEERS else Peer.connects_per_s
        start = 22 if self.proxy == "litellm" else 5
        return start + 1.1 * self.streams / connects + window + 5 + 2 / self.rate


def rate_for(streams: int, events_per_s: float) -> float:
    """Events per second of each of `streams` streams, for about `events_per_s` in all."""
    rate = events_per_s / streams
    return float(round(rate)) if rate >= 0.95 else round(rate, 2)


def excluded(peer: Peer, streams: int) -> str | None:
    """Why this peer is not measured at this size; None when it is."""
    if streams <= peer.most_streams:
        return None
    return f"not run above {peer.most_streams} streams: {peer.why}"


def cells(
    proxies: Sequence[str], sizes: Sequence[int], rounds: int, events_per_s: float = EVENTS_PER_S
) -> Iterator[Cell]:
    """All measurements in order. Who begins changes from round to round.

    A proxy too slow for the common rate is measured at its own, with the direct run and the base proxy beside it.
    """
    for number in range(1, rounds + 1):
        for streams in sizes:
            workloads: dict[float, list[str]] = {rate_for(streams, events_per_s): [DIRECT]}
            for key in proxies:
                if excluded(PEERS[key], streams):
                    continue
                rate = rate_for(streams, min(events_per_s, PEERS[key].most_events_per_s))
                others = workloads.setdefault(rate, [DIRECT, *([BASE] if BASE in proxies else [])])
                if key not in others:
                    others.append(key)
            for rate, group in workloads.items():
                turn = (number - 1) % len(group)
                for proxy in group[turn:] + group[:turn]:
                    yield Cell(number, proxy, streams, rate)
