// One answer, followed to its end: asked for once, then read from its log, whatever happens to the connection.
//
// The rules: the question is sent again by itself only until the server has accepted it, with the same idempotency key;
// afterwards this only ever attaches. Every failure that the person did not cause leads to another attach. A block is
// taken if its position lies after the last one taken, so nothing is doubled; only `done` or `error` ends an answer.

import type { Answer } from "./answer.ts";
import { Bursts } from "./bursts.ts";
import type { Clock } from "./clock.ts";
import { ChatError } from "./errors.ts";
import type { Stop } from "./stops.ts";
import type { Connection, Question, Transport } from "./transport.ts";

/** How the connection is, in the words of the page. */
export type ConnectionState =
  | { readonly state: "idle" }
  | { readonly state: "live" }
  | { readonly state: "offline" }
  | { readonly state: "reconnecting"; readonly attempt: number; readonly retryAt: number }
  | { readonly state: "rate-limited"; readonly retryAt: number };

const IDLE: ConnectionState = { state: "idle" };
const LIVE: ConnectionState = { state: "live" };
const OFFLINE: ConnectionState = { state: "offline" };

const LONGEST_PAUSE = 15_000;
const LONGEST_WAIT_S = 120; // a server that wants more is not waited for, but told of
const DOUBTFUL = 20_000; // silent for longer than a keepalive takes: not trusted after the page was away
// Until its first token an answer may have no head, so nothing at all is heard. This many times longer is waited.
const PATIENCE = 4;

// What a server says of a question whose answer was stopped before it began, or while it was waited for.
const STOPPED = ["resume_expired", "cancelled"];

/** `progress` may wait for the next frame; `state` and `end` should be seen at once. */
export type Change = "progress" | "state" | "end";

export interface FollowOptions {
  transport: Transport;
  clock: Clock;
  random: () => number;
  isOnline: () => boolean;
  /** Milliseconds without a byte, keepalives included, after which the connection is dead, whatever it says. */
  idleTimeoutMs: number;
  /** How often a question is sent again by itself. */
  max: number;
  onChange(change: Change): void;
  /** Tell the server to stop it. Resolves with how it ended, if that is known. */
  cancel(stop: Stop): Promise<string | null>;
  /** The server has the question, or has refused it for good: it need not be kept. */
  onSettled(): void;
  /** The server may not have the question, and is to begin no answer. */
  onStopped(): void;
}

type Wait =
  | { kind: "lost" }
  | { kind: "limited"; milliseconds: number }
  /** Not lost: there is no more to read, but something else to do, now. */
  | { kind: "next" };

/** Follows one answer. May be detached from it, and run again. */
export class Follower {
  readonly answer: Answer;
  readonly bursts = new Bursts();
  connection: ConnectionState = IDLE;
  /** Why it could not be followed to its end, if that is so. */
  failure: ChatError | null = null;

  #question: Question | null;
  #o: FollowOptions;
  #run: Promise<void> | null = null;
  #wanted = false;
  #leaving = false;
  #stopping = false;
  #isAsking = false;
  #gone = false; // its log: what the server has stored is all there is
  #failures = 0;
  #asked = 0;
  #waits = 0;
  #cut: AbortController | null = null;
  #wake: (() => void) | null = null;
  #lastByte: number;
  #patience = 1;

  /** `question` is what to ask, for an answer that the server may not know yet. */
  constructor(answer: Answer, question: Question | null, options: FollowOptions) {
    this.answer = answer;
    this.#question = question;
    this.#o = options;
    this.#lastByte = options.clock.now();
  }

  get silentMs(): number {
    return this.#o.clock.now() - this.#lastByte;
  }

  /** Whether it is being followed, as far as anybody sees: a stopped answer is not. */
  get active(): boolean {
    return this.#wanted && !this.answer.ended;
  }

  /** Is the question on its way, even if what becomes of it is not wanted any more? */
  get asking(): boolean {
    return this.#isAsking;
  }

  /** The question, while the server has not accepted it. */
  get unsent(): Question | null {
    return this.answer.stream === null && !this.answer.final ? this.#question : null;
  }

  /** Follow to the end, or until `detach`. Never rejects. */
  run(): Promise<void> {
    this.#wanted = true;
    // Somebody who leaves and comes back at once: one connection is closed before the next one opens.
    if (this.#run && this.#leaving) return this.#run.then(() => (this.#wanted ? this.run() : undefined));
    this.#run ??= this.#follow().finally(() => {
      this.#run = null;
      if (!this.#leaving) this.#wanted = false;
      this.connection = IDLE;
      this.#o.onChange("end");
    });
    return this.#run;
  }

  /** The page or the network came back: look now instead of later. */
  check(): void {
    if (this.#wake) this.#wake();
    else if (this.active && this.silentMs > DOUBTFUL) this.#cut?.abort();
  }

  /** Leave the answer to itself: it goes on without this reader. Resolves when nothing more will come. */
  detach(): Promise<void> {
    this.#wanted = false;
    if (!this.#run) return Promise.resolve();
    this.#leaving = true;
    // A question that was stopped but not accepted yet stays connected: the server is to have it, or to be told to cancel.
    if (!this.#stopping) this.#cut?.abort();
    this.#wake?.();
    return this.#run;
  }

  /** Stop at what is shown, for every reader and for the model. What is seen here stops at once. */
  stop(): void {
    if (this.answer.ended) return;
    this.#stopping = true;
    const seen = this.answer.stop(this.#o.clock.now());
    if (this.answer.stream === null && this.#o.transport.stop) this.#o.onStopped();
    else this.#o.onSettled();
    if (this.answer.stream !== null || this.#o.transport.stop) {
      // A question that is on its way goes on: the server is to have it, and to begin nothing.
      if (this.answer.stream !== null) this.#cut?.abort();
      void this.#cancel(seen);
    } // else as soon as the server says what to cancel
    this.#wake?.();
    this.#o.onChange("state");
  }

  async #follow(): Promise<void> {
    this.#leaving = this.#stopping = false;
    this.#failures = this.#asked = this.#waits = 0;
    const over = () => this.answer.ended || this.#leaving;
    while (!over()) {
      if (this.#failures === 0) this.#set(LIVE);
      const wait = await this.#once();
      if (over()) break;
      if (wait.kind === "next") continue;
      if (wait.kind === "limited") await this.#limited(wait.milliseconds);
      else await this.#lost();
    }
  }

  /** Ask, attach or recover once, and read to the connection's end. */
  async #once(): Promise<Wait> {
    const cut = (this.#cut = new AbortController());
    const { answer } = this;
    let asking = answer.stream === null && !this.#gone;
    this.#lastByte = this.#o.clock.now();
    this.#patience = asking ? PATIENCE : 1;
    const unwatch = this.#watch(cut);
    try {
      if (this.#gone) return await this.#recover(cut.signal);
      const fresh = asking && this.#asked === 0;
      this.#isAsking = asking;
      const connection = asking ? await this.#ask(cut.signal) : await this.#attach(cut.signal);
      this.#isAsking = false;
      this.#lastByte = this.#o.clock.now();
      this.#patience = 1;
      this.bursts.open(this.#lastByte, fresh);
      answer.stream ??= connection.stream;
      this.#set(LIVE);
      if (asking) {
        asking = false;
        this.#o.onSettled();
        if (this.#stopping) {
          if (!this.#o.transport.stop) void this.#cancel(0);
          return { kind: "next" };
        }
      }
      if (connection.ended) {
        // All was seen, but not how it ended: the log is read once more.
        answer.restart();
        return { kind: "lost" };
      }
      await this.#read(connection);
      return { kind: "lost" };
    } catch (error) {
      if (asking && this.#stopping && error instanceof ChatError && STOPPED.includes(error.code)) {
        answer.begun = answer.final = true; // the server has it, stopped as it is
        this.#o.onSettled();
        return { kind: "next" };
      }
      return error instanceof ChatError ? this.#refused(error, asking) : { kind: "lost" }; // fetch and read throw whatever they like
    } finally {
      unwatch();
      this.#isAsking = false;
      cut.abort();
      this.#cut = null;
    }
  }

  #ask(signal: AbortSignal): Promise<Connection> {
    this.#asked += 1;
    if (this.#question === null) {
      throw new ChatError({ status: 410, code: "resume_expired", message: "Its log is no longer kept.", retryable: true });
    }
    return this.#o.transport.ask(this.#question, signal);
  }

  #attach(signal: AbortSignal): Promise<Connection> {
    return this.#o.transport.attach(this.answer.stream!, this.answer.position, signal);
  }

  async #read(connection: Connection): Promise<void> {
    const { clock } = this.#o;
    for await (const blocks of connection.reads) {
      if (this.answer.ended || this.#leaving) return;
      const now = (this.#lastByte = clock.now());
      this.#failures = this.#waits = 0;
      this.#set(LIVE);
      let fresh = 0;
      for (const block of blocks) {
        const taken = this.answer.take(block, now);
        if (taken === "lost") return;
        if (taken === "end") {
          this.#o.onSettled();
          break;
        }
        if (taken === "new") fresh += 1;
      }
      this.bursts.read(now, fresh);
      if (this.answer.ended) return;
      this.#o.onChange("progress");
    }
  }

  /** The log is gone: what the server has stored is the answer. */
  async #recover(signal: AbortSignal): Promise<Wait> {
    const { answer } = this;
    const { clock, transport } = this.#o;
    const stored = await transport.recover!(answer.id, signal);
    if (answer.ended) return { kind: "next" };
    if (stored === null) return this.#missing();
    answer.adopt(stored, clock.now());
    this.#o.onSettled();
    this.#o.onChange("state");
    return { kind: "lost" }; // still being made, as a log whose beginning is no longer kept: look again later
  }

  #missing(): Wait {
    this.#fail(
      new ChatError({
        code: "stream_not_found",
        message: "The server no longer keeps this answer. What arrived before stays here.",
        retryable: true,
      }),
      "interrupted",
    );
    return { kind: "next" };
  }

  #refused(error: ChatError, asking: boolean): Wait {
    const busy = error.status === 429 || error.status === 503;
    if (busy && error.retryAfter !== null && (error.retryAfter <= LONGEST_WAIT_S || !asking)) {
      this.#waits += 1;
      if (!asking || this.#waits <= this.#o.max) {
        return { kind: "limited", milliseconds: Math.max(error.retryAfter, 0.5) * 1000 };
      }
    }
    // While attached, or from something on the way: that passes.
    if (error.status >= 500 && (!asking || error.foreign)) return { kind: "lost" };
    if (error.status === 429 && !asking) return { kind: "lost" };
    if (error.status === 410 || (error.status === 404 && !asking)) {
      if (this.#gone || !this.#o.transport.recover) return this.#missing();
      this.#gone = true;
      return { kind: "next" };
    }
    if (error.code === "invalid_position" && this.answer.position !== null) {
      this.answer.restart();
      return { kind: "lost" };
    }
    this.#o.onSettled();
    this.#fail(error, error.code);
    this.answer.final ||= asking; // it is not asked again by itself
    return { kind: "next" };
  }

  async #lost(): Promise<void> {
    const { random, isOnline, max } = this.#o;
    if (!isOnline()) {
      // Not counted: what is written while offline is sent when the network is back. The browser may be wrong about
      // a server on this machine, so it is tried now and then all the same.
      this.#set(OFFLINE);
      return this.#pause(LONGEST_PAUSE);
    }
    this.#failures += 1;
    if (this.answer.stream === null && !this.#gone && this.#failures > max) {
      return this.#fail(
        new ChatError({ code: "unreachable", message: "The server could not be reached.", retryable: true }),
        "unsent",
      );
    }
    const pause = Math.min(LONGEST_PAUSE, 250 * 2 ** this.#failures) * (0.5 + random() / 2);
    this.#set({ state: "reconnecting", attempt: this.#failures, retryAt: this.#o.clock.now() + pause });
    return this.#pause(pause);
  }

  #limited(milliseconds: number): Promise<void> {
    this.#set({ state: "rate-limited", retryAt: this.#o.clock.now() + milliseconds });
    return this.#pause(milliseconds, false); // the page's coming back makes the server no less busy
  }

  async #cancel(seen: number | null): Promise<void> {
    const { id, stream } = this.answer;
    const outcome = await this.#o.cancel({ answer: id, stream, seen });
    if (outcome !== null && outcome !== "cancelled") await this.#late();
  }

  /** It had ended before it could be stopped, and so it is kept: show what is kept. */
  async #late(): Promise<void> {
    if (this.answer.final) return;
    await this.#run;
    if (this.#leaving) return;
    this.answer.reopen();
    void this.run();
  }

  #fail(error: ChatError, outcome: string): void {
    if (this.answer.ended) return;
    const { code, message, retryable } = error;
    this.failure = error;
    this.answer.end(outcome, this.#o.clock.now(), { code, message, retryable });
  }

  /** Cut the connection when nothing is heard from it for too long. Returns how to stop watching. */
  #watch(cut: AbortController): () => void {
    const { clock, idleTimeoutMs } = this.#o;
    let off: () => void;
    const look = () => {
      const left = this.#lastByte + idleTimeoutMs * this.#patience - clock.now();
      if (left <= 0) cut.abort();
      else off = clock.after(Math.min(left, idleTimeoutMs), look);
    };
    off = clock.after(idleTimeoutMs, look);
    return () => off();
  }

  #pause(milliseconds: number, canWake = true): Promise<void> {
    return new Promise<void>((resolve) => {
      const off = this.#o.clock.after(milliseconds, resolve);
      this.#wake = () => {
        if (!canWake && !this.answer.ended && !this.#leaving) return;
        off();
        resolve();
      };
    }).finally(() => {
      this.#wake = null;
    });
  }

  #set(connection: ConnectionState): void {
    if (connection === this.connection) return;
    this.connection = connection;
    this.#o.onChange("state");
  }
}
