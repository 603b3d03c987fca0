// Tokens into descriptions of nodes. What is not known here becomes text; HTML always does.

import type { Token, Tokens } from "marked";
import { decodeEntities } from "./entities.ts";
import { type Highlighter, LinePainter, codeBlock, readFence } from "./fence.ts";
import { type Links, type Parsed, lexInline } from "./lexer.ts";
import { type OpenLeaf, complete } from "./open.ts";
import { safeAddress } from "./url.ts";
import { type Tag, type VElement, type VNode, h, joined } from "./vnode.ts";

export interface RenderOptions {
  readonly highlight?: Highlighter | undefined;
  /** Added to the level of headings, so that those of a message fit below those of the page. */
  readonly headingOffset: number;
}

/** Describes the blocks of one parsed text. */
export class Renderer {
  /** The labels that were looked up, found or not: when one of them changes, the block is to be described anew. */
  cites = new Set<string>();
  readonly #parsed: Parsed;
  readonly #leaf: OpenLeaf;
  readonly #links: Links;
  readonly #options: RenderOptions;

  constructor(parsed: Parsed, leaf: OpenLeaf, links: Links, options: RenderOptions) {
    this.#parsed = parsed;
    this.#leaf = leaf;
    this.#links = links;
    this.#options = options;
  }

  /** The blocks' elements; definitions and blank lines have none. */
  blocks(tokens: readonly Token[]): VElement[] {
    return tokens.map((token) => this.block(token)).filter((element) => element !== null);
  }

  /**
   * One block's element, or null.
   * @param settled so many items or rows of it are in the document already, and not in the token
   */
  block(token: Token, settled = 0): VElement | null {
    switch (token.type) {
      case "space":
      case "def":
      case "checkbox":
        return null;
      case "paragraph":
      case "text":
        return h("p", null, this.#inline(token.tokens ?? [], token.text as string));
      case "heading": {
        const level = Math.min(6, Math.max(1, (token as Tokens.Heading).depth + this.#options.headingOffset));
        return h(`h${level}` as Tag, null, this.#inline(token.tokens ?? []));
      }
      case "hr":
        return h("hr", null);
      case "blockquote":
        return h("blockquote", null, this.blocks(token.tokens ?? []));
      case "list":
        return this.#list(token as Tokens.List, settled);
      case "table":
        return this.#table(token as Tokens.Table, settled);
      case "code":
        return this.#code(token as Tokens.Code);
      case "math":
        return this.#formula(token as Tokens.Generic);
      default:
        return h("p", { class: "md-raw" }, [token.raw.trimEnd()]);
    }
  }

  #formula(token: Tokens.Generic): VElement {
    const open = this.#leaf.kind === "math" && this.#leaf.token === token && token["unclosed"] === true;
    const text = token["text"] as string;
    if (!open && token["closed"] !== true) return h("p", { class: "md-raw" }, [token.raw.trimEnd()]);
    return h("p", { class: "md-math" }, [h("span", { class: "math" }, [open ? text.replace(/[$\\]$/, "") : text])]);
  }

  /** Whether items are set apart by blank lines makes no difference: one that came late would change all before it. */
  #list(list: Tokens.List, settled: number): VElement {
    const start = list.ordered && typeof list.start === "number" && list.start !== 1 ? { start: `${list.start}` } : null;
    const items = list.items.map((item) => {
      const kids = this.blocks(item.tokens);
      if (!item.task) return h("li", null, kids);
      const box = h("input", { type: "checkbox", disabled: "", ...(item.checked ? { checked: "" } : {}) });
      const [first, ...others] = kids;
      const label = first?.tag === "p" ? first.kids : [];
      return h("li", { class: "md-task" }, [
        h("p", null, [box, " ", ...label]),
        ...(first === undefined || first.tag === "p" ? others : kids),
      ]);
    });
    return { tag: list.ordered ? "ol" : "ul", attributes: start ?? {}, kids: items, settled };
  }

  #table(table: Tokens.Table, settled: number): VElement {
    const row = (cells: readonly Tokens.TableCell[], tag: "td" | "th"): VElement =>
      h("tr", null, cells.map((cell) => h(tag, this.#cell(cell, tag), this.#inline(cell.tokens))));
    const body: VElement = { tag: "tbody", attributes: {}, kids: table.rows.map((cells) => row(cells, "td")), settled };
    return h("div", { class: "md-table", role: "group", "aria-label": "Table", tabindex: "0" }, [
      h("table", null, [h("thead", null, [row(table.header, "th")]), body]),
    ]);
  }

  #cell(cell: Tokens.TableCell, tag: "td" | "th"): Record<string, string> {
    return {
      ...(tag === "th" ? { scope: "col" } : {}),
      ...(cell.align === null ? {} : { class: `md-${cell.align}` }),
    };
  }

  #code(token: Tokens.Code): VElement {
    const fence = readFence(token.raw);
    if (fence === null || token.codeBlockStyle === "indented") {
      return codeBlock("", new LinePainter("", undefined).partial(token.text.replace(/\n+$/, "")));
    }
    const open = this.#leaf.kind === "fence" && this.#leaf.token === token;
    const painter = new LinePainter(fence.language, this.#options.highlight);
    const kids = fence.lines.flatMap((line) => painter.complete(line));
    if (fence.partial !== "") kids.push(...(open ? painter.partial(fence.partial) : painter.complete(fence.partial)));
    return codeBlock(fence.language, kids);
  }

  /** The content of a leaf: lexed now, and completed if it is the open one. */
  #inline(tokens: Token[], fallback = ""): VNode[] {
    const written = this.#parsed.leaves.get(tokens);
    if (written === undefined) return tokens.length > 0 ? joined(this.#nodes(tokens, false)) : joined([fallback]);
    const leaf = this.#leaf;
    const open = (leaf.kind === "inline" && leaf.tokens === tokens) || (leaf.kind === "table" && leaf.cell === tokens);
    const src = open ? complete(written, (label) => this.#known(label)) : written.trimEnd();
    const inner = lexInline(this.#parsed, [], src, this.#links, this.cites);
    if (open) unfinishedAddress(inner);
    return joined(this.#nodes(inner, false));
  }

  #known(label: string): boolean {
    const key = label.trim().replace(/\s+/g, " ").toLowerCase().toUpperCase().toLowerCase();
    this.cites.add(key);
    return Object.hasOwn(this.#links, key);
  }

  #nodes(tokens: readonly Token[], inLink: boolean): VNode[] {
    return tokens.flatMap((token) => this.#node(token, inLink));
  }

  #node(token: Token, inLink: boolean): VNode | VNode[] {
    switch (token.type) {
      case "escape":
        return token["text"] as string;
      case "strong":
      case "em":
      case "del":
        return h(token.type, null, this.#nodes(token.tokens ?? [], inLink));
      case "codespan":
        return h("code", null, [token["text"] as string]);
      case "math":
        return h("span", { class: "math" }, [token["text"] as string]);
      case "br":
        return h("br", null);
      case "link":
        return this.#link(token as Tokens.Link, inLink);
      case "image":
        return this.#image(token as Tokens.Image, inLink);
      case "checkbox":
        return [];
      case "text":
        return "tokens" in token && token.tokens ? this.#nodes(token.tokens, inLink) : decodeEntities(token.raw);
      default:
        return token.raw;
    }
  }

  #link(token: Tokens.Link, inLink: boolean): VNode | VNode[] {
    const address = inLink ? null : safeAddress(token.href, token.autolink === true);
    const kids = token.autolink === true ? [token.text] : this.#nodes(token.tokens, true);
    if (address === null) return kids;
    return h("a", linkAttributes(address.href), kids.length > 0 ? kids : [address.host]);
  }

  /** An image is never asked for: what it shows in words, and the host that it would have come from. */
  #image(token: Tokens.Image, inLink: boolean): VNode {
    const alt = plainText(token.tokens) || decodeEntities(token.text);
    const address = inLink ? null : safeAddress(token.href);
    if (address === null) return alt;
    const host = h("span", { class: "md-host" }, [` (${address.host})`]);
    return h("a", { ...linkAttributes(address.href), class: "md-image" }, [alt || "image", host]);
  }
}

function linkAttributes(href: string): Record<string, string> {
  return { href, rel: "noopener noreferrer nofollow", target: "_blank" };
}

function plainText(tokens: readonly Token[] = []): string {
  return tokens
    .map((token) => {
      if (token.type === "escape" || token.type === "codespan") return token["text"] as string;
      return "tokens" in token && token.tokens ? plainText(token.tokens) : decodeEntities(token.raw);
    })
    .join("");
}

/** A bare address at the end may go on: it is text until something follows. */
function unfinishedAddress(tokens: Token[]): void {
  const last = tokens.at(-1);
  if (last?.type === "link" && last["autolink"] === true && !last.raw.startsWith("<")) {
    tokens[tokens.length - 1] = { type: "escape", raw: last.raw, text: last.raw };
  } else if (last !== undefined && "tokens" in last && last.tokens && last.type !== "link" && last.type !== "image") {
    unfinishedAddress(last.tokens);
  }
}
