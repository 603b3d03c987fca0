"""Writes a run's results as JSON, as Markdown for the documentation, and as tables on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.plan import BASE, DIRECT
from bench.summary import per_reader

Results = dict[str, Any]
DASH = "–"


def table(headers: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose columns are aligned in plain text too: the first to the left, the others to the right."""
    widths = [max(len(row[column]) for row in (headers, *lines)) for column in range(len(headers))]

    def row(cells: Sequence[str]) -> str:
        first, *others = (
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return "| " + " | ".join((first, *others)) + " |"

    rule = "|" + "|".join("-" * (width + 1) + (":" if column else "-") for column, width in enumerate(widths)) + "|"
    return "\n".join((row(headers), rule, *map(row, lines)))


def milliseconds(value: float | None) -> str:
    """A short figure in ms: two significant digits below 10."""
    if value is None:
        return DASH
    return f"{value:.0f}" if abs(value) >= 10 else f"{value:.1f}" if abs(value) >= 1 else f"{value:.2f}"


def pair(low: float | None, high: float | None) -> str:
    return f"{milliseconds(low)} / {milliseconds(high)}"


def size(count: float | None) -> str:
    """Bytes in KB (1,000) or MB."""
    if count is None:
        return DASH
    return f"{count / 1e6:.1f} MB" if abs(count) >= 1e6 else f"{count / 1e3:.1f} KB"


def markdown(results: Results) -> str:
    """The whole report."""
    parts = [_origin(results), *_cost(results), *_capacity(results), *_never_reads(results)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _origin(results: Results) -> str:
    machine, chosen = results["machine"], results["parameters"]
    versions = ", ".join(f"{results['titles'][key]} {version}" for key, version in results["versions"].items())
    return (
        f"Measured on {results['date']} at commit `{results['commit']}` with `{results['command']}`: "
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']} GB, Linux {machine['kernel']}, "
        f"Python {machine['python']}. The proxy had one core to itself; the origin and the clients shared the rest. "
        f"Rounds: {chosen['rounds']}, windows of {chosen['seconds']:g} s. Versions: {versions}."
    )


def _cost(results: Results) -> list[str]:
    parts = []
    rows = results["cost"]
    for streams in sorted({row["streams"] for row in rows}):
        here = [row for row in rows if row["streams"] == streams]
        usual = max(row["rate"] for row in here)
        parts.append(f"### {streams:,} concurrent streams, {usual:g} event{'' if usual == 1 else 's'}/s each")
        own_rates = {row["proxy"] for row in here if row["rate"] != usual} - {DIRECT, BASE}
        shown = [row for row in here if row["rate"] == usual or row["proxy"] in own_rates]
        shown.sort(key=lambda row: (row["proxy"] != DIRECT, row.get("ratio") or 1e9))
        notes: list[str] = []
        parts.append(
            table(
                (
                    "",
                    "µs per event (range)",
                    "x nginx",
                    "added latency p50 / p99, ms",
                    "added TTFT p50 / p99, ms",
                    "memory per stream (beyond the text kept)",
                    "failed streams",
                ),
                [_line(row, results, usual, notes) for row in shown],
            )
        )
        notes += [
            f"{results['titles'][key]}: {reason}." for key, reason in results["excluded"].get(str(streams), {}).items()
        ]
        notes += [f"{results['titles'][key]}: {reason}." for key, reason in results["unavailable"].items()]
        parts.extend("- " + note for note in notes)
    return _join_lists(parts)


def _line(row: dict[str, Any], results: Results, usual: float, notes: list[str]) -> tuple[str, ...]:
    title = results["titles"].get(row["proxy"], row["proxy"])
    failed = f"{row['failed']:,} of {row['opened']:,}"
    for cause, count in row["failures"].items():
        notes.append(f"{title}: {count:,} streams failed: {cause}.")
    notes.extend(f"{title}: {error}" for error in row["errors"])
    notes.extend(f"{title}: {note}." for note in row["notes"])
    if row["proxy"] == DIRECT:
        latency, ttft = pair(row["p50_ms"], row["p99_ms"]), pair(row["ttft_p50_ms"], row["ttft_p99_ms"])
        return ("no proxy (whole latency)", DASH, DASH, latency, ttft, DASH, failed)
    if row["rate"] != usual:
        notes.append(
            f"{title}: at {row['rate']:g} events/s a stream, compared with nginx at that rate: "
            f"{results['reasons'].get(row['proxy'], 'its own limit')}."
        )
        title += " *"
    if row["us_per_event"] is None:
        return (title, *([DASH] * 5), failed)
    low, high = row["us_range"]
    return (
        title,
        f"{row['us_per_event']:.1f} ({low:.1f}–{high:.1f})",
        f"{row['ratio']:.2f}" if row["ratio"] else DASH,
        pair(row["added_p50_ms"], row["added_p99_ms"]),
        pair(row["added_ttft_p50_ms"], row["added_ttft_p99_ms"]),
        _memory(row),
        failed,
    )


def _memory(row: dict[str, Any]) -> str:
    """Process memory a stream, and what of it is not the text that a log keeps."""
    whole, kept = row["memory_per_stream"], row.get("text_kept_per_stream") or 0
    if whole is None or not kept:
        return size(whole)
    return f"{size(whole)} ({size(whole - kept)})"


def _capacity(results: Results) -> list[str]:
    parts = []
    for cell in results["capacity"]:
        title = results["titles"][cell["proxy"]]
        heading = f"### {title}: {cell['streams']:,} streams on one process, and {cell['extra_streams']} more"
        if "error" in cell:
            parts += [heading, f"No figure: {cell['error']}"]
            continue
        extra = cell["extra"]
        failed = sum(cell["failures"].values())
        parts += [
            heading,
            table(
                ("", "count"),
                [
                    ("streams opened", f"{cell['opened']:,}"),
                    ("live at once", f"{cell['live']:,}"),
                    ("failed", f"{failed:,}"),
                    ("open descriptors at most", f"{cell['descriptors']:,} of {results['machine']['descriptors']:,}"),
                    ("further streams asked for", f"{extra['opened']:,}"),
                    ("answered with 503", f"{extra['refused_503']:,}"),
                    ("served in full", f"{extra['served']:,}"),
                    ("anything else", f"{extra['otherwise']:,}"),
                    ("event latency p50 / p99, ms", pair(cell["latency"]["p50_ms"], cell["latency"]["p99_ms"])),
                    ("memory per stream", size(cell["memory_per_stream"])),
                ],
            ),
        ]
        causes = {**cell["failures"], **extra["failures"]}
        parts += [f"- {cause}: {count:,}" for cause, count in causes.items() if cause != "status 503"]
    return _join_lists(parts)


def _never_reads(results: Results) -> list[str]:
    if not results["never_reads"]:
        return []
    first = next(cell for phases in results["never_reads"].values() for cell in phases.values())
    speed = first["fast_pad"] / first["fast_pace"]
    names = {"alone": "neighbours alone", "reading": "readers read", "never": "readers never read"}
    lines, notes = [], []
    for key, phases in results["never_reads"].items():
        each = per_reader(phases)
        for phase, cell in phases.items():
            if "error" in cell:
                notes.append(f"- {results['titles'][key]}, {names[phase]}: {cell['error']}")
                continue
            figures = each.get(phase, {})
            lines.append(
                (
                    f"{results['titles'][key]}, {names[phase]}",
                    pair(cell["latency"]["p50_ms"], cell["latency"]["p99_ms"]),
                    size(figures.get("process_bytes")),
                    size(figures.get("send_queue_bytes")),
                    DASH if phase == "alone" else f"{cell['still_connected']} of {cell['readers']}",
                    f"{sum(cell['failures'].values())} of {cell['opened']}",
                )
            )
    heading = (
        f"### {first['neighbours']} neighbours of {first['readers']} readers of fast, endless streams "
        f"(about {speed / 1e3:,.0f} KB/s each, {first['seconds']:.0f} s)"
    )
    return _join_lists(
        [
            heading,
            table(
                (
                    "",
                    "neighbours' latency p50 / p99, ms",
                    "process memory per reader",
                    "kernel send queue per reader, at most",
                    "still connected at the end",
                    "failed neighbours",
                ),
                lines,
            ),
            *notes,
        ]
    )


def _join_lists(parts: list[str]) -> list[str]:
    """Neighbouring list items become one list."""
    joined: list[str] = []
    for part in parts:
        if joined and part.startswith("- ") and joined[-1].startswith("- "):
            joined[-1] += "\n" + part
        else:
            joined.append(part)
    return joined
