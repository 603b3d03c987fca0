"""The parts, joined."""

from __future__ import annotations

import os
import resource
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

import penstock
from penstock.app import Penstock, raise_descriptor_limit
from penstock.exceptions import ConfigError

DEMO = {
    "upstream": [{"name": "demo", "dialect": "demo"}],
    "route": [{"model": "demo", "targets": [{"upstream": "demo"}]}],
}


def test_a_dictionary_or_a_file_makes_an_application(tmp_path: Path) -> None:
    assert list(penstock.asgi(DEMO).gateway.routes) == ["demo"]
    path = tmp_path / "penstock.toml"
    path.write_text(
        '[[upstream]]\nname = "d"\ndialect = "demo"\n[[route]]\nmodel = "d"\ntargets = [{ upstream = "d" }]\n'
    )
    for named in (path, str(path)):
        assert isinstance(penstock.asgi(named), Penstock)


def test_a_wrong_configuration_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="upstrem: unknown key"):
        penstock.asgi({"upstrem": []})


def test_a_proxy_that_can_not_be_used_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "socks5://127.0.0.1:1")
    config = {
        "upstream": [{"name": "u", "dialect": "openai-chat", "base_url": "https://api.example.com/v1"}],
        "route": [{"model": "m", "targets": [{"upstream": "u"}]}],
    }
    with pytest.raises(ConfigError, match="only http:// proxies"):
        penstock.asgi(config)


def test_descriptors_are_raised_to_what_is_allowed() -> None:
    limit = raise_descriptor_limit()
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == limit


def test_unknown_names_of_the_package_are_errors() -> None:
    with pytest.raises(AttributeError):
        penstock.nothing  # noqa: B018


def test_a_function_may_be_given_as_an_object() -> None:
    async def answer(request: penstock.Request) -> AsyncIterator[str]:
        yield "x"

    route = {"model": "own", "targets": [{"upstream": "own"}]}
    assert penstock.asgi({"upstream": [{"name": "own", "dialect": "python", "function": answer}], "route": [route]})
    for wrong in (no_generator, no_async, os.getcwd):
        with pytest.raises(ConfigError, match="must be an async generator"):
            penstock.asgi({"upstream": [{"name": "own", "dialect": "python", "function": wrong}], "route": [route]})


async def no_generator(request: penstock.Request) -> str:
    return "x"


def no_async(request: penstock.Request) -> Iterator[str]:
    yield "x"


@pytest.mark.parametrize("raises", ["raise SystemExit(9)", "raise KeyboardInterrupt", "import nowhere_at_all"])
def test_a_module_that_does_not_import_is_a_config_error(
    raises: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "own_gate.py").write_text(raises)
    route = {"model": "m", "targets": [{"upstream": "demo"}], "gate": {"function": "own_gate:check"}}
    with pytest.raises(ConfigError, match=r"route m: gate: function 'own_gate:check' can't be imported: .*[a-zA-Z]"):
        penstock.asgi({**DEMO, "route": [route]})
