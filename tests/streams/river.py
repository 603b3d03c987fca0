"""A river in a bowl: real streams, a clock that is turned by hand, and sinks that fill and drain as they are told."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from penstock.dialects import DIALECTS
from penstock.dialects.base import Description
from penstock.dialects.native import decode_event
from penstock.streams.framing import Format, part_mark
from penstock.streams.reader import Reader
from penstock.streams.stream import RETAIN_BYTES, Stream
from penstock.streams.wheel import Wheel
from penstock.wire import sse
from penstock.wire.events import Event, Start, Terminal, Token, Usage
from penstock.wire.position import Position, parse_position

ABOUT = Description("s1", "m", 1_700_000_000)
EPOCH = "e1"
TICK = 0.05

NATIVE = Format("native", include_usage=True)
CHAT = Format("openai-chat", include_usage=True)
CHAT_PLAIN = Format("openai-chat")
FORMATS = (NATIVE, CHAT, CHAT_PLAIN)


class Clock:
    """Monotonic seconds, when somebody turns it."""

    def __init__(self, now: float = 1000.0) -> None:
        self.time = now

    def __call__(self) -> float:
        return self.time


class Time:
    """A wheel that goes round only when time is passed by hand."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.wheel = Wheel(TICK, self.clock)

    def passes(self, seconds: float) -> None:
        """Tick by tick: everything that falls due on the way is called at its own time."""
        until = self.clock.time + seconds
        while self.clock.time < until:
            self.clock.time = min(self.clock.time + TICK, until)
            self.wheel.turn(self.clock.time)

    def goes_by_itself(self, seconds: float) -> None:
        """The same by the wheel's own timer, which rests while nothing is to be done, and comes late if a turn takes long."""
        until = self.clock.time + seconds
        while self.clock.time < until:
            self.clock.time += TICK
            if self.wheel._timer is not None:
                self.wheel._timer.cancel()
                self.wheel._turn()


class Bowl:
    """A sink that turns full after `room` bytes, and takes more when drained."""

    def __init__(self, room: float = math.inf, *, shut: bool = False) -> None:
        self.full = shut
        self.data = bytearray()
        self.ended = False
        self.aborted = False
        self.reader: Reader | None = None
        self._room = room

    def write(self, data: bytes) -> None:
        assert not self.ended, "nothing comes after the end"
        self.data += data
        self._room -= len(data)
        if self._room <= 0 and not self.full:
            self.full = True
            if self.reader is not None:
                self.reader.filled()

    def drain(self, room: float = math.inf) -> None:
        self._room = room
        self.full = room <= 0
        if not self.full and self.reader is not None:
            self.reader.drained()

    def end(self) -> None:
        assert not self.ended
        self.ended = True

    def abort(self) -> None:
        self.aborted = True

    # -- what came -------------------------------------------------------------------------------------------------

    @property
    def messages(self) -> list[sse.Message]:
        return sse.Decoder().feed(bytes(self.data))

    @property
    def ids(self) -> list[str]:
        return [message.id for message in self.messages]

    @property
    def names(self) -> list[str]:
        return [message.event for message in self.messages]

    @property
    def text(self) -> str:
        """The data of a native answer's tokens, joined."""
        told = (decode_event(sse.encode(m.data, m.event)) for m in self.messages)
        return "".join(event.text for event in told if isinstance(event, Token))


def follow(stream: Stream, bowl: Bowl, format: Format = NATIVE, after: str | None = None) -> Reader:
    """Attach `bowl` and let it flow, as a face does."""
    reader = bowl.reader = stream.attach(bowl, format, stream.position(after))
    reader.pump()
    return reader


def new_stream(wheel: Wheel, dialect: str = "native", *, retain: int = RETAIN_BYTES) -> Stream:
    """A stream that was asked for in native: the parts of its positions in other renderings have large numbers."""
    stream = Stream(ABOUT, tenant="acme", dialect=dialect, epoch=EPOCH, wheel=wheel, retain=retain)
    stream.home = NATIVE
    return stream


def entries_of(dialect: str, events: Iterable[Event]) -> list[bytes]:
    """The log's blocks that an upstream of `dialect` would have sent: one event each, a chat chunk opening the first."""
    encoder = DIALECTS[dialect].encoder(ABOUT, include_usage=False)
    return [block for event in [Start(ABOUT.stream, ABOUT.model), *events] for block in encoder.encode([event])]


# -- from scratch ----------------------------------------------------------------------------------------------------


def rendered(
    dialect: str, entries: Sequence[bytes], format: Format, usage: Usage | None, last: Terminal | None
) -> list[tuple[str, bytes]]:
    """What a client of `format` should see of a whole log: each block with its id, by the rules of the design alone.

    Several blocks of one entry are its parts, numbered from 1; an only block has the entry's own id. A number tells the
    rendering too, where it is not the one that the stream was asked for in.
    """
    mark = part_mark(format, NATIVE)
    per_entry: list[list[bytes]] = []
    if format.dialect == dialect:
        per_entry = [[entry] for entry in entries]
    else:
        decoder = DIALECTS[dialect].decoder(ABOUT)
        encoder = DIALECTS[format.dialect].encoder(ABOUT, include_usage=format.include_usage)
        per_entry = [encoder.encode(decoder.decode(entry)) for entry in entries]
    if last is not None:
        encoder = DIALECTS[format.dialect].encoder(ABOUT, include_usage=format.include_usage)
        opening = [] if entries else encoder.encode([Start(ABOUT.stream, ABOUT.model)])
        per_entry.append([*opening, *encoder.end(usage, last)])
    told = []
    for offset, blocks in enumerate(per_entry, 1):
        for part, block in enumerate(blocks, 1):
            told.append((f"{EPOCH}:{offset}" if len(blocks) == 1 else f"{EPOCH}:{offset}.{mark + part}", block))
    return told


def on_the_wire(told: Iterable[tuple[str, bytes]]) -> bytes:
    return b"".join(b"id: %b\n%b" % (id.encode(), block) for id, block in told)


def order(id: str) -> tuple[int, int]:
    """Where an id stands: parts come in order."""
    position: Position = parse_position(id)
    return position.offset, position.part
