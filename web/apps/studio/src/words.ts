// What the page says, in words: the connection's truth, how an answer ended, and its figures.

import type { ConnectionState, Message, Snapshot } from "@penstock/client";
import type { Price } from "./api.ts";

export type Kind = "quiet" | "live" | "wait" | "done" | "stop" | "bad";

const ENDINGS: Record<string, string> = {
  completed: "complete",
  cancelled: "stopped",
  length: "cut at its length limit",
  tool_calls: "wants a tool",
  content_filter: "filtered",
  interrupted: "interrupted",
  abandoned: "abandoned",
  unsent: "not sent",
};

/** How an answer that is over ended. */
export function ending(message: Message): { kind: Kind; words: string } {
  const outcome = message.outcome ?? "completed";
  const words = ENDINGS[outcome] ?? outcome.replaceAll("_", " ");
  if (outcome === "cancelled") return { kind: "stop", words };
  return { kind: message.error || outcome === "interrupted" || outcome === "unsent" ? "bad" : "done", words };
}

const seconds = (until: number, now: number) => `${Math.max(0, Math.ceil((until - now) / 1000))} s`;

/** How things stand while something comes; null = there is nothing to say. */
export function standing(
  { connection, status, phase, silentFor, thinkingFor, buffering }: Snapshot,
  now: number,
): { kind: Kind; words: string } | null {
  const lost = connectionWords(connection, now);
  if (lost) return { kind: "wait", words: lost };
  if (status === "submitted") return { kind: "quiet", words: thinkingFor > 1 ? `asked, waiting ${thinkingFor} s` : "asked" };
  if (status !== "streaming") return null;
  if (silentFor > 20) return { kind: "wait", words: `no sign of life for ${silentFor} s` };
  if (phase === "thinking") return { kind: "live", words: thinkingFor > 1 ? `thinking, ${thinkingFor} s` : "thinking" };
  if (thinkingFor > 3) return { kind: "live", words: `still at it, quiet for ${thinkingFor} s` };
  if (buffering) return { kind: "wait", words: "live, but something between us holds the words back" };
  return { kind: "live", words: "live" };
}

function connectionWords(connection: ConnectionState, now: number): string | null {
  switch (connection.state) {
    case "offline":
      return "offline: it goes on when you are back";
    case "rate-limited":
      return `the server asks to wait: ${seconds(connection.retryAt, now)}`;
    case "reconnecting": {
      const left = connection.retryAt - now;
      return `connection lost; attempt ${connection.attempt}${left > 800 ? ` in ${seconds(connection.retryAt, now)}` : ""}`;
    }
    default:
      return null;
  }
}

/** An answer's figures: what it took, and what it cost. */
export function figures(message: Message, price: Price | null): [name: string, value: string][] {
  const found: [string, string][] = [];
  const { timing, usage } = message;
  if (timing?.ttftMs != null) found.push(["first token", `${(timing.ttftMs / 1000).toFixed(2)} s`]);
  if (timing?.tokensPerSecond != null) found.push(["tokens/s", timing.tokensPerSecond.toFixed(1)]);
  if (usage?.output_tokens != null) found.push(["tokens", `${usage.source === "estimated" ? "≈" : ""}${usage.output_tokens}`]);
  if (price && usage) {
    const cost = ((usage.input_tokens ?? 0) * price.input + (usage.output_tokens ?? 0) * price.output) / 1e6;
    found.push(["cost", cost < 0.01 ? cost.toFixed(5) : cost.toFixed(3)]);
  }
  return found;
}

/** What a server says of an error, as a sentence of its own. */
export function sentence(words: string): string {
  const said = words.trim();
  const end = /[.!?…:;]$/.test(said) || !said ? "" : ".";
  return said.charAt(0).toUpperCase() + said.slice(1) + end;
}

/** When something was, as people say it. */
export function when(at: number, now = Date.now()): string {
  const day = (time: number) => Math.floor((time - new Date(time).getTimezoneOffset() * 60_000) / 86_400_000);
  const days = day(now) - day(at * 1000);
  if (days <= 0) return "Today";
  if (days === 1) return "Yesterday";
  if (days < 7) return "This week";
  if (days < 31) return "This month";
  return "Earlier";
}
