"""Draws the p95 per tenth of the answer as an SVG that reads well on light and on dark pages."""

from __future__ import annotations

import math
from typing import Any
from xml.sax.saxutils import escape

from bench.web.figures import LIMIT

WIDTH, HEIGHT = 820, 440
LEFT, RIGHT, TOP, BOTTOM = 58, 178, 92, 366
DRAWN = ("studio", "react-markdown", "streamdown")
LEAST = 1.0
"""The scale is logarithmic, and begins here: the renderers lie far apart."""

STYLE = """
  text { font: 13px system-ui, -apple-system, "Segoe UI", "Helvetica Neue", sans-serif; fill: #1f2937 }
  .page { fill: #ffffff } .title { font-size: 19px; font-weight: 650 } .soft { fill: #6b7280; font-size: 12px }
  .grid { stroke: #e8ebf0; stroke-width: 1 } .limit { stroke: #98a2b3; stroke-width: 1; stroke-dasharray: 4 3 }
  polyline { fill: none; stroke-width: 2.5; stroke-linejoin: round } .own { stroke-width: 3.5 }
  .studio { stroke: #0e7490 } .react-markdown { stroke: #b45309 } .streamdown { stroke: #7c3aed }
  .dot.studio { fill: #0e7490 } .dot.react-markdown { fill: #b45309 } .dot.streamdown { fill: #7c3aed }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6eaf0 } .page { fill: #0d1117 } .soft { fill: #8b95a5 } .grid { stroke: #1f2630 }
    .limit { stroke: #6b7686 }
    .studio { stroke: #22b8cf } .react-markdown { stroke: #f59e0b } .streamdown { stroke: #a78bfa }
    .dot.studio { fill: #22b8cf } .dot.react-markdown { fill: #f59e0b } .dot.streamdown { fill: #a78bfa }
  }"""


def chart(results: dict[str, Any]) -> str | None:
    """The SVG's text; None when there is nothing to draw."""
    rows = [row for row in results["rows"] if row["subject"] in DRAWN and any(row["p95_per_tenth"])]
    if not rows:
        return None
    most = max([LIMIT, *(value for row in rows for value in row["p95_per_tenth"] if value)])
    top = 10 ** math.ceil(math.log10(most * 1.05))
    characters = rows[0]["characters"]
    body = [*_grid(top), *(_text(_x(at), BOTTOM + 20, f"{at + 1}", "soft", "middle") for at in range(10))]
    body.append(_text((_x(0) + _x(9)) / 2, BOTTOM + 40, f"tenth of {characters:,} characters", "soft", "middle"))
    labels: list[tuple[float, str, str]] = []
    for row in rows:
        points = [(_x(at), _y(value, top)) for at, value in enumerate(row["p95_per_tenth"]) if value]
        kind = row["subject"]
        own = " own" if kind == "studio" else ""
        body.append(f'<polyline class="{kind}{own}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}"/>')
        body += [f'<circle class="dot {kind}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in points]
        last = next(value for value in reversed(row["p95_per_tenth"]) if value)
        labels.append((points[-1][1], kind, f"{results['titles'][kind]} {last:.0f} ms"))
    body += [_text(_x(9) + 14, y + 4, words) for y, words in _apart(labels)]
    root = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
    place = f"{results['machine']['cpu']} · Chromium {results['versions'].get('Chromium', '')} · {results['date'][:10]}"
    return "\n".join(
        [
            root + ' role="img" aria-labelledby="title">',
            '<title id="title">Main-thread work per frame while an answer grows, p95 per tenth of the answer</title>',
            f"<style>{STYLE}\n</style>",
            f'<rect class="page" width="{WIDTH}" height="{HEIGHT}" rx="10"/>',
            _text(24, 38, "What a frame costs while an answer grows", "title"),
            _text(
                24, 60, "Script, style and layout on the main thread, p95 in ms, logarithmic. Lower is better.", "soft"
            ),
            *body,
            _text(24, HEIGHT - 12, f"{place} · commit {results['commit']}", "soft"),
            "</svg>\n",
        ]
    )


def _grid(top: float) -> list[str]:
    parts = []
    value = LEAST
    while value <= top:
        y = _y(value, top)
        parts.append(f'<line class="grid" x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}"/>')
        parts.append(_text(LEFT - 8, y + 4, f"{value:g}", "soft", "end"))
        value *= 10
    y = _y(LIMIT, top)
    parts.append(f'<line class="limit" x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}"/>')
    parts.append(_text(LEFT - 8, y + 4, f"{LIMIT:g}", "soft", "end"))
    return parts


def _apart(labels: list[tuple[float, str, str]]) -> list[tuple[float, str]]:
    """The labels, none over another."""
    placed: list[tuple[float, str]] = []
    for y, _, words in sorted(labels):
        placed.append((max(y, placed[-1][0] + 17) if placed else y, words))
    return placed


def _x(tenth: int) -> float:
    return LEFT + 16 + tenth * (WIDTH - LEFT - RIGHT - 32) / 9


def _y(value: float, top: float) -> float:
    share = math.log10(max(value, LEAST) / LEAST) / math.log10(top / LEAST)
    return BOTTOM - share * (BOTTOM - TOP)


def _text(x: float, y: float, words: str, kind: str = "", anchor: str = "") -> str:
    extra = f' text-anchor="{anchor}"' if anchor else ""
    extra += f' class="{kind}"' if kind else ""
    return f'<text x="{x:g}" y="{y:g}"{extra}>{escape(words)}</text>'
