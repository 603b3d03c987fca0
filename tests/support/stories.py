"""Stories: random scripts for one stream each. What its upstreams do, who reads it where, and who leaves when.

A story is a function of its seed and number: `story(seed, number)` gives the same one again.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

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
        cues={target: _cue(dice, UPSTREAMS[target]) for target in ROUTES[name]},
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


FAULT_PLACES = ("cut_after", "stall_after", "error_after", "garbage_after", "oversize_after")


def is_early(cue: dict[str, Any]) -> bool:
    """The upstream fails before its first token, in a way that another may make good."""
    return "status" in cue or "hang" in cue or "cut_before_headers" in cue or 0 in _places(cue)


def is_good(cue: dict[str, Any]) -> bool:
    """The upstream says all, and that it is all."""
    bad = {"status", "hang", "cut_before_headers", "cut_at_byte", "omit_done"}
    return not bad & cue.keys() and not _places(cue)


def _places(cue: dict[str, Any]) -> list[int]:
    return [cue[key] for key in FAULT_PLACES if key in cue]


def _cue(dice: random.Random, dialect: str) -> dict[str, Any]:
    tokens = dice.randrange(1, 70)
    cue: dict[str, Any] = {
        "tokens": tokens,
        "seed": dice.randrange(10**6),
        "unicode": dice.random() < 0.7,
        "pace": dice.choice([0, 0, 0.001, 0.004]),
    }
    cue |= _manner(dice)
    if dice.random() < 0.03 and "split" not in cue:
        # Up to 1 MB on the wire.
        cue |= {"tokens": dice.randrange(1000, 2500), "token_size": 200, "pace": 0, "unicode": False}
    if dialect == "gemini":
        # It has no end marker: what comes after the last chunk can't be told from the answer.
        cue.pop("late_tokens", None)
    fault = _fault(dice, tokens)
    if "oversize_line" in fault and dialect in ("gemini", "openai-responses"):
        # Whole images and whole answers come in one event there: up to 8 MiB of it is no fault.
        fault["oversize_line"] *= 6
    if "cut_at_byte" in fault:
        # Which end was cut would be hard to tell; and half of a CRLF is a line end too.
        for key in ("late_tokens", "duplicate_done", "line_end"):
            cue.pop(key, None)
    return cue | fault


def _manner(dice: random.Random) -> dict[str, Any]:
    """How it is said; harmless."""
    manners: list[dict[str, Any]] = [
        {},
        {},
        {"split": dice.choice([3, 17, 200])},
        {"coalesce": dice.randrange(2, 9)},
        {"line_end": dice.choice(["\r\n", "\r"])},
        {"bom": True, "json_style": "spaced"},
        {"json_style": "escaped"},
        {"reasoning": "so it is, or is it not"},
        {"tool_calls": [{"name": "add", "arguments": {"a": 1, "b": "añ🌊"}}]},
        {"usage": False},
        {"late_tokens": 2},
        {"duplicate_done": True},
        {"bad_sse": "odd_fields"},
        {"bad_utf8_after": 0},
        {"http10": True},
        {"connection_close": True},
        {"close_next_request": True},
        {"close_idle_after": 1},
        {"first_token_delay": dice.choice([0.05, 0.25])},
        {"header_delay": dice.choice([0.05, 0.25])},
        {"comments": 0.05, "first_token_delay": 0.2},
    ]
    return dice.choice(manners)


def _fault(dice: random.Random, tokens: int) -> dict[str, Any]:
    """What goes wrong, if anything does."""
    cut = dice.choice(["reset", "eof", "half_close", "clean"])
    late = dice.randrange(1, tokens + 1)
    chance = dice.random()
    if chance < 0.5:
        return {}
    if chance < 0.75:
        early: list[dict[str, Any]] = [
            {"status": dice.choice([429, 500, 503, 401, 404]), "error_body": "no JSON at all"},
            {"status": dice.choice([429, 503]), "retry_after": dice.choice([0, 1, 30])},
            {"cut_before_headers": True, "cut": dice.choice(["reset", "eof"])},
            {"cut_after": 0, "cut": cut},
            {"error_after": 0},
            {"garbage_after": 0},
        ]
        return {"hang": dice.choice(["connect", "headers"])} if dice.random() < 0.05 else dice.choice(early)
    faults: list[dict[str, Any]] = [
        {"cut_after": late, "cut": cut},
        {"cut_after": late, "cut": cut},
        {"cut_at_byte": dice.randrange(1, 6000), "cut": cut},
        {"error_after": late},
        {"error_after": late, "error_then_done": True},
        {"garbage_after": late},
        {"omit_done": True},
        {"oversize_line": 1_500_000, "oversize_after": late - 1},
    ]
    return {"stall_after": late} if dice.random() < 0.05 else dice.choice(faults)
