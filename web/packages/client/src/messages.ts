// Messages: as the server keeps them, and as the page shows them.

import type { ErrorInfo } from "./errors.ts";
import type { Usage } from "./events.ts";

export interface ToolCall {
  readonly id: string;
  readonly name: string;
  readonly arguments: string;
}

/** How fast an answer came. */
export interface Timing {
  /** Milliseconds from the question to the first token. */
  readonly ttftMs: number | null;
  readonly totalMs: number | null;
  readonly tokensPerSecond: number | null;
}

/** What is seen of an answer: nothing yet but thinking, text that grows, or text that is complete. */
export type Phase = "thinking" | "streaming" | "formatted";

/** One message, immutable: another object as soon as anything in it differs. */
export interface Message {
  readonly id: string;
  readonly parent: string | null;
  readonly role: "user" | "assistant";
  /** Unix seconds. */
  readonly created: number;
  readonly text: string;
  readonly model: string | null;
  readonly reasoning: string;
  readonly toolCalls: readonly ToolCall[];
  /** The server's stream, while its log is kept. */
  readonly stream: string | null;
  readonly state: "streaming" | "ended";
  readonly phase: Phase;
  /** How it ended: `completed`, `cancelled`, `interrupted`, …; `unsent` if the server could not be asked. */
  readonly outcome: string | null;
  readonly error: ErrorInfo | null;
  readonly usage: Usage | null;
  readonly timing: Timing | null;
}

/** A message as the server keeps it. */
export interface StoredMessage {
  id: string;
  parent: string | null;
  role: "user" | "assistant";
  created: number;
  text: string;
  model: string | null;
  reasoning: string;
  tool_calls: ToolCall[];
  stream: string | null;
  /** Of one that is streaming: its log goes on after what is here. */
  position?: string | null;
  state: "streaming" | "ended";
  outcome: string | null;
  error: ErrorInfo | null;
  usage: Usage | null;
  timing: { first_token: number | null; total: number; tokens_per_second: number | null } | null;
}

/** A conversation, without its messages. */
export interface Conversation {
  id: string;
  title: string;
  created: number;
  updated: number;
  leaf: string | null;
}

/** A conversation with all its messages, oldest first: what `GET /v1/conversations/{id}` answers. */
export interface StoredConversation {
  conversation: Conversation;
  messages: StoredMessage[];
}

/** What the page shows of a message that the server keeps. */
export function messageOf(stored: StoredMessage): Message {
  const { timing } = stored;
  const ended = stored.state === "ended" || stored.role === "user";
  return {
    id: stored.id,
    parent: stored.parent,
    role: stored.role,
    created: stored.created,
    text: stored.text,
    model: stored.model ?? null,
    reasoning: stored.reasoning ?? "",
    toolCalls: stored.tool_calls ?? [],
    stream: stored.stream ?? null,
    state: ended ? "ended" : "streaming",
    phase: ended ? "formatted" : stored.text ? "streaming" : "thinking",
    outcome: stored.outcome ?? null,
    error: stored.error ?? null,
    usage: stored.usage ?? null,
    timing: timing && {
      ttftMs: timing.first_token === null ? null : timing.first_token * 1000,
      totalMs: timing.total * 1000,
      tokensPerSecond: timing.tokens_per_second,
    },
  };
}

/** A user's message. */
export function userMessage(id: string, parent: string | null, text: string, created: number): Message {
  return {
    id, parent, role: "user", created, text, model: null, reasoning: "", toolCalls: [], stream: null, state: "ended",
    phase: "formatted", outcome: null, error: null, usage: null, timing: null,
  };
}
