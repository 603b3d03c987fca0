// The tree of a conversation: every edit and every regeneration is another branch, and nothing is overwritten.

/** What the tree has to know of a message. */
export interface Branch {
  readonly id: string;
  readonly parent: string | null;
}

/** Messages by their parents. A parent may be missing (not loaded yet): what is below it begins a path. */
export class Tree {
  #parents = new Map<string, string | null>();
  #children = new Map<string | null, string[]>();

  has(id: string): boolean {
    return this.#parents.has(id);
  }

  /** Returns whether it was new. A message stays where it was put first. */
  add({ id, parent }: Branch): boolean {
    if (this.#parents.has(id)) return false;
    this.#parents.set(id, parent);
    const beside = this.#children.get(parent);
    if (beside) beside.push(id);
    else this.#children.set(parent, [id]);
    return true;
  }

  parent(id: string): string | null {
    return this.#parents.get(id) ?? null;
  }

  children(id: string | null): readonly string[] {
    return this.#children.get(id) ?? [];
  }

  /** All messages with the same parent, this one among them, in the order of their coming. */
  siblings(id: string): readonly string[] {
    return this.#parents.has(id) ? this.children(this.parent(id)) : [];
  }

  /** From the beginning to this message. */
  path(leaf: string | null): string[] {
    const path: string[] = [];
    const seen = new Set<string>(); // what is stored elsewhere may be in a circle; this must end
    for (let at = leaf; at !== null && this.#parents.has(at) && !seen.has(at); at = this.parent(at)) {
      seen.add(at);
      path.push(at);
    }
    return path.reverse();
  }

  /** The end of the newest branch that goes through this message. */
  leafBelow(id: string): string {
    const seen = new Set<string>();
    for (let at = id; ; ) {
      seen.add(at);
      const next = this.children(at).at(-1);
      if (next === undefined || seen.has(next)) return at;
      at = next;
    }
  }
}
