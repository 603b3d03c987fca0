"""Inspection: an answer that is delivered in whole parts is looked at as a whole, before it may count as complete."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from penstock.streams.delivery import problem
from penstock.streams.stream import Stream


def inspect(stream: Stream, last: bytes, then: Callable[[str | None], None]) -> None:
    """Call `then` with what is wrong with the answer, or None: at once, or when a thread has looked.

    `last` is what will be the log's last block if nothing is; empty = there is none.
    """
    if stream.delivery == "stream":
        then(None)
        return
    events, wanted = list(stream.events(last)), stream.response_format
    looking = asyncio.get_running_loop().run_in_executor(None, problem, events, wanted)

    def looked(found: asyncio.Future[str | None]) -> None:
        then(None if found.cancelled() or found.exception() is not None else found.result())

    looking.add_done_callback(looked)
