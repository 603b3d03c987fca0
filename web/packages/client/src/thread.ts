// The messages of one chat in their branches: finished ones, and answers that are followed.

import { Answer } from "./answer.ts";
import type { Message } from "./messages.ts";
import { Tree } from "./tree.ts";

/** A message, or an answer that becomes one when it is looked at. */
export type Node = Message | Answer;

/** Answers that were asked for together have ids that are the same up to this. */
export const togetherOf = (answer: string): string | null => /^(.+-)\d$/.exec(answer)?.[1] ?? null;

export class Thread {
  #tree = new Tree();
  #nodes = new Map<string, Node>();
  #stored = new Set<string>();
  #withdrawn = new Set<string>();
  #siblings: ReadonlyMap<string, readonly string[]> | null = null;

  get(id: string | null): Node | undefined {
    return id === null ? undefined : this.#nodes.get(id);
  }

  has(id: string): boolean {
    return this.#nodes.has(id);
  }

  /** Put it where its parent says, or in the place of what has its id. */
  put(node: Node): void {
    if (this.#tree.add(node)) this.#siblings = null;
    this.#nodes.set(node.id, node);
  }

  /** As it is now. */
  message(id: string): Message {
    const node = this.#nodes.get(id)!;
    return node instanceof Answer ? node.message() : node;
  }

  /** From the beginning to `leaf`. */
  path(leaf: string | null): Message[] {
    return this.#tree.path(leaf).map((id) => this.message(id));
  }

  /** All of them, in the order of their coming. */
  all(): Message[] {
    return [...this.#nodes.keys()].map((id) => this.message(id));
  }

  answers(): Answer[] {
    return [...this.#nodes.values()].filter((node) => node instanceof Answer);
  }

  /** Of each message: all with the same parent, itself among them. The same object until there is another message. */
  siblings(): ReadonlyMap<string, readonly string[]> {
    this.#siblings ??= new Map([...this.#nodes.keys()].map((id) => [id, this.#tree.siblings(id).slice()]));
    return this.#siblings;
  }

  /** The end of the newest branch that goes through this message. */
  leafBelow(id: string): string {
    return this.#tree.leafBelow(id);
  }

  /** Has the server begun this answer, so that it keeps it? */
  isKept(id: string): boolean {
    const node = this.#nodes.get(id);
    if (this.#withdrawn.has(id)) return false;
    return node instanceof Answer ? node.stream !== null || (node.final && node.begun) : node !== undefined;
  }

  /** The server began this answer, refused it after all, and keeps it no more; or it keeps it again. */
  withdraw(answer: string, is = true): void {
    if (is) this.#withdrawn.add(answer);
    else this.#withdrawn.delete(answer);
  }

  /** The server told of this question. */
  store(question: string): void {
    this.#stored.add(question);
  }

  /** Has the server this question? It has if it told of it, or began an answer to it; of one that it refused, who knows. */
  isAsked(question: string): boolean {
    return this.#stored.has(question) || this.#tree.children(question).some((id) => this.isKept(id));
  }

  /** From `leaf` upwards, the first message that the server keeps: it has no answer that it refused to make. */
  keptFrom(leaf: string | null): string | null {
    while (leaf !== null && !this.isKept(leaf)) {
      const question = this.#tree.parent(leaf);
      const together = togetherOf(leaf);
      const other = together && question && this.#tree.children(question).find((id) => id.startsWith(together) && this.isKept(id));
      if (other) return other;
      if (question === null || this.isAsked(question)) return question;
      leaf = this.#tree.parent(question);
    }
    return leaf;
  }

  /** Does the server keep any of it, as far as is known? */
  isAnyKept(): boolean {
    return this.#stored.size > 0 || this.answers().some(({ id }) => this.isKept(id));
  }

  /** Who answered this question, or said it differently, or else who spoke last before it. */
  modelNear(question: string): string | null {
    const answers = this.#tree.siblings(question).flatMap((id) => this.#tree.children(id));
    const near = [...this.#tree.path(question), ...answers];
    return near.map((id) => this.message(id).model).findLast((model) => model !== null) ?? null;
  }
}
