"""Random stories, many at once: whatever upstreams and clients do, every promise is kept.

PENSTOCK_SEED=7 PENSTOCK_RUNS=10000 pytest tests/faults/test_random_runs.py -s     (or: make soak)
PENSTOCK_SEED=7 PENSTOCK_STORY=1234 ...                                            one of them alone
"""

from __future__ import annotations

import asyncio
import os
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.sim.process import SimProcess, running
from tests.support.client import fetch
from tests.support.gates import LEDGER
from tests.support.ledger import Ledger
from tests.support.play import Place, play
from tests.support.routes import routed
from tests.support.serving import Served
from tests.support.stories import story, tables
from tests.support.verdicts import Verdicts

River = tuple[SimProcess, Served, Path]
"""The simulated model, Penstock in front of it, and the file of the gate's verdicts."""

SEED = int(os.environ.get("PENSTOCK_SEED", random.randrange(2**32)))
RUNS = int(os.environ.get("PENSTOCK_RUNS", "300"))
ONLY = os.environ.get("PENSTOCK_STORY")
AT_ONCE = 20
SHOWN_EVERY = 5.0
"""Seconds between two lines of progress."""

MOST_SHOWN = 10
"""Stories that went wrong, and violations of one; more of them say no more."""


@pytest.fixture
def river() -> Iterator[River]:
    with tempfile.NamedTemporaryFile(prefix="penstock-verdicts-") as verdicts, running() as sim:
        with routed(*tables(sim.url), env={LEDGER: verdicts.name}) as served:
            yield sim, served, Path(verdicts.name)


def descriptors(served: Served) -> int:
    return len(list(Path(f"/proc/{served.process.pid}/fd").iterdir()))


async def settled(served: Served, ledger: Ledger, before: int) -> tuple[int, int]:
    """(live streams, descriptors above those of the start and of kept upstream connections), once both are 0, or late."""
    for _ in range(200):
        ledger.read()
        live = (await fetch(served.port, "GET", "/readyz")).json["live_streams"]
        more = descriptors(served) - before - ledger.open
        if live == 0 and more <= 0:
            break
        await asyncio.sleep(0.1)
    return live, max(more, 0)


@pytest.mark.timeout(60 + RUNS)
@pytest.mark.anyio
async def test_every_promise_is_kept(river: River) -> None:
    sim, served, verdicts = river
    print(f"\nPENSTOCK_SEED={SEED} PENSTOCK_RUNS={RUNS}", flush=True)
    assert (await fetch(served.port, "GET", "/readyz")).status == 200
    before, began = descriptors(served), time.monotonic()
    place = Place(served.port, ledger := Ledger(sim.truth_path), Verdicts(verdicts))
    numbers = iter(range(RUNS) if ONLY is None else [int(ONLY)])
    violations: list[str] = []
    done = 0

    async def player() -> None:
        nonlocal done
        for number in numbers:
            told = story(SEED, number)
            try:
                found = await play(place, told)
            except Exception as error:  # what stops a player must name its story
                found = [f"{type(error).__name__}: {error}"]
            if found:
                violations.append("\n    ".join([f"PENSTOCK_STORY={number}: {told}", *found[:MOST_SHOWN]]))
            ledger.forget(told.prompt)
            done += 1

    async def reporter() -> None:
        while True:
            await asyncio.sleep(SHOWN_EVERY)
            rate = done / (time.monotonic() - began)
            print(f"{done} of {RUNS} stories, {len(violations)} violations, {rate:.1f} a second", flush=True)

    shown = asyncio.create_task(reporter())
    await asyncio.gather(*(player() for _ in range(AT_ONCE)))
    shown.cancel()
    live, leaked = await settled(served, ledger, before)
    seconds = time.monotonic() - began
    ledger.close()
    place.verdicts.close()
    print(f"{done} stories in {seconds:.1f} s, {len(violations)} violations, PENSTOCK_SEED={SEED}", flush=True)
    assert not violations, f"PENSTOCK_SEED={SEED}\n" + "\n".join(violations[:MOST_SHOWN])
    assert (live, leaked) == (0, 0), "streams that live on, and descriptors that nobody needs"
    assert "Traceback" not in served.log, served.log[-4000:]
