"""The command: `python -m bench.web`, or `make bench-web ARGS="--characters 20000 --seconds 8"`."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from bench.processes import PLACE, ROOT
from bench.run import machine
from bench.web.chart import chart
from bench.web.report import insert, markdown
from bench.web.run import TITLES, Settings, everything

PAGE = ROOT / "docs" / "performance-web.md"
PICTURE = ROOT / "docs" / "images" / "performance-web.svg"
RESULTS = PLACE / "web" / "results.json"


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--only", default=",".join(TITLES), show_default=True, help="Pages to measure.")
@click.option("--characters", default=200_000, show_default=True, help="Length of the answer.")
@click.option("--seconds", default=80.0, show_default=True, help="How long the answer is said.")
@click.option("--token", default=20, show_default=True, help="Characters in a token.")
@click.option("--most", default=120.0, show_default=True, help="Seconds after which a page is cut off.")
@click.option("--streams", default=20, show_default=True, help="Of the page with many answers.")
@click.option("--traces", is_flag=True, help="Keep the traces, in .bench/web/traces.")
@click.option("--publish", is_flag=True, help="Write the figures into docs/performance-web.md, and draw its picture.")
@click.option("--note", default="", help="A sentence about how it was run, for the report.")
@click.option("--redraw", type=click.Path(exists=True, path_type=Path), help="Only publish what this JSON holds.")
def main(only: str, traces: bool, publish: bool, note: str, redraw: Path | None, **chosen: Any) -> None:
    """Measure what a long streamed answer costs in the browser: best with nothing else on the machine."""
    if redraw:
        publish_results(json.loads(redraw.read_text()))
        return
    subjects = [name.strip() for name in only.split(",")]
    if unknown := set(subjects) - set(TITLES):
        raise click.BadParameter(f"{', '.join(sorted(unknown))}: choose from {', '.join(TITLES)}")
    settings = Settings(**chosen, many_characters=int(chosen["characters"] * 0.15), keep_traces=traces)
    commit, loads = _commit(), [os.getloadavg()[0]]
    found = everything(subjects, settings)
    loads.append(os.getloadavg()[0])
    results = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": commit,
        "command": shlex.join(["python", "-m", "bench.web", *sys.argv[1:]]),
        "machine": machine(),
        "load": loads,
        "note": note,
        "versions": _versions(),
        "parameters": asdict(settings),
        "titles": TITLES,
        "rows": found,
    }
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    click.echo(f"\n{markdown(results)}\nwritten: {RESULTS}")
    if publish:
        publish_results(results)


def publish_results(results: dict[str, Any]) -> None:
    """The page of the documentation and its picture."""
    PAGE.write_text(insert(PAGE.read_text(), markdown(results)))
    drawing = chart(results)
    if drawing:
        PICTURE.write_text(drawing)
    click.echo(f"written: {PAGE}, {PICTURE}")


def _versions() -> dict[str, str]:
    chromium = subprocess.run(["chromium", "--version"], capture_output=True, text=True).stdout.split()
    versions = {"Chromium": next((word for word in chromium if word[0].isdigit()), "unknown")}
    for name in ("react", "react-markdown", "remark-gfm", "streamdown"):
        package = ROOT / "web" / "node_modules" / name / "package.json"
        versions[name] = json.loads(package.read_text())["version"]
    return versions


def _commit() -> str:
    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True).stdout.strip()

    changed = git("status", "--porcelain", "--", "src", "web", "bench")
    return (git("rev-parse", "--short", "HEAD") or "unknown") + (" with changes" if changed else "")


if __name__ == "__main__":
    main(prog_name="python -m bench.web")
