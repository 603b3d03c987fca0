"""The commands, as a person runs them."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.support.client import fetch
from tests.support.serving import CONFIG, penstock


def run(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "penstock", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=cwd, check=False)


def test_help_names_every_command() -> None:
    told = run("--help").stdout
    assert all(f"  {name} " in told for name in ("serve", "demo", "check", "key", "sim"))
    assert run("--version").stdout.startswith("penstock, version ")


def test_check_says_good_and_what_is_probably_not_meant(tmp_path: Path) -> None:
    path = tmp_path / "penstock.toml"
    tenant = f'\n[[tenant]]\nname = "a"\nkey_hashes = ["sha256:{"0" * 64}"]\nweight = 2\n'
    path.write_text(CONFIG.format(sim="http://127.0.0.1:1", route="") + tenant)
    done = run("check", "--config", str(path))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0].startswith("note: tenant a: weight counts where")
    assert done.stdout.splitlines()[-1] == f"{path}: good (1 upstream, 1 route, 1 tenant)"


@pytest.mark.parametrize("command", ["check", "serve"])
@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        ("timeouts = { first_tokn = 3 }", "route[0].timeouts.first_tokn: unknown key (did you mean first_token?)"),
        ('on_abandon = "stop"', "route[0].on_abandon"),
        ("retries = ", "nvalid value"),
    ],
)
def test_a_wrong_file_is_one_clear_line(tmp_path: Path, command: str, mistake: str, said: str) -> None:
    path = tmp_path / "penstock.toml"
    path.write_text(CONFIG.format(sim="http://127.0.0.1:1", route=mistake))
    done = run(command, "--config", str(path))
    assert done.returncode == 2
    assert done.stdout == ""
    (told,) = done.stderr.splitlines()
    line = path.read_text().splitlines().index(mistake) + 1
    assert told.startswith(f"penstock: {path}:{line}: "), told
    assert said in told


def test_a_missing_file_and_a_missing_module(tmp_path: Path) -> None:
    done = run("serve", "--config", str(tmp_path / "nope.toml"))
    assert (done.returncode, done.stderr) == (2, f"penstock: {tmp_path / 'nope.toml'}: No such file or directory\n")
    path = tmp_path / "own.toml"
    path.write_text(
        '[[upstream]]\nname = "own"\ndialect = "python"\nfunction = "own_module:answer"\n'
        '[[route]]\nmodel = "own"\ntargets = [{ upstream = "own" }]\n'
    )
    done = run("check", "--config", str(path))
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "own_module" in done.stderr
    (tmp_path / "own_module.py").write_text("async def answer(request):\n    return 1\n")
    assert "must be an async generator" in run("check", "--config", str(path), cwd=tmp_path).stderr
    (tmp_path / "own_module.py").write_text("async def answer(request):\n    yield 'x'\n")
    assert run("check", "--config", str(path), cwd=tmp_path).returncode == 0, "modules beside the caller are found"


@pytest.mark.parametrize("descriptors", [6, 10, 14, 31])
def test_too_few_descriptors_are_one_clear_line(tmp_path: Path, descriptors: int) -> None:
    path = tmp_path / "penstock.toml"
    path.write_text(CONFIG.format(sim="http://127.0.0.1:1", route=""))
    command = f"ulimit -n {descriptors}; exec {sys.executable} -m penstock serve --port 0 --config {path}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    (told,) = done.stderr.splitlines()
    assert told.startswith(f"penstock: only {descriptors} files may be open here")


def test_the_demo_stays_on_loopback() -> None:
    done = run("demo", "--host", "0.0.0.0", "--port", "0")
    assert done.returncode == 2
    assert "without a [[tenant]] only loopback may be served" in done.stderr


def test_a_new_key_is_shown_once_with_its_hash() -> None:
    done = run("key", "new", "--tenant", "acme")
    first, _, block = done.stdout.partition("\n")
    key = first.removeprefix("key ").strip()
    assert len(key) >= 43
    tenant = {"name": "acme", "key_hashes": ["sha256:" + hashlib.sha256(key.encode()).hexdigest()]}
    assert tomllib.loads(block) == {"tenant": [tenant]}, "as it is, for the configuration file"
    assert run("key", "new", "--tenant", "acme").stdout != done.stdout


def test_a_key_of_one_s_own() -> None:
    done = run("key", "new", "--admin")
    key, _, block = done.stdout.removeprefix("key").strip().partition("\n")
    assert tomllib.loads(block) == {
        "server": {"admin_key_hashes": ["sha256:" + hashlib.sha256(key.encode()).hexdigest()]}
    }
    for wrong in ((), ("--admin", "--tenant", "acme")):
        assert "either --tenant NAME or --admin" in run("key", "new", *wrong).stderr


@pytest.mark.parametrize("name", ["bad name!", "", "-a", "a" * 65, 'a"b', "a\n"])
def test_a_key_for_nobody_is_refused(name: str) -> None:
    done = run("key", "new", "--tenant", name)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("penstock: --tenant: must be 1 to 64 letters")
    assert done.stderr.count("\n") == 1


def test_every_command_says_in_one_line_what_it_is() -> None:
    for group in ((), ("key",)):
        assert not re.search(r"\.\.\.$", run(*group, "--help").stdout.partition("Commands:")[2], re.MULTILINE)


@pytest.mark.anyio
async def test_the_demo_answers_from_the_prompt() -> None:
    with penstock("demo", "--port", "0") as served:
        body = {"model": "demo", "messages": [{"role": "user", "content": "hello, river"}], "stream": False}
        got = await fetch(served.port, "POST", "/v1/chat/completions", body)
    assert "hello, river" in got.json["choices"][0]["message"]["content"]
