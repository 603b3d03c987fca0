"""The page's files: what may be kept, what is compressed, what a page may do."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator

import pytest

from tests.support.client import fetch
from tests.support.serving import Served, penstock

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with penstock("demo", "--port", "0") as served:
        yield served


async def script(served: Served) -> str:
    html = (await fetch(served.port, "GET", "/")).body.decode()
    return re.findall(r'src="(/assets/[^"]+\.js)"', html)[0]


async def test_the_page_is_asked_for_anew_each_time_and_its_files_never(served: Served) -> None:
    page = await fetch(served.port, "GET", "/")
    assert (page.status, page.headers["cache-control"]) == (200, "no-cache")
    file = await fetch(served.port, "GET", await script(served))
    assert file.headers["cache-control"] == "public, max-age=31536000, immutable"
    again = await fetch(served.port, "GET", "/", None, {"if-none-match": page.headers["etag"]})
    assert (again.status, again.body) == (304, b"")


async def test_files_are_compressed_and_streams_never(served: Served) -> None:
    path = await script(served)
    plain = await fetch(served.port, "GET", path)
    small = await fetch(served.port, "GET", path, None, {"accept-encoding": "gzip"})
    smaller = await fetch(served.port, "GET", path, None, {"accept-encoding": "gzip, deflate, br;q=1"})
    assert gzip.decompress(small.body) == plain.body
    assert [got.headers.get("content-encoding") for got in (plain, small, smaller)] == [None, "gzip", "br"]
    assert len(smaller.body) < len(small.body) < len(plain.body)
    assert {got.headers["vary"] for got in (plain, small, smaller)} == {"accept-encoding"}
    assert len({got.headers["etag"] for got in (plain, small, smaller)}) == 3
    body = {"model": "demo", "messages": [{"role": "user", "content": "hello"}]}
    stream = await fetch(served.port, "POST", "/v1/streams", body, {"accept-encoding": "gzip, br"})
    assert "content-encoding" not in stream.headers


async def test_the_policy_allows_no_foreign_script_no_inline_script_and_no_foreign_address(served: Served) -> None:
    policy = (await fetch(served.port, "GET", "/")).headers["content-security-policy"]
    assert "default-src 'none'; script-src 'self'; style-src 'self';" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    html = (await fetch(served.port, "GET", "/")).body.decode()
    assert not re.search(r"<script(?![^>]*\bsrc=)", html)
    assert " style=" not in html
    assert "//" not in html.replace("<!doctype html>", "")


async def test_a_conversation_s_address_is_the_page_and_others_are_nothing(served: Served) -> None:
    page = await fetch(served.port, "GET", "/")
    assert (await fetch(served.port, "GET", "/c/some-conversation")).body == page.body
    for path in ("/c/some/thing", "/assets/none.js", "/built/index.html", "/assets/../index.html", "/index.html"):
        assert (await fetch(served.port, "GET", path)).status == 404, path
    assert (await fetch(served.port, "POST", "/")).status == 405
