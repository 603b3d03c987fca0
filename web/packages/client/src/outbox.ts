// Questions that the server has not accepted yet. Kept in storage, so that a reload sends them, once: the answer's id is
// the idempotency key, so even a question that was sent twice is answered once.

import type { Queued } from "./snapshot.ts";
import type { Question } from "./transport.ts";

/** As much of `localStorage` as is needed. */
export interface KeyStorage {
  getItem(key: string): string | null;
  setItem(key: string, value: string): void;
  removeItem(key: string): void;
}

/** A question, and when it was written (Unix seconds). */
export interface Unsent {
  readonly question: Question;
  readonly created: number;
  /** Its answer is not wanted any more; the question is kept all the same. */
  readonly stopped?: boolean;
}

/** The outbox of one chat. Another page with the same chat may write to it as well: nothing is remembered here. */
export class Outbox {
  #key: string;
  #storage: KeyStorage | null;

  constructor(chat: string, storage: KeyStorage | null) {
    this.#key = `penstock:outbox:${chat}`;
    this.#storage = storage;
  }

  /** All of it, oldest first. */
  list(): Unsent[] {
    try {
      const kept: unknown = JSON.parse(this.#storage?.getItem(this.#key) ?? "[]");
      return Array.isArray(kept) ? kept.filter(isUnsent) : [];
    } catch {
      return []; // storage that is forbidden or holds what is not ours
    }
  }

  put(unsent: Unsent): void {
    this.#write([...this.list().filter((kept) => kept.question.answer !== unsent.question.answer), unsent]);
  }

  /** Of what is not accepted yet: no answer is wanted. */
  stop(answer: string): void {
    const kept = this.list();
    const found = kept.some((unsent) => unsent.question.answer === answer);
    if (found) this.#write(kept.map((unsent) => (unsent.question.answer === answer ? { ...unsent, stopped: true } : unsent)));
  }

  remove(answer: string): void {
    const kept = this.list();
    const left = kept.filter((unsent) => unsent.question.answer !== answer);
    if (left.length < kept.length) this.#write(left);
  }

  #write(entries: Unsent[]): void {
    try {
      if (entries.length > 0) this.#storage?.setItem(this.#key, JSON.stringify(entries));
      else this.#storage?.removeItem(this.#key);
    } catch {
      // Full or forbidden: then it is as good as the page's memory.
    }
  }
}

function isUnsent(kept: unknown): kept is Unsent {
  const question = (kept as Unsent | null)?.question;
  return typeof question?.answer === "string" && typeof question.model === "string" && Array.isArray(question.history);
}

/** What is queued, over a reload of one page. */
export class Waiting {
  #key: string;
  #storage: KeyStorage | null;

  constructor(chat: string, storage: KeyStorage | null) {
    this.#key = `penstock:queue:${chat}`;
    this.#storage = storage;
  }

  list(): readonly Queued[] {
    try {
      const kept: unknown = JSON.parse(this.#storage?.getItem(this.#key) ?? "[]");
      return Array.isArray(kept) ? kept.filter(isQueued) : [];
    } catch {
      return [];
    }
  }

  keep(queued: readonly Queued[]): void {
    try {
      if (queued.length > 0) this.#storage?.setItem(this.#key, JSON.stringify(queued));
      else this.#storage?.removeItem(this.#key);
    } catch {
      // Full or forbidden.
    }
  }
}

function isQueued(kept: unknown): kept is Queued {
  const queued = kept as Queued | null;
  return (
    typeof queued?.id === "string" && typeof queued.text === "string" && Array.isArray(queued.models) &&
    typeof queued.ask === "object" && queued.ask !== null
  );
}
