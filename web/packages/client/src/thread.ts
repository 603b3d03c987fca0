// The messages of one chat in their branches: finished ones, and answers that are followed.

import { Answer } from "./answer.ts";
import type { Message } from "./messages.ts";
import { Tree } from "./tree.ts";

/** A message, or an answer that becomes one when it is looked at. */
export type Node = Message | Answer;

export class Thread {
  #tree = new Tree();
  #nodes = new Map<string, Node>();
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
    return node instanceof Answer ? node.stream !== null || (node.final && node.begun) : node !== undefined;
  }

  /** A question that some answer was begun for is at the server; one that was refused may be, or not. */
  isAsked(question: string): boolean {
    return this.#tree.children(question).some((id) => this.isKept(id));
  }

  /** From `leaf` upwards, the first message that the server keeps: it has no answer that it refused to make. */
  keptFrom(leaf: string | null): string | null {
    while (leaf !== null && !this.isKept(leaf)) leaf = this.#tree.parent(this.#tree.parent(leaf) ?? leaf);
    return leaf;
  }
}
