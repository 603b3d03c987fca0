// What the page says: the connection's truth, endings and figures.

import type { Message, Snapshot } from "@penstock/client";
import { describe, expect, test } from "vitest";
import { ending, figures, sentence, standing, when } from "../src/words.ts";

const LIVE: Snapshot = {
  id: "c", messages: [], leaf: null, all: [], siblings: new Map(), status: "streaming", phase: "streaming",
  connection: { state: "live" }, silentFor: 0, thinkingFor: 0, buffering: false, timing: null, error: null, missing: false,
  queued: [],
};

const ANSWER: Message = {
  id: "a", parent: "q", role: "assistant", created: 1, text: "Because.", model: "m", reasoning: "", toolCalls: [],
  stream: null, state: "ended", phase: "formatted", outcome: "completed", error: null, usage: null, timing: null,
};

describe("how things stand", () => {
  const says = (change: Partial<Snapshot>) => standing({ ...LIVE, ...change }, 10_000)?.words ?? null;

  test("while words come", () => {
    expect(says({})).toBe("live");
    expect(says({ thinkingFor: 8 })).toBe("still at it, quiet for 8 s");
    expect(says({ phase: "thinking", thinkingFor: 12 })).toBe("thinking, 12 s");
    expect(says({ status: "submitted" })).toBe("asked");
    expect(says({ status: "ready" })).toBe(null);
  });

  test("when something is wrong on the way", () => {
    expect(says({ silentFor: 24 })).toBe("no sign of life for 24 s");
    expect(says({ buffering: true })).toBe("live, but something between us holds the words back");
    expect(says({ connection: { state: "offline" } })).toBe("offline: it goes on when you are back");
    expect(says({ connection: { state: "rate-limited", retryAt: 16_200 } })).toBe("the server asks to wait: 7 s");
    expect(says({ connection: { state: "reconnecting", attempt: 2, retryAt: 13_000 } })).toBe("connection lost; attempt 2 in 3 s");
    expect(says({ connection: { state: "reconnecting", attempt: 3, retryAt: 9_000 } })).toBe("connection lost; attempt 3");
  });
});

test("how an answer ended", () => {
  const ended = (change: Partial<Message>) => ending({ ...ANSWER, ...change });
  expect(ended({})).toEqual({ kind: "done", words: "complete" });
  expect(ended({ outcome: "cancelled" })).toEqual({ kind: "stop", words: "stopped" });
  expect(ended({ outcome: "interrupted" }).kind).toBe("bad");
  const error = { code: "stalled", message: "silent", retryable: true };
  expect(ended({ outcome: "upstream_truncated", error })).toEqual({ kind: "bad", words: "upstream truncated" });
});

test("what it took, and what it cost", () => {
  const usage = { input_tokens: 1000, output_tokens: 200, cached_tokens: null, reasoning_tokens: null, source: "final" as const };
  const timing = { ttftMs: 420, totalMs: 3000, tokensPerSecond: 61.25 };
  expect(figures({ ...ANSWER, usage, timing }, { input: 2.5, output: 10 })).toEqual([
    ["first token", "0.42 s"],
    ["tokens/s", "61.3"],
    ["tokens", "200"],
    ["cost", "0.00450"],
  ]);
  expect(figures({ ...ANSWER, usage: { ...usage, source: "estimated" } }, null)).toEqual([["tokens", "≈200"]]);
  expect(figures(ANSWER, { input: 1, output: 1 })).toEqual([]);
});

test("when it was", () => {
  const noon = new Date(2026, 10, 21, 12).getTime();
  const ago = (hours: number) => when(noon / 1000 - hours * 3600, noon);
  expect([ago(1), ago(13), ago(24 * 3), ago(24 * 20), ago(24 * 90)]).toEqual([
    "Today", "Yesterday", "This week", "This month", "Earlier",
  ]);
});

test("what a server says is a sentence of its own", () => {
  expect(sentence("the server stopped")).toBe("The server stopped.");
  expect(sentence("Is it there?")).toBe("Is it there?");
  expect(sentence("")).toBe("");
});
