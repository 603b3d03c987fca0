"""How a diagnosis is told."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given

from penstock.doctor.observation import Asked, Observation, Start, Times, Tls, Trouble
from penstock.doctor.report import ORDER, WIDTH, as_json, as_text, diagnose
from tests.doctor.seen import cut, good, headed
from tests.doctor.test_findings import observations


def test_a_good_path() -> None:
    assert as_text(diagnose(good(Asked(idle=20)))).splitlines() == [
        "http://127.0.0.1:8080/v1/doctor",
        "",
        "between     nobody that shows",
        "connection  127.0.0.1, HTTP/1.1, HTTP/1.1 at the server",
        "times       connect 1.0 ms, first byte 21 ms (server 1.0 ms, path 20 ms)",
        "",
        "ok          20 events came as they were sent, none held back by more than 0.0 ms.",
        "ok          A silence of 20 s was endured.",
        "ok          Ids came as they were sent: clients can resume.",
        "ok          All headers came.",
        "",
        "No problem found.",
    ]


def test_the_worst_comes_first_and_is_counted() -> None:
    seen = headed(good(hold=lambda _at: 2.0), content_encoding="gzip", server="nginx/1.22.1", connection="close")
    seen.start = Start(20, "1.0", "1.1 edge", ["x-forwarded-for"], 1)
    seen.tls = Tls("TLSv1.3", 88.7)
    report = diagnose(seen)
    lines = as_text(report).splitlines()
    assert report.exit == 1
    assert lines[2] == (
        "between     nginx (server: nginx/1.22.1; via, at the server: 1.1 edge; added to the request: x-forwarded-for)"
    )
    assert lines[3] == (
        "connection  127.0.0.1, TLSv1.3 (certificate good for 88 days), HTTP/1.1, HTTP/1.0 at the server"
    )
    marks = [line.split()[0] for line in lines[6:] if line[:1].strip()]
    assert marks[:-1] == ["problem", "problem", "note", "note", "ok", "ok"]
    assert lines[-1] == "2 problems found, 2 notes. Silence was not tried: `--idle 20` does."
    assert any(line.startswith("            → nginx: `gzip off;`") or "`gzip off;`" in line for line in lines)
    assert max(map(len, lines)) <= WIDTH


@pytest.mark.parametrize(
    ("seen", "code", "last"),
    [
        (good(Asked(idle=1)), 0, "No problem found."),
        (headed(good(Asked(idle=1)), connection="close"), 0, "No problem found, 1 note."),
        (cut(good(Asked(idle=4)), 10, 2.9), 1, "1 problem found."),
        (Observation(url="http://x/", trouble=Trouble("connect", "refused")), 2, "Nothing was measured."),
        (Observation(url="http://x/", status=404), 2, "Nothing was measured."),
    ],
)
def test_the_exit_code(seen: Observation, code: int, last: str) -> None:
    report = diagnose(seen)
    assert report.exit == code
    assert as_text(report).splitlines()[-1] == last


def test_a_head_without_events_is_a_problem_of_the_path() -> None:
    silent = cut(msgspec.structs.replace(good(), start=None, start_id="", comments=0), 0, 17.0, "late")
    assert diagnose(silent).exit == 1


def test_json_holds_everything() -> None:
    told = json.loads(as_json(diagnose(headed(good(), server="nginx"))))
    assert (told["exit"], told["between"], told["bursts"]) == (0, ["nginx"], 20)
    assert told["path_seconds"] == pytest.approx(0.02)
    assert {"severity", "code", "says", "do"} == set(told["findings"][0])
    assert told["seen"]["times"]["server"] == 0.001
    assert len(told["seen"]["arrivals"]) == 20


def test_what_others_say_can_not_move_the_cursor() -> None:
    seen = headed(good(), server="ngi\x1b[2Jnx\x07\u202e")
    told = as_text(diagnose(seen))
    assert "ngi?[2Jnx" in told
    assert all(line.isprintable() for line in told.split("\n"))


def test_times_that_are_not_known_are_left_out() -> None:
    seen = msgspec.structs.replace(good(), times=Times(first_byte=0.5))
    assert "times       first byte 500 ms" in as_text(diagnose(seen)).splitlines()


@given(observations)
def test_any_diagnosis_can_be_told(seen: Observation) -> None:
    report = diagnose(seen)
    assert (report.exit == 2) == (not seen.reached)
    if seen.reached:
        assert (report.exit == 1) == any(finding.severity == "problem" for finding in report.findings)
    severities = [ORDER.index(finding.severity) for finding in report.findings]
    assert severities == sorted(severities)
    assert all(line.isprintable() for line in as_text(report).split("\n"))
    assert json.loads(as_json(report))["exit"] == report.exit
