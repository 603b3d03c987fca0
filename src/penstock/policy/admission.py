"""Admission: whether an answer may begin now, and what it cost its tenant in the end.

An answer of a tenant without limits is admitted for nothing. Pure: the clock, Unix time in seconds, is passed in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from penstock.dialects.base import Request
from penstock.policy.forecast import Expected, Forecast
from penstock.policy.limits import Lease, Limiter, Limits, Standing
from penstock.streams.metering import prompt_bytes
from penstock.wire.events import Usage


class Ticket(NamedTuple):
    """An answer that was admitted: its lease, and what was expected of it."""

    limiter: Limiter
    lease: Lease
    forecast: Forecast
    expected: Expected
    prompt_bytes: int


class Admission:
    """`limits` of each tenant that has some, by name. Requests are for models that there are."""

    def __init__(self, limits: Mapping[str, Limits], clock: Callable[[], float]) -> None:
        now = clock()
        self._clock = clock
        self._limiters = {tenant: Limiter(limit, now) for tenant, limit in limits.items()}
        self._forecasts: dict[str, Forecast] = {}

    def admit(self, tenant: str, request: Request) -> Ticket | None:
        """None = there is nothing to settle. Raises Refused: 429 at a limit, 400 when it never fits one."""
        limiter = self._limiters.get(tenant)
        if limiter is None:
            return None
        forecast = self._forecasts.get(request.model)
        if forecast is None:
            forecast = self._forecasts[request.model] = Forecast()
        size = prompt_bytes(request)
        expected = forecast.expect(size, request.max_tokens, request.choices)
        return Ticket(limiter, limiter.take(expected.total, self._clock()), forecast, expected, size)

    def settle(self, ticket: Ticket, usage: Usage) -> None:
        """The answer is over. What nobody knows of was not used: an upstream that never answered charges nothing."""
        ticket.forecast.learn(ticket.prompt_bytes, usage)
        ticket.limiter.settle(ticket.lease, _tokens(usage, ticket.expected), self._clock())

    def undo(self, ticket: Ticket) -> None:
        """No answer was begun: it was known already, or could not be."""
        ticket.limiter.undo(ticket.lease, self._clock())

    def standing(self, tenant: str) -> list[Standing]:
        """How the tenant's limits stand; empty = it has none."""
        limiter = self._limiters.get(tenant)
        return [] if limiter is None else limiter.standing(self._clock())


def _tokens(usage: Usage, expected: Expected) -> int:
    if usage.source == "unknown":
        return 0
    read = expected.input if usage.input_tokens is None else usage.input_tokens
    return max(0, read) + max(0, usage.output_tokens or 0)
