"""No stream began: what stands at that address instead. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import msgspec

from penstock.doctor.findings import Finding, span, way_findings
from penstock.doctor.observation import Observation, Trouble
from penstock.doctor.remedies import between


class _Error(msgspec.Struct):
    code: str
    message: str = ""


class _Refusal(msgspec.Struct):
    error: _Error


def unreached_findings(seen: Observation) -> Iterator[Finding]:
    """What is to be said when no stream of a Penstock server was reached: at least one problem."""
    if seen.trouble is not None:
        yield _trouble(seen, seen.trouble)
    else:
        yield _answer(seen)
    yield from way_findings(seen)


def _trouble(seen: Observation, trouble: Trouble) -> Finding:
    place = urlsplit(seen.url)
    host, port = place.hostname or "", place.port or (443 if place.scheme == "https" else 80)
    reason = f": {trouble.reason}" if trouble.reason else ""
    match trouble.step, trouble.kind:
        case "dns", "timeout":
            says, do = f"Looking up {host} takes too long.", "The name server of this machine does not answer."
        case "dns", _:
            says, do = (
                f"The name {host} can't be looked up{reason}.",
                "Check its spelling, and this machine's name server.",
            )
        case "connect", "refused":
            says = f"Nothing listens on {host}, port {port}."
            do = "Start the server, or check the port. A server in a container must listen on 0.0.0.0, with a published port."
        case "connect", "timeout":
            says = f"{host}, port {port}, does not answer: no connection within 10 s."
            do = "A firewall drops the packets, or the machine is down."
        case "connect", _:
            says, do = f"{host}, port {port}, can't be reached{reason}.", "Check the network between here and there."
        case "tls", "certificate":
            says = f"The certificate of {host} is not good{reason}."
            do = "Clients refuse it too. Serve the whole chain, for this name; for an authority of your own, set SSL_CERT_FILE."
        case "tls", "not-tls":
            says, do = (
                f"{host}, port {port}, speaks no TLS.",
                f"Try http://{host}:{port}, or the port where it speaks TLS.",
            )
        case "tls", "timeout":
            says, do = (
                f"{host}, port {port}, takes too long to agree on TLS.",
                "Probably it is no TLS server: check the port.",
            )
        case "tls", _:
            says, do = (
                f"TLS with {host}, port {port}, failed{reason}.",
                "Check the port, and the TLS versions that are allowed.",
            )
        case "answer", "timeout":
            says = f"{host} takes the request, but does not answer within {span(seen.ended_at)}."
            do = (
                "What stands there can't reach the server behind it, holds the whole answer back, or is no HTTP server."
            )
        case "answer", "not-http":
            says, do = f"What {host}, port {port}, answers is no HTTP/1.1.", "Check the port; or is it https://?"
        case "answer", _:
            says = f"{host}, port {port}, closed the connection without an answer."
            do = "Check the port; or is it https://? What stands there may not know this name."
        case "redirect", "elsewhere":
            says = f"It redirects to another place, where the doctor does not follow: {trouble.reason}."
            do = "If that is the server, look there; if it is a page to log in, let /v1/ pass without it."
        case "redirect", "loop":
            says, do = (
                f"It redirects in a circle: {trouble.reason}.",
                "Often two places that both force https:// or a slash.",
            )
        case _:
            says, do = f"It redirects to what is no address: {trouble.reason}.", "Correct the redirect."
    return Finding("problem", f"{trouble.step}-{trouble.kind}".rstrip("-"), says, do)


def _answer(seen: Observation) -> Finding:
    """Something answered, but with no stream of ours."""
    code, message = _refusal(seen)
    who = " and ".join(between(seen)) or "what stands there"
    kind = seen.header("content-type").partition(";")[0].strip().lower()
    is_page = kind == "text/html" or seen.body.lstrip()[:9].lower().startswith(("<!doctype", "<html"))
    match seen.status:
        case 401 if code in ("missing_api_key", "invalid_api_key"):
            says = "The server wants a key." if code == "missing_api_key" else "The server does not know this key."
            if code == "missing_api_key" and seen.keyed:
                says = "The key did not arrive: something on the way took the Authorization header."
            do = "Give a tenant's key with --key or PENSTOCK_KEY (the key itself, not its hash)."
        case 401 | 407:
            says = f"It wants a password of its own (status {seen.status}, from {who})."
            do = "Let /v1/ pass without it, or with the tenants' keys alone."
        case 403 if code == "host_not_allowed":
            says = "The server has no tenants, and answers to loopback names only."
            do = 'Configure a [[tenant]] before you serve others; see docs/operations.md, "Behind nginx".'
        case 403:
            says = f"Access is refused (status 403, from {who}){_quote(message)}."
            do = "Not by a key: look for rules about addresses, countries or bots on the way."
        case 400 if "plain http request" in seen.body.lower() or "https port" in seen.body.lower():
            says, do = "This port speaks TLS.", f"Try {seen.url.replace('http://', 'https://', 1)}"
        case 400 if code:
            says, do = f"The server refuses the request{_quote(message)}.", "Check --events, --pace, --idle and --pad."
        case 404 | 405 if code:
            says = "A server is there whose errors look like Penstock's, but it has no doctor at this address."
            do = "It may be older than the doctor, mounted below another path (give that too), or a `penstock sim`."
        case 404 | 405:
            says = f"There is no Penstock at this address (status {seen.status}, from {who})."
            do = "Check host and path: it is asked for …/v1/doctor below the address that was given."
        case 429:
            says, do = f"Too many requests (status 429, from {who}).", "Wait, or raise the limit for this client."
        case 502 | 503 | 504 | 520 | 521 | 522 | 523 | 524 if not code:
            says = f"The proxy is there, but can't reach the server behind it (status {seen.status}, from {who})."
            do = "Check the address that the proxy forwards to, and that Penstock runs there."
        case status if status >= 400:
            says = f"The answer is an error (status {status}, from {who}){_quote(message)}."
            do = "The log of what stands there says why."
        case _ if is_page:
            says = "The answer is a web page, not a stream: this is the wrong address, or a page to log in."
            do = "Give the address that clients use as their base URL; let /v1/ pass without a log-in page."
        case status if kind == "text/event-stream":
            says = f"An event stream is there, but not the doctor's: its first event did not come (status {status})."
            do = "Something on the way changes or cuts it, or it is another server."
        case status:
            says = f"Another server answers (status {status}, {kind or 'no content type'})."
            do = "Check the address: it should lead to Penstock."
    return Finding("problem", f"status-{seen.status}", says, do)


def _refusal(seen: Observation) -> tuple[str, str]:
    """Code and message of a refusal as Penstock words it, or empty strings."""
    try:
        error = msgspec.json.decode(seen.body, type=_Refusal).error
    except msgspec.MsgspecError:
        return "", ""
    return error.code, error.message


def _quote(message: str) -> str:
    return f": {message[:200]}" if message else ""
