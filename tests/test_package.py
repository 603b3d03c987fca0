"""The package: what is built from this checkout works where nothing but its dependencies is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
UV = ROOT / ".tools" / "bin" / "uv"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, from a copy of what git has: what lies about here must not help."""
    place = tmp_path_factory.mktemp("checkout")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split(
        "\n"
    )
    for name in listed:
        if name and (ROOT / name).is_file():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, place / name)
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel"]
    subprocess.run(build, cwd=place, check=True, capture_output=True, timeout=110)
    return next((place / "dist").glob("*.whl"))


def test_the_page_is_in_the_wheel(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    built = [name.removeprefix("penstock/faces/page/built/") for name in names if "/built/" in name]
    assert "index.html" in built
    assert {Path(name).suffix for name in built if name.startswith("assets/")} == {".js", ".css", ".br", ".gz"}
    assert not [name for name in names if "node_modules" in name or name.endswith((".ts", ".tsx"))]


def test_it_runs_with_its_declared_dependencies_and_no_others(wheel: Path, tmp_path: Path) -> None:
    assert UV.exists(), "`make setup` brings it"
    python = tmp_path / "venv" / "bin" / "python"
    lock = ROOT / "requirements.lock"
    for command in (
        [UV, "venv", "--quiet", "--python", sys.executable, tmp_path / "venv"],
        [UV, "pip", "sync", "--quiet", "--require-hashes", "--python", python, lock],
        [UV, "pip", "install", "--quiet", "--no-deps", "--python", python, wheel],
        [UV, "pip", "check", "--quiet", "--python", python],
    ):
        subprocess.run(command, check=True, capture_output=True, timeout=110, cwd=tmp_path)
    config = tmp_path / "penstock.toml"
    config.write_text(
        '[storage]\ndatabase = "sqlite:///kept.db"\n[[upstream]]\nname = "demo"\ndialect = "demo"\n'
        '[[route]]\nmodel = "demo"\ntargets = [{ upstream = "demo" }]\n'
    )
    run = [python, "-m", "penstock", "check", "--config", config]
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(run, cwd=tmp_path, env=env, check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
