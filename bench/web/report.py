"""The results as Markdown: for the terminal, and for docs/performance-web.md between its markers."""

from __future__ import annotations

from typing import Any

from bench.report import DASH, milliseconds, pair, size, table
from bench.web.figures import LIMIT, LONG

Results = dict[str, Any]
FLAT = 1.5
"""What the last tenth may cost beside the first."""
MARKS = ("<!-- bench-web:begin -->", "<!-- bench-web:end -->")
CAVEATS = {
    "streamdown": "without its optional plug-ins: code is not coloured",
    "react-markdown": "with remark-gfm: code is not coloured",
}


def markdown(results: Results) -> str:
    """The whole report."""
    rows = [row for row in results["rows"] if row["subject"] != "many"]
    parts = [origin(results), verdict(results), *(_tables(rows, results) if rows else [])]
    parts += [_many(row) for row in results["rows"] if row["subject"] == "many"]
    return "\n\n".join(part for part in parts if part) + "\n"


def insert(page: str, text: str) -> str:
    """The page with this report between its markers."""
    begin, end = MARKS
    head, _, rest = page.partition(begin)
    _, found, tail = rest.partition(end)
    if not found:
        raise ValueError(f"the page lacks {begin} and {end}")
    return f"{head}{begin}\n{text}{end}{tail}"


def origin(results: Results) -> str:
    machine, chosen = results["machine"], results["parameters"]
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    loads = " and ".join(f"{load:.1f}" for load in results["load"])
    return (
        f"Measured on {results['date']} at commit `{results['commit']}` with `{results['command']}`: {machine['cpu']}, "
        f"{machine['cores']} cores, {machine['memory_gb']} GB, Linux {machine['kernel']}. {versions}. An answer of "
        f"{chosen['characters']:,} characters, {chosen['token']} characters a token, "
        f"{chosen['characters'] / chosen['token'] / chosen['seconds']:,.0f} "
        f"tokens a second. The server, the sim and the browser shared the cores; the machine's load was {loads} "
        "at the beginning and the end." + (f" {results['note']}" if results.get("note") else "")
    )


def verdict(results: Results) -> str:
    """Whether the studio holds what is promised, in words."""
    row = next((row for row in results["rows"] if row["subject"] == "studio"), None)
    if row is None or row["ratio"] is None:
        return ""
    first, last, ratio = row["first"][1], row["last"][1], row["ratio"]
    holds = ratio <= FLAT and last < LIMIT
    second = row["p95_per_tenth"][1]
    beside = f" ({last / second:.2f} times the second tenth, when the browser has warmed up)" if second else ""
    heaps = ", ".join(f"{size(at['heap'])} at {at['share']:.0%}" for at in row["collected"] if at["share"])
    return (
        f"**The studio {'holds' if holds else 'does not hold'} its goal** of less than {LIMIT:g} ms, and at most {FLAT:g} "
        f"times the first tenth, in the p95 of the last tenth: {milliseconds(first)} ms in the first, "
        f"{milliseconds(last)} ms in the last, {ratio:.2f} times{beside}. Its heap without garbage: {heaps}."
    )


def _tables(rows: list[dict[str, Any]], results: Results) -> list[str]:
    titles = results["titles"]
    work = table(
        (
            "",
            "first tenth p50 / p95 / p99, ms",
            "last tenth p50 / p95 / p99, ms",
            "last to first, p95",
            "p95 over 16 ms from",
        ),
        [
            (titles[row["subject"]], _three(row["first"]), _three(row["last"]), _times(row["ratio"]), _over(row))
            for row in rows
        ],
    )
    tenths = table(
        ("p95, ms, in tenth", *map(str, range(1, 11))),
        [(titles[row["subject"]], *map(milliseconds, row["p95_per_tenth"])) for row in rows],
    )
    parts = table(
        ("p95 in the last tenth, ms", "script", "style", "layout", "all tasks (first tenth)", "script, style, layout: CPU time (first tenth)"),
        [
            (
                titles[row["subject"]],
                *(milliseconds(row["parts_p95"][part][-1]) for part in ("script", "style", "layout")),
                f"{milliseconds(row['busy_p95'][-1])} ({milliseconds(row['busy_p95'][0])})",
                f"{milliseconds(row['cpu_p95'][-1])} ({milliseconds(row['cpu_p95'][0])})",
            )
            for row in rows
        ],
    )
    tasks = table(
        ("", f"tasks over {LONG:g} ms", "longest, ms", f"over {LONG:g} ms of CPU time", "longest, ms of CPU time", "frames a second"),
        [(titles[row["subject"]], *_long(row), f"{row['frames'] / row['seconds']:.0f}") for row in rows],
    )
    memory = table(
        ("JS heap without garbage (DOM nodes)", "before", "at 25 %", "at 50 %", "at the end", "most, with garbage"),
        [(titles[row["subject"]], *_heaps(row), size(max(at["heap"] for at in row["memory"]))) for row in rows],
    )
    notes = [f"- {titles[row['subject']]}: {CAVEATS[row['subject']]}." for row in rows if row["subject"] in CAVEATS]
    notes += [
        f"- {titles[row['subject']]}: cut off after {row['seconds']:.0f} s, at {row['shown'] or 0:,} characters."
        for row in rows if row["timed_out"]
    ]  # fmt: skip
    return [
        "### Main-thread work per frame: script, style and layout", work, tenths,
        "### Where it goes", parts, "### Long tasks", tasks, "### Memory", memory, "\n".join(notes),
    ]  # fmt: skip


def _many(row: dict[str, Any]) -> str:
    lines = [
        ("time between frames p50 / p95 / longest, ms", _three(row["gap"])),
        (f"input delay p50 / p95 / longest of {row['inputs']:,} key presses, ms", _three(row["input_delay"])),
        ("work per frame p50 / p95 / p99, first tenth, ms", _three(row["first"])),
        ("work per frame p50 / p95 / p99, last tenth, ms", _three(row["last"])),
        ("p95 of CPU time in that work, first and last tenth, ms", pair(*row["cpu_p95"])),
        (f"tasks over {LONG:g} ms (longest)", f"{row['long_tasks']:,} ({milliseconds(row['longest_task'])})"),
        (
            f"tasks over {LONG:g} ms of CPU time (longest)",
            f"{row['long_cpu_tasks']:,} ({milliseconds(row['longest_cpu_task'])})",
        ),
        ("frames a second", f"{row['frames'] / row['seconds']:.0f}"),
    ]
    cut = f" Cut off after {row['seconds']:.0f} s." if row["timed_out"] else ""
    heading = f"### {row['streams']} answers at once in one page"
    each = f"Each of {row['characters']:,} characters, {row['tokens_per_s']:g} tokens a second."
    alone = f" Measured by itself on {row['date']} at commit `{row['commit']}`." if "date" in row else ""
    load = f" The machine's load was {row['load'][0]:.1f} before and {row['load'][1]:.1f} after." if "load" in row else ""
    return f"{heading}\n\n{each}{load}{alone}{cut}\n\n{table(('', 'figure'), lines)}"


def _long(row: dict[str, Any]) -> list[str]:
    return [
        f"{row['long_tasks']:,}", milliseconds(row["longest_task"]),
        f"{row['long_cpu_tasks']:,}", milliseconds(row["longest_cpu_task"]),
    ]  # fmt: skip


def _three(values: list[float | None]) -> str:
    return " / ".join(milliseconds(value) for value in values)


def _times(value: float | None) -> str:
    return DASH if value is None else f"{value:.2f}"


def _over(row: dict[str, Any]) -> str:
    return "never" if row["passed_at"] is None else f"{row['passed_at']:,} characters"


def _heaps(row: dict[str, Any]) -> list[str]:
    found = {at["share"]: f"{size(at['heap'])} ({at['nodes']:,.0f})" for at in row["collected"]}
    return [found.get(share, DASH) for share in (0.0, 0.25, 0.5, 1.0)]
