// The view of a text that grows. What is settled is taken out of the text that is lexed ("the tail"): so the work of an
// update is that of the last two or three blocks, however long the text is.

import type { Token, Tokens } from "marked";
import { goesOn } from "./extends.ts";
import type { Highlighter } from "./fence.ts";
import { Groups } from "./groups.ts";
import { FenceGrower } from "./grower.ts";
import { type Links, definitions } from "./lexer.ts";
import { type OpenLeaf, parse } from "./open.ts";
import { type RenderOptions, Renderer } from "./render.ts";
import { type VElement, create, patchNode } from "./vnode.ts";

/** A block that is settled. Positions count in the text with `\n` line ends. */
interface Settled {
  readonly end: number;
  /** How long the text was when the block was found to be settled: one that differs only behind this has it, too. */
  readonly seen: number;
  /** The number of blocks with elements up to this one. */
  readonly elements: number;
  readonly defines: Links | null;
  /** For blocks that cite labels: what to describe them from when a definition comes. */
  readonly cites: ReadonlySet<string> | null;
  readonly source: string;
}

/** A list or a table at the beginning of the tail, whose first items or rows are settled already. */
interface Growing {
  readonly type: "list" | "table";
  /** The number of the list's first item. */
  readonly start: number | "";
  done: number;
  /** Their text. */
  readonly taken: string[];
  readonly cites: Set<string>;
  readonly defines: Links;
}

interface Shown {
  readonly key: string;
  readonly cites: Set<string>;
}

interface Block {
  readonly token: Token;
  readonly start: number;
}

const LEAST_FOLLOWING = 2;

export class View {
  readonly #options: RenderOptions;
  readonly #groups: Groups;
  #source = "";
  #length = 0;
  #finished = false;
  #settled: Settled[] = [];
  #citing = new Set<Settled>();
  /** The text that is not settled; with `#head` before it, which is a growing table's head. */
  #tail = "";
  #head = "";
  #base = 0;
  #growing: Growing | null = null;
  #fence: FenceGrower | null = null;
  /** All definitions; and those of them that are in the tail. */
  #links: Links = Object.create(null) as Links;
  #tailLinks: Links = Object.create(null) as Links;
  #linksVersion = 0;
  /** What each block of the tail was described from last, and the labels that it cites. */
  #shown: Shown[] = [];

  constructor(element: Element, highlight: Highlighter | undefined, headingOffset: number) {
    this.#options = { highlight, headingOffset };
    this.#groups = new Groups(element);
  }

  update(text: string): void {
    if (text === this.#source) return;
    this.#length = text.length;
    if (!this.#finished && goesOn(this.#source, text)) this.#append(text);
    else this.#rewind(text);
    this.#source = text;
    this.#finished = false;
    this.#show(true);
  }

  finish(): void {
    if (this.#finished) return;
    this.#finished = true;
    if (this.#source.endsWith("\r")) this.#take("\n");
    if (this.#fence !== null) this.#fence.finish();
    else this.#show(false);
  }

  /** The new text, with a carriage return at its end left for the next time: it may be half a line end. */
  #append(text: string): void {
    const from = this.#source.length - (this.#source.endsWith("\r") ? 1 : 0);
    const delta = text.slice(from, text.endsWith("\r") ? -1 : undefined);
    this.#take(delta.includes("\r") ? delta.replace(/\r\n?/g, "\n") : delta);
  }

  #take(delta: string): void {
    if (this.#fence === null) {
      this.#tail += delta;
      return;
    }
    const rest = this.#fence.feed(delta);
    if (rest !== null) this.#closeFence(rest);
  }

  /** The fence's closing line, and what follows it, go back into the tail. */
  #closeFence(rest: string): void {
    const source = this.#fence?.source ?? "";
    const line = rest.indexOf("\n") + 1;
    this.#fence = null;
    this.#tail = rest.slice(line);
    this.#settle(source + rest.slice(0, line), 1, null, null);
  }

  #show(open: boolean): void {
    if (this.#fence !== null) return;
    const { parsed, leaf } = parse(this.#head + this.#tail, open);
    const blocks = split(parsed.tokens);
    const growing = this.#growing;
    const defined = definitions(parsed.tokens, Object.assign(Object.create(null), growing?.defines) as Links);
    const changed = this.#define(defined);
    // Items that are settled, but cite what has just been defined: the whole list is described again.
    const outdated = growing !== null && [...changed].some((label) => growing.cites.has(label));
    if (growing !== null && (outdated || blocks[0]?.token.type !== growing.type)) {
      this.#tail = growing.taken.join("") + this.#tail;
      this.#head = "";
      this.#growing = null;
      return this.#show(open);
    }

    const first = this.#settled.at(-1)?.elements ?? 0;
    const shown: Shown[] = [];
    let elements = 0;
    for (const [number, block] of blocks.entries()) {
      const last = number === blocks.length - 1;
      const key = last ? "" : `${this.#linksVersion}:${block.token.raw}`;
      const before = this.#shown[number];
      if (!last && before?.key === key) shown.push(before);
      else {
        const renderer = new Renderer(parsed, leaf, this.#links, this.#options);
        // An open fence is only framed here: #grow() has its lines.
        if (!(open && grows(block.token, leaf))) {
          const grown = number === 0 ? this.#growing : null;
          const token = grown?.type === "list" ? { ...block.token, start: grown.start } : block.token;
          const described = renderer.block(token, grown?.done);
          if (described !== null) this.#place(first + elements, described);
        }
        shown.push({ key, cites: renderer.cites });
      }
      elements += elementsOf(block.token);
    }
    this.#shown = shown;
    if (open) this.#advance(blocks, parsed.src, leaf);
    if (this.#fence === null) this.#groups.truncate(first + elements);
  }

  /** Take what is settled out of the tail. */
  #advance(blocks: readonly Block[], src: string, leaf: OpenLeaf): void {
    const settling = settled(blocks, leaf);
    let at = this.#head.length;
    for (let number = 0; number < settling; number++) {
      const end = blocks[number + 1]?.start ?? src.length;
      this.#settleBlock(blocks[number]?.token as Token, src.slice(at, end), this.#shown[number]?.cites ?? new Set());
      at = end;
    }
    if (settling > 0) {
      this.#tail = this.#tail.slice(at - this.#head.length);
      this.#head = "";
      this.#shown = this.#shown.slice(settling);
    }
    const [block] = blocks.slice(settling);
    if (block === undefined || blocks.length > settling + 1) return;
    this.#grow(block.token, settling > 0 ? 0 : block.start, leaf, this.#shown[0]?.cites ?? new Set());
  }

  #place(index: number, described: VElement): ChildNode {
    const there = this.#groups.at(index);
    if (there !== null) return patchNode(there, described);
    const made = create(described, document);
    this.#groups.append(index, made);
    return made;
  }

  #settleBlock(token: Token, text: string, cites: Set<string>): void {
    const growing = this.#growing;
    this.#growing = null;
    const source = (growing?.taken.join("") ?? "") + text;
    const defines = definitions([token], growing?.defines);
    for (const label of growing?.cites ?? []) cites.add(label);
    const defined = Object.keys(defines).length > 0 ? defines : null;
    this.#settle(source, elementsOf(token), cites.size > 0 ? cites : null, defined);
  }

  #settle(source: string, elements: number, cites: Set<string> | null, defines: Links | null): void {
    this.#base += source.length;
    const block: Settled = {
      end: this.#base,
      seen: this.#length,
      elements: (this.#settled.at(-1)?.elements ?? 0) + elements,
      defines,
      cites,
      source: cites === null ? "" : source,
    };
    this.#settled.push(block);
    if (cites !== null) this.#citing.add(block);
    for (const label of Object.keys(defines ?? {})) delete this.#tailLinks[label];
  }

  /** Take the definitions of the tail. Returns the labels that changed; settled blocks citing them are described anew. */
  #define(defined: Links): Set<string> {
    const changed = new Set<string>();
    for (const label of Object.keys(this.#tailLinks)) {
      if (label in defined) continue;
      delete this.#links[label];
      changed.add(label);
    }
    const tail = Object.create(null) as Links;
    for (const [label, link] of Object.entries(defined)) {
      const old = this.#links[label];
      if (old !== undefined && !(label in this.#tailLinks)) continue;
      tail[label] = link;
      this.#links[label] = link;
      if (old?.href !== link.href) changed.add(label);
    }
    this.#tailLinks = tail;
    if (changed.size === 0) return changed;
    this.#linksVersion += 1;
    for (const block of this.#citing) {
      if ([...changed].some((label) => block.cites?.has(label))) this.#describeAgain(block);
    }
    return changed;
  }

  #describeAgain(block: Settled): void {
    const { parsed, leaf } = parse(block.source, false);
    const renderer = new Renderer(parsed, leaf, this.#links, this.#options);
    for (const described of renderer.blocks(parsed.tokens)) this.#place(block.elements - 1, described);
  }

  /** Settle the first items or rows of a list or table that is alone in the tail, or the lines of an open fence. */
  #grow(token: Token, start: number, leaf: OpenLeaf, cites: Set<string>): void {
    const src = this.#head + this.#tail;
    if (grows(token, leaf) && leaf.kind === "fence") {
      this.#base += start;
      this.#fence = new FenceGrower(leaf.fence, src.slice(start), this.#options.highlight);
      const index = this.#settled.at(-1)?.elements ?? 0;
      const rest = this.#fence.attach((frame) => this.#place(index, frame), src.slice(start));
      this.#groups.truncate(index + 1);
      this.#tail = "";
      this.#shown = [];
      if (rest !== null) this.#closeFence(rest);
    } else if (token.type === "list") {
      const list = token as Tokens.List;
      const items = list.items.slice(0, -LEAST_FOLLOWING);
      if (items.length === 0) return;
      const end = start + items.reduce((sum, item) => sum + item.raw.length, 0);
      this.#growBy(list, items.length, src.slice(0, end), cites, definitions([{ ...list, items }]));
      this.#tail = src.slice(end);
    } else if (token.type === "table") {
      const table = token as Tokens.Table;
      const done = table.rows.length - LEAST_FOLLOWING;
      if (done <= 0) return;
      const lines = table.raw.split("\n");
      const head = `${lines.slice(0, 2).join("\n")}\n`;
      const end = start + head.length + lines.slice(2, 2 + done).join("\n").length + 1;
      this.#growBy(table, done, src.slice(this.#head.length, end), cites, Object.create(null) as Links);
      this.#head = head;
      this.#tail = src.slice(end);
    }
  }

  #growBy(token: Tokens.List | Tokens.Table, done: number, text: string, cites: Set<string>, defines: Links): void {
    const { type } = token;
    const start = type === "list" ? token.start : "";
    this.#growing ??= { type, start, done: 0, taken: [], cites: new Set(), defines: Object.create(null) as Links };
    this.#growing.done += done;
    this.#growing.taken.push(text);
    for (const label of cites) this.#growing.cites.add(label);
    for (const [label, link] of Object.entries(defines)) this.#growing.defines[label] ??= link;
  }

  /** The text does not go on from the last one: keep the blocks that were settled by what both have in common. */
  #rewind(text: string): void {
    let same = 0;
    const most = Math.min(text.length, this.#source.length);
    while (same < most && text.charCodeAt(same) === this.#source.charCodeAt(same)) same += 1;
    let keep = this.#settled.length;
    while (keep > 0 && (this.#settled[keep - 1]?.seen ?? 0) > same) keep -= 1;
    for (const block of this.#settled.splice(keep)) this.#citing.delete(block);
    // What the others define counts as defined by the tail, until the new tail is seen.
    this.#tailLinks = Object.assign(Object.create(null), this.#links) as Links;
    for (const block of this.#settled) {
      for (const label of Object.keys(block.defines ?? {})) delete this.#tailLinks[label];
    }
    this.#base = this.#settled.at(-1)?.end ?? 0;
    this.#tail = (text.endsWith("\r") ? text.slice(0, -1) : text).replace(/\r\n?/g, "\n").slice(this.#base);
    this.#head = "";
    this.#growing = null;
    this.#fence = null;
    this.#shown = [];
  }
}

/** The tokens that are blocks, with where they begin. Blank lines belong to the block behind them. */
function split(tokens: readonly Token[]): Block[] {
  const blocks: Block[] = [];
  let start = 0;
  for (const token of tokens) {
    if (token.type !== "space") blocks.push({ token, start });
    start += token.raw.length;
  }
  return blocks;
}

/** How many of the blocks are settled: those that two more follow, or two items, rows, or an open fence. */
function settled(blocks: readonly Block[], leaf: OpenLeaf): number {
  let following = 0;
  for (let number = blocks.length - 1; number >= 0; number--) {
    if (following >= LEAST_FOLLOWING) return number + 1;
    const token = blocks[number]?.token;
    if (token?.type === "list") following += (token as Tokens.List).items.length;
    else if (token?.type === "table") following += (token as Tokens.Table).rows.length;
    else following += token !== undefined && grows(token, leaf) ? LEAST_FOLLOWING : 1;
  }
  return 0;
}

/** Is it the open fence at the end of the text? */
function grows(token: Token, leaf: OpenLeaf): boolean {
  return leaf.kind === "fence" && leaf.token === token && !leaf.fence.closed;
}

function elementsOf(token: Token): number {
  return token.type === "def" ? 0 : 1;
}
