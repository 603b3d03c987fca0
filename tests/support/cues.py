"""Cues: what an upstream of a story says, how it says it, and what goes wrong."""

from __future__ import annotations

import json
import random
from typing import Any

THOUGHTS = ("so it is, or is it not", "añ 🌊", "one\ntwo\n\nthree " * 5)

BLANKS = (" \n ", " \n ", " \n ", " river", " river", " añ🌊", "\n\nstone", "two ", "\u2028")
"""Pieces of answers that go on with others: what is white space in one may be said again by the next."""

CALLS: tuple[dict[str, Any], ...] = (
    {"name": "add", "arguments": {"a": 1, "b": "añ🌊"}},
    {"name": "now", "arguments": {}},
    {"name": "look_up", "arguments": {"text": '"quoted" \\ and\nbroken {', "deep": [1, [2.5, {"none": None}], True]}},
    {"name": "write", "arguments": {"text": "all of it, word by word; " * 6}},
)

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


def cue_of(
    dice: random.Random,
    dialect: str,
    *,
    calls: float = 0.2,
    breaks: bool = False,
    plain: bool = False,
    blanks: bool = False,
) -> dict[str, Any]:
    """One upstream's part in a story.

    `calls`: how often it calls tools; `breaks`: mostly it breaks off; `plain`: it has nothing but words and single spaces;
    `blanks`: often it has much white space, before its words too.
    """
    cue: dict[str, Any] = {
        "tokens": dice.randrange(1, 70),
        "seed": dice.randrange(10**6),
        "unicode": dice.random() < 0.7 and not plain,
        "pace": dice.choice([0, 0, 0.001, 0.004]),
    }
    cue |= _manner(dice)
    if dice.random() < 0.15 and not plain:
        cue["reasoning"] = dice.choice(THOUGHTS)
    if dice.random() < calls:
        cue["tool_calls"] = [dice.choice(CALLS) for _ in range(dice.randrange(1, 4))]
        if dialect != "gemini" and "bad_utf8_after" not in cue:
            # With nothing but calls the first token is a call's: of Gemini's, only its last piece is sent.
            cue["tokens"] = dice.choice([0, 2, cue["tokens"]])
    if blanks and not plain and dice.random() < 0.5:
        first = dice.choice([BLANKS[0], dice.choice(BLANKS)])
        cue["pieces"] = [first, *(dice.choice(BLANKS) for _ in range(cue["tokens"] - 1))][: cue["tokens"]]
    pieces = _pieces(cue)
    if dice.random() < 0.03 and not {"split", "pieces"} & cue.keys():
        # Up to 1 MB on the wire.
        cue |= {"tokens": dice.randrange(1000, 2500), "token_size": 200, "pace": 0, "unicode": False}
    if dialect == "gemini":
        # It has no end marker: what comes after the last chunk can't be told from the answer.
        cue.pop("late_tokens", None)
    fault = _fault(dice, pieces, 0.25 if breaks else 0.5, 0.35 if breaks else 0.75)
    if "oversize_line" in fault and dialect in ("gemini", "openai-responses"):
        # Whole images and whole answers come in one event there: up to 8 MiB of it is no fault.
        fault["oversize_line"] *= 6
    if "cut_at_byte" in fault:
        # Which end was cut would be hard to tell; and half of a CRLF is a line end too.
        for key in ("late_tokens", "duplicate_done", "line_end"):
            cue.pop(key, None)
    if "oversize_line" in fault:
        cue.pop("split", None)  # three bytes at a time, it would never be over
    if "stall_after" in fault:
        cue.pop("comments", None)  # by these signs of life it would last until the deadline of the whole answer
    return cue | fault


def _pieces(cue: dict[str, Any]) -> int:
    """How many pieces the sim makes of it: what its places of faults count."""
    calls = (len(json.dumps(call["arguments"], ensure_ascii=False)) for call in cue.get("tool_calls", ()))
    return cue["tokens"] + len(cue.get("reasoning", "").split()) + sum(-(-length // 8) for length in calls)


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


def _fault(dice: random.Random, pieces: int, none: float, early: float) -> dict[str, Any]:
    """What goes wrong, if anything does: below `none` nothing, below `early` it fails before its first token."""
    cut = dice.choice(["reset", "eof", "half_close", "clean"])
    late = dice.randrange(1, pieces + 1)
    chance = dice.random()
    if chance < none:
        return {}
    if chance < early:
        at_first: list[dict[str, Any]] = [
            {"status": dice.choice([429, 500, 503, 401, 404]), "error_body": "no JSON at all"},
            {"status": dice.choice([429, 503]), "retry_after": dice.choice([0, 1, 30])},
            {"cut_before_headers": True, "cut": dice.choice(["reset", "eof"])},
            {"cut_after": 0, "cut": cut},
            {"error_after": 0},
            {"garbage_after": 0},
        ]
        return {"hang": dice.choice(["connect", "headers"])} if dice.random() < 0.05 else dice.choice(at_first)
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
