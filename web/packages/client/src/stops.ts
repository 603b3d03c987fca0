// Stops that the server has not heard of yet. Stop is stop: what the person sees has ended, so this is sent until it is
// heard, over lines that are down and over reloads; otherwise a model would go on for nobody.

import type { Clock } from "./clock.ts";
import { ChatError } from "./errors.ts";
import type { KeyStorage } from "./outbox.ts";
import type { Transport } from "./transport.ts";

const LONGEST_PAUSE = 15_000;

/** What is to be stopped, and at which offset: null = wherever it is, for it is not known what was seen. */
export interface Stop {
  readonly answer: string;
  readonly stream: string | null;
  readonly seen: number | null;
}

export class Stops {
  #key: string;
  #storage: KeyStorage | null;
  #transport: Transport;
  #clock: Clock;
  #waiting = new Set<() => void>();

  constructor(chat: string, storage: KeyStorage | null, transport: Transport, clock: Clock) {
    this.#key = `penstock:stops:${chat}`;
    this.#storage = storage;
    this.#transport = transport;
    this.#clock = clock;
  }

  /** To be sent with what an earlier page could not. */
  add(stop: Stop): void {
    this.#write([...this.#list().filter(({ answer }) => answer !== stop.answer), stop]);
  }

  /** Resolves with how the answer ended, once the server has said so; null if it knows of none. Never rejects. */
  async send(stop: Stop): Promise<string | null> {
    this.add(stop);
    for (let attempt = 0; ; attempt++) {
      const outcome = await this.#try(stop);
      if (outcome !== undefined) return outcome;
      await this.#pause(Math.min(LONGEST_PAUSE, 500 * 2 ** attempt));
    }
  }

  /** Is there anything that an earlier page could not send? */
  get left(): boolean {
    return this.#list().length > 0;
  }

  /** Send that. Resolves when each was tried once. */
  async resume(): Promise<void> {
    const left = this.#list();
    const outcomes = await Promise.all(left.map((stop) => this.#try(stop)));
    left.forEach((stop, at) => outcomes[at] === undefined && void this.send(stop));
  }

  /** The network is back: now instead of later. */
  check(): void {
    for (const wake of [...this.#waiting]) wake();
  }

  /** Undefined: not heard. */
  async #try(stop: Stop): Promise<string | null | undefined> {
    let outcome: string | null = null;
    try {
      if (this.#transport.stop) outcome = await this.#transport.stop(stop.answer, stop.seen);
      else if (stop.stream !== null) outcome = await this.#transport.cancel(stop.stream, stop.seen);
    } catch (error) {
      // With another key, or later, it may be heard.
      if (!(error instanceof ChatError) || error.foreign) return undefined;
      if (error.status >= 500 || [401, 403, 429].includes(error.status)) return undefined;
    }
    this.#write(this.#list().filter(({ answer }) => answer !== stop.answer));
    return outcome;
  }

  #pause(milliseconds: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        off();
        this.#waiting.delete(wake);
        resolve();
      };
      const off = this.#clock.after(milliseconds, wake);
      this.#waiting.add(wake);
    });
  }

  #list(): Stop[] {
    try {
      const kept: unknown = JSON.parse(this.#storage?.getItem(this.#key) ?? "[]");
      return Array.isArray(kept) ? kept.filter((stop) => typeof (stop as Stop | null)?.answer === "string") : [];
    } catch {
      return [];
    }
  }

  #write(stops: Stop[]): void {
    try {
      if (stops.length > 0) this.#storage?.setItem(this.#key, JSON.stringify(stops));
      else this.#storage?.removeItem(this.#key);
    } catch {
      // Full or forbidden: then it is as good as the page's memory.
    }
  }
}
