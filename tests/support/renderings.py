"""Renderings: what a reader of any dialect gets of given events, for tests of the judges."""

from __future__ import annotations

from collections.abc import Sequence

from penstock.dialects import DIALECTS
from penstock.dialects.base import Description
from penstock.wire.events import Event, Start, Terminal
from tests.support.client import Block, parse_blocks


def rendered(dialect: str, events: Sequence[Event], last: Terminal) -> list[Block]:
    """Every block with an offset of its own, as in a log of that dialect."""
    encoder = DIALECTS[dialect].encoder(Description("s", "m", 1), include_usage=False)
    body = b"".join([*encoder.encode([Start("s", "m"), *events]), *encoder.end(None, last)])
    return [Block(f"abc:{n}", block.event, block.data) for n, block in enumerate(parse_blocks(body), 1)]
