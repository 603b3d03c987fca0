"""What all dialects share."""

from __future__ import annotations

from typing import Any

import pytest

from penstock.dialects import DIALECTS
from penstock.dialects.base import Message, decode_json, encode_json
from penstock.exceptions import Refused


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, ""),
        ("hi", "hi"),
        ([], ""),
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "ab"),
        ([{"type": "image_url", "text": "no"}, {}, {"type": "text"}, {"type": "text", "text": None}], ""),
        ([{"type": "text", "text": {"value": "x"}}], ""),
    ],
)
def test_the_text_of_a_message(content: Any, text: str) -> None:
    assert Message("user", content).text == text


def test_what_is_wrong_is_named() -> None:
    with pytest.raises(Refused) as refused:
        decode_json(b'{"role": 5}', Message)
    assert refused.value.param == "role"
    assert refused.value.message == "Expected `str`, got `int` (at role)"


def test_what_was_decoded_can_be_encoded() -> None:
    body = b'{"a":[1,2.5,null,"\xe6\xb0\xb4",1180591620717411303424]}'
    assert encode_json(decode_json(body, dict[str, Any])) == body


def test_every_dialect_has_its_name() -> None:
    assert all(dialect.name == name for name, dialect in DIALECTS.items())
