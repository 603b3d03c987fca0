"""The settings of well-known proxies: who stands between, by the headers it adds, and where it is told to stop doing that.

nginx        https://nginx.org/en/docs/http/ngx_http_proxy_module.html, …/ngx_http_gzip_module.html
Envoy        https://www.envoyproxy.io/docs/envoy/latest/faq/configuration/timeouts
Cloudflare   https://developers.cloudflare.com/rules/compression-rules/
Apache       https://httpd.apache.org/docs/2.4/mod/mod_proxy.html
Caddy        https://caddyserver.com/docs/caddyfile/directives/reverse_proxy
"""

from __future__ import annotations

import re
from typing import Literal

from penstock.doctor.observation import Observation

Trait = Literal["buffered", "compressed", "silence", "total", "old", "close", "slow-head"]

MARKS: tuple[tuple[str, str, str], ...] = (
    # product, header of the answer (or of the request, as the server tells it), and what its value holds
    ("nginx", "server", r"nginx|openresty|tengine"),
    ("Envoy", "server", r"envoy"),
    ("Envoy", "x-envoy-upstream-service-time", r""),
    ("Envoy", "<x-envoy-expected-rq-timeout-ms", r""),
    ("Cloudflare", "server", r"^cloudflare"),
    ("Cloudflare", "cf-ray", r""),
    ("Cloudflare", "<cf-ray", r""),
    ("Apache", "server", r"^apache"),
    ("Caddy", "server", r"caddy"),
    ("Caddy", "via", r"caddy"),
    ("CloudFront", "via", r"cloudfront"),
    ("CloudFront", "x-amz-cf-id", r""),
    ("AWS load balancer", "server", r"^awselb"),
    ("AWS load balancer", "<x-amzn-trace-id", r""),
    ("Google load balancer", "via", r"\bgoogle$"),
    ("Google load balancer", "<x-cloud-trace-context", r""),
    ("Azure Front Door", "x-azure-ref", r""),
    ("Azure Front Door", "<x-azure-ref", r""),
    ("Fastly", "<fastly-client-ip", r""),
    ("Varnish", "via", r"varnish"),
    ("Squid", "via", r"squid"),
)

SETTINGS: dict[Trait, dict[str, str]] = {
    "buffered": {
        "nginx": "`proxy_buffering off;`, and no `proxy_ignore_headers X-Accel-Buffering`",
        "Envoy": "no buffer filter (`envoy.filters.http.buffer`) and no filter that collects bodies on this route",
        "Cloudflare": "Response Buffering off",
        "Apache": "`ProxyPass … flushpackets=on`, and no `mod_deflate` for text/event-stream",
        "Caddy": "`flush_interval -1` in `reverse_proxy`, and no `encode` for text/event-stream",
    },
    "compressed": {
        "nginx": "`gzip off;`, or no text/event-stream in `gzip_types` (`*` holds it too)",
        "Envoy": "no text/event-stream in the compressor filter's `content_type`",
        "Cloudflare": "a Compression Rule that turns compression off for text/event-stream",
        "Apache": "`SetEnvIf Request_URI ^/v1/ no-gzip`",
        "Caddy": "`encode` with a `match` that leaves out `Content-Type text/event-stream`",
    },
    "silence": {
        "nginx": "`proxy_read_timeout 630s;`",
        "Envoy": "`stream_idle_timeout`, or `idle_timeout` of the route, at 60s or more; `timeout: 0s` of the route",
        "Cloudflare": "Proxy Read Timeout (not in every plan)",
        "Apache": "`ProxyTimeout 630`",
        "CloudFront": "the origin's response timeout",
        "AWS load balancer": "its attribute `idle_timeout.timeout_seconds`",
        "Google load balancer": "the backend service's `timeoutSec`",
    },
    "total": {
        "Envoy": "`timeout: 0s` of the route (the default is 15 s)",
        "nginx": "look beside it: nginx itself has no such limit",
        "Cloudflare": "look beside it: Cloudflare itself has no such limit",
        "Google load balancer": "the backend service's `timeoutSec` (the default is 30 s)",
    },
    "old": {"nginx": '`proxy_http_version 1.1;` and `proxy_set_header Connection "";`'},
    "close": {"nginx": "`keepalive_timeout` above 0"},
    "slow-head": {"nginx": "`proxy_buffering off;`", "Cloudflare": "Response Buffering off"},
}

USUAL = ("nginx", "Envoy", "Cloudflare")
"""Whose settings are named when nobody has shown itself."""


def between(seen: Observation) -> list[str]:
    """The products that have shown themselves, each once, in the order of `MARKS`."""
    found = []
    for product, name, pattern in MARKS:
        if name.startswith("<"):
            there = seen.start is not None and name[1:] in seen.start.forwarded
        else:
            value = seen.header(name)
            there = bool(value) and re.search(pattern, value, re.IGNORECASE) is not None
        if there and product not in found:
            found.append(product)
    return found


def settings(trait: Trait, seen: Observation) -> str:
    """The settings of those who stand between, or of the usual ones: `nginx: …. Envoy: ….` Empty if none is known."""
    known = SETTINGS[trait]
    shown = [product for product in between(seen) if product in known]
    return " ".join(f"{product}: {known[product]}." for product in shown or USUAL if product in known)
