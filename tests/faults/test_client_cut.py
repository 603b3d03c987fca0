"""Fault: the client's connection is cut, at any byte. Nothing is lost, doubled or reordered."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Iterator

import pytest

from penstock.sim.process import SimProcess
from penstock.sim.truth import read_truth
from tests.support.client import Block, Client, chat, told
from tests.support.serving import Served, river

CUTS = int(os.environ.get("PENSTOCK_CUTS", "1000"))
"""How many connections are cut."""

SEED = int(os.environ.get("PENSTOCK_SEED", random.randrange(2**32)))
PATHS = {"/v1/chat/completions": "openai-chat", "/v1/streams": "native"}


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[SimProcess, Served]]:
    with river('on_abandon = "finish"') as both:
        yield both


class Follower:
    """Follows one stream through any number of cut connections, and keeps every block that came whole."""

    def __init__(self, port: int, dice: random.Random, format: str) -> None:
        self.port = port
        self.dice = dice
        self.format = format
        self.blocks: list[Block] = []
        self.cuts = 0

    async def open(self, path: str, body: object) -> str:
        """POST, read the head at least, and be cut."""
        async with Client(self.port) as client:
            await client.send("POST", path, body)
            head = await client.read(until="")
            assert head.status == 200, head.body
            response = await client.read(most=len(client.raw) + self.dice.randrange(1, 3000))
            self.blocks += response.blocks
        self.cuts += 1
        return response.stream_id

    async def follow(self, stream_id: str, cuts: int) -> None:
        """Resume and be cut `cuts` times, then resume and stay to the end."""
        for left in range(cuts, -1, -1):
            if self.blocks and self.blocks[-1].terminal:
                break
            last = left == 0
            async with Client(self.port) as client:
                seen = {"Last-Event-ID": self.blocks[-1].id} if self.blocks else {}
                await client.send("GET", f"/v1/streams/{stream_id}?format={self.format}", headers=seen)
                response = await client.read(most=None if last else self.dice.randrange(200, 4000))
                assert response.status in (0, 200), response
                assert not last or response.whole
                self.blocks += response.blocks
            self.cuts += 1

    def check(self, truth: str) -> None:
        offsets = [tuple(int(part) for part in block.id.split(":")[1].split(".")) for block in self.blocks]
        assert offsets == sorted(set(offsets)), "every id once, in order"
        assert [offset[0] for offset in offsets if len(offset) == 1 or offset[1] == 1] == list(
            range(1, offsets[-1][0] + 1)
        )
        assert "".join(block.text for block in self.blocks) == truth
        assert [block.terminal for block in self.blocks].count(True) == 1
        assert self.blocks[-1].terminal


def cue(dice: random.Random) -> dict[str, object]:
    return {
        "tokens": dice.randrange(20, 120),
        "unicode": True,
        "seed": dice.randrange(10**6),
        "pace": dice.choice([0, 0.001, 0.004]),
        "split": dice.choice([7, 53, 1000]),
    }


@pytest.mark.anyio
async def test_a_thousand_cuts(servers: tuple[SimProcess, Served]) -> None:
    sim, served = servers
    print(f"PENSTOCK_SEED={SEED} PENSTOCK_CUTS={CUTS}")
    dice = random.Random(SEED)
    done = 0

    async def one(number: int, dice: random.Random) -> Follower:
        path = dice.choice(list(PATHS))
        follower = Follower(served.port, dice, PATHS[path])
        stream_id = await follower.open(path, chat(cue(dice), f"cut-{number}-of-one"))
        await follower.follow(stream_id, cuts=dice.randrange(4, 12))
        follower.check((await told(sim, lambda truth: truth.answer(f"cut-{number}-of-one"))).text[0])
        return follower

    number = 0
    while done < CUTS:
        batch = [one(number + i, random.Random(dice.random())) for i in range(16)]
        number += len(batch)
        done += sum(follower.cuts for follower in await asyncio.gather(*batch))
    assert len(read_truth(sim.truth_path).answers("-of-one")) == number, "the model was asked once for each stream"


@pytest.mark.anyio
async def test_three_readers_of_one_stream_cut_independently(servers: tuple[SimProcess, Served]) -> None:
    sim, served = servers
    print(f"PENSTOCK_SEED={SEED}")
    dice = random.Random(SEED + 1)
    done = number = 0
    while done < CUTS // 3:
        path = dice.choice(list(PATHS))
        prompt = f"cut-{number}-of-three"
        number += 1
        followers = [
            Follower(served.port, random.Random(dice.random()), format)
            for format in (PATHS[path], "native", "openai-chat")
        ]
        stream_id = await followers[0].open(path, chat(cue(dice), prompt))
        await asyncio.gather(*(follower.follow(stream_id, cuts=dice.randrange(2, 10)) for follower in followers))
        truth = (await told(sim, lambda found, prompt=prompt: found.answer(prompt))).text[0]
        for follower in followers:
            follower.check(truth)
        done += sum(follower.cuts for follower in followers)
