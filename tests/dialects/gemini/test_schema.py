"""The JSON of functions in the `gemini` dialect."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.dialects.gemini.schema import (
    MOST_LEVELS,
    arguments_object,
    arguments_text,
    is_deep,
    json_schema,
    told_arguments,
)
from penstock.exceptions import ProtocolError, Refused


def nested(levels: int) -> str:
    return '{"a":' * levels + "1" + "}" * levels


class TestArguments:
    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("{}", {}),
            (' {"a": 1,\n"b": [null, 1.5]} ', {"a": 1, "b": [None, 1.5]}),
            (f'{{"big": {2**70}}}', {"big": 2**70}),
            (nested(MOST_LEVELS), json.loads(nested(MOST_LEVELS))),
            ("", None),
            ('{"a": ', None),
            ('{"a": 1}}', None),
            ("[1]", None),
            ("null", None),
            ('{"a": NaN}', None),
            ('{"a": 1e999}', None),
            ("{'a': 1}", None),
            (nested(MOST_LEVELS + 2), None),
            (nested(100_000), None),
        ],
        ids=lambda given: repr(given)[:40],
    )
    def test_only_an_object_is_whole(self, text: str, value: Any) -> None:
        assert arguments_object(text) == value

    @pytest.mark.parametrize(
        ("text", "args"),
        [
            ("", {}),
            (" \n", {}),
            ('{"a": 1}', {"a": 1}),
            ('{"a": ', {"_raw": '{"a": '}),
            ("[1]", {"_raw": "[1]"}),
            ("Oslo", {"_raw": "Oslo"}),
        ],
    )
    def test_what_is_no_object_is_told_as_it_is(self, text: str, args: Any) -> None:
        assert told_arguments(text) == args

    @pytest.mark.parametrize(
        ("raw", "text"),
        [(b"", "{}"), (b"null", "{}"), (b"{ }", "{}"), ('{"city" : "Zürich"}'.encode(), '{"city":"Zürich"}')],
    )
    def test_of_an_upstream(self, raw: bytes, text: str) -> None:
        assert arguments_text(msgspec.Raw(raw)) == text

    @pytest.mark.parametrize(
        "raw", [b"1", b'"{}"', b"[]", b'{"a": "\\ud800"}', nested(MOST_LEVELS + 2).encode(), nested(100_000).encode()]
    )
    def test_of_an_upstream_that_sends_nonsense(self, raw: bytes) -> None:
        with pytest.raises(ProtocolError):
            arguments_text(msgspec.Raw(raw))

    @given(st.text(max_size=30))
    def test_whatever_was_said_is_told(self, text: str) -> None:
        assert json.loads(json.dumps(told_arguments(text))) == told_arguments(text)


def test_levels_are_counted() -> None:
    value: Any = 1
    for _ in range(MOST_LEVELS):
        value = [value, 2]
    assert not is_deep(value)
    assert is_deep([[value]])


class TestJsonSchema:
    def test_googles_own_kind(self) -> None:
        schema = {
            "type": "OBJECT",
            "properties": {
                "type": {"type": "STRING", "enum": ["A", "B"], "nullable": True},
                "days": {"type": "ARRAY", "items": {"type": "INTEGER"}},
                "either": {"anyOf": [{"type": "NUMBER"}, {"type": "BOOLEAN"}]},
            },
            "required": ["type"],
            "propertyOrdering": ["days", "type"],
        }
        assert json_schema(schema, "p") == {
            "type": "object",
            "properties": {
                "type": {"type": ["string", "null"], "enum": ["A", "B"]},
                "days": {"type": "array", "items": {"type": "integer"}},
                "either": {"anyOf": [{"type": "number"}, {"type": "boolean"}]},
            },
            "required": ["type"],
            "propertyOrdering": ["days", "type"],
        }

    def test_a_json_schema_stays_as_it_is(self) -> None:
        schema = {
            "type": "object",
            "properties": {"x": {"type": ["string", "null"]}, "y": True},
            "default": {"type": "KEPT"},
            "additionalProperties": False,
        }
        assert json_schema(schema, "p") == schema

    def test_odd_shapes_stay_as_they_are(self) -> None:
        schema = {"type": 5, "properties": [], "items": "x", "anyOf": {"type": "STRING"}, "nullable": 1}
        assert json_schema(schema, "p") == {key: value for key, value in schema.items() if key != "nullable"}

    def test_one_without_end_is_refused(self) -> None:
        deep: dict[str, Any] = {}
        for _ in range(5000):
            deep = {"items": deep}
        with pytest.raises(Refused) as refused:
            json_schema(deep, "tools")
        assert (refused.value.status, refused.value.param) == (400, "tools")
