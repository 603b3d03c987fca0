from collections.abc import Iterator

import pytest

from penstock.sim.process import SimProcess, running


@pytest.fixture(scope="session")
def sim() -> Iterator[SimProcess]:
    """One sim for all tests that bring their cues along."""
    with running(seed=7) as process:
        yield process
