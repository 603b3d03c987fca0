"""What was seen, and what it means."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.doctor.findings import Finding, span, stream_findings, way_findings
from penstock.doctor.observation import Asked, Observation, Redirect, Start, Times, Tls
from tests.doctor.seen import cut, good, headed


def found(seen: Observation) -> dict[str, Finding]:
    told = list(stream_findings(seen))
    assert len({finding.code for finding in told}) == len(told), "each thing is told once"
    return {finding.code: finding for finding in told}


def worse(seen: Observation) -> dict[str, str]:
    """Codes and severities of all that is not in order."""
    return {code: finding.severity for code, finding in found(seen).items() if finding.severity != "ok"}


def changed(**fields: Any) -> Observation:
    return msgspec.structs.replace(good(), **fields)


# -- events ----------------------------------------------------------------------------------------------------------


def test_a_good_stream_has_nothing_wrong() -> None:
    told = found(good(Asked(idle=20)))
    assert set(told) == {"flow", "silence", "ids", "headers"}
    assert told["flow"].says == "20 events came as they were sent, none held back by more than 0.0 ms."
    assert told["silence"].says == "A silence of 20 s was endured."


def test_events_in_bursts_are_buffered() -> None:
    seen = good(hold=lambda at: math.ceil(at / 0.7 - 1e-9) * 0.7)
    finding = found(seen)["buffered"]
    assert finding.severity == "problem"
    assert finding.says == "20 events came in 4 bursts, held back by up to 600 ms: something buffers."
    assert "`proxy_buffering off;`" in finding.do
    assert all(name in finding.do for name in ("nginx", "Envoy", "Cloudflare"))


def test_all_at_the_end_is_buffered_too() -> None:
    says = found(good(hold=lambda _at: 2.0))["buffered"].says
    assert says.startswith("20 events came in 1 burst, held back by up to 1.9 s")


@given(st.integers(3, 100), st.sampled_from([0.05, 0.1, 0.5]), st.floats(0, 3), st.integers(2, 50))
def test_buffering_is_found_exactly_when_events_wait(events: int, pace: float, way: float, together: int) -> None:
    asked = Asked(events, pace)

    def gate(at: float) -> float:
        return math.ceil(round(at / pace + 1) / together) * together * pace

    assert "buffered" not in found(good(asked, way))
    seen = good(asked, way, gate)
    waits = seen.bursts <= events / 2 and seen.held >= max(1.5 * pace, 0.15)
    assert ("buffered" in found(seen)) == (waits or seen.held >= max(1.0, 5 * pace))
    if events > 2 * together and together >= 4:
        assert "buffered" in found(seen)


def test_a_head_that_is_held_with_the_events_is_told_once() -> None:
    late = Times(connect=0.001, first_byte=2.0, server=0.001)
    assert worse(changed(times=late)) == {"slow-head": "note"}
    held = msgspec.structs.replace(good(hold=lambda _at: 2.0), times=late)
    assert worse(held) == {"buffered": "problem"}


def test_one_late_event_is_a_note_and_a_long_wait_is_not() -> None:
    assert worse(good(hold=lambda at: at + (0.3 if abs(at - 1.9) < 0.01 else 0))) == {"uneven": "note"}
    assert worse(good(hold=lambda at: max(at, 1.1))) == {"buffered": "problem"}, "the first half was held"


def test_without_a_pace_nothing_is_said_of_buffering() -> None:
    assert worse(good(Asked(pace=0))) == {"unpaced": "note"}


@pytest.mark.parametrize("how", ["closed", "reset", "complete"])
def test_a_cut_among_events_is_a_limit_on_the_whole(how: str) -> None:
    finding = found(cut(good(), 7, 15.0, how))["cut"]
    assert finding.severity == "problem"
    assert "after 15.0 s" in finding.says
    assert "7 of 20 events had come" in finding.says
    assert "`timeout: 0s`" in finding.do


@pytest.mark.parametrize(
    ("how", "code"), [("late", "stuck"), ("broken", "broken"), ("flood", "flood"), ("closed", "cut")]
)
def test_every_bad_end_is_a_problem(how: str, code: str) -> None:
    for after in (0, 12):
        assert worse(cut(good(), after, 17.0, how))[code] == "problem"
    head_only = cut(msgspec.structs.replace(good(), start=None, start_id="", comments=0), 0, 17.0, how)
    assert head_only.reached
    assert "no event had come" in found(head_only)[code].says or how == "broken"


def test_a_cut_in_the_silence_says_after_how_long() -> None:
    seen = cut(good(Asked(idle=4)), 10, 0.9 + 2.03)
    finding = found(seen)["cut-in-silence"]
    assert finding.severity == "problem"
    assert finding.says == "The stream was cut after 2.0 s of silence."
    assert "`proxy_read_timeout 630s;`" in finding.do
    assert "cut" not in found(seen)


def test_a_cut_that_keepalives_prevent_is_a_note() -> None:
    assert worse(cut(good(Asked(idle=80)), 10, 0.9 + 60)) == {"cut-in-silence": "note"}
    assert worse(cut(good(Asked(idle=80)), 10, 0.9 + 15)) == {"cut-in-silence": "problem"}


def test_a_connection_that_is_forgotten_is_told_from_one_that_is_cut() -> None:
    assert worse(cut(good(Asked(idle=4)), 10, 21.0, "late")) == {"forgotten": "problem"}


def test_lost_doubled_and_swapped_events() -> None:
    whole = good().arrivals
    for arrivals in (whole[:3] + whole[4:], [*whole, whole[-1]], [whole[1], whole[0], *whole[2:]], whole[1:]):
        assert worse(changed(arrivals=arrivals))["lost"] == "problem"


# -- form ------------------------------------------------------------------------------------------------------------


def test_compression_is_a_problem_even_if_nothing_is_held() -> None:
    assert worse(headed(good(), content_encoding="gzip")) == {"compressed": "problem"}
    assert worse(headed(good(), content_encoding="identity")) == {}


def test_ids_that_are_stripped_or_changed() -> None:
    bare = [msgspec.structs.replace(arrival, id="") for arrival in good().arrivals]
    assert "stripped" in found(changed(start_id="", arrivals=bare))["ids"].says
    half = [
        msgspec.structs.replace(arrival, id=arrival.id if arrival.number < 11 else "7") for arrival in good().arrivals
    ]
    assert found(changed(arrivals=half))["ids"].says.startswith("10 of 20 events have another id")
    assert worse(changed(arrivals=half)) == {"ids": "problem"}


def test_comments_that_are_stripped() -> None:
    assert worse(changed(comments=0)) == {"comments": "problem"}
    assert worse(changed(comments=3)) == {}, "a proxy may add its own"


# -- HTTP ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (headed(changed(http="1.0", chunked=False), transfer_encoding=None), {"old-answer": "note"}),
        (headed(changed(chunked=False), transfer_encoding=None), {"unchunked": "note"}),
        (headed(changed(chunked=False), transfer_encoding=None, content_length="4000"), {"collected": "problem"}),
        (headed(good(), connection="close"), {"close": "note"}),
        (headed(good(), connection="keep-alive"), {}),
        (changed(start=Start(20, "1.0", comments=1)), {"old-request": "note"}),
        (headed(good(), x_accel_buffering=None), {"headers": "note"}),
        (headed(good(), x_accel_buffering=None, server="nginx/1.22.1"), {}),
        (headed(good(), cache_control="no-cache"), {"headers": "note"}),
        (headed(good(), server_timing=None), {"headers": "note"}),
        (headed(good(), penstock_doctor=None), {"headers": "problem"}),
        (headed(good(), content_type="text/plain"), {"content-type": "problem"}),
        (headed(good(), content_type=None), {"content-type": "problem"}),
    ],
    ids=lambda value: "-".join(value) or "good" if isinstance(value, dict) else "",
)
def test_what_proxies_do_to_http(seen: Observation, expected: dict[str, str]) -> None:
    assert worse(seen) == expected


def test_settings_are_those_of_who_stands_there() -> None:
    seen = headed(good(hold=lambda _at: 2.0), server="envoy", x_accel_buffering="no")
    assert "Envoy" in found(seen)["buffered"].do
    assert "nginx" not in found(seen)["buffered"].do


# -- the way ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "code", "severity", "words"),
    [
        ({"times": Times(dns=1.5)}, "slow", "note", "Looking up the name took 1.5 s."),
        ({"times": Times(connect=3.0)}, "slow", "note", "Connecting took 3.0 s."),
        ({"times": Times(tls=1.0)}, "slow", "note", "Agreeing on TLS took 1.0 s."),
        ({"times": Times(first_byte=2.5, server=0.5)}, "slow-head", "note", "The head took 2.0 s more"),
        ({"unanswered": ["::1"]}, "unanswered", "note", "::1 did not take the connection; 127.0.0.1 did."),
        ({"tls": Tls("TLSv1.3", 3.9)}, "certificate-ends", "note", "ends in 3 days"),
        ({"keyed": True, "peer": "192.0.2.7"}, "key-in-clear", "note", "unencrypted"),
        ({"redirects": [Redirect(308, "http://a", "https://a/x")]}, "redirect", "note", "http://a redirects to https://a/x"),
        ({"redirects": [Redirect(301, "http://a", "https://a/x")]}, "redirect", "problem", "(301)"),
    ],
)  # fmt: skip
def test_the_way_there(fields: dict[str, Any], code: str, severity: str, words: str) -> None:
    (finding,) = way_findings(changed(**fields))
    assert (finding.code, finding.severity) == (code, severity)
    assert words in finding.says


def test_a_good_way_is_not_talked_about() -> None:
    near = changed(times=Times(0.9, 0.9, 0.9, 1.0, 0.3), tls=Tls("TLSv1.3", 90.0), keyed=True)
    assert list(way_findings(near)) == []
    assert list(way_findings(msgspec.structs.replace(near, url="https://a/", peer="192.0.2.7"))) == []


# -- of all ----------------------------------------------------------------------------------------------------------

words = st.sampled_from(["", "no", "1", "gzip", "nginx", "envoy", "close", "text/html", "1.0", "abc123:1", "abc123:2"])
times = st.floats(0, 400)
observations: st.SearchStrategy[Observation] = st.builds(
    Observation,
    url=st.sampled_from(["http://h/v1/doctor", "https://h/v1/doctor"]),
    asked=st.builds(
        Asked, events=st.integers(1, 30), pace=st.floats(0, 10), idle=st.floats(0, 90), pad=st.integers(0, 9)
    ),
    keyed=st.booleans(),
    peer=words,
    unanswered=st.lists(st.just("::1"), max_size=2),
    times=st.builds(Times, *[st.none() | times] * 5),
    tls=st.none() | st.builds(Tls, words, st.none() | st.floats(-400, 400)),
    redirects=st.lists(
        st.builds(Redirect, st.sampled_from([301, 302, 307, 308]), st.just("http://a"), st.just("https://b")),
        max_size=1,
    ),
    status=st.just(200),
    http=st.sampled_from(["1.0", "1.1"]),
    headers=st.lists(
        st.tuples(st.sampled_from(["server", "via", "content-length", "content-type", "penstock-doctor"]), words)
    ),
    chunked=st.booleans(),
    start=st.none() | st.builds(Start, st.integers(), words, words, st.lists(words, max_size=2), st.integers(0, 2)),
    start_id=words,
    comments=st.integers(0, 3),
    arrivals=st.lists(
        st.integers(1, 30).map(lambda n: good(Asked(30)).arrivals[n - 1]),
        max_size=30,
    ),
    done=st.booleans(),
    ended=st.sampled_from(["complete", "closed", "reset", "late", "flood", "broken"]),
    ended_at=times,
)


@given(observations)
def test_whatever_is_seen_is_told_in_plain_sentences(seen: Observation) -> None:
    for finding in stream_findings(seen):
        assert finding.says[-1] in ".!"
        assert "None" not in finding.says + finding.do
        assert "  " not in finding.says + finding.do.strip()
        assert finding.severity == "ok" or finding.code not in ("flow", "silence")


@given(observations)
def test_a_stream_that_is_not_whole_is_never_without_a_word(seen: Observation) -> None:
    told = {finding.severity for finding in stream_findings(seen)}
    if not seen.whole:
        assert "problem" in told or (seen.cut_in_silence and "note" in told)


@given(observations, st.floats(0.001, 300))
def test_a_longer_way_holds_nothing_back(seen: Observation, more: float) -> None:
    later = msgspec.structs.replace(
        seen, arrivals=[msgspec.structs.replace(arrival, came=arrival.came + more) for arrival in seen.arrivals]
    )
    assert later.held == pytest.approx(seen.held, abs=1e-6)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0.0 ms"), (0.00996, "10.0 ms"), (0.9996, "1.0 s"), (19.96, "20.0 s"), (61.4, "61 s")]
)
def test_times_for_people(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_gates_are_what_they_say() -> None:
    hold: Callable[[float], float] = lambda _at: 2.0  # noqa: E731
    assert {arrival.read for arrival in good(hold=hold).arrivals} == {1}, "what comes together is one read"
