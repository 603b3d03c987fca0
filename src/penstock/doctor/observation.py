"""What was seen of one answer, and the figures that follow from it. All times are seconds."""

from __future__ import annotations

from typing import Literal

import msgspec

Ended = Literal["", "complete", "closed", "reset", "late", "flood", "broken"]
"""How the answer's bytes ended: in good order; the connection was closed before that; it was reset; nothing came any more
in time; far more came than was asked for; what came is no HTTP or can't be decompressed. Empty: it did not begin."""


class Asked(msgspec.Struct, frozen=True):
    """What the stream was to be: see `penstock.faces.doctor`."""

    events: int = 20
    pace: float = 0.1
    idle: float = 0.0
    pad: int = 0

    @property
    def middle(self) -> int:
        """The number of the last event before the silence."""
        return (self.events + 1) // 2

    @property
    def seconds(self) -> float:
        """How long the stream takes by itself."""
        return self.events * self.pace + self.idle


class Times(msgspec.Struct):
    """How long each step took; None where there was none. `first_byte` counts from the request, and the `server`'s share of
    it is what its Server-Timing header says."""

    dns: float | None = None
    connect: float | None = None
    tls: float | None = None
    first_byte: float | None = None
    server: float | None = None

    @property
    def path(self) -> float | None:
        """What of the first byte is not the server's."""
        if self.first_byte is None or self.server is None:
            return None
        return max(0.0, self.first_byte - self.server)


class Tls(msgspec.Struct, frozen=True):
    version: str
    days_left: float | None
    """Until the certificate ends."""


class Trouble(msgspec.Struct, frozen=True):
    """Why no answer came: at which step, and the system's words."""

    step: Literal["dns", "connect", "tls", "answer", "redirect"]
    kind: str
    """`refused`, `timeout`, `certificate`, `name`, `not-tls`, `closed`, `not-http`, `loop`, `elsewhere`, … or empty"""
    reason: str = ""


class Redirect(msgspec.Struct, frozen=True):
    status: int
    origin: str
    target: str


class Arrival(msgspec.Struct, frozen=True):
    """One event. `sent` is the server's time since it got the request, `came` ours since we sent it."""

    number: int
    sent: float
    came: float
    id: str
    read: int
    """Which read from the socket completed it."""


class Start(msgspec.Struct):
    """What the server says that arrived of the request."""

    events: int
    http: str = ""
    via: str = ""
    forwarded: list[str] = []
    comments: int = 0


class Observation(msgspec.Struct):
    """Everything that was seen. What did not happen is empty."""

    url: str
    asked: Asked = Asked()
    keyed: bool = False
    """A key was sent."""
    peer: str = ""
    """The address that answered."""
    unanswered: list[str] = []
    """Addresses of the same name that were tried before it, in vain."""
    times: Times = msgspec.field(default_factory=Times)
    tls: Tls | None = None
    trouble: Trouble | None = None
    redirects: list[Redirect] = []
    status: int = 0
    http: str = ""
    headers: list[tuple[str, str]] = []
    body: str = ""
    """The beginning of an answer that is no stream of ours."""
    chunked: bool = False
    start: Start | None = None
    start_id: str = ""
    comments: int = 0
    arrivals: list[Arrival] = []
    done: bool = False
    ended: Ended = ""
    ended_at: float = 0.0
    why: str = ""
    """What is `broken`."""

    def header(self, name: str) -> str:
        """A response header's value (several are joined by a comma), or an empty string. `name` in lower case."""
        return ", ".join(value for key, value in self.headers if key == name and value)

    @property
    def begun(self) -> bool:
        """It is a doctor's stream: there is a Penstock server at the other end."""
        return self.start is not None

    @property
    def reached(self) -> bool:
        """A Penstock server has answered with a stream, even if nothing of it came through."""
        return self.begun or (self.status == 200 and bool(self.header("penstock-doctor")))

    @property
    def whole(self) -> bool:
        """Everything came."""
        return self.done and len(self.arrivals) == self.asked.events

    @property
    def delays(self) -> list[float]:
        """How much later than the quickest event each one came: what is the same for all of them is the way itself."""
        taken = [arrival.came - arrival.sent for arrival in self.arrivals]
        quickest = min(taken, default=0.0)
        return [one - quickest for one in taken]

    @property
    def held(self) -> float:
        """The longest that an event was held back."""
        return max(self.delays, default=0.0)

    @property
    def bursts(self) -> int:
        """In how many pieces the events came. Events that come within a tenth of the pace of each other are one piece."""
        together = self.asked.pace / 10
        count, last = 0, None
        for arrival in self.arrivals:
            if last is None or (arrival.read != last.read and arrival.came - last.came > together):
                count += 1
            last = arrival
        return count

    @property
    def cut_in_silence(self) -> bool:
        """It ended in the middle of the silence that was asked for."""
        last = self.arrivals[-1].number if self.arrivals else 0
        return bool(self.asked.idle) and not self.whole and last == self.asked.middle < self.asked.events

    @property
    def silence(self) -> float:
        """How long nothing had been sent when it ended. Events that were held back count from when they were sent."""
        return max(0.0, self.ended_at - self.arrivals[-1].sent) if self.arrivals else self.ended_at
