"""From single measurements to published figures: medians over rounds, differences and ratios within one round."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from statistics import median
from typing import Any

from bench.plan import BASE, DIRECT

Cell = dict[str, Any]
HELD = 0.99
"""A measurement that held fewer of its streams than this gives no figure."""
NOISE = 0.15
"""More of a core than this, used by others than proxy, origin and clients, is noted."""
FULL = 0.9
"""A core used for more than this share is called saturated: its latency says little."""


def rows(cells: Iterable[Cell], order: list[str]) -> list[dict[str, Any]]:
    """One row for every proxy at every workload, sizes ascending, faster workloads first, proxies in `order`."""
    groups: dict[tuple[int, float], dict[str, list[Cell]]] = {}
    for cell in cells:
        groups.setdefault((cell["streams"], -cell["rate"]), {}).setdefault(cell["proxy"], []).append(cell)
    result = []
    for (streams, negative), proxies in sorted(groups.items()):
        direct, base = _by_round(proxies.get(DIRECT, [])), _by_round(proxies.get(BASE, []))
        for proxy in (DIRECT, *order):
            if proxy in proxies:
                head = {"proxy": proxy, "streams": streams, "rate": -negative}
                result.append({**head, **_row(proxies[proxy], direct, base, with_cpu=proxy != DIRECT)})
    return result


def _by_round(cells: list[Cell]) -> dict[int, Cell]:
    return {cell["round"]: cell for cell in cells if _counts(cell)}


def _counts(cell: Cell) -> bool:
    return bool(cell.get("events")) and cell["live_after"] >= HELD * cell["streams"]


def _row(cells: list[Cell], direct: dict[int, Cell], base: dict[int, Cell], *, with_cpu: bool) -> dict[str, Any]:
    good = [cell for cell in cells if _counts(cell)]
    row: dict[str, Any] = {
        "rounds": len(good),
        "opened": sum(cell.get("opened", 0) for cell in cells),
        "failed": sum(sum(cell.get("failures", {}).values()) for cell in cells),
        "failures": dict(sum((Counter(cell.get("failures", {})) for cell in cells), Counter())),
        "errors": sorted({cell["error"] for cell in cells if "error" in cell}),
        "notes": _notes(cells, good),
    }

    def middle(of: Callable[[Cell], float | None]) -> float | None:
        values = [value for cell in good if (value := of(cell)) is not None]
        return median(values) if values else None

    def added(kind: str, name: str) -> float | None:
        return middle(lambda cell: _less(cell[kind][name], direct.get(cell["round"]), kind, name))

    if not with_cpu and any(cell["latency"]["p50_ms"] > 500 / cell["rate"] for cell in good):
        row["notes"].append("its stamps are older than half a token's pace: no latency in this table can be trusted")
    row["p50_ms"] = middle(lambda cell: cell["latency"]["p50_ms"])
    row["p99_ms"] = middle(lambda cell: cell["latency"]["p99_ms"])
    row["ttft_p50_ms"] = middle(lambda cell: cell["ttft"]["p50_ms"])
    row["ttft_p99_ms"] = middle(lambda cell: cell["ttft"]["p99_ms"])
    if with_cpu:
        figures = [cell["us_per_event"] for cell in good]
        row["us_per_event"] = median(figures) if figures else None
        row["us_range"] = [min(figures), max(figures)] if figures else None
        row["ratio"] = middle(lambda cell: _ratio(cell, base.get(cell["round"])))
        row["core_share"] = middle(lambda cell: cell["core_share"]["proxy"])
        row["added_p50_ms"], row["added_p99_ms"] = added("latency", "p50_ms"), added("latency", "p99_ms")
        row["added_ttft_p50_ms"], row["added_ttft_p99_ms"] = added("ttft", "p50_ms"), added("ttft", "p99_ms")
        row["memory_per_stream"] = middle(lambda cell: cell["memory_per_stream"])
        row["text_kept_per_stream"] = middle(lambda cell: cell.get("text_kept_per_stream"))
    return row


def _less(value: float | None, direct: Cell | None, kind: str, name: str) -> float | None:
    if value is None or direct is None or direct[kind][name] is None:
        return None
    return float(value - direct[kind][name])


def _ratio(cell: Cell, base: Cell | None) -> float | None:
    if base is None or not base.get("us_per_event"):
        return None
    return float(cell["us_per_event"] / base["us_per_event"])


def _notes(cells: list[Cell], good: list[Cell]) -> list[str]:
    notes = []
    if short := [cell["live_after"] for cell in cells if "live_after" in cell and not _counts(cell)]:
        notes.append(f"no figure from {len(short)} of {len(cells)} rounds: only {min(short):,} streams were live")
    if any(cell["core_share"]["proxy"] > FULL for cell in good):
        notes.append("its core was saturated")
    if any(cell["core_share"]["origin"] + cell["core_share"]["client"] > FULL for cell in good):
        notes.append("the load's core was saturated")
    others = max((cell["core_share"].get("others", 0) for cell in cells if "core_share" in cell), default=0)
    if others > NOISE:
        notes.append(f"something else on the machine used up to {others:.0%} of a core")
    return notes


def per_reader(phases: dict[str, Cell]) -> dict[str, Any]:
    """What one reader of a fast stream costs, in bytes, when it reads and when it never does."""
    alone = phases.get("alone", {})
    result: dict[str, Any] = {}
    for phase in ("reading", "never"):
        cell = phases.get(phase, {})
        if "memory_growth" in cell and "memory_growth" in alone:
            readers = cell["readers"]
            result[phase] = {
                "process_bytes": round((cell["memory_growth"] - alone["memory_growth"]) / readers),
                "send_queue_bytes": round(cell["send_queue_bytes"] / readers),
            }
    return result
