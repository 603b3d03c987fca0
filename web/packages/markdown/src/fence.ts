// Fenced code, line by line: by the same reading of a fence for a whole block and for one that still grows.

import { decodeEntities } from "./entities.ts";
import { type VNode, type VElement, h } from "./vnode.ts";

export interface Fence {
  readonly marker: string;
  readonly indent: number;
  readonly language: string;
  /** The opening line is complete. */
  readonly begun: boolean;
  readonly closed: boolean;
  /** The complete lines of code. */
  readonly lines: readonly string[];
  /** The line that is not complete, if the fence is not closed. */
  readonly partial: string;
}

/** A piece of a line of code. Its class or colour is a highlighter's word, never the content's. */
export interface HighlightToken {
  readonly text: string;
  /** One class or several: of letters, digits and hyphens. */
  readonly className?: string;
  /** A CSS colour, for highlighters with themes of their own. */
  readonly color?: string;
}

/** Colours code line by line. A line is asked for once, when it is complete, and keeps what it got. */
export interface Highlighter {
  /**
   * @param line a complete line without its end
   * @param language in lower case, as written behind the fence
   * @param state what was returned for the line before; undefined for the first
   * @returns null for a language that is not known (yet): the line stays plain
   */
  highlight(line: string, language: string, state: unknown): { tokens: readonly HighlightToken[]; state: unknown } | null;
}

const OPENING = /^( {0,3})(`{3,}|~{3,})([^\n]*)/;
const LANGUAGE = /^[a-z0-9][a-z0-9+#._-]{0,31}$/;

/** Read a fenced block, or return null for an indented one. */
export function readFence(raw: string): Fence | null {
  const opening = OPENING.exec(raw);
  if (opening === null) return null;
  const [whole = "", indent = "", marker = "", info = ""] = opening;
  const lines = raw.slice(whole.length + 1).split("\n");
  const head = { marker, indent: indent.length, language: languageOf(info), begun: raw.length > whole.length };
  const closes = closingLine(marker);
  const end = lines.findIndex((line) => closes.test(line));
  const code = (end < 0 ? lines.slice(0, -1) : lines.slice(0, end)).map((line) => unindent(line, indent.length));
  const partial = end < 0 ? unindent(lines.at(-1) ?? "", indent.length) : "";
  return { ...head, closed: end >= 0, lines: code, partial };
}

/** What the line that closes a fence looks like. */
export function closingLine(marker: string): RegExp {
  return new RegExp(`^ {0,3}${marker[0]}{${marker.length},} *$`);
}

/** Take away the indentation of the fence. */
export function unindent(line: string, by: number): string {
  let at = 0;
  while (at < by && /\s/.test(line[at] ?? "x")) at += 1;
  return line.slice(at);
}

function languageOf(info: string): string {
  const word = decodeEntities(info.trim().split(/[\s,{]/, 1)[0] ?? "").toLowerCase();
  return LANGUAGE.test(word) ? word : "";
}

/** Turns lines of code into nodes, and keeps the highlighter's state between them. */
export class LinePainter {
  readonly #highlighter: Highlighter | undefined;
  readonly #language: string;
  #state: unknown = undefined;
  #lines = 0;

  constructor(language: string, highlighter: Highlighter | undefined) {
    this.#language = language;
    this.#highlighter = language === "" ? undefined : highlighter;
  }

  /** The nodes of the next complete line; from the second on they begin with the line break before it. */
  complete(line: string): VNode[] {
    const nodes: VNode[] = this.#lines > 0 ? ["\n"] : [];
    this.#lines += 1;
    let result: ReturnType<Highlighter["highlight"]> = null;
    try {
      result = this.#highlighter?.highlight(line, this.#language, this.#state) ?? null;
    } catch {
      // A highlighter that fails costs its colours, not the code.
    }
    if (result === null || result.tokens.map((token) => token.text).join("") !== line) return plain(nodes, line);
    this.#state = result.state;
    for (const token of result.tokens) {
      if (token.text === "") continue;
      const className = token.className !== undefined && /^[\w -]+$/.test(token.className) ? token.className : null;
      if (className === null && token.color === undefined) nodes.push(token.text);
      else nodes.push(coloured(token, className));
    }
    return nodes;
  }

  /** The nodes of a line that may go on: plain. */
  partial(line: string): VNode[] {
    return line === "" ? [] : plain(this.#lines > 0 ? ["\n"] : [], line);
  }
}

function plain(nodes: VNode[], line: string): VNode[] {
  if (line !== "") nodes.push(line);
  return nodes;
}

function coloured(token: HighlightToken, className: string | null): VElement {
  const span = h("span", className === null ? null : { class: className }, [token.text]);
  return token.color === undefined ? span : { ...span, color: token.color };
}

/** The frame of a block of code: its language, a button that copies it, and the code. */
export function codeBlock(language: string, kids: readonly VNode[], settled = 0): VElement {
  const code: VElement = {
    tag: "code",
    attributes: language === "" ? {} : { class: `language-${language}` },
    kids,
    settled,
  };
  return h("div", { class: "md-code" }, [
    h("div", { class: "md-code-bar" }, [
      h("span", { class: "md-code-language" }, [language === "" ? "text" : language]),
      h("button", { type: "button", class: "md-copy", "aria-label": "Copy code" }, ["Copy"]),
    ]),
    h("pre", { tabindex: "0" }, [code]),
  ]);
}
