"""What all tests share: the event loop, and how hypothesis looks for trouble."""

from __future__ import annotations

import os
import random

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


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": True}
