"""The evidence of one story, and its judgement: the history that readers have, and what it was made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from penstock.sim.truth import Answered
from tests.support.client import Response
from tests.support.cues import is_early, is_good
from tests.support.dialects import ASKED
from tests.support.gates import REASON, REFUSED_WORD
from tests.support.history import History, Reading, Told, judge
from tests.support.said import words_of
from tests.support.seams import Segment, sewn
from tests.support.stories import UPSTREAMS, Story
from tests.support.truth import marked, row_of, truth_of
from tests.support.verdicts import Verdict, behind_a_gate, is_refused, judge_gate
from tests.support.whole import lacking

REFUSED = {
    403: "refused",
    429: "upstream_rate_limited",
    404: None,
    409: "cancelled",
    502: None,
    503: "abandoned",
    504: None,
}
"""What a request may be told before the first byte, by status; None: any code."""


class Evidence(NamedTuple):
    """What is known of a story that is over, besides what its readers got."""

    told: Story
    rows: Sequence[Answered]
    """What upstreams were asked, and what they sent."""
    trace: dict[str, Any]
    """Of its stream; empty if it never had one."""
    verdicts: Sequence[Verdict]
    """Of its route's gate."""
    cancelled: bool

    @property
    def segments(self) -> list[Segment]:
        """Who answered, each going on where the one before broke off."""
        winners, told = marked(self.trace, "first_token") if self.trace else [], self.told
        made = []
        for number, name in enumerate(winners):
            row, last = row_of(name, self.rows), number == len(winners) - 1
            made.append(Segment(name, truth_of(told.cues[name], row, left=told.is_a("left") and last), row))
        return made


def judge_story(evidence: Evidence, readings: Sequence[Reading]) -> list[str]:
    """Of an answer that was streamed."""
    told, trace, segments = evidence.told, evidence.trace, evidence.segments
    truth, found = _answer(evidence, readings)
    history = History(trace["dialect"], readings, truth, cancelled=evidence.cancelled)
    if told.is_a("gated"):
        history = history._replace(truth=behind_a_gate(truth, evidence.verdicts))
        found += judge_gate(evidence.verdicts, truth, history, trace["outcome"])
    found += judge(history)
    return [*found, *_course(evidence, segments), *_metered(evidence, segments, truth), *_delivered(evidence)]


def judge_whole(evidence: Evidence, got: Response, readings: Sequence[Reading]) -> list[str]:
    """Of an answer that is not streamed: all or nothing. `readings`: of those who come for its stream later."""
    truth, _ = _answer(evidence, readings)
    if not truth.whole or is_refused(evidence.verdicts):
        return [f"a whole answer, but {[segment.upstream for segment in evidence.segments]} gave none"]
    return [*lacking(got.json, truth.said), *judge_story(evidence, readings)]


def judge_refusal(evidence: Evidence, got: Response, readings: Sequence[Reading]) -> list[str]:
    """Of a request that got no answer. `readings`: of the stream that never began, by those who look for it."""
    told, rows, verdicts = evidence.told, evidence.rows, evidence.verdicts
    found = [] if got.whole else ["a refusal that is not whole"]
    try:
        code = ASKED[told.asked].code(got.json)
    except (ValueError, KeyError, TypeError):
        return [*found, f"a refusal that is no error in its dialect: {got.body!r}"]
    if got.status not in REFUSED or REFUSED[got.status] not in (None, code):
        found.append(f"refused with {got.status} {code}")
    if told.is_a("gated"):
        found += _withheld(got)
        if readings and not told.streamed:
            found += judge_story(evidence, readings)  # it may have begun, and others may have seen what passed
        elif readings:
            nothing = Told([], whole=False)
            found += judge(History(evidence.trace["dialect"], readings, nothing, cancelled=evidence.cancelled))
    by_the_gate = is_refused(verdicts)
    if by_the_gate != (got.status == 403) and (got.status == 403 or _is_whole(evidence)):
        found.append(f"refused with {got.status} {code}, with the gate's last verdict {verdicts[-1:]}")
    able = [name for name in told.targets if is_good(told.cues[name])]
    hopeless = any(row.end is not None and row.end.ended == "closed_by_peer" for row in rows)
    first = next((name for name in told.targets if not is_early(told.cues[name])), None)
    # Of two that are asked at once, the other may have been first, and failed then.
    raced = told.is_a("hedged") and not told.streamed
    if able and able[0] == first and got.status not in (403, 409) and not hopeless and not raced:
        found.append(f"refused with {got.status} {code}, though {first} answers")
    return found


def _answer(evidence: Evidence, readings: Sequence[Reading]) -> tuple[Told, list[str]]:
    """What was said, and what is wrong with its seams."""
    native = next(r.blocks for r in readings if r.whole and (r.dialect, r.delivery) == ("native", "stream"))
    return sewn(evidence.segments, native, gated=evidence.told.is_a("gated"))


def _is_whole(evidence: Evidence) -> bool:
    """Whoever answered last has come to the end."""
    segments = evidence.segments
    return bool(segments) and segments[-1].truth.whole


def _withheld(got: Response) -> Iterator[str]:
    """A refusal by a gate says why, and nothing of what it refused."""
    if REFUSED_WORD in got.body.decode():
        yield f"the refused word was shown: {got.body!r}"
    if got.status == 403 and REASON not in got.body.decode():
        yield f"the gate's reason is not told: {got.body!r}"


def _course(evidence: Evidence, segments: Sequence[Segment]) -> Iterator[str]:
    """Without a hedge, the first upstream that can answer does; and who can go on, does."""
    told, trace = evidence.told, evidence.trace
    if len(segments) > 1 and not told.is_a("continued"):
        yield f"{len(segments)} upstreams answered"
    winners = [segment.upstream for segment in segments]
    if winners and not told.is_a("hedged"):
        if winners != sorted(winners, key=told.targets.index):
            yield f"{winners} answered, in this order"
        for name in told.targets[: told.targets.index(winners[-1])]:
            if name not in winners and _answers(told.cues[name]):
                yield f"{winners[-1]} answered, though {name} could"
    takeovers = marked(trace, "continued")
    if not max(len(segments) - 1, 0) <= len(takeovers) <= len(segments):
        yield f"{len(segments)} segments, but {takeovers} were to go on"
    if told.is_a("continued") and segments and _could_go_on(evidence, segments):
        yield f"{segments[-1].upstream} broke off, and nobody else was asked: {marked(trace, 'attempt')}"


def _answers(cue: dict[str, Any]) -> bool:
    """It has a first token, surely: a reset, or a cut at any byte, may come before it."""
    return not is_early(cue) and "cut_at_byte" not in cue and cue.get("cut") != "reset"


def _could_go_on(evidence: Evidence, segments: Sequence[Segment]) -> bool:
    told, cue = evidence.told, evidence.told.cues[segments[-1].upstream]
    broken = {"cut_after", "stall_after", "error_after", "garbage_after"} & cue.keys()
    plain = all(part.kind != "call" for segment in segments for part in segment.truth.said)
    said = any(segment.truth.exact and segment.truth.text.strip() for segment in segments)
    left = set(told.targets) - set(marked(evidence.trace, "attempt"))
    ended = evidence.trace["outcome"] in ("upstream_error", "upstream_truncated", "stalled")
    return bool(broken and plain and said and left and ended and "omit_done" not in cue)


def _metered(evidence: Evidence, segments: Sequence[Segment], truth: Told) -> Iterator[str]:
    """The usage is what the upstreams said, or an estimate where one of them did not come to say it."""
    trace, usage = evidence.trace, evidence.trace.get("usage") or {}
    if trace["live"] or trace["outcome"] is None:
        yield "everybody was told the end, but it is live"
    if truth.text and not usage.get("output_tokens") and trace["outcome"] != "cancelled":
        yield f"an answer of {len(truth.text)} characters is metered {usage}"
    if trace["outcome"] not in ("completed", "length", "tool_calls") or not segments:
        return
    told = len(segments) == 1 and evidence.told.cues[segments[0].upstream].get("usage") is not False
    if usage.get("source") != ("final" if told else "estimated"):
        yield f"metered {usage}, but {len(segments)} upstreams said it (or did not)"
    sent = [segment.row.end.tokens_sent for segment in segments if segment.row is not None and segment.row.end]
    # An estimate counts events: some of them are no tokens, and a call that is sent as a value is one.
    values = any(UPSTREAMS[segment.upstream] == "gemini" for segment in segments)
    sure = (segment.truth.exact and not (values and words_of(segment.truth.said, "call")) for segment in segments)
    least = sum(n for n, counts in zip(sent, sure, strict=False) if counts)
    if not least <= usage.get("output_tokens", 0) <= sum(sent) + (0 if told else 40 * len(sent)):
        yield f"{sent} tokens were sent, and metered {usage}"


def _delivered(evidence: Evidence) -> Iterator[str]:
    """The trace says how it was delivered, where that was asked for."""
    told = evidence.told
    how = [mark["delivery"] for mark in evidence.trace["marks"] if mark["what"] == "delivery"]
    if how != ([told.delivery] if told.wish not in (None, "stream") else []):
        yield f"delivered as {how}, not {told.delivery}"
