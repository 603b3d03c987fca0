// What the page says about an answer, in words: the connection's truth and the figures.

const ENDINGS = {
  completed: "ended: completed",
  cancelled: "stopped",
  length: "ended: length limit reached",
  tool_calls: "ended: wants a tool",
  content_filter: "ended: filtered",
  ended: "ended",
};

const seconds = (milliseconds) => `${Math.max(0, Math.round(milliseconds / 1000))} s`;

/** @returns {{kind: "quiet" | "live" | "wait" | "done" | "stop" | "bad", words: string}} */
export function stateOf(answer) {
  const { record, phase } = answer;
  const now = Date.now();
  if (answer.ended) {
    if (record.error) return { kind: "bad", words: `ended: ${record.outcome}` };
    return { kind: record.outcome === "cancelled" ? "stop" : "done", words: ENDINGS[record.outcome] ?? record.outcome };
  }
  switch (phase) {
    case "sending":
      return { kind: "quiet", words: now - record.asked > 1500 ? `sent, waiting ${seconds(now - record.asked)}` : "sending" };
    case "attaching":
      return { kind: "quiet", words: "attaching" };
    case "waiting":
      return { kind: "wait", words: `the server asks to wait: ${seconds(answer.pausedUntil - now)}` };
    case "reconnecting": {
      const left = answer.pausedUntil - now;
      const offline = navigator.onLine ? "" : "offline, ";
      return { kind: "wait", words: `${offline}reconnecting, attempt ${answer.attempt}${left > 1500 ? ` in ${seconds(left)}` : ""}` };
    }
    case "live": {
      const since = record.lastAt ?? record.thoughtAt ?? record.asked ?? now;
      if (!record.text && !record.calls.length) return { kind: "live", words: `thinking, ${seconds(now - (record.asked ?? since))}` };
      return { kind: "live", words: now - since > 4000 ? `live, quiet for ${seconds(now - since)}` : "live" };
    }
  }
  return { kind: "quiet", words: "not followed" };
}

/** Figures that this page saw itself; one that joined later knows no first-token time. */
export function figuresOf({ record, reattached }) {
  const figures = [];
  const first = record.thoughtAt ?? record.firstAt;
  if (record.asked && first) figures.push(["first token", `${((first - record.asked) / 1000).toFixed(2)} s`]);
  const took = (record.lastAt - record.firstAt) / 1000;
  if (record.asked && took > 0.5) figures.push(["tokens/s", ((record.pieces - 1) / took).toFixed(1)]);
  const tokens = record.usage?.output_tokens ?? record.pieces + record.thoughts;
  if (tokens) figures.push(["tokens", String(tokens)]);
  if (reattached) figures.push(["reattached", `${reattached}×`]);
  return figures;
}

export function thoughtFor({ record }) {
  const until = record.firstAt ?? record.endedAt;
  if (!until || !record.asked) return "Thoughts";
  return `Thought for ${((until - record.asked) / 1000).toFixed(1)} s`;
}

/** A line for a terminal that reads this same answer, from its first word. */
export function curlLine(stream, keyed) {
  const key = keyed ? ' -H "Authorization: Bearer $PENSTOCK_KEY"' : "";
  return `curl -N${key} ${location.origin}/v1/streams/${stream}`;
}
