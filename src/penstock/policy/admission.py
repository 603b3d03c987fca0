"""Admission: whether an answer may begin now, and what it cost its tenant in the end.

An answer of a tenant without limits is admitted for nothing. Pure: the clock, Unix time in seconds, is passed in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from penstock.dialects.base import Request, tokens_field
from penstock.policy.forecast import Ask, Expected, Forecast
from penstock.policy.limits import Lease, Limiter, Limits, Standing
from penstock.streams.metering import attachments, prompt_bytes
from penstock.wire.events import Usage


class Ticket(NamedTuple):
    """An answer that was admitted: its lease, and what was expected of it."""

    limiter: Limiter
    lease: Lease
    forecast: Forecast
    expected: Expected
    ask: Ask


class Admission:
    """`limits` of each tenant that has some, by name. Requests are for models that there are."""

    def __init__(self, limits: Mapping[str, Limits], clock: Callable[[], float]) -> None:
        now = clock()
        self._clock = clock
        self._limiters = {tenant: Limiter(limit, now) for tenant, limit in limits.items()}
        self._forecasts: dict[tuple[str, str], Forecast] = {}
        """By tenant and model: what one tenant's answers teach is no matter of another's. Never more than there are of both."""

    def check(self, tenant: str) -> None:
        """What can be said before anything is known of a request. Raises Refused: 429 at a limit that none can pass."""
        limiter = self._limiters.get(tenant)
        if limiter is not None:
            limiter.check(self._clock())

    def admit(self, tenant: str, request: Request) -> Ticket | None:
        """None = there is nothing to settle. Raises Refused: 429 at a limit, 400 for `max_tokens` above one."""
        limiter = self._limiters.get(tenant)
        if limiter is None:
            return None
        forecast = self._forecasts.setdefault((tenant, request.model), Forecast())
        ask = Ask(prompt_bytes(request), request.max_tokens, request.choices, attachments(request))
        expected = forecast.expect(ask)
        lease = limiter.take(
            expected.total, self._clock(), bound=ask.bound, prompt=expected.input, field=tokens_field(request)
        )
        return Ticket(limiter, lease, forecast, expected, ask)

    def settle(self, ticket: Ticket, usage: Usage) -> None:
        """The answer is over. What nobody knows of was not used: an upstream that never answered charges nothing."""
        # What was reserved comes back before anything else is done with the numbers.
        ticket.limiter.settle(ticket.lease, _tokens(usage, ticket.expected), self._clock())
        ticket.forecast.learn(ticket.ask, usage)

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
    return (expected.input if usage.input_tokens is None else usage.input_tokens) + (usage.output_tokens or 0)
