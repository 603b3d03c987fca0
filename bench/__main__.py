"""The command: `python -m bench`, or `make bench ARGS="--rounds 3"`."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import click

from bench.chart import chart
from bench.measure import Settings
from bench.peers import PEERS
from bench.plan import EVENTS_PER_S
from bench.processes import ROOT
from bench.report import markdown
from bench.run import PARTS, Run

SIZES = "200,2000,9900"
ORIGIN = f"{sys.executable} -m penstock.sim"
PUBLISHED = ROOT / "bench" / "results"
PARTIAL = ROOT / ".bench" / "results"


def _names(allowed: tuple[str, ...]) -> Any:
    def read(text: str | list[str]) -> list[str]:
        names = text if isinstance(text, list) else [name.strip() for name in text.split(",") if name.strip()]
        unknown = [name for name in names if name not in allowed]
        if unknown or not names:
            raise ValueError(f"{', '.join(unknown)}: choose from {', '.join(allowed)}")
        return names

    choice = click.types.FuncParamType(read)
    choice.name = "names"
    return choice


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--only", type=_names(PARTS), default=",".join(PARTS), show_default=True, help="Parts to run.")
@click.option("--sizes", default=SIZES, show_default=True, help="Concurrent streams of the cost part.")
@click.option("--proxies", type=_names(tuple(PEERS)), default=",".join(PEERS), show_default=True)
@click.option(
    "--rounds", default=5, show_default=True, type=click.IntRange(1), help="Interleaved rounds of the cost part."
)
@click.option("--seconds", default=8.0, show_default=True, help="Length of a measured window.")
@click.option("--events-per-s", default=EVENTS_PER_S, show_default=True, help="Over all streams together.")
@click.option("--pad", default=20, show_default=True, help="Bytes of text in a token besides its time stamp.")
@click.option("--readers", default=50, show_default=True, help="Readers that never read.")
@click.option("--origin", default=ORIGIN, help="Command of the origin; `--port P` is added. Default: penstock sim.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder for the results. Default: bench/results for a full run."
)
@click.option(
    "--redraw", type=click.Path(exists=True, path_type=Path), help="Only write report and chart anew from this JSON."
)
def main(redraw: Path | None, out: Path | None, origin: str, **chosen: Any) -> None:
    """Measure what Penstock costs beside other proxies: nothing else should run on the machine.

    A full run (every part, size and proxy) is published to bench/results and docs/images; a partial one stays in
    .bench/results, unless --out says otherwise.
    """
    if redraw:
        write(json.loads(redraw.read_text()), out or redraw.parent, announce=True)
        return
    sizes = [int(text) for text in str(chosen["sizes"]).split(",")]
    settings = Settings(
        seconds=chosen["seconds"], pad=chosen["pad"], readers=chosen["readers"], origin=tuple(shlex.split(origin))
    )
    full = chosen["only"] == list(PARTS) and chosen["proxies"] == list(PEERS) and str(chosen["sizes"]) == SIZES
    run = Run(settings, chosen["only"], chosen["proxies"], sizes, chosen["rounds"], chosen["events_per_s"])
    try:
        run.everything()
    except KeyboardInterrupt:
        click.echo("\nstopped: what was measured so far follows")
        full = False
    command = "python -m bench " + shlex.join(sys.argv[1:])
    results = run.results(command.replace(f"{ROOT}/", ""))
    click.echo()
    write(results, out or (PUBLISHED if full else PARTIAL), announce=False)
    sys.exit(1 if run.nothing else 0)


def write(results: dict[str, Any], folder: Path, *, announce: bool) -> None:
    """Results as JSON and Markdown into `folder`, and the chart: beside the documentation's pages when published."""
    folder.mkdir(parents=True, exist_ok=True)
    text = markdown(results)
    if not announce:
        (folder / "latest.json").write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
        click.echo(text)
    (folder / "latest.md").write_text(text)
    written = [folder / "latest.json", folder / "latest.md"]
    drawing = chart(results)
    if drawing:
        image = ROOT / "docs" / "images" if folder.resolve() == PUBLISHED else folder
        image.mkdir(parents=True, exist_ok=True)
        (image / "performance.svg").write_text(drawing)
        written.append(image / "performance.svg")
    click.echo("written: " + ", ".join(str(path) for path in written))


if __name__ == "__main__":
    main(prog_name="python -m bench")
