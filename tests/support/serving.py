"""Penstock and its simulated model as real processes on free ports of loopback."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from penstock.sim.process import SimProcess, running

PATIENCE = 30.0
"""Seconds that a process has to start or stop. Generous: a loaded machine is no failure."""


@dataclass(frozen=True)
class Served:
    """A running `penstock serve`."""

    url: str
    port: int
    process: subprocess.Popen[str]
    log_path: Path

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal, and wait for the exit code."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    @property
    def log(self) -> str:
        return self.log_path.read_text("utf-8")


@contextlib.contextmanager
def penstock(
    *arguments: str, env: dict[str, str] | None = None, cwd: Path | None = None, descriptors: int | None = None
) -> Iterator[Served]:
    """`penstock <arguments>`, from the line that says where it listens to its end; with so many descriptors at most."""
    limit = [] if descriptors is None else ["prlimit", f"--nofile={descriptors}:{descriptors}"]
    with tempfile.TemporaryDirectory(prefix="penstock-test-") as folder:
        log_path = Path(folder) / "stderr"
        with log_path.open("wb") as errors:
            process = subprocess.Popen(
                [*limit, sys.executable, "-m", "penstock", *arguments],
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                cwd=cwd,
                env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1", "XDG_DATA_HOME": folder} | (env or {}),
            )
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            if "listening on" not in line:
                process.wait(PATIENCE)
                raise RuntimeError(f"penstock did not start: {log_path.read_text('utf-8')}")
            url = line.split()[-1]
            yield Served(url, int(url.rpartition(":")[2]), process, log_path)
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(PATIENCE)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            process.stdout.close()


CONFIG = """
[[upstream]]
name = "sim"
dialect = "openai-chat"
base_url = "{sim}/v1"
api_keys = ["sk-upstream-secret"]
max_failures = 0

[[route]]
model = "m"
targets = [{{ upstream = "sim", model = "m" }}]
{route}
"""


@contextlib.contextmanager
def serving(
    sim: SimProcess, route: str = "", more: str = "", env: dict[str, str] | None = None, descriptors: int | None = None
) -> Iterator[Served]:
    """`penstock serve` in front of `sim`: the model `m`, with `route` as more lines of its route, `more` after that."""
    with tempfile.TemporaryDirectory(prefix="penstock-test-") as folder:
        path = Path(folder) / "penstock.toml"
        path.write_text(CONFIG.format(sim=sim.url, route=route) + more, "utf-8")
        with penstock("serve", "--config", str(path), "--port", "0", env=env, descriptors=descriptors) as served:
            yield served


@contextlib.contextmanager
def river(route: str = "", more: str = "") -> Iterator[tuple[SimProcess, Served]]:
    """A simulated model, and Penstock in front of it."""
    with running() as sim, serving(sim, route, more) as served:
        yield sim, served


SERVERS = ("penstock", "uvicorn", "hypercorn")
"""Our own protocol with the direct write; and two servers that know nothing of it."""


@contextlib.contextmanager
def hosted(server: str, sim: SimProcess, route: str = "", more: str = "") -> Iterator[str]:
    """The same application under one of `SERVERS`; gives its address."""
    if server == "penstock":
        with serving(sim, route, more) as served:
            yield served.url
        return
    with tempfile.TemporaryDirectory(prefix="penstock-test-") as folder:
        path = Path(folder) / "penstock.toml"
        path.write_text(CONFIG.format(sim=sim.url, route=route) + more, "utf-8")
        port = free_port()
        app = "tests.support.plain:app"
        command = {
            "uvicorn": ["uvicorn", app, "--port", str(port), "--no-access-log", "--timeout-graceful-shutdown", "1"],
            "hypercorn": ["hypercorn", app, "--bind", f"127.0.0.1:{port}", "--graceful-timeout", "1"],
        }[server]
        with (Path(folder) / "log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *command],
                stdout=log,
                stderr=log,
                cwd=Path(__file__).parents[2],
                env=os.environ | {"PENSTOCK_CONFIG": str(path)},
            )
        try:
            wait_until_open(port)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_open(port: int) -> None:
    """Raises TimeoutError when nobody listens there in time."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise TimeoutError(f"nobody listens on port {port}")
