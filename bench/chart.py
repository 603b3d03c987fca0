"""Draws the cost of a relayed event, relative to nginx, as an SVG that reads well on light and on dark pages."""

from __future__ import annotations

import math
from typing import Any
from xml.sax.saxutils import escape

from bench.plan import BASE

WIDTH = 820
LEFT, RIGHT = 148, 122
"""Room for the names, and for the figures behind the bars, in pixels."""
TOP, BAR, STEP, GROUP = 96, 18, 27, 58
CUT = 4.0
"""Bars longer than so many times nginx are drawn broken."""

STYLE = """
  text { font: 13px system-ui, -apple-system, "Segoe UI", "Helvetica Neue", sans-serif; fill: #1f2937 }
  .page { fill: #ffffff } .title { font-size: 19px; font-weight: 650 } .soft { fill: #6b7280; font-size: 12px }
  .group { font-weight: 600 } .own { font-weight: 650 }
  .figure { font-variant-numeric: tabular-nums; paint-order: stroke; stroke: #ffffff; stroke-width: 5px }
  .bar { fill: #c3cad5 } .bar.base { fill: #98a2b3 } .bar.own { fill: #0e7490 }
  .grid { stroke: #e8ebf0; stroke-width: 1 } .one { stroke: #98a2b3; stroke-width: 1; stroke-dasharray: 3 3 }
  .cut { stroke: #ffffff; stroke-width: 3 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6eaf0 } .page { fill: #0d1117 } .soft { fill: #8b95a5 }
    .bar { fill: #3b4452 } .bar.base { fill: #5d6878 } .bar.own { fill: #22b8cf }
    .figure { stroke: #0d1117 } .grid { stroke: #1f2630 } .one { stroke: #6b7686 } .cut { stroke: #0d1117 }
  }"""


def chart(results: dict[str, Any]) -> str | None:
    """The SVG's text; None when there is no ratio to draw."""
    groups = _groups(results["cost"])
    if not groups:
        return None
    ratios = [row["ratio"] for _, rows in groups for row in rows]
    limit = max([1.5, *(ratio for ratio in ratios if ratio <= CUT)]) * 1.04
    scale = (WIDTH - LEFT - RIGHT) / limit
    body: list[str] = []
    y = TOP
    for heading, rows in groups:
        body.append(_text(24, y, heading, "group"))
        top = y + 14
        bottom = top + STEP * len(rows) - (STEP - BAR) + 4
        for tick in _ticks(limit):
            x = LEFT + tick * scale
            body.append(
                f'<line class="{"one" if tick == 1 else "grid"}" x1="{x:.1f}" y1="{top}" x2="{x:.1f}" y2="{bottom}"/>'
            )
            label = f"{tick:g}×" if tick else "0"
            body.append(_text(x, bottom + 15, label, "soft", anchor="middle"))
        for number, row in enumerate(rows):
            body += _bar(row, results, top + 2 + number * STEP, scale, limit)
        y = bottom + GROUP
    for words in _footnotes(groups, results):
        body.append(_text(24, y - 12, words, "soft"))
        y += 18
    height = y - 6
    root = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    rounds = results["parameters"]["rounds"]
    median = f", median of {rounds} interleaved rounds" if rounds > 1 else ""
    return "\n".join(
        [
            root + ' role="img" aria-labelledby="title">',
            '<title id="title">CPU time per relayed event, relative to nginx</title>',
            f"<style>{STYLE}\n</style>",
            f'<rect class="page" width="{WIDTH}" height="{height}" rx="10"/>',
            _text(24, 38, "What relaying one event costs, relative to nginx", "title"),
            _text(24, 60, f"CPU time of the whole proxy, user + system{median}. Shorter is better.", "soft"),
            *body,
            "</svg>\n",
        ]
    )


def _groups(rows: list[dict[str, Any]]) -> list[tuple[str, list[dict[str, Any]]]]:
    """For every size: its heading, and the rows that have a ratio, cheapest first."""
    groups = []
    for streams in sorted({row["streams"] for row in rows}):
        here = [row for row in rows if row["streams"] == streams]
        usual = max(row["rate"] for row in here)
        drawn = [
            {**row, "own_rate": row["rate"] != usual}
            for row in here
            if row.get("ratio") and (row["rate"] == usual or row["proxy"] != BASE)
        ]
        once = {row["proxy"]: row for row in sorted(drawn, key=lambda row: row["rate"])}
        if once:
            heading = f"{streams:,} streams × {usual:g} event{'' if usual == 1 else 's'}/s"
            groups.append((heading, sorted(once.values(), key=lambda row: row["ratio"])))
    return groups


def _footnotes(groups: list[tuple[str, list[dict[str, Any]]]], results: dict[str, Any]) -> list[str]:
    machine = results["machine"]
    notes = [
        f"* {results['titles'][row['proxy']]} at {row['rate']:g} events/s a stream, beside nginx at that rate: "
        f"{results['reasons'].get(row['proxy'], 'its own limit')}"
        for _, rows in groups
        for row in rows
        if row["own_rate"]
    ]
    kernel = machine["kernel"].split("-")[0]
    place = f"{machine['cpu']}, one core for the proxy · Linux {kernel} · Python {machine['python']}"
    return [*notes, f"{place} · {results['date'][:10]} · {results['commit']}"]


def _ticks(limit: float) -> list[float]:
    step = 0.5 if limit < 2.75 else 1.0
    return [step * number for number in range(math.floor(limit / step) + 1)]


def _bar(row: dict[str, Any], results: dict[str, Any], y: float, scale: float, limit: float) -> list[str]:
    broken = row["ratio"] > limit
    length = min(row["ratio"], limit) * scale
    kind = {"penstock": " own", BASE: " base"}.get(row["proxy"], "")
    title = results["titles"][row["proxy"]]
    middle = y + BAR / 2 + 4.5
    end = LEFT + length
    parts = [
        _text(LEFT - 12, middle, title, kind.strip() if kind == " own" else "", anchor="end"),
        f'<path class="bar{kind}" d="{_rounded(LEFT, y, length)}"/>',
    ]
    if broken:
        for shift in (46, 38):
            x = end - shift
            parts.append(f'<line class="cut" x1="{x:.1f}" y1="{y + BAR + 1}" x2="{x + 7:.1f}" y2="{y - 1}"/>')
    ratio = f"{row['ratio']:.0f}×" if row["ratio"] >= 10 else f"{row['ratio']:.2f}×"
    star = " *" if row["own_rate"] else ""
    cost = f'<tspan class="soft" dx="7">{row["us_per_event"]:.1f} µs{star}</tspan>'
    name = f'<tspan class="{kind.strip()}">{ratio}</tspan>'
    parts.append(f'<text class="figure" x="{end + 9:.1f}" y="{middle}">{name}{cost}</text>')
    return parts


def _rounded(x: float, y: float, length: float) -> str:
    """The outline of a bar whose far end is rounded."""
    straight = max(0.0, length - 4)
    return f"M{x} {y}h{straight:.1f}a4 4 0 0 1 4 4v{BAR - 8}a4 4 0 0 1 -4 4h-{straight:.1f}z"


def _text(x: float, y: float, words: str, kind: str = "", *, anchor: str = "") -> str:
    extra = f' text-anchor="{anchor}"' if anchor else ""
    extra += f' class="{kind}"' if kind else ""
    return f'<text x="{x:g}" y="{y:g}"{extra}>{escape(words)}</text>'
