"""How a diagnosis is told: to people, and as JSON. Pure."""

from __future__ import annotations

import textwrap

import msgspec

from penstock.doctor.findings import Finding, Severity, span, stream_findings
from penstock.doctor.observation import Observation
from penstock.doctor.remedies import between
from penstock.doctor.unreached import unreached_findings

WIDTH = 110
ORDER: tuple[Severity, ...] = ("problem", "note", "ok")
EXIT_GOOD, EXIT_PROBLEM, EXIT_UNREACHED = 0, 1, 2


class Report(msgspec.Struct):
    """A diagnosis. `exit` is the command's exit code: 0 = no problem, 1 = problems, 2 = no Penstock was reached."""

    url: str
    exit: int
    findings: list[Finding]
    between: list[str]
    path_seconds: float | None
    """What of the first byte is not the server's share."""
    bursts: int
    held_seconds: float
    """The longest that an event was held back."""
    seen: Observation


def diagnose(seen: Observation) -> Report:
    """All findings, the worst first, each once."""
    told = stream_findings(seen) if seen.reached else unreached_findings(seen)
    findings = sorted(dict.fromkeys(told), key=lambda finding: ORDER.index(finding.severity))
    problems = any(finding.severity == "problem" for finding in findings)
    exit = EXIT_UNREACHED if not seen.reached else EXIT_PROBLEM if problems else EXIT_GOOD
    return Report(seen.url, exit, findings, between(seen), seen.times.path, seen.bursts, seen.held, seen)


def as_json(report: Report) -> str:
    return msgspec.json.format(msgspec.json.encode(report), indent=2).decode()


def as_text(report: Report) -> str:
    """Lines for a terminal, without a line end at the end. What others have said is shown without control characters."""
    seen = report.seen
    lines = [report.url, ""]
    lines += _named("between", _between(report))
    lines += _named("connection", _connection(seen))
    lines += _named("times", _times(seen))
    lines.append("")
    for finding in report.findings:
        lines += _named(finding.severity, finding.says)
        if finding.do:
            lines += _named("", f"→ {finding.do}")
    lines += ["", _summary(report)]
    return "\n".join(_plain(line) for line in lines)


def _between(report: Report) -> str:
    seen = report.seen
    shown = [f"{name}: {value}" for name in ("server", "via") if (value := seen.header(name))]
    if seen.start is not None:
        shown += [f"via, at the server: {seen.start.via}"] if seen.start.via else []
        shown += [f"added to the request: {', '.join(seen.start.forwarded)}"] if seen.start.forwarded else []
    told = f" ({'; '.join(shown)})" if shown else ""
    if report.between:
        return ", ".join(report.between) + told
    return f"somebody{told}" if shown else "nobody that shows" if seen.status else ""


def _connection(seen: Observation) -> str:
    parts = [seen.peer] if seen.peer else []
    if seen.tls is not None:
        days = seen.tls.days_left
        parts.append(seen.tls.version + ("" if days is None else f" (certificate good for {max(0, int(days))} days)"))
    if seen.http:
        parts.append(f"HTTP/{seen.http}")
    if seen.start is not None and seen.start.http:
        parts.append(f"HTTP/{seen.start.http} at the server")
    return ", ".join(parts)


def _times(seen: Observation) -> str:
    times = seen.times
    steps = (("DNS", times.dns), ("connect", times.connect), ("TLS", times.tls), ("first byte", times.first_byte))
    told = ", ".join(f"{name} {span(took)}" for name, took in steps if took is not None)
    if times.server is not None and times.path is not None:
        told += f" (server {span(times.server)}, path {span(times.path)})"
    return told


def _summary(report: Report) -> str:
    if report.exit == EXIT_UNREACHED:
        return "Nothing was measured."
    counts = [(sum(1 for finding in report.findings if finding.severity == word), word) for word in ("problem", "note")]
    problems, notes = (f"{count} {word}{'' if count == 1 else 's'}" for count, word in counts)
    told = "No problem found" if report.exit == EXIT_GOOD else f"{problems} found"
    told += f", {notes}." if counts[1][0] else "."
    return told if report.seen.asked.idle else f"{told} Silence was not tried: `--idle 20` does."


def _named(name: str, text: str) -> list[str]:
    if not text:
        return []
    wrapped = textwrap.wrap(text, WIDTH - 12, break_long_words=False, break_on_hyphens=False)
    return [
        f"{name if first else '':<11} {line}"
        for first, line in zip((True, *[False] * len(wrapped)), wrapped, strict=False)
    ]


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)
