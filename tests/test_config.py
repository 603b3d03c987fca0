"""Configuration: what is right is read, and every mistake is one line that names the file, the line and the key."""

# ruff: noqa: E501  # the table of mistakes reads best with a line for each

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.config import Config, convert, load, parse
from penstock.exceptions import ConfigError

HASH = "sha256:" + "0123456789abcdef" * 4

GOOD = f"""\
[server]
host = "127.0.0.1"
port = 8080
allowed_origins = ["https://app.example.com"]

[storage]
database = "sqlite:///penstock.db"        # or nothing: in memory

[[upstream]]
name = "main"
dialect = "openai-chat"                   # openai-chat | native | python | demo
base_url = "https://api.openai.com/v1"
api_keys = ["env:PENSTOCK_TEST_KEY"]

[[upstream]]
name = "mine"
dialect = "python"
function = "package.module:answer"

[[route]]
model = "gpt-4o"
targets = [{{ upstream = "main", model = "gpt-4o", weight = 1 }}]
on_abandon = "cancel"
timeouts = {{ connect = 5, first_token = 60, silence = 30, total = 600 }}
retries = 3

[[route]]
model = "mine"
on_abandon = "finish"
[[route.targets]]
upstream = "main"
[[route.targets]]
upstream = "mine"
[route.timeouts]
silence = 90

[[tenant]]
name = "acme"
key_hashes = ["{HASH}"]
weight = 1
limits = {{ requests_per_minute = 600, tokens_per_minute = 200000, concurrent_streams = 200, tokens_per_day = 5000000 }}
models = ["gpt-4o"]
"""

LEAST = """\
[[upstream]]
name = "demo"
dialect = "demo"

[[route]]
model = "demo"
targets = [{ upstream = "demo" }]
"""


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_TEST_KEY", "sk-test")
    monkeypatch.delenv("PENSTOCK_TEST_UNSET", raising=False)


def line_of(text: str, what: str) -> int:
    """The number of the first line that holds `what`."""
    return next(number for number, line in enumerate(text.splitlines(), 1) if what in line)


def problem(text: str) -> str:
    with pytest.raises(ConfigError) as raised:
        parse(text, "p.toml")
    message = str(raised.value)
    assert message.isprintable(), "one line"
    return message


# -- what is right ---------------------------------------------------------------------------------------------------


def test_the_contract_s_file() -> None:
    config = parse(GOOD)
    assert (config.server.host, config.server.port) == ("127.0.0.1", 8080)
    main, mine = config.upstream
    assert (main.base_url, main.api_keys) == ("https://api.openai.com/v1", ["sk-test"])
    assert (mine.dialect, mine.function) == ("python", "package.module:answer")
    first, second = config.route
    assert (first.targets[0].model, first.timeouts.total, first.retries) == ("gpt-4o", 600, 3)
    assert [target.upstream for target in second.targets] == ["main", "mine"]
    assert (second.timeouts.silence, second.timeouts.total) == (90, 600)
    (tenant,) = config.tenant
    assert tenant.limits is not None
    assert (tenant.limits.tokens_per_day, tenant.models) == (5_000_000, ["gpt-4o"])


def test_the_least() -> None:
    config = parse(LEAST)
    assert (config.server, config.tenant, config.notes) == (Config().server, [], [])
    assert (config.route[0].timeouts.first_token, config.route[0].grace) == (60, 15)


def test_a_dictionary_is_as_good_as_a_file() -> None:
    config = convert(
        {
            "upstream": [{"name": "demo", "dialect": "demo"}],
            "route": [{"model": "m", "targets": [{"upstream": "demo"}]}],
        }
    )
    assert config.route[0].model == "m"
    with pytest.raises(ConfigError, match=r"^configuration: route: there is no"):
        convert({})


@pytest.mark.parametrize(
    "gate",
    [
        'url = "http://x:8000/check?tenant=a"',
        'url = "https://[::1]/a%20b"',
        'url = "http://127.1"',
        'function = "a.b:C.d"',
    ],
)
def test_a_gate(gate: str) -> None:
    assert parse(GOOD.replace("retries = 3", f"gate = {{{gate}}}")).route[0].gate is not None


def test_a_file(tmp_path: Path) -> None:
    path = tmp_path / "penstock.toml"
    path.write_text(LEAST)
    assert load(path) == load(str(path)) == parse(LEAST)
    path.write_text(LEAST, encoding="utf-8-sig")
    assert load(path) == parse(LEAST), "as editors on Windows write it"
    path.write_bytes(b"# \xff\n")
    with pytest.raises(ConfigError, match=r"penstock\.toml: not UTF-8$"):
        load(path)
    for wrong in (tmp_path, tmp_path / "missing.toml"):
        with pytest.raises(ConfigError, match=re.escape(str(wrong))):
            load(wrong)


# -- what is wrong ---------------------------------------------------------------------------------------------------

MISTAKES: dict[str, tuple[str, str, str, str]] = {
    # name: what stands in the good file, what stands there instead, the key, what is said of it
    "unknown table": ("[storage]", "[storge]", "storge", "unknown key (did you mean storage?)"),
    "unknown key": ("port = 8080", "prot = 8080", "server.prot", "unknown key (did you mean port?)"),
    "unknown key, unlike any": ("port = 8080", "x = 1", "server.x", "unknown key (there are: host, port, "),
    "unknown key in an array": ("retries = 3", "retry = 3", "route[0].retry", "did you mean retries?"),
    "unknown key in line": ("connect = 5", "conect = 5", "route[0].timeouts.conect", "did you mean connect?"),
    "unknown key in a target": ("weight = 1 }", "wait = 1 }", "route[0].targets[0].wait", "did you mean weight?"),
    "unknown key in a nested table": ("silence = 90", "silent = 90", "route[1].timeouts.silent", "did you mean silence?"),
    "unknown key in limits": ("tokens_per_day", "tokens_a_day", "tenant[0].limits.tokens_a_day", "tokens_per_day?"),
    "unknown key with a line end": ("port = 8080", '"a\\nb" = 1', "server.a\\nb", "unknown key"),
    "unknown key with brackets": ("port = 8080", '"]a[" = 1', "server.]a[", "unknown key"),
    "wrong type": ("port = 8080", 'port = "8080"', "server.port", "expected a whole number, got text"),
    "a huge number": ("port = 8080", f"port = {2**70}", "server.port", ""),
    "a port that is none": ("port = 8080", "port = 70000", "server.port", "from 0 to 65535"),
    "a listening address that is none": ('"127.0.0.1"', '"127.9.9.999"', "server.host", "neither a name nor an address"),
    "not a number": ("silence = 90", "silence = nan", "route[1].timeouts.silence", "positive"),
    "a time of nothing": ("total = 600", "total = 0", "route[0].timeouts.total", "positive"),
    "a time without end": ("port = 8080", "grace = inf", "server.grace", "seconds"),
    "no time at all": ("port = 8080", "grace = nan", "server.grace", "seconds"),
    "a route's grace": ("retries = 3", "grace = -1", "route[0].grace", "not negative"),
    "no token": ("retries = 3", "max_tokens = 0", "route[0].max_tokens", "at least 1"),
    "no slot": ('dialect = "openai-chat"', 'concurrent_streams = 0\ndialect = "openai-chat"', "upstream[0].concurrent_streams",
                "at least 1"),
    "a queue of fewer than none": ("retries = 3", "queue = { length = -1 }", "route[0].queue.length", "from 0 to"),
    "a queue for no time": ("retries = 3", "queue = { seconds = 0 }", "route[0].queue.seconds", "positive"),
    "a gate with nobody": ("retries = 3", "gate = {}", "route[0].gate", "either a function or a url"),
    "a gate that is no function": ("retries = 3", 'gate = {function = "x"}', "route[0].gate.function", "package.module"),
    "a gate nowhere": ("retries = 3", 'gate = {url = "ftp://x"}', "route[0].gate.url", "http"),
    "a gate without a name": ("retries = 3", 'gate = {function = "os:.."}', "route[0].gate.function", "package.module"),
    "a gate beside": ("retries = 3", 'gate = {function = ".a:x"}', "route[0].gate.function", "package.module"),
    "a gate at no port": ("retries = 3", 'gate = {url = "http://x:0/"}', "route[0].gate.url", "no port 0"),
    "a gate's path": ("retries = 3", 'gate = {url = "http://x/é"}', "route[0].gate.url", "%XX"),
    "a gate's query": ("retries = 3", 'gate = {url = "http://x/?é"}', "route[0].gate.url", "%XX"),
    "a gate's fragment": ("retries = 3", 'gate = {url = "http://x/?a#b"}', "route[0].gate.url", "fragment"),
    "a gate's host": ("retries = 3", 'gate = {url = "http://127.9.9.999"}', "route[0].gate.url", "neither a name nor"),
    "a closed gate": ("retries = 3", 'gate = {url = "http://x", window = 0}', "route[0].gate.window", "at least 1"),
    "no delivery": ("retries = 3", 'delivery = "post"', "route[0].delivery", "post"),
    "no hedge": ("retries = 3", "hedge = 0", "route[0].hedge", "positive"),
    "negative retries": ("retries = 3", "retries = -3", "route[0].retries", "from 0 to 100"),
    "a small body": ("port = 8080", "max_body_bytes = 10", "server.max_body_bytes", "at least 1024"),
    "a delivery that is none": ("retries = 3", 'delivery = "x"', "route[0].delivery", "'x' is none of: stream, "),
    "a quirk that is none": (
        'name = "main"',
        'name = "main"\nquirks = ["odd"]',
        "upstream[0].quirks[0]",
        "'odd' is none of: no_stream_options, ",
    ),
    "seconds as text": ("connect = 5", 'connect = "5"', "route[0].timeouts.connect", "expected a number, got text"),
    "a word that is none": ('"cancel"', '"stop"', "route[0].on_abandon", "'stop' is none of: cancel, finish"),
    "an origin with a path": ("app.example.com", "app.example.com/x", "server.allowed_origins[0]", "without a path"),
    "any origin": ('"https://app.example.com"', '"*"', "server.allowed_origins[0]", "scheme://host"),
    "missing name": ('name = "mine"', "", "upstream[1]", "name is missing"),
    "missing address": ('base_url = "https://api.openai.com/v1"', "", "upstream[0]", "base_url is missing"),
    "an address that is none": ("https://api.openai.com/v1", "api.openai.com", "upstream[0].base_url", "http"),
    "credentials in the address": ("https://api", "https://u:p@api", "upstream[0].base_url", "credentials"),
    "a bad port": ("openai.com/v1", "openai.com:99999/v1", "upstream[0].base_url", "ort"),
    "port 0": ("openai.com/v1", "openai.com:0/v1", "upstream[0].base_url", "no port 0"),
    "a host with an empty label": ("openai.com/v1", "openai..com/v1", "upstream[0].base_url", "neither a name nor"),
    "a host that is no name": ("api.openai.com/v1", "127.0.0.256/v1", "upstream[0].base_url", "neither a name nor"),
    "a query in the address": ("openai.com/v1", "openai.com/v1?a=b", "upstream[0].base_url", "no query"),
    "a key with spaces": ("env:PENSTOCK_TEST_KEY", "sk 1", "upstream[0].api_keys[0]", "printable ASCII"),
    "env not set": ("PENSTOCK_TEST_KEY", "PENSTOCK_TEST_UNSET", "upstream[0].api_keys[0]", "PENSTOCK_TEST_UNSET is not"),
    "unknown dialect": ('"openai-chat" ', '"openai-chatt" ', "upstream[0].dialect", "there are: openai-chat"),
    "a function that is none": ("package.module:answer", "answer", "upstream[1].function", "package.module:name"),
    "a function with dots only": ("module:answer", "module:..", "upstream[1].function", "not 'package.module:..'"),
    "a function from beside": ("package.module:", ".module:", "upstream[1].function", "package.module:name"),
    "no function": ('function = "package.module:answer"', "", "upstream[1]", "package.module:name"),
    "a function that is not called": ("base_url", 'function = "a:b"\nbase_url', "upstream[0].function", "python"),
    "an address that is not called": ("function =", 'base_url = "http://x"\nfunction =', "upstream[1].base_url", "has no base_url"),
    "two upstreams of a name": ('name = "mine"', 'name = "main"', "upstream[1].name", "two upstreams named 'main'"),
    "two routes of a name": ('model = "mine"', 'model = "gpt-4o"', "route[1].model", "two routes for 'gpt-4o'"),
    "a route without a name": ('model = "mine"', 'model = ""', "route[1].model", "empty"),
    "an upstream without a name": ('name = "mine"', 'name = ""', "upstream[1].name", "empty"),
    "no such upstream": ('{ upstream = "main"', '{ upstream = "man"', "route[0].targets[0].upstream", "no upstream 'man'"),
    "no such upstream, in a table": ('upstream = "mine"', 'upstream = "me"', "route[1].targets[1].upstream", "no upstream 'me'"),
    "no targets": ('[{ upstream = "main", model = "gpt-4o", weight = 1 }]', "[]", "route[0].targets", "empty"),
    "negative weight": ("weight = 1 }", "weight = -1 }", "route[0].targets[0].weight", "from 0 to"),
    "redis": ("[storage]", '[storage]\nredis = "redis://x"', "storage.redis", "not built yet"),
    "a database that is not built": ('"sqlite:///penstock.db"', '"postgresql://u:secret@db/p"', "storage.database", "PostgreSQL is not built yet"),
    "a database by its other name": ('"sqlite:///penstock.db"', '"postgres://db/p"', "storage.database", "PostgreSQL is not built yet"),
    "a database that is none": ('"sqlite:///penstock.db"', '"penstock.db"', "storage.database", "must be sqlite:///"),
    "a database at a host": ('"sqlite:///penstock.db"', '"sqlite://penstock.db"', "storage.database", "must be sqlite:///"),
    "a bad hash": (HASH, HASH[:-1], "tenant[0].key_hashes[0]", "64 lower-case hexadecimal digits"),
    "a key instead of its hash": (HASH, "sk-penstock-x", "tenant[0].key_hashes[0]", "sha256:"),
    "the same key twice": (f'["{HASH}"]', f'["{HASH}", "{HASH}"]', "tenant[0].key_hashes[1]", "somebody's already"),
    "no key": (f'key_hashes = ["{HASH}"]', "", "tenant[0]", "key_hashes is missing"),
    "a tenant's name": ('name = "acme"', 'name = "a b"', "tenant[0].name", "letters"),
    "a tenant without weight": ("weight = 1\n", "weight = 0\n", "tenant[0].weight", "from 1 to 1000000"),
    "a limit beyond all numbers": ("= 600,", "= 1000000000000000,", "tenant[0].limits.requests_per_minute", "must be below"),
    "a negative limit": ("= 600,", "= -600,", "tenant[0].limits.requests_per_minute", "at least 1"),
    "a model that is none": ('models = ["gpt-4o"]', 'models = ["gpt-5o"]', "tenant[0].models[0]", "no route for 'gpt-5o'"),
}  # fmt: skip


@pytest.mark.parametrize(("there", "instead", "key", "said"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_named(there: str, instead: str, key: str, said: str) -> None:
    text = GOOD.replace(there, instead, 1)
    assert text != GOOD
    message = problem(text)
    place, named, about = re.fullmatch(r"p\.toml:(\d+): (.+?): (.*)", message).groups()  # type: ignore[union-attr]
    assert named == key
    assert said in about
    # The line is that of the key, or where a key is missing or stands in a longer line, of its nearest parent's.
    line = text.splitlines()[int(place) - 1]
    parent = re.sub(r"\[\d+\]", "", key).split(".")
    assert any(name in line.replace("\\n", "\n") or name.encode("unicode_escape").decode() in line for name in parent)


@pytest.mark.parametrize(
    ("there", "instead", "shown"),
    [
        ("silence = 90", "silence = nan", "silence = nan"),
        ('upstream = "mine"', 'upstream = "me"', 'upstream = "me"'),
        ("port = 8080", "prot = 8080", "prot = 8080"),
        ('"https://app.example.com"', '"*"', 'allowed_origins = ["*"]'),
        ("weight = 1 }]", "wait = 1 }]", "targets = ["),
        ('name = "mine"', 'name = "main"', None),
    ],
)
def test_the_line_is_the_right_one(there: str, instead: str, shown: str | None) -> None:
    text = GOOD.replace(there, instead, 1)
    expected = line_of(text, shown) if shown else line_of(GOOD, there)
    assert problem(text).startswith(f"p.toml:{expected}: ")


def test_a_quoted_key_has_its_line() -> None:
    assert problem(f'# Quoted\n"server"."port" = -1\n{LEAST}').startswith("p.toml:2: server.port: ")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[server\n", "p.toml:1: "),
        ("[server]\nport =\n", "p.toml:2: "),
        ("[server]\nport = 1\nport = 2\n", "p.toml:3: "),
        ('[server]\nhost = "x', "p.toml:2: "),
        ("x = " + "[" * 5000, "p.toml: nested too deeply"),
        ("x = " + "1" * 5000, "p.toml: "),
        ("\x00", "p.toml:1: "),
        ("", "p.toml: route: there is no [[route]]"),
    ],
)
def test_what_is_no_toml(text: str, said: str) -> None:
    assert problem(text).startswith(said)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "example.com", ""])
def test_without_a_tenant_only_loopback(host: str) -> None:
    message = problem(f'[server]\nhost = "{host}"\n{LEAST}')
    assert message.startswith("p.toml:2: server.host: without a [[tenant]] only loopback")
    assert parse(GOOD.replace("127.0.0.1", host)).server.host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.0.0.53"])
def test_loopback_is_open(host: str) -> None:
    assert parse(f'[server]\nhost = "{host}"\n{LEAST}').server.host == host


def test_where_conversations_may_be() -> None:
    for url in ("sqlite://", "sqlite:///a.db", "sqlite:////var/a.db", "sqlite:///:memory:"):
        assert parse(GOOD.replace("sqlite:///penstock.db", url)).storage.database == url


def test_a_secret_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "secret" not in problem(GOOD.replace("sqlite:///penstock.db", "postgres://u:secret@db/p"))
    monkeypatch.setenv("PENSTOCK_TEST_KEY", "sk-secret with spaces")
    assert "secret" not in problem(GOOD)


# -- any mistake -----------------------------------------------------------------------------------------------------

SCRAPS = ["[", "]", "[[", "{", "}", "=", ",", '"', "'", '"""', "\n", "#", ".", "-1", "nan", "inf", "true", "env:", "env:X", "0x",
          "[[route]]", "[server]", "name", "1979-05-27", "\\", "\0", "\r", "\u2028", "\ud7ff", "9" * 5000, "[" * 500]  # fmt: skip
LINES = GOOD.splitlines(keepends=True)


@given(st.randoms(use_true_random=False), st.integers(1, 6))
def test_whatever_is_changed_it_is_a_configuration_or_one_line(chance: random.Random, changes: int) -> None:
    lines = list(LINES)
    for _ in range(changes):
        where = chance.randrange(len(lines))
        match chance.randrange(6):
            case 0:
                del lines[where]
            case 1:
                lines.insert(where, chance.choice(LINES))
            case 2:
                lines[where], lines[-1] = lines[-1], lines[where]
            case _:
                line, at = lines[where], chance.randrange(len(lines[where]) + 1)
                lines[where] = line[:at] + chance.choice(SCRAPS) + line[at + chance.randrange(4) :]
        lines = lines or [""]
    try:
        parse("".join(lines), "p.toml")
    except ConfigError:
        assert problem("".join(lines)).startswith("p.toml")


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
keys = st.sampled_from(["server", "storage", "upstream", "route", "tenant", "name", "targets", "limits", "host", ""])


@given(st.dictionaries(keys, values | st.lists(st.dictionaries(keys, values, max_size=3), max_size=2), max_size=4))
def test_whatever_dictionary(raw: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as raised:
        convert(raw)
    assert str(raised.value).isprintable()


@pytest.mark.parametrize("table", ["upstream", "route", "tenant"])
def test_one_bracket_too_few_is_said_in_words(table: str) -> None:
    with pytest.raises(ConfigError, match=rf":1: {table}: there can be several: write \[\[{table}\]\]"):
        parse(f'[{table}]\nname = "x"\n')
