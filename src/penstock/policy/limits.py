"""What a tenant may use: requests and tokens a minute, tokens a day, streams at a time.

Tokens are reserved before an answer begins and settled with what it really used when it ends, so nothing is charged after
the fact, and nothing leaks: a lease is taken whole or not at all, and given back exactly once.

    requests_per_minute, tokens_per_minute    a bucket that refills evenly: after a quiet minute all of it at once, then
                                              a sixtieth of it each second
    tokens_per_day                            a count that begins anew at midnight UTC; an answer counts on the day on
                                              which it began
    concurrent_streams                        answers that are being made

An answer may use more than was reserved for it: that is owed, and later answers wait until it is made up for (but never
longer than for two minutes: what an upstream says of itself must not shut a tenant out).

Pure: `now` is Unix time in seconds. A clock that is set back costs nobody what they had.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, Protocol

from penstock.exceptions import Refused

DAY = 86400.0
DAILY = "tokens_per_day"

FREED_SECONDS = 1.0
"""When to come again for a stream's place: nobody knows when an answer ends."""

PATIENCE_SECONDS = 60.0
"""A longer wait than this is not for a client's own retries: it is told not to."""

Unit = Literal["requests", "tokens", "tokens-day", "streams"]


class Limits(NamedTuple):
    """Most that may be used; None = no limit."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrent_streams: int | None = None
    tokens_per_day: int | None = None


class Standing(NamedTuple):
    """How one limit stands: `remaining` of `limit`, and the seconds until it is all there again."""

    unit: Unit
    limit: int
    remaining: int
    reset: float


class _Allowance(Protocol):
    limit: int

    def wait(self, amount: float, now: float) -> float:
        """Seconds until there is `amount`; 0 = now."""
        ...

    def take(self, amount: float, now: float) -> None: ...

    def give(self, amount: float, taken_at: float, now: float) -> None:
        """Back what was taken at `taken_at`; a negative amount takes more."""
        ...

    def standing(self, unit: Unit, now: float) -> Standing: ...


class Bucket:
    """`limit` a `span` of seconds, refilled evenly."""

    __slots__ = ("_at", "_level", "_rate", "limit")

    def __init__(self, limit: int, span: float, now: float) -> None:
        self.limit = limit
        self._rate = limit / span
        self._level = float(limit)
        self._at = now

    def _refill(self, now: float) -> float:
        if now > self._at:
            self._level = min(self.limit, self._level + (now - self._at) * self._rate)
        self._at = now
        return self._level

    def wait(self, amount: float, now: float) -> float:
        return max(0.0, (amount - self._refill(now)) / self._rate)

    def take(self, amount: float, now: float) -> None:
        self._level = self._refill(now) - amount

    def give(self, amount: float, taken_at: float, now: float) -> None:
        self._level = max(-self.limit, min(self.limit, self._refill(now) + amount))

    def standing(self, unit: Unit, now: float) -> Standing:
        level = self._refill(now)
        return Standing(unit, self.limit, max(0, int(level)), (self.limit - level) / self._rate)


class Day:
    """`limit` from one midnight UTC to the next."""

    __slots__ = ("_day", "_used", "limit")

    def __init__(self, limit: int, now: float) -> None:
        self.limit = limit
        self._day = now // DAY
        self._used = 0.0

    def _today(self, now: float) -> float:
        if now // DAY > self._day:
            self._day, self._used = now // DAY, 0.0
        return self._used

    def wait(self, amount: float, now: float) -> float:
        return 0.0 if self._today(now) + amount <= self.limit else self._left(now)

    def take(self, amount: float, now: float) -> None:
        self._used = self._today(now) + amount

    def give(self, amount: float, taken_at: float, now: float) -> None:
        self._today(now)
        if taken_at // DAY == self._day:
            self._used -= amount

    def standing(self, unit: Unit, now: float) -> Standing:
        used = self._today(now)
        return Standing(unit, self.limit, max(0, int(self.limit - used)), self._left(now) if used else 0.0)

    def _left(self, now: float) -> float:
        return (self._day + 1) * DAY - now


class Places:
    """`limit` at a time."""

    __slots__ = ("_taken", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._taken = 0.0

    def wait(self, amount: float, now: float) -> float:
        return 0.0 if self._taken + amount <= self.limit else FREED_SECONDS

    def take(self, amount: float, now: float) -> None:
        self._taken += amount

    def give(self, amount: float, taken_at: float, now: float) -> None:
        self._taken -= amount

    def standing(self, unit: Unit, now: float) -> Standing:
        return Standing(unit, self.limit, int(self.limit - self._taken), FREED_SECONDS if self._taken else 0.0)


class Lease:
    """Capacity granted to one answer: `tokens` of it, at `taken_at`. Whoever has it settles it, once."""

    __slots__ = ("over", "taken_at", "tokens")

    def __init__(self, tokens: int, taken_at: float) -> None:
        self.tokens = tokens
        self.taken_at = taken_at
        self.over = False


class Limiter:
    """One tenant's limits, and how they stand."""

    def __init__(self, limits: Limits, now: float) -> None:
        self._allowances: dict[str, tuple[Unit, _Allowance]] = {}
        if limits.requests_per_minute is not None:
            self._allowances["requests_per_minute"] = "requests", Bucket(limits.requests_per_minute, 60.0, now)
        if limits.tokens_per_minute is not None:
            self._allowances["tokens_per_minute"] = "tokens", Bucket(limits.tokens_per_minute, 60.0, now)
        if limits.tokens_per_day is not None:
            self._allowances[DAILY] = "tokens-day", Day(limits.tokens_per_day, now)
        if limits.concurrent_streams is not None:
            self._allowances["concurrent_streams"] = "streams", Places(limits.concurrent_streams)

    def take(self, tokens: int, now: float) -> Lease:
        """All that an answer of so many tokens needs, or nothing. Raises Refused (429, or 400 if it never fits)."""
        waits: list[tuple[float, str, int]] = []
        for name, (unit, allowance) in self._allowances.items():
            amount = tokens if unit in ("tokens", "tokens-day") else 1
            if amount > allowance.limit:
                raise _never(name, allowance.limit, tokens)
            if (wait := allowance.wait(amount, now)) > 0:
                waits.append((wait, name, allowance.limit))
        if waits:
            raise _not_now(*max(waits))
        for unit, allowance in self._allowances.values():
            allowance.take(tokens if unit in ("tokens", "tokens-day") else 1, now)
        return Lease(tokens, now)

    def settle(self, lease: Lease, tokens: int, now: float) -> None:
        """The answer is over, and used so many tokens. Doing it again changes nothing."""
        self._give(lease, tokens, 0, now)

    def undo(self, lease: Lease, now: float) -> None:
        """There was no request: all of it back."""
        self._give(lease, 0, 1, now)

    def _give(self, lease: Lease, tokens: int, requests: int, now: float) -> None:
        if lease.over:
            return
        lease.over = True
        back = {
            "requests": requests,
            "tokens": lease.tokens - tokens,
            "tokens-day": lease.tokens - tokens,
            "streams": 1,
        }
        for unit, allowance in self._allowances.values():
            allowance.give(back[unit], lease.taken_at, now)

    def standing(self, now: float) -> list[Standing]:
        """Every limit there is."""
        return [allowance.standing(unit, now) for unit, allowance in self._allowances.values()]


_SAID = {
    "requests_per_minute": "requests a minute",
    "tokens_per_minute": "tokens a minute",
    DAILY: "tokens a day",
    "concurrent_streams": "streams at a time",
}


def _not_now(wait: float, name: str, limit: int) -> Refused:
    return Refused(
        429,
        "quota_exceeded" if name == DAILY else "rate_limit_exceeded",
        f"the limit of {limit} {_SAID[name]} is reached ({name}): try again later",
        retry_after=wait,
    )


def _never(name: str, limit: int, tokens: int) -> Refused:
    return Refused(
        400,
        "request_above_limit",
        f"this request may use {tokens} tokens, and the limit is {limit} {_SAID[name]} ({name}): ask for fewer max_tokens,"
        " or send less",
        param="max_tokens",
    )
