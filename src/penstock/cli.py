"""The commands: `penstock serve | demo | check | doctor | trace | sim | key`."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import logging
import os
import secrets
import sys
import threading
import time
from pathlib import Path
from typing import NoReturn

import click

from penstock.app import Penstock, raise_descriptor_limit
from penstock.config import Config, convert, load
from penstock.config import check as check_config
from penstock.config.rules import TENANT_NAME, TENANT_NAME_RULE
from penstock.doctor.command import command as doctor
from penstock.exceptions import ConfigError, StorageFailed
from penstock.sim.command import command as sim
from penstock.timeline import NotTold
from penstock.timeline import fetch as fetch_trace
from penstock.timeline import lines as trace_lines
from penstock.upstreams.discovery import Found, discover
from penstock.version import __version__

LEAVING_SECONDS = 2.0
"""How long user code has to end after the last stream has: its generators' `finally`, its threads."""

FEWEST_DESCRIPTORS = 32
"""What an event loop, a listener and a few connections take; with fewer, uvloop may abort without a word."""


class _Commands(click.Group):
    """A wrong configuration is one line on stderr and exit code 2."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except ConfigError as error:
            click.echo(f"penstock: {error}", err=True)
            sys.exit(2)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="penstock")
def main() -> None:
    """Every answer is a stream, and a stream is a log."""


@main.command()
@click.option("--config", "path", type=click.Path(path_type=Path), required=True, help="The TOML file.")
@click.option("--host", help="Listen here instead of the file's server.host.")
@click.option("--port", type=click.IntRange(0, 65535), help="Listen here instead of the file's server.port (0: any).")
@click.option("--workers", type=click.IntRange(1, 1), default=1, help="Processes; more than one is not built yet.")
def serve(path: Path, host: str | None, port: int | None, workers: int) -> None:  # noqa: ARG001  # it can only be 1
    """Serve what a configuration file says."""
    _import_from_here()
    config = load(path)
    _listen(config, host, port)


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="A loopback address: the demo has no keys.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0: any.")
@click.option("--database", help="Where conversations are kept [default: the user's data folder]; sqlite:// = nowhere.")
def demo(host: str, port: int, database: str | None) -> None:
    """Serve the embedded demo model: no configuration, no keys."""
    found = discover(os.environ)
    for note in found.notes:
        click.echo(f"note: {note}", err=True)
    config = demo_config(found)
    config.storage.database = database or f"sqlite:///{data_folder() / 'demo.db'}"
    _listen(config, host, port, "--database")


@main.command()
@click.option("--config", "path", type=click.Path(path_type=Path), required=True, help="The TOML file.")
def check(path: Path) -> None:
    """Check a configuration file without serving it."""
    _import_from_here()
    config = load(path)
    Penstock(config)
    for note in config.notes:
        click.echo(f"note: {note}")
    counts = (("upstream", config.upstream), ("route", config.route), ("tenant", config.tenant))
    told = ", ".join(f"{len(found)} {name}{'' if len(found) == 1 else 's'}" for name, found in counts)
    click.echo(f"{path}: good ({told})")


main.add_command(sim, "sim")
main.add_command(doctor, "doctor")


@main.command()
@click.argument("stream")
@click.option("--url", default="http://127.0.0.1:8080", show_default=True, help="The server's address.")
@click.option("--key", envvar="PENSTOCK_KEY", help="An API key of the stream's tenant (or PENSTOCK_KEY).")
def trace(stream: str, url: str, key: str | None) -> None:
    """Show what happened to a stream, and when."""
    try:
        told = fetch_trace(url, stream, key)
    except NotTold as error:
        click.echo(f"penstock: {error}", err=True)
        sys.exit(2)
    for line in trace_lines(told):
        click.echo(line)


@main.group()
def key() -> None:
    """API keys."""


@key.command("new")
@click.option("--tenant", help="Whose key it is to be.")
@click.option("--admin", is_flag=True, help="It is yours, who run the server: it reads every trace.")
def new_key(tenant: str | None, *, admin: bool) -> None:
    """Make a key, and the lines that make it known."""
    if admin == (tenant is not None):
        raise ConfigError("either --tenant NAME or --admin is needed")
    if tenant is not None and not TENANT_NAME.fullmatch(tenant):
        raise ConfigError(f"--tenant: {TENANT_NAME_RULE}")
    made = f"sk-penstock-{secrets.token_urlsafe(32)}"
    digest = hashlib.sha256(made.encode()).hexdigest()
    click.echo(f"key       {made}")
    if admin:
        click.echo(f'\n[server]\nadmin_key_hashes = ["sha256:{digest}"]')
    else:
        click.echo(f'\n[[tenant]]\nname = "{tenant}"\nkey_hashes = ["sha256:{digest}"]')
    click.echo(
        "\nThe block goes into the configuration file; if there is one already, the hash into its list."
        " The key is not shown again.",
        err=True,
    )


def demo_config(found: Found) -> Config:
    """What `penstock demo` serves: the demo model, and the models that were found."""
    routes = [{"model": "demo", "targets": [{"upstream": "demo"}], "on_abandon": "finish"}]
    upstreams: list[dict[str, object]] = [{"name": "demo", "dialect": "demo"}]
    for place in found.places:
        upstreams.append(
            {"name": place.name, "dialect": place.dialect, "base_url": place.base_url, "api_keys": list(place.api_keys)}
        )
        routes += [{"model": model, "targets": [{"upstream": place.name}]} for model in place.models]
    return convert({"upstream": upstreams, "route": routes})


def data_folder() -> Path:
    """Where this user's programs keep what they make (XDG Base Directory Specification)."""
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "penstock"


def _import_from_here() -> None:
    """`function = "module:name"` may name a module in the current directory, as with `python -m`."""
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))


def _listen(config: Config, host: str | None, port: int | None, database: str = "storage.database") -> None:
    """`database` is where the address of the storage was named, for who has to change it."""
    import uvloop

    from penstock.server.listen import bind
    from penstock.server.listen import serve as serve_on

    if host is not None:
        config.server.host = host
    if port is not None:
        config.server.port = port
    check_config(config)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    for told_too_much in ("uvicorn", "alembic"):
        logging.getLogger(told_too_much).setLevel(logging.WARNING)
    for note in config.notes:
        logging.getLogger("penstock").warning("%s", note)
    if (most := raise_descriptor_limit()) < FEWEST_DESCRIPTORS:
        raise ConfigError(
            f"only {most} files may be open here, and serving takes {FEWEST_DESCRIPTORS}: raise it (ulimit -Hn)"
        )
    try:
        listener = bind(config.server.host, config.server.port)
    except OSError as error:
        where = f"{config.server.host}:{config.server.port}"
        hint = "; choose another port with --port" if error.errno == errno.EADDRINUSE else ""
        raise ConfigError(f"can't listen on {where}: {error.strerror or error}{hint}") from None
    name = f"[{config.server.host}]" if ":" in config.server.host else config.server.host

    async def started() -> None:
        click.echo(f"penstock listening on http://{name}:{listener.getsockname()[1]}")
        sys.stdout.flush()

    app = Penstock(config)

    async def served() -> None:
        try:
            await app.start()
        except StorageFailed as error:
            raise ConfigError(f"{database}: {error.message}") from None
        await serve_on(app, listener, grace=config.server.grace, started=started)
        threading.Thread(target=_leave, args=(asyncio.get_running_loop(),), name="penstock-leave", daemon=True).start()

    uvloop.run(served())


def _leave(loop: asyncio.AbstractEventLoop) -> NoReturn:
    """End the process if it does not end by itself: user code may swallow its cancellation, or sit in a thread.

    In a thread of its own, for what does not end may be the loop's last task, an executor's thread or an exit handler.
    """
    time.sleep(LEAVING_SECONDS)
    tasks = 0 if loop.is_closed() else len(asyncio.all_tasks(loop))
    threads = sum(not thread.daemon and thread is not threading.main_thread() for thread in threading.enumerate())
    logging.getLogger("penstock").warning(
        "leaving without %d tasks and %d threads that don't end within %g s", tasks, threads, LEAVING_SECONDS
    )
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
