"""Stories: random scripts for one stream each. What its upstreams do, who reads it where and how, and who leaves when.

A story is a function of its seed and number: `story(seed, number)` gives the same one again.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from tests.support.cues import cue_of
from tests.support.dialects import ASKED, READ, UNSTREAMED
from tests.support.history import Delivery
from tests.support.routes import at, route, upstream

UPSTREAMS = {
    "a": "openai-chat",
    "b": "openai-chat",
    "claude": "anthropic",
    "gem": "gemini",
    "resp": "openai-responses",
    "one": "openai-chat",
}
SLOTS = {"one": 1}
"""How many answers an upstream makes at a time; the others any number. Its stories wait for one another."""

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
    "claude-resp-gem": ("claude", "resp", "gem"),
    "one": ("one",),
}

GATE = "tests.support.gates:without_the_word"

KINDS: dict[str, dict[str, Any]] = {
    "": {"on_abandon": "finish"},
    "hedged": {"on_abandon": "finish", "hedge": 0.15},
    "retried": {"on_abandon": "finish", "retries": 2},
    "left": {"on_abandon": "cancel", "grace": 0.2},
    "continued": {"on_abandon": "finish", "continuation": True},
    "continued-hedged": {"on_abandon": "finish", "continuation": True, "hedge": 0.15},
    "continued-left": {"on_abandon": "cancel", "grace": 0.2, "continuation": True},
    "gated": {"on_abandon": "finish", "gate": {"function": GATE}},
    "gated-windows": {"on_abandon": "finish", "gate": {"function": GATE, "window": 30}},
    "gated-continued": {"on_abandon": "finish", "gate": {"function": GATE, "window": 30}, "continuation": True},
}
"""What a route may be besides, by the words at the end of its name."""

OFTEN = [*KINDS, "", "", "continued", "gated-windows"]


def tables(url: str) -> list[str]:
    """The upstreams, and each route once of every kind."""
    made = [
        upstream(name, url, dialect=dialect, **({"concurrent_streams": SLOTS[name]} if name in SLOTS else {}))
        for name, dialect in UPSTREAMS.items()
    ]
    for name, targets in ROUTES.items():
        for kind, settings in KINDS.items():
            made.append(route(_model(name, kind), *targets, timeouts=PATIENT, **settings))
    return made


def _model(name: str, kind: str) -> str:
    return f"{name}-{kind}" if kind else name


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
    delivery: Delivery | None = None
    """How it wants the answer; None: as it was asked for."""


@dataclass
class Story:
    """See the module."""

    number: int
    model: str
    kind: str
    """One of `KINDS`."""
    targets: tuple[str, ...]
    cues: dict[str, dict[str, Any]]
    """What each upstream does."""
    asked: str
    """The dialect in which it is asked."""
    first: Visit
    others: list[Visit]
    late: list[Visit]
    """Who comes when all is over, besides one reader in each dialect."""
    cancel_after: float | None
    """Seconds after the head."""
    key: str | None
    """An Idempotency-Key: then the first reader comes back once by asking again."""
    streamed: bool
    wish: str | None
    """`Penstock-Delivery`."""
    tool: str | None
    """The name of a tool that the request offers."""
    limit: int | None
    """The most tokens that it asks for."""

    @property
    def prompt(self) -> str:
        return f"story-{self.number}-"

    def is_a(self, word: str) -> bool:
        """Whether its route is `hedged`, `continued`, …"""
        return word in self.kind.split("-")

    @property
    def delivery(self) -> Delivery:
        """How its answer is to come, by the words of docs/api.md."""
        if self.wish != "auto":
            return "buffer" if self.wish == "buffer" else "stream"
        if not self.streamed or (self.limit is not None and self.limit <= 32):
            return "buffer"
        return "tools" if self.tool is not None else "stream"

    @property
    def headers(self) -> dict[str, str]:
        told = {"Idempotency-Key": self.key, "Penstock-Delivery": self.wish}
        return {name: value for name, value in told.items() if value is not None}

    @property
    def request(self) -> dict[str, Any]:
        cues, spoken = [at(name, **cue) for name, cue in self.cues.items()], ASKED[self.asked]
        fields: dict[str, Any] = {"model": self.model, "stream": self.streamed}
        if self.tool is not None and spoken.tool is not None:
            fields["tools"] = [spoken.tool(self.tool)]
        if self.limit is not None and spoken.limit is not None:
            fields[spoken.limit] = self.limit
        return spoken.request(cues, self.prompt, **fields)


def story(seed: int, number: int) -> Story:
    """Story number so-and-so of a seed."""
    dice = random.Random(f"{seed}-{number}")
    kind = dice.choice(OFTEN)
    continued, left = "continued" in kind, "left" in kind
    name = dice.choice([name for name, targets in ROUTES.items() if len(targets) > 1 or not continued])
    asked = dice.choice(list(ASKED))
    cuts = 0 if left else dice.choice([0, 0, 1, 3])
    cues = {
        target: cue_of(
            dice,
            UPSTREAMS[target],
            calls=0.1 if continued else 0.2,
            # Only of the last one nothing depends on how it breaks off.
            breaks=continued and target != ROUTES[name][-1],
            plain=kind == "gated-continued",
            blanks=continued,
        )
        for target in ROUTES[name]
    }
    told = Story(
        number=number,
        model=_model(name, kind),
        kind=kind,
        targets=ROUTES[name],
        cues=cues,
        asked=asked,
        first=Visit(
            asked,
            cuts=_cuts(dice, cuts),
            leaves=dice.random() < (0.3 if left else 0.05),
            dawdle=dice.choice([0, 0, 0.2]),
        ),
        others=[_visit(dice) for _ in range(dice.choice([0, 0, 1, 2]))],
        late=[Visit(dice.choice(list(READ)), delivery=dice.choice(["tools", "buffer"])) for _ in range(2)],
        cancel_after=dice.uniform(0, 0.2) if dice.random() < 0.15 else None,
        key=f"key-{seed}-{number}" if dice.random() < 0.2 else None,
        streamed=dice.random() < 0.9 or asked not in UNSTREAMED,
        wish=dice.choice([None, None, "stream", "buffer", "auto", "auto"]),
        tool=dice.choice([None, "add"]) if ASKED[asked].tool is not None else None,
        limit=None,
    )
    # What calls a tool is cut short by its upstream's own faults; and a line that never comes is not oversize.
    limited = all("tool_calls" not in cue and "oversize_line" not in cue for cue in cues.values())
    if limited and ASKED[asked].limit is not None and dice.random() < 0.15:
        told.limit = dice.choice([8, 32, 33])
    return told


def _visit(dice: random.Random) -> Visit:
    return Visit(
        dice.choice(list(READ)),
        dice.choice([0, dice.uniform(0, 0.2)]),
        _cuts(dice, dice.choice([0, 1, 4])),
        dice.choice([0, 0.02]),
        leaves=dice.random() < 0.1,
        dawdle=dice.choice([0, 0, 0.3]),
        delivery=dice.choice([None, None, "stream", "tools", "buffer"]),
    )


def _cuts(dice: random.Random, count: int) -> list[int]:
    return [dice.choice([1, dice.randrange(400), dice.randrange(4000)]) for _ in range(count)]
