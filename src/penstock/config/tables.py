"""The tables of a configuration file, and what each key may be."""

from __future__ import annotations

from typing import Literal

import msgspec

from penstock.config.doubts import doubts
from penstock.policy.delivery import Wish


class _Table(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    pass


class Server(_Table):
    host: str = "127.0.0.1"
    port: int = 8080
    allowed_origins: list[str] = []
    grace: float = 30.0
    """Seconds that running streams have to finish after SIGTERM, before they are ended as `interrupted`."""
    max_body_bytes: int = 8 * 1024 * 1024
    admin_key_hashes: list[str] = []
    """Of those who run this server: their keys read the trace of every stream, and can do nothing else."""


class Storage(_Table):
    database: str | None = None
    redis: str | None = None


class Upstream(_Table):
    name: str
    dialect: str
    base_url: str | None = None
    api_keys: list[str] = []
    function: str | None = None
    quirks: list[
        Literal[
            "no_stream_options",
            "max_completion_tokens",
            "max_tokens",
            "no_developer_role",
            "no_done",
            "continue_final_message",
        ]
    ] = []
    """Habits of a server that speaks openai-chat almost (`penstock.dialects.openai_chat.quirks`)."""
    max_failures: int = 10
    """So many failures in a row, and it is left alone for a while (0 = never)."""
    concurrent_streams: int | None = None
    """Answers that it makes at a time; further ones wait for their turn. Left out: any number."""


class Target(_Table):
    upstream: str
    model: str | None = None
    weight: int | None = None
    """The share of requests that are asked here first. Without any weight: in the order given."""


class Timeouts(_Table):
    """Seconds."""

    connect: float = 5.0
    first_token: float = 60.0
    silence: float = 30.0
    total: float = 600.0
    min_tokens_per_second: float = 0.0
    """A slower answer, over `silence` seconds, counts as stalled. 0 = none does."""


class Queue(_Table):
    """See `penstock.policy.course`."""

    length: int = 100
    seconds: float = 30.0


class Price(_Table):
    """What a million tokens cost, in whatever currency: it is only shown."""

    input: float
    output: float


class Route(_Table):
    model: str
    targets: list[Target]
    on_abandon: Literal["cancel", "finish"] = "cancel"
    grace: float = 15.0
    """Seconds without a reader after which an abandoned answer is cancelled."""
    timeouts: Timeouts = msgspec.field(default_factory=Timeouts)
    retries: int | None = None
    """Most attempts after the first one. Left out: each further target once."""
    delivery: Wish = "stream"
    """How answers are delivered, unless the client says."""
    gate: Gate | None = None
    hedge: float | None = None
    """Seconds without a token after which the next target is asked as well; the first token wins."""
    max_tokens: int | None = None
    """An answer with more is ended, whatever its upstream makes of the request's own."""
    continuation: bool = False
    """When an answer breaks off, the next target is asked to go on with it."""
    price: Price | None = None
    queue: Queue = msgspec.field(default_factory=Queue)
    """Who may wait while all targets are full."""


class Gate(_Table):
    """Who sees an answer's text before any client does."""

    function: str | None = None
    url: str | None = None
    window: int | None = None
    """Characters that are held back at most; left out: the whole answer."""
    timeout: float = 10.0


class Limits(_Table):
    """See `penstock.policy.limits`. None = no limit."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrent_streams: int | None = None
    tokens_per_day: int | None = None


class Tenant(_Table):
    name: str
    key_hashes: list[str] = []
    weight: int = 1
    """The share of an upstream's `concurrent_streams` when there are not enough for all."""
    limits: Limits | None = None
    models: list[str] | None = None


class Config(_Table):
    server: Server = msgspec.field(default_factory=Server)
    storage: Storage = msgspec.field(default_factory=Storage)
    upstream: list[Upstream] = []
    route: list[Route] = []
    tenant: list[Tenant] = []

    @property
    def notes(self) -> list[str]:
        """What is right, and probably not meant so, one sentence each."""
        return list(doubts(self))
