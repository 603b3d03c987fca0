// What carries questions to the server and answers back. Server-sent events do, and a WebSocket could.

import type { StoredConversation, StoredMessage } from "./messages.ts";
import type { Block } from "./sse.ts";

/** Everything that is needed to ask for one answer; plain data, so that it can be kept and sent later. */
export interface Question {
  /** The answer's id, which is the idempotency key: asked with it again, the server finds the same answer. */
  readonly answer: string;
  readonly model: string;
  /** What the message, or without one the answer, is put below. */
  readonly parent: string | null;
  readonly message: { readonly id: string; readonly text: string } | null;
  /** The whole conversation up to the question, for a server that keeps none. */
  readonly history: readonly { readonly role: "user" | "assistant"; readonly content: string }[];
  readonly system?: string;
  readonly temperature?: number;
  readonly maxTokens?: number;
}

/** One connection to an answer's log. */
export interface Connection {
  /** The stream's id, if the server has told it already. */
  readonly stream: string | null;
  /** There is nothing after the position, and there never will be. */
  readonly ended: boolean;
  /** What came, read by read; an empty read is a sign of life. It ends when the connection does, for whatever reason. */
  readonly reads: AsyncIterable<readonly Block[]>;
}

/**
 * A refusal by the server is thrown as `ChatError`; anything else that is thrown counts as a lost connection.
 * An aborted signal closes the connection and does nothing to the answer: leaving is not cancelling.
 */
export interface Transport {
  /** Ask for an answer. Resolves when the server has accepted it. */
  ask(question: Question, signal: AbortSignal): Promise<Connection>;
  /** Read an answer's log after a position, or from its beginning. */
  attach(stream: string, position: string | null, signal: AbortSignal): Promise<Connection>;
  /** Cancel at the offset that was seen; null = wherever it is. Idempotent. Resolves with how the stream ended. */
  cancel(stream: string, seen: number | null): Promise<string | null>;
  /** The same by the answer's id, which is known before the server has told of a stream, and even before it was asked. */
  stop?(answer: string, seen: number | null): Promise<string | null>;
  /** The answer as the server keeps it, for when its log is gone. Null if it keeps none. */
  recover?(answer: string, signal: AbortSignal): Promise<StoredMessage | null>;
  /** The conversation as the server keeps it. Null if there is none yet. */
  load?(signal?: AbortSignal): Promise<StoredConversation | null>;
  /** Tell the server which branch is shown. */
  choose?(leaf: string): Promise<void>;
}
