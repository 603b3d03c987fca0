"""Configuration: one TOML file, read strictly.

Any text value may be `env:NAME`, read from the environment. An unknown key, a wrong type or a name that leads nowhere is a
ConfigError of one line that names the file, the line and the key. What this version reads but does not act on yet is said
in `Config.notes`; what would be wrong to ignore is an error.

    __init__.py    reading: TOML, `env:`, where each key stands
    tables.py      the keys and their types
    rules.py       what types can't say
    doubts.py      what is right, and probably not meant so
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
import typing
from pathlib import Path
from typing import Any, Literal

import msgspec

from penstock.config.rules import problems
from penstock.config.tables import (
    Config,
    Gate,
    Limits,
    Price,
    Route,
    Server,
    Storage,
    Target,
    Tenant,
    Timeouts,
    Upstream,
)
from penstock.exceptions import ConfigError

__all__ = [
    "Config",
    "Limits",
    "Route",
    "Server",
    "Storage",
    "Target",
    "Tenant",
    "Timeouts",
    "Upstream",
    "check",
    "convert",
    "load",
    "parse",
]


def load(path: str | Path) -> Config:
    """Read and check the file at `path`. Raises ConfigError."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")  # some editors begin a file with a mark, and TOML knows none
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not UTF-8") from None
    return parse(text, str(path))


def parse(text: str, name: str = "configuration") -> Config:
    """Read and check a configuration. `name` is what messages call it. Raises ConfigError."""
    try:
        raw = tomllib.loads(text)
    except ValueError as error:  # also what is no TOMLDecodeError: a number of more digits than Python reads
        message, _, place = str(error).rpartition(" (at ")
        line = re.match(r"line (\d+)", place)
        where = f"{name}:{line[1] if line else text.count(chr(10)) + 1}" if place.startswith(("line", "end")) else name
        raise ConfigError(_one_line(f"{where}: {message or error}")) from None
    except RecursionError:
        raise ConfigError(f"{name}: nested too deeply") from None
    return convert(raw, name, _lines(text))


def convert(raw: dict[str, Any], name: str = "configuration", lines: dict[str, int] | None = None) -> Config:
    """Check a configuration that is a dictionary already. Raises ConfigError."""
    where = _Where(name, lines or {})
    resolved = _resolve(raw, "", where)
    try:
        config = msgspec.convert(resolved, Config)
    except msgspec.ValidationError as error:
        raise where.error_of(error) from None
    check(config, where)
    return config


def _one_line(message: str) -> str:
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in message)


class _Where:
    """Where a key stands in the file."""

    def __init__(self, name: str, lines: dict[str, int]) -> None:
        self._name = name
        self._lines = lines

    def error(self, key: str, message: str) -> ConfigError:
        line = None
        place = key
        while place and line is None:
            line = self._lines.get(place)
            place = place[: max(place.rfind("."), place.rfind("["), 0)]
        return ConfigError(_one_line(f"{self._name}{f':{line}' if line else ''}: {key}: {message}"))

    def error_of(self, error: msgspec.ValidationError) -> ConfigError:
        message, _, path = str(error).partition(" - at `$")
        key = path.rstrip("`").removeprefix(".")
        unknown = re.fullmatch(r"Object contains unknown field `(.*)`", message, re.DOTALL)
        missing = re.fullmatch(r"Object missing required field `(.*)`", message)
        if unknown:
            known = _fields_at(key)
            close = difflib.get_close_matches(unknown[1], known, 1)
            hint = f"did you mean {close[0]}?" if close else f"there are: {', '.join(known)}"
            return self.error(f"{key}.{unknown[1]}".lstrip("."), f"unknown key ({hint})")
        if missing:
            return self.error(key, f"{missing[1]} is missing")
        if key in ("upstream", "route", "tenant") and message == "Expected `array`, got `object`":
            return self.error(key, f"there can be several: write [[{key}]], with two brackets")
        if message.startswith("Invalid enum value"):
            known = _choices_at(key)
            return self.error(key, f"{message.removeprefix('Invalid enum value ')} is none of: {', '.join(known)}")
        message = re.sub(r"`(\w+)( \| null)?`", lambda kind: _KINDS.get(kind[1], kind[0]), message)
        return self.error(key, message[:1].lower() + message[1:])


_KINDS = {
    "float": "a number",
    "int": "a whole number",
    "str": "text",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
    "null": "nothing",
}
"""What the types are called where people write them."""


def _choices_at(key: str) -> list[str]:
    """The words that may stand at `key`."""
    table, _, field = re.sub(r"\[\d+\]", "", key).rpartition(".")
    kind = _table_at(table)
    told: Any = typing.get_type_hints(kind).get(field) if kind is not None else None
    words = [told, *typing.get_args(told)]
    while words:
        if typing.get_origin(words[0]) is Literal:
            return [str(word) for word in typing.get_args(words[0])]
        words = [*words[1:], *typing.get_args(words[0])]
    return []


def _fields_at(key: str) -> list[str]:
    kind = _table_at(re.sub(r"\[\d+\]", "", key))
    return list(kind.__struct_fields__) if kind else []


def _table_at(key: str) -> type[msgspec.Struct] | None:
    kinds: dict[str, type[msgspec.Struct]] = {
        "": Config,
        "server": Server,
        "storage": Storage,
        "upstream": Upstream,
        "route": Route,
        "route.targets": Target,
        "route.timeouts": Timeouts,
        "route.gate": Gate,
        "route.price": Price,
        "tenant": Tenant,
        "tenant.limits": Limits,
    }
    return kinds.get(key)


_TABLE = re.compile(r"^\s*(\[\[?)\s*([\w.\-\"]+)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"^\s*([\w\-]+|\"[^\"]*\")\s*(?:\.[\w.\-\" ]+\s*)?=")


def _lines(text: str) -> dict[str, int]:
    """Line numbers of tables and keys, by paths such as `upstream[1].dialect`. Inside inline tables: their key's line."""
    found: dict[str, int] = {}
    counts: dict[str, int] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), 1):
        if head := _TABLE.match(line):
            *parents, name = head[2].replace('"', "").split(".")
            table = ""
            for parent in parents:
                table = _latest(f"{table}.{parent}".lstrip("."), counts)
            table = f"{table}.{name}".lstrip(".")
            if head[1] == "[[":
                counts[table] = counts.get(table, -1) + 1
                table = _latest(table, counts)
            found.setdefault(table, number)
        elif key := _KEY.match(line):
            found.setdefault(f"{table}.{key[1].strip(chr(34))}".lstrip("."), number)
    return found


def _latest(table: str, counts: dict[str, int]) -> str:
    """A table, or the latest of an array of tables: what `[route.timeouts]` after a `[[route]]` belongs to."""
    return f"{table}[{counts[table]}]" if table in counts else table


def _resolve(value: Any, key: str, where: _Where) -> Any:
    """Replace every `env:NAME`."""
    if isinstance(value, dict):
        return {name: _resolve(inner, f"{key}.{name}".lstrip("."), where) for name, inner in value.items()}
    if isinstance(value, list):
        return [_resolve(inner, f"{key}[{index}]", where) for index, inner in enumerate(value)]
    if isinstance(value, str) and value.startswith("env:"):
        name = value[4:]
        if not os.environ.get(name):
            raise where.error(key, f"the environment variable {name} is not set")
        return os.environ[name]
    return value


def check(config: Config, where: _Where | None = None) -> None:
    """Check what types can't say. Called by every reader; call it again after changing a config. Raises ConfigError."""
    where = where or _Where("configuration", {})
    for problem in problems(config):
        raise where.error(*problem)
