"""Images and documents of the `anthropic` dialect, both ways."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.dialects.anthropic.content import Source, read_source, write_part
from penstock.exceptions import Refused

PDF = "data:application/pdf;base64,JVBERg=="
PNG = "data:image/png;base64,iVBORw=="


def image(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def file(**fields: Any) -> dict[str, Any]:
    return {"type": "file", "file": fields}


BOTH_WAYS = [
    (image(PNG), {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw=="}}),
    (image("https://x.y/z.png"), {"type": "image", "source": {"type": "url", "url": "https://x.y/z.png"}}),
    (
        file(file_data=PDF, filename="a.pdf"),
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="},
            "title": "a.pdf",
        },
    ),
    (file(file_id="file_1"), {"type": "document", "source": {"type": "file", "file_id": "file_1"}}),
    (
        file(file_data="data:text/plain;base64,w6k="),
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "é"}},
    ),
]


@pytest.mark.parametrize(("part", "block"), BOTH_WAYS)
def test_both_ways(part: dict[str, Any], block: dict[str, Any]) -> None:
    assert write_part(part, "p", "anthropic") == block
    source = msgspec.convert(block["source"], Source)
    assert read_source(block["type"], source, block.get("title")) == part


@pytest.mark.parametrize(
    ("part", "block"),
    [
        ({"type": "text", "text": "a"}, {"type": "text", "text": "a"}),
        ({"type": "refusal", "refusal": "no"}, {"type": "text", "text": "no"}),
        ({"type": "text", "text": ""}, None),
        ({"type": "text", "text": None}, None),
        (image(PNG.replace("image/png", "IMAGE/PNG;x=y")), BOTH_WAYS[0][1]),
        (image("http://x.y"), {"type": "image", "source": {"type": "url", "url": "http://x.y"}}),
        (file(file_data=PNG), BOTH_WAYS[0][1]),
        (file(file_data="data:text/markdown;base64,w6k="), BOTH_WAYS[4][1]),
    ],
)
def test_one_way(part: dict[str, Any], block: dict[str, Any] | None) -> None:
    assert write_part(part, "p", "anthropic") == block


@pytest.mark.parametrize(
    ("part", "code", "param"),
    [
        ({}, "invalid_request", "p"),
        ({"type": None}, "invalid_request", "p"),
        ({"type": "text"}, "invalid_request", "p"),
        ({"type": "text", "text": 5}, "invalid_request", "p"),
        ({"type": "image_url", "image_url": "https://x"}, "invalid_request", "p"),
        (file(), "invalid_request", "p"),
        (file(file_data=5), "invalid_request", "p"),
        (file(file_data="data:text/plain;base64,@@@"), "invalid_request", "p.file"),
        (file(file_data="data:text/plain;base64,/w=="), "invalid_request", "p.file"),
        (image("ftp://x"), "unsupported_translation", "p.image_url"),
        (image("data:image/png,raw"), "unsupported_translation", "p.image_url"),
        (image("data:image/png;base64"), "unsupported_translation", "p.image_url"),
        (file(file_data="JVBERg=="), "unsupported_translation", "p.file"),
        (file(file_data="data:audio/wav;base64,AA=="), "unsupported_translation", "p.file"),
        ({"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}, "unsupported_translation", "p.input_audio"),
        ({"type": "x" * 5000}, "unsupported_translation", "p." + "x" * 64),
    ],
)  # fmt: skip
def test_what_is_wrong_or_has_no_words_is_refused_by_name(part: dict[str, Any], code: str, param: str) -> None:
    with pytest.raises(Refused) as refused:
        write_part(part, "p", "anthropic")
    assert (refused.value.status, refused.value.code, refused.value.param) == (400, code, param)


@pytest.mark.parametrize(
    ("kind", "source"),
    [
        ("image", Source("file", file_id="file_1")),
        ("image", Source("url")),
        ("image", Source("base64", data="AA==")),
        ("image", Source("hologram", "x", "y", "z", "a")),
        ("document", Source("url", url="https://x.y/z.pdf")),
        ("document", Source("content")),
    ],
)
def test_sources_without_words(kind: str, source: Source) -> None:
    assert read_source(kind, source, None) is None


@given(st.text(st.characters(exclude_categories=["Cs"])), st.none() | st.text(max_size=5))
def test_any_text_is_a_document(text: str, title: str | None) -> None:
    part = read_source("document", Source("text", "text/plain", text), title)
    assert part is not None
    block = write_part(part, "p", "anthropic")
    assert block is not None
    assert (block["source"]["data"], block.get("title")) == (text, title)


@given(st.binary(max_size=30))
def test_any_bytes_are_an_image(data: bytes) -> None:
    encoded = base64.b64encode(data).decode()
    block = write_part(image(f"data:image/webp;base64,{encoded}"), "p", "anthropic")
    assert block is not None
    assert block["source"] == {"type": "base64", "media_type": "image/webp", "data": encoded}
