// What a chat shows at one moment.

import type { ChatError } from "./errors.ts";
import type { ConnectionState } from "./follow.ts";
import type { Message, Phase, Timing } from "./messages.ts";
import type { AskOptions } from "./options.ts";

export type Status = "ready" | "submitted" | "streaming" | "error";

/** Something that is sent when the answer before it has ended. */
export interface Queued {
  /** The message's, when it is sent. */
  readonly id: string;
  readonly text: string;
  /** How it is to be answered, as it was when it was written. */
  readonly ask: AskOptions;
  /** Several: they answer side by side. None: the one that `ask` names. */
  readonly models: readonly string[];
}

/** Immutable. What has not changed since the last one is the same object. */
export interface Snapshot {
  readonly id: string;
  /** The branch that is shown, from its beginning to `leaf`. */
  readonly messages: readonly Message[];
  readonly leaf: string | null;
  /** Every message of every branch, in the order of their coming. */
  readonly all: readonly Message[];
  /** Of each message: all messages with the same parent, itself among them. */
  readonly siblings: ReadonlyMap<string, readonly string[]>;
  readonly status: Status;
  /** Of the answer that is shown last; each message has its own. */
  readonly phase: Phase;
  readonly connection: ConnectionState;
  /** Whole seconds since a byte came, keepalives included. 0 while nothing streams. */
  readonly silentFor: number;
  /** Whole seconds since something came that can be shown. 0 while nothing streams. */
  readonly thinkingFor: number;
  /** Does something between the server and this page hold the stream back? */
  readonly buffering: boolean;
  /** Of the answer that is shown last. */
  readonly timing: Timing | null;
  readonly error: ChatError | null;
  /** The server keeps no such conversation: it was deleted, or never was. */
  readonly missing: boolean;
  readonly queued: readonly Queued[];
}

/** `list`, or the one before if it holds the same. */
export function shared<T>(list: readonly T[], before: readonly T[] | undefined): readonly T[] {
  return before?.length === list.length && list.every((item, at) => item === before[at]) ? before : list;
}

const SEVERITY = { offline: 4, "rate-limited": 3, reconnecting: 2, live: 1, idle: 0 };

/** Of several connections, the one that there is most to say about. */
export function worst(states: Iterable<ConnectionState>): ConnectionState {
  let found: ConnectionState = { state: "idle" };
  for (const state of states) if (SEVERITY[state.state] > SEVERITY[found.state]) found = state;
  return found;
}
