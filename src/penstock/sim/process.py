"""Runs the sim as a subprocess, for tests, examples and benchmarks."""

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

_LISTENING = "penstock sim listening on "
_PATIENCE = 10  # seconds for the process to end


class SimProcess(msgspec.Struct, frozen=True):
    """A running sim."""

    url: str
    """`http://127.0.0.1:PORT`; an OpenAI client's base URL is this and `/v1`."""
    port: int
    truth_path: Path
    """Read it with `penstock.sim.truth.read_truth`, at any time."""
    pid: int


@contextlib.contextmanager
def running(
    script: str | Path | None = None,
    truth: Path | bool | None = None,
    *,
    seed: int = 0,
    host: str = "127.0.0.1",
    port: int = 0,
    tls: tuple[Path, Path] | None = None,
    wrapper: Sequence[str] = (),
) -> Iterator[SimProcess]:
    """Starts a sim on a free port, waits until it listens, and ends it afterwards.

    `script` is a path, or the script's TOML text itself. `truth` is where the truth file goes (None: a temporary file;
    False: none is kept, as benchmarks want). `tls` is a certificate file and its key file. `wrapper` comes before the
    command, as in `("taskset", "-c", "3")`. Raises RuntimeError, with the sim's own message, when it does not start.
    """
    with tempfile.TemporaryDirectory(prefix="penstock-sim-") as folder:
        if isinstance(script, str):
            text, script = script, Path(folder) / "script.toml"
            script.write_text(text, "utf-8")
        truth_path = truth if isinstance(truth, Path) else Path(folder) / "truth.jsonl"
        line = [
            *wrapper,
            sys.executable,
            "-m",
            "penstock.sim",
            "--host",
            host,
            "--port",
            str(port),
            "--seed",
            str(seed),
        ]
        if script is not None:
            line += ["--script", str(script)]
        if truth is not False:
            line += ["--truth", str(truth_path)]
        if tls is not None:
            line += ["--tls-cert", str(tls[0]), "--tls-key", str(tls[1])]
        source = str(Path(__file__).parents[2])  # also where the package is not installed
        path = os.pathsep.join(part for part in (source, os.environ.get("PYTHONPATH")) if part)
        errors = Path(folder) / "stderr"
        with errors.open("wb") as sink:
            process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                line, stdout=subprocess.PIPE, stderr=sink, env=os.environ | {"PYTHONPATH": path}, text=True
            )
        try:
            assert process.stdout is not None
            first = process.stdout.readline()
            if not first.startswith(_LISTENING):
                process.wait(_PATIENCE)
                said = errors.read_text("utf-8").strip()
                errors.write_bytes(b"")
                raise RuntimeError(said or f"the sim ended with {process.returncode}")
            url = first.removeprefix(_LISTENING).strip()
            yield SimProcess(url, int(url.rpartition(":")[2]), truth_path, process.pid)
        finally:
            process.terminate()
            try:
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()
            # Nothing is ever written there but a defect's traceback: not to be lost with the folder.
            sys.stderr.write(errors.read_text("utf-8", "replace"))
