// The native events of a stream. A client passes over the ones that it does not know.

import type { Block } from "./sse.ts";

/** Tokens that were used. Null is "nobody said". */
export interface Usage {
  readonly input_tokens: number | null;
  readonly output_tokens: number | null;
  readonly cached_tokens: number | null;
  readonly reasoning_tokens: number | null;
  readonly cache_write_tokens?: number | null;
  readonly source: "final" | "estimated" | "unknown";
}

/** The data of each event, by its name. */
export interface NativeEvents {
  start: { stream: string; model?: string };
  token: { text: string; index?: number };
  reasoning: { text: string; index?: number };
  refusal: { text: string; index?: number };
  tool_call: { index: number; id?: string; name?: string; arguments?: string; choice?: number };
  finish: { reason: string; index?: number };
  segment: { number: number };
  usage: Usage;
  error: { code: string; message: string; retryable: boolean; outcome?: string };
  done: { outcome: string; kept?: number };
}

/** One of them, with its name. */
export type NativeEvent = { [Name in keyof NativeEvents]: { name: Name; data: NativeEvents[Name] } }[keyof NativeEvents];

const NAMES: ReadonlySet<string> = new Set<keyof NativeEvents>([
  "start", "token", "reasoning", "refusal", "tool_call", "finish", "segment", "usage", "error", "done",
]);

/** The event of a block, or null for one that is unknown or no JSON object. */
export function parseEvent(block: Block): NativeEvent | null {
  if (!NAMES.has(block.name)) return null;
  try {
    const data: unknown = JSON.parse(block.data);
    if (typeof data !== "object" || data === null) return null;
    return { name: block.name, data } as NativeEvent;
  } catch {
    return null;
  }
}
