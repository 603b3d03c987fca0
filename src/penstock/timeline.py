"""`penstock trace`: a stream's trace, as a timeline for people.

 0.000 s  attempt      main, as gpt-4o
 0.412 s  lost         main: upstream_rate_limited, slow down
 0.413 s  attempt      backup, as gpt-4o-mini
 0.902 s  first token  backup
12.310 s  silence      of 2.4 s
14.021 s  ended        completed
"""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

TIMEOUT = 10.0


class NotTold(Exception):
    """The trace could not be had; the message says why."""


def fetch(url: str, stream: str, key: str | None) -> dict[str, Any]:
    """The trace of `stream` from the server at `url`, which may lack its scheme. Raises NotTold."""
    url = _with_scheme(url).rstrip("/").removesuffix("/v1")
    address = f"{url}/v1/streams/{urllib.parse.quote(stream, safe='')}/trace"
    if not address.startswith(("http://", "https://")):
        raise NotTold(f"not an http:// or https:// address: {url}")
    if any(c <= " " or c == "\x7f" for c in url):
        raise NotTold(f"an address holds no spaces or control characters: {url!r}")
    if key and not (key.isascii() and key.isprintable()):
        raise NotTold("a key is printable ASCII")
    headers = {"authorization": f"Bearer {key}"} if key else {}
    try:
        # Only http:// and https:// come to here.
        request = urllib.request.Request(address, headers=headers)  # noqa: S310
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:  # noqa: S310
            told = json.load(response)
    except urllib.error.HTTPError as error:
        raise NotTold(_refusal(error)) from None
    except UnicodeEncodeError:
        raise NotTold(f"an address is ASCII: write the rest as %XX: {url}") from None
    except (json.JSONDecodeError, UnicodeDecodeError, http.client.BadStatusLine, http.client.IncompleteRead) as error:
        # A peer that closed without a word is a BadStatusLine too, and more than that not known.
        raise NotTold(f"no trace from {url}: {error}" if isinstance(error, OSError) else _stranger(url)) from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise NotTold(f"no trace from {url}: {getattr(error, 'reason', error)}") from None
    if not isinstance(told, dict) or not isinstance(told.get("marks"), list):
        raise NotTold(_stranger(url))
    return told


def _with_scheme(url: str) -> str:
    """What people type without one is this machine, or a server behind TLS: as the doctor reads it."""
    if "://" in url:
        return url
    local = url.startswith(("localhost", "127.", "[::1]"))
    return f"{'http' if local else 'https'}://{url}"


def _stranger(url: str) -> str:
    return f"what answers at {url} is no Penstock"


def _refusal(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(error)["error"]["message"])
    except (ValueError, KeyError, TypeError, OSError):
        return f"the server answered {error.code}"


def lines(trace: dict[str, Any]) -> Iterator[str]:
    """The timeline, a line each."""
    how = "still running" if trace.get("live") else str(trace.get("outcome"))
    yield f"{trace.get('stream')}  {trace.get('model')}  {how}, {trace.get('events')} events"
    first, longest = trace.get("time_to_first_token"), trace.get("longest_gap")
    if first is not None:
        stalls = f", {trace['stalls']} stalls" if trace.get("stalls") else ""
        yield f"first token after {first:.3f} s, longest gap {longest or 0:.3f} s{stalls}"
    if isinstance(usage := trace.get("usage"), dict):
        read, wrote = (usage.get(name) for name in ("input_tokens", "output_tokens"))
        counts = " in, ".join(str(count) if count is not None else "?" for count in (read, wrote))
        yield f"tokens: {counts} out ({usage.get('source')})"
    yield ""
    for mark in trace["marks"]:
        facts = {name: fact for name, fact in mark.items() if name not in ("at", "what")}
        yield f"{mark.get('at', 0):9.3f} s  {str(mark.get('what')).replace('_', ' '):12} {_words(mark, facts)}".rstrip()
    if trace.get("left_out"):
        yield f"              ({trace['left_out']} more marks were left out)"


def _words(mark: dict[str, Any], facts: dict[str, Any]) -> str:
    match mark.get("what"):
        case "accepted":
            return f"a request in {facts.get('format')}"
        case "connected" | "first_byte":
            return str(facts.get("upstream"))
        case "ended":
            why = ", ".join(str(facts[name]) for name in ("code", "message") if facts.get(name))
            return f"{facts.get('outcome')}{': ' * bool(why)}{why}"
        case "attempt":
            key = f", with key number {facts['key']}" if "key" in facts else ""
            return f"{facts.get('upstream')}, as {facts.get('model')}{key}"
        case "lost":
            return f"{facts.get('upstream')}: {facts.get('code')}, {facts.get('message')}"
        case "silence":
            return f"of {facts.get('seconds', 0):g} s"
        case "waiting":
            return f"{facts.get('seconds', 0):g} s, then {facts.get('upstream')}"
        case "queued":
            return f"number {facts.get('position')} for a slot, some {facts.get('expected_seconds', 0):g} s"
        case "delivery":
            return f"{facts.get('delivery')}: {facts.get('why')}"
        case "attached":
            after = f", after {facts['after']}" if "after" in facts else ""
            return f"a reader in {facts.get('format')}{after}"
        case "detached":
            return f"a reader in {facts.get('format')}; {facts.get('readers')} left"
        case "stopped":
            read = f"; it had read about {facts['input_tokens']} tokens" if "input_tokens" in facts else ""
            return f"{facts.get('upstream')}: {facts.get('why')}{read}"
        case "continued":
            return f"{facts.get('upstream')} goes on after event {facts.get('after')}"
        case _:
            return " ".join(str(fact) for fact in facts.values())
