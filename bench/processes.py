"""Child processes of a measurement: pinned to cores, bounded in time, ended by their own ids."""

from __future__ import annotations

import ctypes
import json
import os
import random
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import proc

ROOT = Path(__file__).resolve().parent.parent
PLACE = ROOT / ".bench"
"""Where peers are installed, and where runs keep their files."""

CORES = sorted(os.sched_getaffinity(0))
PROXY_CORES = {CORES[0]}
LOAD_CORES = set(CORES[1:]) or PROXY_CORES
"""The origin and the clients share what the proxy doesn't have."""

_PDEATHSIG = 1


class Running:
    """One process tree of ours. Use it as a context: it has ended when the context is left."""

    def __init__(
        self, command: Sequence[str], cores: set[int], folder: Path, name: str, env: Mapping[str, str] | None = None
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / f"{name}.log"

        def prepare() -> None:
            os.sched_setaffinity(0, cores)
            hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            ctypes.CDLL(None).prctl(_PDEATHSIG, signal.SIGKILL)

        with self.log.open("wb") as log:
            self._popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env={**os.environ, **(env or {})},
                start_new_session=True,
                preexec_fn=prepare,
            )
        self.pid = self._popen.pid

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def ended(self) -> int | None:
        """Its exit status, or None while it runs."""
        return self._popen.poll()

    def stop(self, patience: float = 5.0) -> None:
        """Ask it to end; after `patience` seconds end it and its descendants, each by its id."""
        tree = proc.tree(self.pid)
        if self._popen.poll() is None:
            self._popen.terminate()
            try:
                self._popen.wait(patience)
            except subprocess.TimeoutExpired:
                self._popen.kill()
                self._popen.wait()
        for pid in tree[1:]:
            try:
                if os.getsid(pid) == self.pid:
                    os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue

    def last_words(self) -> str:
        """The last thing it printed: mostly the cause of its end."""
        lines = [line.strip() for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        return lines[-1].replace(f"{ROOT}/", "")[-400:] if lines else "it said nothing"


def run_client(spec: dict[str, Any], timeout: float) -> dict[str, Any]:
    """Run one scenario of the client process; `{"error": why}` when it doesn't give a result within `timeout` s."""

    def prepare() -> None:
        os.sched_setaffinity(0, LOAD_CORES)
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        ctypes.CDLL(None).prctl(_PDEATHSIG, signal.SIGKILL)

    try:
        done = subprocess.run(
            [sys.executable, "-m", "bench.client"],
            input=json.dumps(spec),
            capture_output=True,
            text=True,
            timeout=timeout,
            cwd=ROOT,
            preexec_fn=prepare,
        )
    except subprocess.TimeoutExpired:
        return {"error": f"no result within {timeout:.0f} s"}
    if done.returncode:
        return {"error": "the client failed: " + " | ".join(done.stderr.strip().splitlines()[-3:])}
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def free_port() -> int:
    """A port to listen on, outside the range that outgoing connections take theirs from."""
    for _ in range(200):
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port between 20000 and 32000")
