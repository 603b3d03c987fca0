// What a chat is made of, and how it is asked.

import type { Surroundings } from "./browser.ts";
import type { Clock } from "./clock.ts";
import type { ChatError } from "./errors.ts";
import type { Change } from "./follow.ts";
import type { Message } from "./messages.ts";
import type { KeyStorage } from "./outbox.ts";
import type { Transport } from "./transport.ts";

export interface ChatOptions {
  /** The conversation's id. What is kept in storage is kept by it. */
  id?: string;
  transport: Transport;
  /** Asked when a message names none. */
  model?: string;
  /** Keeps questions that the server has not accepted yet, so that a reload sends them: `localStorage`. */
  storage?: KeyStorage | null;
  /** Keeps what is queued over a reload of this page: `sessionStorage`. Not shared with other pages, which would send it too. */
  session?: KeyStorage | null;
  /** Milliseconds without a byte until the connection counts as dead. 30,000. */
  idleTimeoutMs?: number;
  /** `max`: how often a question is sent again by itself, before the server has accepted it. 3. */
  retry?: { max: number };
  /** An answer ended, well or not. */
  onFinish?: (message: Message) => void;
  onError?: (error: ChatError) => void;
  clock?: Clock;
  /** From 0 to 1: spreads reconnections. */
  random?: () => number;
  newId?: () => string;
  surroundings?: Surroundings;
}

/** How a question is to be answered. What is left out is as it was for the last question; `undefined` is the model's own. */
export interface AskOptions {
  model?: string;
  system?: string | undefined;
  temperature?: number | undefined;
  maxTokens?: number | undefined;
}

export type Listener = (change: Change) => void;
