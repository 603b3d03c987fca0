"""Where the doctor asks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.doctor.address import Address, join, parse_address


@pytest.mark.parametrize(
    ("typed", "url"),
    [
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080/v1/doctor"),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080/v1/doctor"),
        ("127.0.0.1:8080", "http://127.0.0.1:8080/v1/doctor"),
        ("localhost", "http://localhost/v1/doctor"),
        ("[::1]:8080", "http://[::1]:8080/v1/doctor"),
        ("ai.example.com", "https://ai.example.com/v1/doctor"),
        ("https://ai.example.com/v1", "https://ai.example.com/v1/doctor"),
        ("https://ai.example.com:443/v1/", "https://ai.example.com/v1/doctor"),
        ("https://ai.example.com/v1/doctor", "https://ai.example.com/v1/doctor"),
        ("https://ai.example.com/v1/chat/completions", "https://ai.example.com/v1/doctor"),
        ("https://ai.example.com/tools/ai/v1/streams", "https://ai.example.com/tools/ai/v1/doctor"),
        ("https://ai.example.com/tools/ai", "https://ai.example.com/tools/ai/v1/doctor"),
        ("https://ai.example.com/v1/doctor?events=9#x", "https://ai.example.com/v1/doctor"),
        ("http://flüsse.example/ä", "http://xn--flsse-lva.example/%C3%A4/v1/doctor"),
    ],
)
def test_what_people_type(typed: str, url: str) -> None:
    assert parse_address(typed).url == url


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("", "not an http"),
        ("ftp://example.com", "not an http"),
        ("http://", "not an http"),
        ("https://user:secret@example.com", "credentials"),
        ("http://exa mple.com", "spaces"),
        ("http://example.com/\r\nx: y", "control"),
        ("http://example.com:99999", "ort"),
        ("http://example.com:0", "port 0"),
        ("http://[::1", ""),
        ("http://" + "ü" * 200, "no name"),
        ("¨", "no name"),
        ("http://a,b/", "no name"),
    ],
)
def test_what_is_no_address(typed: str, said: str) -> None:
    with pytest.raises(ValueError) as raised:
        parse_address(typed)
    assert said in str(raised.value)
    assert "secret" not in str(raised.value)


def test_where_a_redirect_leads() -> None:
    base = parse_address("http://example.com/ai")
    assert join(base, "https://example.com/ai/v1/doctor?events=3") == Address(
        True, "example.com", 443, "/ai/v1/doctor?events=3"
    )
    assert join(base, "/login").url == "http://example.com/login"
    assert join(base, "//other.example:81/x").authority == "other.example:81"
    with pytest.raises(ValueError):
        join(base, "mailto:me@example.com")


@given(st.text())
def test_no_text_gets_through_as_anything_but_an_address(text: str) -> None:
    try:
        address = parse_address(text)
    except ValueError:
        return
    line = f"GET {address.target} HTTP/1.1\r\nHost: {address.authority}"
    assert line.isascii()
    assert len(line.split()) == 5, "nothing in it can end the line, or begin another"
