"""Who may ask what."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest

from penstock.exceptions import Refused
from penstock.faces.access import LOCAL, Access, is_loopback
from penstock.gateway import Tenant
from penstock.sim.process import SimProcess, running
from tests.support.client import chat, fetch, native
from tests.support.serving import Served, serving

ACME, BETA = Tenant("acme"), Tenant("beta", frozenset({"m"}))
KEYS = {hashlib.sha256(key.encode()).hexdigest(): tenant for key, tenant in (("key-a", ACME), ("key-b", BETA))}


def scope(**headers: str) -> dict[str, object]:
    named = {"host": "127.0.0.1:8080"} | {name.replace("_", "-"): value for name, value in headers.items()}
    return {"type": "http", "headers": [(name.encode(), value.encode("latin-1")) for name, value in named.items()]}


def refusal(access: Access, **headers: str) -> tuple[int, str]:
    with pytest.raises(Refused) as raised:
        access.tenant(scope(**headers))
    return raised.value.status, raised.value.code


def test_without_tenants_loopback_is_open() -> None:
    access = Access({}, frozenset(), check_host=True)
    for host in ("127.0.0.1", "127.0.0.1:8080", "localhost:1", "[::1]:8080", "127.1.2.3"):
        assert access.tenant(scope(host=host)) == LOCAL


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "", "[", "10.0.0.1"])
def test_an_open_server_does_not_answer_to_foreign_names(host: str) -> None:
    assert refusal(Access({}, frozenset(), check_host=True), host=host) == (403, "host_not_allowed")


def test_an_admin_s_key_reads_traces_and_nothing_else() -> None:
    access = Access(KEYS, frozenset(), check_host=False, admins=[hashlib.sha256(b"key-admin").hexdigest()])
    assert access.trace_reader(scope(x_api_key="key-admin")) is None
    assert access.trace_reader(scope(x_api_key="key-a")) == ACME
    assert refusal(access, x_api_key="key-admin") == (401, "invalid_api_key")
    with pytest.raises(Refused):
        access.trace_reader(scope(x_api_key="key-other"))
    with pytest.raises(Refused):
        access.trace_reader(scope(x_api_key="key-admin", origin="https://evil.example"))


def test_foreign_pages_are_refused_and_allowed_ones_are_not() -> None:
    access = Access({}, frozenset({"https://app.example.com"}), check_host=True)
    assert access.tenant(scope(origin="https://app.example.com")) == LOCAL
    assert access.tenant(scope(origin="http://127.0.0.1:8080")) == LOCAL, "the page that this server itself serves"
    for origin in ("https://evil.example", "null", "http://127.0.0.1:9999", "https://app.example.com.evil.example"):
        assert refusal(access, origin=origin) == (403, "origin_not_allowed")


def test_keys_come_in_two_headers() -> None:
    access = Access(KEYS, frozenset(), check_host=True)
    assert access.tenant(scope(authorization="Bearer key-a")) == ACME
    assert access.tenant(scope(authorization="bearer  key-b")) == BETA
    assert access.tenant(scope(x_api_key="key-b", host="penstock.example.com")) == BETA


def test_without_a_good_key_there_is_no_tenant() -> None:
    access = Access(KEYS, frozenset(), check_host=False)
    assert refusal(access) == (401, "missing_api_key")
    assert refusal(access, authorization="Basic key-a") == (401, "missing_api_key")
    for wrong in ("key-", "key-a ", "KEY-A", "key-a, key-b", "\xff", next(iter(KEYS))):
        assert refusal(access, x_api_key=wrong)[0] == 401
    assert refusal(access, authorization="Bearer wrong", x_api_key="key-a") == (401, "invalid_api_key"), "one is enough"


def test_loopback_by_name_and_address() -> None:
    assert all(map(is_loopback, ("localhost", "127.0.0.1", "127.9.9.9", "::1")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "127.0.0.1.nip.io", "10.0.0.1", "example.com", "127.x")))


# -- over real sockets -----------------------------------------------------------------------------------------------

TENANTS = "".join(
    f'[[tenant]]\nname = "{name}"\nkey_hashes = ["sha256:{hashlib.sha256(key.encode()).hexdigest()}"]\n{more}\n'
    for name, key, more in (("acme", "key-a", ""), ("beta", "key-b", ""), ("gamma", "key-c", "models = []"))
)
ROUTES = (
    # every address that tells or does something for a tenant: a new one belongs here
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/streams"),
    ("GET", "/v1/streams/{id}"),
    ("GET", "/v1/streams/{id}?format=openai-chat"),
    ("GET", "/v1/streams/{id}/trace"),
    ("POST", "/v1/streams/{id}/cancel"),
    ("POST", "/v1/messages"),
    ("POST", "/v1/responses"),
    ("GET", "/v1/doctor"),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/m"),
    ("POST", "/api/chat"),
    ("GET", "/api/chat/{id}/stream"),
    ("POST", "/api/chat/{id}/stop"),
)


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[SimProcess, Served]]:
    with running() as sim, serving(sim, more=TENANTS) as served:
        yield sim, served


@pytest.mark.anyio
@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_every_address_wants_a_key(servers: tuple[SimProcess, Served], method: str, path: str) -> None:
    for headers, code in (({}, "missing_api_key"), ({"x-api-key": "wrong"}, "invalid_api_key")):
        got = await fetch(servers[1].port, method, path.format(id="x"), chat({}), headers)
        assert (got.status, got.json["error"]["code"]) == (401, code)
        assert got.headers["www-authenticate"] == "Bearer"


@pytest.mark.anyio
async def test_a_stream_of_another_tenants_does_not_exist(servers: tuple[SimProcess, Served]) -> None:
    port = servers[1].port
    made = await fetch(port, "POST", "/v1/streams", native({"text": "mine"}), {"x-api-key": "key-a"})
    assert made.status == 200
    for method, path in ROUTES[2:6]:
        got = await fetch(port, method, path.format(id=made.stream_id), headers={"x-api-key": "key-b"})
        assert (got.status, got.json["error"]["code"]) == (404, "stream_not_found"), path
        own = await fetch(port, method, path.format(id=made.stream_id), headers={"x-api-key": "key-a"})
        assert own.status == 200


@pytest.mark.anyio
async def test_idempotency_keys_of_two_tenants_are_two_keys(servers: tuple[SimProcess, Served]) -> None:
    made = [
        await fetch(
            servers[1].port, "POST", "/v1/streams", native({"text": key}), {"x-api-key": key, "idempotency-key": "same"}
        )
        for key in ("key-a", "key-b")
    ]
    assert [got.status for got in made] == [200, 200]
    assert made[0].stream_id != made[1].stream_id


@pytest.mark.anyio
async def test_a_tenant_sees_and_uses_only_its_models(servers: tuple[SimProcess, Served]) -> None:
    headers = {"authorization": "Bearer key-c"}
    got = await fetch(servers[1].port, "POST", "/v1/chat/completions", chat({}), headers)
    assert (got.status, got.json["error"]["code"]) == (404, "model_not_found")
    assert (await fetch(servers[1].port, "GET", "/v1/models", headers=headers)).json["data"] == []
    for key, status in (("key-a", 200), ("key-c", 404)):
        assert (await fetch(servers[1].port, "GET", "/v1/models/m", headers={"x-api-key": key})).status == status


@pytest.mark.anyio
async def test_pages_and_health_need_no_key(servers: tuple[SimProcess, Served]) -> None:
    for path in ("/", "/healthz", "/readyz"):
        assert (await fetch(servers[1].port, "GET", path)).status == 200
