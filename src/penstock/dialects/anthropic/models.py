"""What models take of sampling and thinking: it depends on the model, and the API refuses the rest with a 400.

    model                            thinking                                   temperature, top_p, top_k
    Claude up to 4.5, all others     `enabled`, with a budget in tokens         yes
    Claude 4.6                       `adaptive`, with `output_config.effort`    yes
    Claude 4.7, 4.8                  the same                                   no
    Claude Opus and Sonnet from 5    the same, and unless it is `disabled`      no
    Claude Fable and Mythos          the same, always                           no

"All others" are models of other makers, behind endpoints that speak this dialect. Reference:
https://platform.claude.com/docs/en/build-with-claude/thinking and /api/migration-2026-10-21.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_CLAUDE = re.compile(r"claude-(opus|sonnet|haiku|fable|mythos)-(?:(\d{1,2})(?!\d)(?:[-.](\d{1,2})(?!\d))?)?")


class Traits(NamedTuple):
    """What a model takes."""

    adaptive: bool = False
    """It decides by itself how much to think, and is told an effort; else it is told a budget."""
    samples: bool = True
    """It takes sampling parameters."""
    thinks: bool = False
    """It thinks unless it is told not to."""
    may_rest: bool = True
    """It can be told not to think."""
    efforts: tuple[str, ...] = ("low", "medium", "high", "xhigh")


def traits(model: str) -> Traits:
    """By the model's name in any form that holds it, such as `us.anthropic.claude-opus-4-7-v1:0`."""
    found = _CLAUDE.search(model)
    if found is None:
        return Traits()
    family, major, minor = found.groups()
    if family in ("fable", "mythos"):
        return Traits(adaptive=True, samples=False, thinks=True, may_rest=False)
    version = int(major or 0), int(minor or 0)
    if version < (4, 6):
        return Traits()
    if version < (4, 7):
        return Traits(adaptive=True, efforts=("low", "medium", "high"))
    return Traits(adaptive=True, samples=False, thinks=version >= (5, 0))
