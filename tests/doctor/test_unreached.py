"""What stands at an address where no stream began."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.doctor.observation import Observation, Redirect, Trouble
from penstock.doctor.unreached import unreached_findings

URL = "https://ai.example.com/v1/doctor"


def said(seen: Observation) -> str:
    """The one problem, and what to do about it."""
    told = [finding for finding in unreached_findings(seen) if finding.severity == "problem"]
    assert len(told) == 1
    return f"{told[0].says} {told[0].do}"


def answered(status: int, body: str = "", kind: str = "application/json", **headers: str) -> Observation:
    named = [("content-type", kind), *((name.replace("_", "-"), value) for name, value in headers.items())]
    return Observation(url=URL, status=status, body=body, headers=named, ended="complete")


def refused(code: str, message: str = "so it is") -> str:
    return json.dumps({"error": {"message": message, "type": "x", "param": None, "code": code}})


@pytest.mark.parametrize(
    ("step", "kind", "reason", "words"),
    [
        ("dns", "name", "Name or service not known", "ai.example.com can't be looked up: Name or service not known."),
        ("dns", "timeout", "", "takes too long"),
        ("connect", "refused", "Connection refused", "Nothing listens on ai.example.com, port 443."),
        ("connect", "timeout", "", "no connection within 10 s"),
        ("connect", "", "Network is unreachable", "can't be reached: Network is unreachable."),
        ("tls", "certificate", "certificate has expired", "is not good: certificate has expired."),
        ("tls", "not-tls", "wrong version number", "speaks no TLS. Try http://ai.example.com:443"),
        ("tls", "timeout", "", "too long to agree on TLS"),
        ("tls", "", "unsupported protocol", "failed: unsupported protocol."),
        ("answer", "timeout", "", "does not answer within"),
        ("answer", "not-http", "", "is no HTTP/1.1"),
        ("answer", "closed", "", "closed the connection without an answer"),
        ("redirect", "elsewhere", "https://login.example.com/", "where the doctor does not follow: https://login"),
        ("redirect", "loop", "https://ai.example.com/", "in a circle"),
        ("redirect", "wrong", "mailto:x", "no address: mailto:x"),
    ],
)
def test_every_trouble_has_its_words(step: Any, kind: str, reason: str, words: str) -> None:
    assert words in said(Observation(url=URL, trouble=Trouble(step, kind, reason)))


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (answered(401, refused("missing_api_key")), "wants a key. Give a tenant's key with --key"),
        (answered(401, refused("invalid_api_key")), "does not know this key"),
        (answered(401, "<html>", "text/html", server="nginx/1.22.1"), "a password of its own (status 401, from nginx)"),
        (answered(407, ""), "a password of its own (status 407, from what stands there)"),
        (answered(403, refused("host_not_allowed")), "has no tenants"),
        (answered(403, "<html>", "text/html", cf_ray="x"), "Access is refused (status 403, from Cloudflare)"),
        (answered(400, "<h1>The plain HTTP request was sent to HTTPS port</h1>", "text/html"), "speaks TLS"),
        (answered(400, refused("invalid_request", "events: so")), "refuses the request: events: so"),
        (answered(404, refused("not_found")), "no doctor at this address"),
        (answered(404, "<html>", "text/html", server="Apache/2.4"), "no Penstock at this address (status 404, from Apache)"),
        (answered(405, "", server="awselb/2.0"), "from AWS load balancer"),
        (answered(429, ""), "Too many requests"),
        (answered(502, "<html>", "text/html", server="nginx"), "can't reach the server behind it (status 502, from nginx)"),
        (answered(503, refused("overloaded", "full")), "an error (status 503, from what stands there): full."),
        (answered(500, "oops"), "status 500"),
        (answered(200, "<!DOCTYPE html><p>hello", "text/html"), "a web page, not a stream"),
        (answered(200, "  <html>", ""), "a web page, not a stream"),
        (answered(200, "", "text/event-stream"), "An event stream is there, but not the doctor's"),
        (answered(200, "{}"), "Another server answers (status 200, application/json)"),
        (answered(204, "", ""), "Another server answers (status 204, no content type)"),
    ],
)  # fmt: skip
def test_every_answer_has_its_words(seen: Observation, words: str) -> None:
    assert words in said(seen)


def test_a_key_that_does_not_arrive_is_not_a_key_that_is_missing() -> None:
    seen = answered(401, refused("missing_api_key"))
    seen.keyed = True
    assert "something on the way took the Authorization header" in said(seen)


def test_the_way_is_told_as_well() -> None:
    seen = answered(404, "")
    seen.redirects = [Redirect(308, "http://ai.example.com", URL)]
    assert [finding.code for finding in unreached_findings(seen)] == ["status-404", "redirect"]


@given(st.integers(100, 999), st.text(max_size=40), st.sampled_from(["text/html", "", "text/event-stream", "x"]))
def test_any_answer_is_a_problem_with_something_to_do(status: int, body: str, kind: str) -> None:
    (finding,) = unreached_findings(answered(status, body, kind))
    assert finding.severity == "problem"
    assert finding.says.endswith(".")
    assert finding.do
