"""What all tests share: the event loop, how long they may take, and how hypothesis looks for trouble."""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
import random
from collections.abc import Awaitable, Callable
from typing import Any

import hypothesis
import pytest

hypothesis.settings.register_profile("ci", derandomize=False, print_blob=True, deadline=None)
hypothesis.settings.register_profile("long", parent=hypothesis.settings.get_profile("ci"), max_examples=2000)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


def pytest_configure(config: pytest.Config) -> None:
    """Every run looks elsewhere, and says where: give the seed back with `--hypothesis-seed` to look there again."""
    if getattr(config.option, "hypothesis_seed", None) is None and not hasattr(config, "workerinput"):
        config.option.hypothesis_seed = str(random.SystemRandom().randrange(2**32))


def pytest_report_header(config: pytest.Config) -> str:
    return f"hypothesis seed: {config.option.hypothesis_seed} (again with --hypothesis-seed)"


def pytest_itemcollected(item: pytest.Item) -> None:
    """A test with an event loop is cancelled a little before its `timeout`: it fails by itself, and its fixtures clean up.

    Without a loop, or where a cancel is not heard, pytest-timeout ends the whole process (`-n`: the worker).
    """
    if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
        item.obj = _bounded(item.obj, 0.9 * _timeout(item))


def _timeout(item: pytest.Item) -> float:
    marker = item.get_closest_marker("timeout")
    asked = item.config.getoption("timeout")
    return float(marker.args[0] if marker else item.config.getini("timeout") if asked is None else asked)


def _bounded(test: Callable[..., Awaitable[None]], seconds: float) -> Callable[..., Awaitable[None]]:
    @functools.wraps(test)
    async def bounded(*args: Any, **kwargs: Any) -> None:
        limit = asyncio.timeout(seconds or None)  # 0: none, as for pytest-timeout
        try:
            async with limit:
                await test(*args, **kwargs)
        except TimeoutError:
            if limit.expired():
                pytest.fail(f"it hangs: not over after {seconds:g} s")
            raise

    return bounded


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": True}
