"""`penstock doctor URL`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable

import click

from penstock.doctor.address import parse_address
from penstock.doctor.observation import Asked
from penstock.doctor.probe import observe
from penstock.doctor.report import as_json, as_text, diagnose


@click.command("doctor", short_help="Say what stands between here and a server, and what it does to streams.")
@click.argument("url")
@click.option(
    "--key", envvar="PENSTOCK_KEY", default="", help="A tenant's key; better in the environment's PENSTOCK_KEY."
)
@click.option(
    "--events", type=click.IntRange(1, 1000), default=20, show_default=True, help="How many events to ask for."
)
@click.option(
    "--pace", type=click.FloatRange(0, 10), default=0.1, show_default=True, help="Seconds between two of them."
)
@click.option(
    "--idle", type=click.FloatRange(0, 90), default=0, show_default=True, help="Seconds of silence in the middle."
)
@click.option("--pad", type=click.IntRange(0, 16384), default=0, show_default=True, help="Bytes more in each event.")
@click.option("--json", "wants_json", is_flag=True, help="Everything that was seen, as JSON.")
def command(url: str, key: str, events: int, pace: float, idle: float, pad: int, wants_json: bool) -> None:
    """Stream through whatever stands between this machine and a Penstock server, and say what it does to streams.

    Exit code: 0 = no problem, 1 = problems were found, 2 = no Penstock server was reached, or wrong usage.
    """
    try:
        address = parse_address(url)
    except ValueError as error:
        raise click.UsageError(f"{url}: {error}") from None
    if not key.isascii() or not key.isprintable() or " " in key:
        raise click.UsageError("--key: a key has no spaces and no characters beyond ASCII")
    if pace != pace or idle != idle:  # not a number, which no range keeps out
        raise click.UsageError("--pace and --idle are numbers of seconds")
    if events * pace > 300:
        raise click.UsageError("--events times --pace must not be more than 300 s")
    tell, finish = progress()
    try:
        seen = asyncio.run(observe(address, Asked(events, pace, idle, pad), key, tell))
    finally:
        finish()
    report = diagnose(seen)
    click.echo(as_json(report) if wants_json else as_text(report))
    sys.exit(report.exit)


def progress() -> tuple[Callable[[str], None], Callable[[], None]]:
    """What shows the progress on stderr, and what ends that: one line that changes on a terminal, and nothing elsewhere."""
    if not sys.stderr.isatty():
        return lambda _line: None, lambda: None

    def tell(line: str) -> None:
        shown = "".join(c if c.isprintable() else "?" for c in line)
        click.echo(f"\r\x1b[K{shown[:100]} …", nl=False, err=True)

    return tell, lambda: click.echo("\r\x1b[K", nl=False, err=True)
