// Blocks are put in groups, so that a browser can skip the layout of those that are out of sight
// (`content-visibility: auto`). A block's place follows from its number alone: nothing is ever moved between groups.

const PER_GROUP = 50;

/** The blocks of a view, by their number. */
export class Groups {
  readonly #root: Element | DocumentFragment;
  #groups: HTMLElement[] = [];

  constructor(root: Element | DocumentFragment) {
    this.#root = root;
  }

  /** The block with this number, if there is one. */
  at(index: number): ChildNode | null {
    return this.#groups[Math.floor(index / PER_GROUP)]?.childNodes[index % PER_GROUP] ?? null;
  }

  /** Add a block; its number is that of the blocks there are. */
  append(index: number, node: ChildNode): void {
    const number = Math.floor(index / PER_GROUP);
    let group = this.#groups[number];
    if (group === undefined) {
      const owner = this.#root.ownerDocument ?? document;
      group = owner.createElement("div");
      group.className = "md-group";
      this.#root.append(group);
      this.#groups.push(group);
    }
    group.append(node);
  }

  /** Remove the block with this number and all behind it. */
  truncate(index: number): void {
    const keep = Math.ceil(index / PER_GROUP);
    for (const group of this.#groups.splice(keep)) group.remove();
    const last = this.#groups[keep - 1];
    const within = index - (keep - 1) * PER_GROUP;
    while (last !== undefined && last.childNodes.length > within) last.lastChild?.remove();
  }

  get elements(): readonly HTMLElement[] {
    return this.#groups;
  }
}
