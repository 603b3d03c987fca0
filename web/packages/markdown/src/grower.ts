// An open fence that grows: lines are appended, nothing above the last one is read or touched again.

import { type Highlighter, LinePainter, closingLine, codeBlock, type Fence, unindent } from "./fence.ts";
import { type VElement, create, patchNode } from "./vnode.ts";

export class FenceGrower {
  readonly #fence: Fence;
  readonly #closes: RegExp;
  readonly #opening: string;
  readonly #highlighter: Highlighter | undefined;
  #painter: LinePainter;
  /** What has been taken, to read it anew should the text turn out not to go on from here. */
  #taken: string[] = [];
  #line = "";
  #code: Element | null = null;
  /** The last node of a complete line. */
  #settled: ChildNode | null = null;

  /** @param src the block's text, from its opening line on */
  constructor(fence: Fence, src: string, highlighter: Highlighter | undefined) {
    this.#fence = fence;
    this.#closes = closingLine(fence.marker);
    this.#highlighter = highlighter;
    this.#painter = new LinePainter(fence.language, highlighter);
    this.#opening = src.slice(0, src.indexOf("\n") + 1);
  }

  /** The text of the block so far. */
  get source(): string {
    return this.#opening + this.#taken.join("") + this.#line;
  }

  /** Make the frame, or take over one that is there with the lines in it. */
  attach(place: (frame: VElement) => ChildNode, src: string): string | null {
    const lines = src.slice(this.#opening.length).split("\n");
    this.#line = lines.pop() ?? "";
    const end = lines.findIndex((line) => this.#closes.test(line));
    const taken = end < 0 ? lines : lines.slice(0, end);
    this.#painter = new LinePainter(this.#fence.language, this.#highlighter);
    const kids = taken.flatMap((line) => this.#painter.complete(unindent(line, this.#fence.indent)));
    this.#taken = taken.length > 0 ? [`${taken.join("\n")}\n`] : [];
    const frame = place(codeBlock(this.#fence.language, kids)) as Element;
    this.#code = frame.querySelector("code");
    this.#settled = this.#code?.lastChild ?? null;
    if (end >= 0) return [...lines.slice(end), this.#line].join("\n");
    this.#draft();
    return null;
  }

  /** Take more text. Returns what follows the fence from its closing line on, or null while it is open. */
  feed(delta: string): string | null {
    let rest = this.#line + delta;
    this.#line = "";
    for (let at = rest.indexOf("\n"); at >= 0; at = rest.indexOf("\n")) {
      const line = rest.slice(0, at);
      if (this.#closes.test(line)) {
        this.#trim();
        return rest;
      }
      this.#complete(line);
      rest = rest.slice(at + 1);
    }
    this.#line = rest;
    this.#draft();
    return null;
  }

  /** No more will come: the last line is complete, unless it closes the fence. */
  finish(): void {
    if (this.#closes.test(this.#line) || this.#line === "") this.#trim();
    else this.#complete(this.#line);
  }

  #complete(line: string): void {
    this.#show(this.#painter.complete(unindent(line, this.#fence.indent)));
    this.#settled = this.#code?.lastChild ?? null;
    this.#taken.push(`${line}\n`);
  }

  #draft(): void {
    const marks = /^[ \t>]*(`+|~+) *$/.exec(this.#line)?.[1];
    if (marks?.[0] === this.#fence.marker[0]) this.#trim();
    else this.#show(this.#painter.partial(unindent(this.#line, this.#fence.indent)));
  }

  #trim(): void {
    this.#show([]);
  }

  /** The nodes behind those of the complete lines. Only what changes is touched. */
  #show(nodes: ReturnType<LinePainter["partial"]>): void {
    const code = this.#code;
    if (code === null) return;
    let node: ChildNode | null = this.#settled === null ? code.firstChild : this.#settled.nextSibling;
    for (const described of nodes) {
      if (node === null) code.append(create(described, code.ownerDocument));
      else node = patchNode(node, described).nextSibling;
    }
    while (node !== null) {
      const next: ChildNode | null = node.nextSibling;
      node.remove();
      node = next;
    }
  }
}

