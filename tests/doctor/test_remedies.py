"""Who stands between, and where it is set."""

from __future__ import annotations

import re

import msgspec
import pytest

from penstock.doctor.observation import Observation, Start
from penstock.doctor.remedies import MARKS, SETTINGS, between, settings


def seen(*headers: tuple[str, str], forwarded: tuple[str, ...] = ()) -> Observation:
    return Observation(url="http://x/", headers=list(headers), start=Start(1, forwarded=list(forwarded)))


@pytest.mark.parametrize(
    ("headers", "products"),
    [
        ([("server", "nginx/1.22.1")], ["nginx"]),
        ([("server", "openresty")], ["nginx"]),
        ([("server", "envoy"), ("x-envoy-upstream-service-time", "3")], ["Envoy"]),
        ([("server", "cloudflare"), ("cf-ray", "8a")], ["Cloudflare"]),
        ([("via", "1.1 Caddy")], ["Caddy"]),
        ([("via", "1.1 google")], ["Google load balancer"]),
        ([("via", "1.1 googlebot-cache")], []),
        ([("server", "nginx"), ("via", "1.1 abc.cloudfront.net (CloudFront)")], ["nginx", "CloudFront"]),
        ([("server", "uvicorn")], []),
        ([], []),
    ],
)
def test_they_show_themselves(headers: list[tuple[str, str]], products: list[str]) -> None:
    assert between(seen(*headers)) == products


def test_what_they_add_to_the_request_shows_them_too() -> None:
    assert between(seen(forwarded=("cf-ray", "x-amzn-trace-id"))) == ["Cloudflare", "AWS load balancer"]
    assert between(msgspec.structs.replace(seen(), start=None)) == []


def test_settings_of_the_usual_ones_when_nobody_shows() -> None:
    told = settings("buffered", seen())
    assert re.findall(r"(\w+): ", told) == ["nginx", "Envoy", "Cloudflare"]
    assert settings("buffered", seen(("server", "Caddy"))).startswith("Caddy: ")
    assert settings("old", seen(("server", "Caddy"))) == settings("old", seen()), "nothing is known of it"


def test_every_setting_belongs_to_somebody_who_can_be_known() -> None:
    known = {product for product, _, _ in MARKS}
    for trait, products in SETTINGS.items():
        assert set(products) <= known, trait
        assert all(text and not text.endswith(".") for text in products.values())
