"""`penstock sim`: a model server that answers, and fails, on cue."""

import asyncio
import contextlib
import resource
import signal
import socket
import ssl
import sys
from pathlib import Path

import click
import uvloop

from penstock.sim import cue as cues
from penstock.sim.record import Record
from penstock.sim.script import Script, load
from penstock.sim.server import Server

_BACKLOG = 8192
_file = click.Path(dir_okay=False, path_type=Path)


def _show_cues(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        click.echo(cues.__doc__)
        context.exit()


@click.command("sim", short_help="A model server that answers, and fails, on cue.")
@click.option("--port", type=click.IntRange(0, 65535), required=True, help="Port to listen on; 0 picks a free one.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--script", "script_file", type=_file, help="TOML file of [[cue]] tables.")
@click.option("--truth", "truth_file", type=_file, help="Append what was really sent, as JSON lines, to this file.")
@click.option("--seed", default=0, show_default=True, help="Seed of random tokens.")
@click.option("--tls-cert", type=_file, help="Certificate chain (PEM): serve HTTPS.")
@click.option("--tls-key", type=_file, help="Its key (PEM).")
@click.option(
    "--cues",
    "show_cues",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_cues,
    help="List every key of a cue, and exit.",
)
def command(
    port: int,
    host: str,
    script_file: Path | None,
    truth_file: Path | None,
    seed: int,
    tls_cert: Path | None,
    tls_key: Path | None,
) -> None:
    """A model server that answers, and fails, on cue.

    It speaks OpenAI's chat completions and responses, Anthropic's messages and Gemini's generateContent over real
    sockets. A cue says how a request is answered: sim:{...} in the last user message, or a [[cue]] table of the script;
    without one it echoes the prompt. --cues lists every key.
    """
    try:
        script = load(script_file) if script_file else Script()
    except cues.CueError as error:
        click.echo(f"penstock sim: {error}", err=True)
        sys.exit(2)
    if (tls_cert is None) != (tls_key is None):
        raise click.UsageError("--tls-cert and --tls-key go together")
    context = None
    if tls_cert is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        try:
            context.load_cert_chain(tls_cert, tls_key)
        except (OSError, ssl.SSLError) as error:
            raise click.UsageError(f"--tls-cert, --tls-key: {error}") from None
    try:
        record = Record(truth_file)
    except OSError as error:
        raise click.UsageError(f"--truth: {error.strerror}: {truth_file}") from None
    serve(host, port, Server(script, record, seed), context)


def serve(host: str, port: int, server: Server, context: ssl.SSLContext | None = None) -> None:
    """Serves until SIGTERM or SIGINT, printing one line with the address once it listens."""
    _allow_many_files()
    try:
        host.encode("idna")
    except UnicodeError:
        raise click.ClickException(f"cannot listen on {host}:{port}: there can be no such name") from None
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
        loop = uvloop.new_event_loop()
    except OSError as error:
        raise click.ClickException(f"cannot listen on {host}:{port}: {error.strerror or error}") from None
    asyncio.set_event_loop(loop)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, loop.stop)
    loop.run_until_complete(loop.create_server(server.connection, sock=listener, ssl=context, backlog=_BACKLOG))
    taken = listener.getsockname()[1]
    shown = f"[{host}]" if ":" in host else host
    line = f"penstock sim listening on {'https' if context else 'http'}://{shown}:{taken}"
    # Said from inside the loop: a signal that comes before the loop runs would be lost.
    loop.call_soon(click.echo, line)
    loop.run_forever()
    # Open connections are left to the end of the process: it closes ten thousand sooner than we could.
    server.stop()


def _allow_many_files() -> None:
    """Every connection is a file: take as many as we may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
