"""Stories: random scripts for one stream each. What its upstreams do, who reads it where, and who leaves when.

A story is a function of its seed and number: `story(seed, number)` gives the same one again.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from tests.support.cues import cue_of
from tests.support.dialects import ASKED, READ, UNSTREAMED
from tests.support.routes import at, route, upstream

UPSTREAMS = {"a": "openai-chat", "b": "openai-chat", "claude": "anthropic", "gem": "gemini", "resp": "openai-responses"}
PATIENT = {"first_token": 3, "silence": 3, "total": 30}
"""Deadlines that a loaded machine does not pass by itself."""

ROUTES: dict[str, tuple[str, ...]] = {
    "a": ("a",),
    "claude": ("claude",),
    "gem": ("gem",),
    "a-b": ("a", "b"),
    "a-claude": ("a", "claude"),
    "claude-gem": ("claude", "gem"),
    "gem-a-claude": ("gem", "a", "claude"),
    "resp": ("resp",),
    "resp-claude": ("resp", "claude"),
    "a-resp": ("a", "resp"),
}


def tables(url: str) -> list[str]:
    """The upstreams, and each route four times: to be finished when abandoned, hedged, retried, or cancelled when abandoned."""
    made = [upstream(name, url, dialect=dialect) for name, dialect in UPSTREAMS.items()]
    for name, targets in ROUTES.items():
        made += [
            route(name, *targets, timeouts=PATIENT, on_abandon="finish"),
            route(f"{name}-hedged", *targets, timeouts=PATIENT, on_abandon="finish", hedge=0.15),
            route(f"{name}-retried", *targets, timeouts=PATIENT, on_abandon="finish", retries=len(targets)),
            route(f"{name}-left", *targets, timeouts=PATIENT, on_abandon="cancel", grace=0.2),
        ]
    return made


@dataclass
class Visit:
    """One reader: when it comes, in which dialect, and after how many more bytes each connection is cut."""

    dialect: str
    after: float = 0.0
    """Seconds after the stream's head was seen."""
    cuts: list[int] = field(default_factory=list)
    pause: float = 0.0
    """Seconds between a cut and coming back."""
    leaves: bool = False
    """After its last cut it never comes back."""
    dawdle: float = 0.0
    """Seconds that it reads nothing, once it has a head: of a large answer, it falls behind."""


@dataclass
class Story:
    """See the module."""

    number: int
    model: str
    targets: tuple[str, ...]
    cues: dict[str, dict[str, Any]]
    """What each upstream does."""
    asked: str
    """The dialect in which it is asked."""
    first: Visit
    others: list[Visit]
    cancel_after: float | None
    """Seconds after the head."""
    key: str | None
    """An Idempotency-Key: then the first reader comes back once by asking again."""
    streamed: bool

    @property
    def prompt(self) -> str:
        return f"story-{self.number}-"

    @property
    def kind(self) -> str:
        """`hedged`, `retried`, `left`, or nothing."""
        return self.model.removeprefix("-".join(self.targets)).removeprefix("-")

    @property
    def request(self) -> dict[str, Any]:
        cues = [at(name, **cue) for name, cue in self.cues.items()]
        return ASKED[self.asked].request(cues, self.prompt, model=self.model, stream=self.streamed)


def story(seed: int, number: int) -> Story:
    """Story number so-and-so of a seed."""
    dice = random.Random(f"{seed}-{number}")
    name = dice.choice(list(ROUTES))
    kind = dice.choice(["", "", "-hedged", "-retried", "-left"])
    asked = dice.choice(list(ASKED))
    cuts = 0 if kind == "-left" else dice.choice([0, 0, 1, 3])
    return Story(
        number=number,
        model=name + kind,
        targets=ROUTES[name],
        cues={target: cue_of(dice, UPSTREAMS[target]) for target in ROUTES[name]},
        asked=asked,
        first=Visit(
            asked,
            cuts=_cuts(dice, cuts),
            leaves=dice.random() < (0.3 if kind == "-left" else 0.05),
            dawdle=dice.choice([0, 0, 0.2]),
        ),
        others=[_visit(dice) for _ in range(dice.choice([0, 0, 1, 2]))],
        cancel_after=dice.uniform(0, 0.2) if dice.random() < 0.15 else None,
        key=f"key-{seed}-{number}" if dice.random() < 0.2 else None,
        streamed=dice.random() < 0.9 or asked not in UNSTREAMED,
    )


def _visit(dice: random.Random) -> Visit:
    return Visit(
        dice.choice(list(READ)),
        dice.choice([0, dice.uniform(0, 0.2)]),
        _cuts(dice, dice.choice([0, 1, 4])),
        dice.choice([0, 0.02]),
        leaves=dice.random() < 0.1,
        dawdle=dice.choice([0, 0, 0.3]),
    )


def _cuts(dice: random.Random, count: int) -> list[int]:
    return [dice.choice([1, dice.randrange(400), dice.randrange(4000)]) for _ in range(count)]
