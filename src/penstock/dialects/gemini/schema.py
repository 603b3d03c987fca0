"""The JSON of functions: their arguments, which this dialect sends as objects, and the schemas of their parameters."""

from __future__ import annotations

from typing import Any

import msgspec

from penstock.dialects.base import BROKEN_JSON
from penstock.exceptions import ProtocolError, Refused

MOST_LEVELS = 100
"""How deeply arguments and schemas may be nested: as deeply as in Google's own JSON (a `google.protobuf.Struct`)."""

RAW = "_raw"
"""The one argument of a call whose arguments are no JSON object: this dialect has no other place for their text."""

_decode_object = msgspec.json.Decoder(dict[str, Any]).decode


def arguments_object(text: str) -> dict[str, Any] | None:
    """The arguments of a call, from their JSON text; None if that is no object, or not whole yet."""
    try:
        value = _decode_object(text)
    except BROKEN_JSON:
        return None
    return None if is_deep(value) else value


def told_arguments(text: str) -> dict[str, Any]:
    """What to send as `args` for a text that will not become any longer."""
    if not text.strip():
        return {}
    value = arguments_object(text)
    return {RAW: text} if value is None else value


def arguments_text(args: msgspec.Raw) -> str:
    """The compact JSON text of an upstream's `args`, empty if there are none. Raises ProtocolError for what is no object."""
    told = bytes(args)
    if told in (b"", b"null"):
        return "{}"
    try:
        value = _decode_object(told)
    except BROKEN_JSON as error:
        raise ProtocolError(f"the upstream sent a function call whose args are no object: {error}") from None
    if is_deep(value):
        raise ProtocolError(f"the upstream sent a function call whose args have more than {MOST_LEVELS} levels")
    return msgspec.json.encode(value).decode()


def is_deep(value: object) -> bool:
    """Whether JSON has more than `MOST_LEVELS` levels. Walks level by level: a walk into the depth might itself be too deep."""
    level = [value]
    for _ in range(MOST_LEVELS + 1):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer if isinstance(outer, list) else ())
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True


def json_schema(schema: dict[str, Any], param: str) -> dict[str, Any]:
    """A JSON schema from Google's own kind (https://ai.google.dev/api/caching#Schema), which has `type` in capitals and
    `nullable`. A JSON schema stays as it is. Raises Refused (400) for one that is nested too deeply.
    """
    if is_deep(schema):
        raise Refused(400, "invalid_request", f"{param} is nested too deeply", param=param)
    return _translated(schema)


def _translated(schema: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "type" and isinstance(value, str):
            made[key] = value.lower()
        elif key in ("properties", "$defs") and isinstance(value, dict):
            made[key] = {name: _translated(one) if isinstance(one, dict) else one for name, one in value.items()}
        elif key in ("items", "additionalProperties", "not") and isinstance(value, dict):
            made[key] = _translated(value)
        elif key in ("anyOf", "oneOf", "allOf", "prefixItems") and isinstance(value, list):
            made[key] = [_translated(one) if isinstance(one, dict) else one for one in value]
        elif key != "nullable":
            made[key] = value
    if schema.get("nullable") is True and isinstance(made.get("type"), str):
        made["type"] = [made["type"], "null"]
    return made
