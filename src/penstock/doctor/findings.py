"""From what was seen of a stream to what it means. Pure; `unreached.py` is for when there was no stream."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

import msgspec

from penstock.doctor.observation import Observation
from penstock.doctor.remedies import between, settings

Severity = Literal["ok", "note", "problem"]

KEEPALIVE_SECONDS = 15.0
"""A running stream is never silent for longer: a keepalive comes."""

SLOW_SECONDS = 1.0
"""A step of the connection, or the wait for the head, that is worth a word."""


class Finding(msgspec.Struct, frozen=True):
    """One thing that was found. `says` is one sentence; `do` is what to do about it, if anything."""

    severity: Severity
    code: str
    says: str
    do: str = ""


def span(seconds: float) -> str:
    """A time for people.

    >>> [span(0.00031), span(0.0123), span(2.04), span(61.4)]
    ['0.3 ms', '12 ms', '2.0 s', '61 s']
    """
    if seconds < 0.01:
        return f"{seconds * 1000:.1f} ms"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 20 else f"{seconds:.0f} s"


def stream_findings(seen: Observation) -> Iterator[Finding]:
    """What is to be said of a stream that was reached."""
    yield from _end(seen)
    yield from (flow := list(_flow(seen)))
    yield from _silence(seen)
    yield from _form(seen)
    yield from _protocol(seen)
    yield from _head(seen)
    # A path that holds events holds the head with them: that is one thing, not two.
    held = any(finding.code == "buffered" for finding in flow)
    yield from (finding for finding in way_findings(seen) if not (held and finding.code == "slow-head"))


# -- events ----------------------------------------------------------------------------------------------------------


def _end(seen: Observation) -> Iterator[Finding]:
    """Did everything come?"""
    count, asked = len(seen.arrivals), seen.asked.events
    numbers = [arrival.number for arrival in seen.arrivals]
    if numbers != list(range(1, count + 1)):
        says = f"Events are missing, doubled or out of order: {count} came, and they are not 1 to {count}."
        yield Finding("problem", "lost", says, "Something on the way rewrites or replays answers: look for caches.")
    if seen.whole or seen.cut_in_silence:
        return
    cameup = f"{count} of {asked} events had come" if count else "no event had come"
    after = span(seen.ended_at)
    match seen.ended:
        case "late":
            says = f"Nothing more came: after {after}, {cameup}, and the connection was still open."
            do = "Something on the way holds the answer back, or has forgotten the connection without closing it."
            yield Finding("problem", "stuck", says, f"{do} {settings('buffered', seen)}")
        case "broken":
            yield Finding("problem", "broken", f"The answer can't be read: {seen.why}.", "Ask who stands between.")
        case "flood":
            says = f"Far more came than was asked for: {cameup}."
            yield Finding("problem", "flood", says, "Something on the way adds to answers.")
        case _:
            how = {"reset": "was reset", "complete": "was ended as if it were whole"}.get(seen.ended, "was closed")
            says = f"The stream {how} after {after}, in the middle of its events: {cameup}."
            do = "A limit on the time of a whole answer, or a server that left."
            yield Finding("problem", "cut", says, f"{do} {settings('total', seen)}")


def _flow(seen: Observation) -> Iterator[Finding]:
    """Did every event come when it was sent?"""
    count, bursts, held, pace = len(seen.arrivals), seen.bursts, seen.held, seen.asked.pace
    if count < 3:
        return
    if pace == 0:
        says = f"{count} events came in {bursts} piece{_s(bursts)}; with --pace 0 this says nothing about buffering."
        yield Finding("note", "unpaced", says)
        return
    often = bursts <= count / 2 and held >= max(1.5 * pace, 0.15)
    if often or held >= max(1.0, 5 * pace):
        says = f"{count} events came in {bursts} burst{_s(bursts)}, held back by up to {span(held)}: something buffers."
        yield Finding("problem", "buffered", says, settings("buffered", seen))
    elif held >= max(0.25, 2.5 * pace):
        says = f"{count} events came in {bursts} pieces, one {span(held)} late: a slow network, or a small buffer."
        yield Finding("note", "uneven", says, "Try again with `--events 200` to see whether it comes back.")
    else:
        yield Finding("ok", "flow", f"{count} events came as they were sent, none held back by more than {span(held)}.")


def _silence(seen: Observation) -> Iterator[Finding]:
    """Was the silence endured?"""
    idle = seen.asked.idle
    if not idle:
        return
    if len(seen.arrivals) > seen.asked.middle or seen.done:
        yield Finding("ok", "silence", f"A silence of {idle:g} s was endured.")
        return
    if not seen.cut_in_silence:
        return
    known = settings("silence", seen)
    if seen.ended == "late":
        says = f"After a silence of {idle:g} s nothing came any more, though nobody closed the connection."
        do = "A firewall or NAT on the way forgets idle connections: raise its timeout above 15 s."
        yield Finding("problem", "forgotten", says, f"{do} {known}")
    elif seen.silence <= KEEPALIVE_SECONDS + 1:
        says = f"The stream was cut after {span(seen.silence)} of silence."
        do = f"Penstock's keepalives come every {KEEPALIVE_SECONDS:g} s: idle timeouts must be longer."
        yield Finding("problem", "cut-in-silence", says, f"{do} {known}")
    else:
        says = f"The stream was cut after {span(seen.silence)} of silence."
        do = "Streams that run are safe, by keepalives every 15 s; long waits for a model's first token are not."
        yield Finding("note", "cut-in-silence", says, f"{do} {known}")


def _form(seen: Observation) -> Iterator[Finding]:
    """Are ids and comments there, and is the stream compressed?"""
    coding = seen.header("content-encoding").lower()
    if coding and coding != "identity":
        says = f"The stream is compressed on the way ({coding}), though it says `no-transform`."
        do = "Compressing holds events back, or costs more than it saves."
        yield Finding("problem", "compressed", says, f"{do} {settings('compressed', seen)}")
    if seen.start is None:
        return
    epoch = seen.start_id.rpartition(":")[0]
    good = [arrival for arrival in seen.arrivals if epoch and arrival.id == f"{epoch}:{arrival.number + 1}"]
    if not seen.start_id and not good:
        says = "The events' ids are stripped: clients can't resume."
        yield Finding("problem", "ids", says, "Something on the way rewrites event streams; it must leave them alone.")
    elif len(good) < len(seen.arrivals):
        says = (
            f"{len(seen.arrivals) - len(good)} of {len(seen.arrivals)} events have another id than they were sent with."
        )
        yield Finding("problem", "ids", says, "Something on the way rewrites event streams; it must leave them alone.")
    else:
        yield Finding("ok", "ids", "Ids came as they were sent: clients can resume.")
    if seen.comments < seen.start.comments:
        says = "Comments are stripped, and so are keepalives: silent streams look dead on the way."
        yield Finding(
            "problem", "comments", says, "Something on the way rewrites event streams; it must leave them alone."
        )


# -- HTTP ------------------------------------------------------------------------------------------------------------


def _protocol(seen: Observation) -> Iterator[Finding]:
    """Versions, connections and framing."""
    length = seen.header("content-length")
    if seen.http == "1.0":
        says = "The answer came as HTTP/1.0: its end can't be told from a cut, and each request needs a new connection."
        yield Finding("note", "old-answer", says, settings("old", seen))
    elif length:
        says = f"The answer came with a length (content-length: {length}): the whole of it was collected on the way."
        yield Finding("problem", "collected", says, settings("buffered", seen))
    elif not seen.chunked:
        says = "The answer came without chunks: its end can't be told from a cut."
        yield Finding("note", "unchunked", says, settings("old", seen))
    if seen.http != "1.0" and "close" in seen.header("connection").lower():
        says = "The connection is closed after each answer: every request pays for a new one."
        yield Finding("note", "close", says, settings("close", seen))
    if seen.start is not None and seen.start.http == "1.0":
        says = (
            "The request reached the server as HTTP/1.0: the proxy can't tell an end from a cut, nor keep connections."
        )
        yield Finding("note", "old-request", says, settings("old", seen))


def _head(seen: Observation) -> Iterator[Finding]:
    """Which headers are gone?"""
    missing = []
    if not seen.header("penstock-doctor"):
        missing.append("Penstock-Doctor")
    if "no-transform" not in seen.header("cache-control"):
        missing.append("Cache-Control: no-transform")
    if not seen.header("server-timing"):
        missing.append("Server-Timing")
    # nginx takes X-Accel-Buffering for itself, as it should; the Cache-Control it leaves.
    if seen.header("x-accel-buffering").lower() != "no" and "nginx" not in between(seen):
        missing.append("X-Accel-Buffering: no")
    if seen.header("content-type").partition(";")[0].strip().lower() != "text/event-stream":
        says = f"The answer calls itself {seen.header('content-type') or 'nothing'} instead of text/event-stream."
        yield Finding("problem", "content-type", says, "Something on the way rewrites Content-Type; browsers need it.")
    if "Penstock-Doctor" in missing:
        says = f"Headers are stripped: {', '.join(missing)}. Penstock-Stream-Id would be, too: clients can't resume."
        yield Finding("problem", "headers", says, "Let response headers that begin with Penstock- through.")
    elif missing:
        says = f"Headers are missing from the answer: {', '.join(missing)}."
        yield Finding(
            "note", "headers", says, "Proxies nearer to the client don't know that they must not buffer or transform."
        )
    else:
        yield Finding("ok", "headers", "All headers came.")


# -- the way ---------------------------------------------------------------------------------------------------------


def way_findings(seen: Observation) -> Iterator[Finding]:
    """What is to be said of the way there, however the answer was."""
    for redirect in seen.redirects:
        keeps = redirect.status in (307, 308)
        says = f"{redirect.origin} redirects to {redirect.target} ({redirect.status})."
        do = "Give clients that address: " + (
            "each request pays twice." if keeps else "with this status many turn POST into GET, and lose the question."
        )
        yield Finding("note" if keeps else "problem", "redirect", says, do)
    if seen.unanswered and seen.peer:
        says = f"{', '.join(seen.unanswered)} did not take the connection; {seen.peer} did."
        yield Finding(
            "note", "unanswered", says, "The name has an address where nothing listens: clients lose time there."
        )
    times = seen.times
    for name, took in (
        ("Looking up the name", times.dns),
        ("Connecting", times.connect),
        ("Agreeing on TLS", times.tls),
    ):
        if took is not None and took >= SLOW_SECONDS:
            yield Finding("note", "slow", f"{name} took {span(took)}.", "Every new connection of a client pays this.")
    path = times.path
    if path is not None and path >= SLOW_SECONDS:
        says = f"The head took {span(path)} more than the server needed for it."
        yield Finding("note", "slow-head", says, settings("slow-head", seen))
    if seen.tls is not None and seen.tls.days_left is not None and seen.tls.days_left < 14:
        left = math.floor(seen.tls.days_left)
        yield Finding("note", "certificate-ends", f"The certificate ends in {left} day{_s(left)}.", "Renew it.")
    if seen.keyed and not seen.url.startswith("https:") and not _is_near(seen.peer):
        says = "The key went over the network unencrypted."
        yield Finding("note", "key-in-clear", says, "Use https:// wherever the network is not all yours.")


def _is_near(peer: str) -> bool:
    return not peer or peer == "::1" or peer.startswith("127.")


def _s(count: int) -> str:
    return "" if count == 1 else "s"
