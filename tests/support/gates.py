"""A gate for stories, run by Penstock: it refuses a word, and writes down what it was shown and what it said to that.

It knows nothing of the tests but the file to write to.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any

REFUSED_WORD = "bridge"
"""A word of the simulated model's. No other part of a story has it."""

REASON = "that word is not to be said"

LEDGER = "PENSTOCK_STORIES_GATE"
"""The environment variable with the path of the file: a line of JSON for each check, written before its verdict is known."""


def without_the_word(passage: Any) -> str | None:
    """A plain function: it runs in a thread, and takes up to some milliseconds."""
    time.sleep(len(passage.text) % 4 * 0.002)
    refused = REFUSED_WORD in passage.text
    line = json.dumps(
        {
            "stream": passage.stream,
            "length": len(passage.text),
            "new": passage.new,
            "final": passage.final,
            "refused": refused,
        }
    )
    with open(os.environ[LEDGER], "ab", buffering=0) as file:  # noqa: PTH123  # one write, so that lines stay whole
        file.write(line.encode() + b"\n")
    return REASON if refused else None
