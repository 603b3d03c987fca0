"""The other side of a gate: a function of the user's, or an HTTP service.

    async def check(passage: Passage) -> str | None      # or without async; None = pass, text = the reason to refuse

A service gets `POST` with the passage as JSON (`stream model tenant text new final`) and answers 200 with
`{"allow": true}` or `{"allow": false, "reason": "..."}`. Redirects are not followed.
"""

from __future__ import annotations

import asyncio
import http.client
import inspect
import urllib.parse
from typing import Any

import msgspec

from penstock.exceptions import ProtocolError
from penstock.streams.gate import Check, Passage

MAX_ANSWER_BYTES = 64 * 1024


class _Verdict(msgspec.Struct):
    allow: bool
    reason: str | None = None


def function_gate(function: Any) -> Check:
    """A check that calls `function`; one that is not async runs in a thread. True and None pass, False refuses."""

    async def check(passage: Passage) -> str | None:
        if inspect.iscoroutinefunction(function):
            said = await function(passage)
        else:
            said = await asyncio.to_thread(function, passage)
        if said is None or said is True:
            return None
        if said is False:
            return "refused"
        if not isinstance(said, str):
            raise TypeError(f"a gate returns None, a bool or text, not {type(said).__name__}")
        return said

    return check


def http_gate(url: str, timeout: float) -> Check:
    """A check that asks the service at `url`. Raises what asking it raises, and ProtocolError for a wrong answer."""
    place = urllib.parse.urlsplit(url)
    connect = http.client.HTTPSConnection if place.scheme == "https" else http.client.HTTPConnection
    path = (place.path or "/") + (f"?{place.query}" if place.query else "")

    def ask(passage: Passage) -> str | None:
        body = msgspec.json.encode(passage._asdict())
        connection = connect(place.hostname or "", place.port, timeout=timeout)
        try:
            connection.request("POST", path, body, {"content-type": "application/json"})
            response = connection.getresponse()
            answer = response.read(MAX_ANSWER_BYTES)
        finally:
            connection.close()
        if response.status != 200:
            raise ProtocolError(f"the gate's service answered {response.status}, not a verdict")
        try:
            verdict = msgspec.json.decode(answer, type=_Verdict)
        except msgspec.MsgspecError as error:
            raise ProtocolError(f"the gate's answer is not a verdict: {error}") from None
        return None if verdict.allow else verdict.reason or "refused"

    async def check(passage: Passage) -> str | None:
        return await asyncio.to_thread(ask, passage)

    return check
