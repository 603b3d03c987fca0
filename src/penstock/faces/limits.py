"""How a tenant's limits stand, in the head of an answer.

    x-ratelimit-limit-U, x-ratelimit-remaining-U, x-ratelimit-reset-U                   OpenAI's names, in every dialect
    anthropic-ratelimit-U-limit, anthropic-ratelimit-U-remaining, ...-reset             Anthropic's, to its clients
    x-should-retry: false                                                               waiting is for people, not for code

U is `requests` or `tokens` (a minute), and in the first row also `tokens-day` or `streams`.

Sources: platform.openai.com/docs/guides/rate-limits, docs.anthropic.com/en/api/rate-limits; the official clients of both read
`x-should-retry`.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterable

from penstock.exceptions import Refused
from penstock.policy.limits import PATIENCE_SECONDS, Standing


def standing(dialect: str, standings: Iterable[Standing], refused: Refused | None = None) -> list[tuple[bytes, bytes]]:
    """The headers of an answer in `dialect`; of a refusal, if it is one."""
    named: list[tuple[str, str]] = []
    for unit, limit, remaining, reset in standings:
        named += [
            (f"x-ratelimit-limit-{unit}", str(limit)),
            (f"x-ratelimit-remaining-{unit}", str(remaining)),
            (f"x-ratelimit-reset-{unit}", duration(reset)),
        ]
        if dialect == "anthropic" and unit in ("requests", "tokens"):
            when = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=math.ceil(reset))
            named += [
                (f"anthropic-ratelimit-{unit}-limit", str(limit)),
                (f"anthropic-ratelimit-{unit}-remaining", str(remaining)),
                (f"anthropic-ratelimit-{unit}-reset", when.strftime("%Y-%m-%dT%H:%M:%SZ")),
            ]
    if refused is not None and refused.status == 429 and (refused.retry_after or 0) > PATIENCE_SECONDS:
        named.append(("x-should-retry", "false"))
    return [(name.encode(), value.encode()) for name, value in named]


def duration(seconds: float) -> str:
    """As OpenAI writes it: `1s`, `6m0s`, `2h0m30s`. Rounded up."""
    whole = math.ceil(seconds)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{rest}s" if hours else f"{minutes}m{rest}s" if minutes else f"{rest}s"
