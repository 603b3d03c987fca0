// The end of a text that is still being written: what is held back until it is clear what it will be, and what is
// completed as if its end were there, so that no marks flash up that are about to become formatting.

import type { Token, Tokens } from "marked";
import remend from "remend";
import { type Parsed, lexBlocks } from "./lexer.ts";
import { type Fence, readFence } from "./fence.ts";

/** The block at the very end, innermost: the one that more text would go into. */
export type OpenLeaf =
  | { kind: "inline"; tokens: Token[]; block: Token }
  | { kind: "fence"; token: Tokens.Code; fence: Fence }
  | { kind: "table"; cell: Token[] | null }
  | { kind: "math"; token: Tokens.Generic }
  | { kind: "other" }
  | { kind: "none" };

const NONE: OpenLeaf = { kind: "none" };

/** Lex a text, without what is held back when it is `open`. */
export function parse(src: string, open: boolean): { parsed: Parsed; leaf: OpenLeaf } {
  let parsed = lexBlocks(src);
  if (!open) return { parsed, leaf: NONE };
  const leaf = openLeaf(parsed.tokens, src);
  const kept = keep(src, leaf);
  if (kept === src.length) return { parsed, leaf };
  parsed = lexBlocks(src.slice(0, kept));
  return { parsed, leaf: openLeaf(parsed.tokens, parsed.src) };
}

function openLeaf(tokens: readonly Token[], src: string): OpenLeaf {
  const last = tokens.at(-1);
  switch (last?.type) {
    case undefined:
    case "space":
    case "hr":
      return NONE;
    case "paragraph":
    case "text":
      return last.tokens ? { kind: "inline", tokens: last.tokens, block: last } : NONE;
    case "heading":
      return last.raw.endsWith("\n") || !last.tokens ? NONE : { kind: "inline", tokens: last.tokens, block: last };
    case "code": {
      const fence = readFence(last.raw);
      return fence ? { kind: "fence", token: last as Tokens.Code, fence } : { kind: "other" };
    }
    case "list":
      return openLeaf((last as Tokens.List).items.at(-1)?.tokens ?? [], src);
    case "blockquote":
      return openLeaf(last.tokens ?? [], src);
    case "table": {
      const table = last as Tokens.Table;
      const row = table.rows.at(-1);
      const closed = src.endsWith("\n") || /\|[ \t]*$/.test(src.slice(-200));
      return { kind: "table", cell: closed || !row ? null : (row.findLast((cell) => cell.text !== "")?.tokens ?? null) };
    }
    case "math":
      return { kind: "math", token: last };
    default:
      return { kind: "other" };
  }
}

const CONTAINER = /[ \t]+|>|[-*+](?=[ \t])|\d{1,9}[.)](?=[ \t])/y;
const UNDECIDED = /^(?:[-+*_=|: \t]*|\d{1,9}[.)]?|#{1,6}|[`~]{1,2}|\[[ xX]?\]?|\[[^\]\n]+\]:.*|\$\$?|\\[[(]?)[ \t]*$/;
const FENCE_CLOSE = /^[ \t>]*(`+|~+) *$/;

/** A line without the marks of the quotes and list items that it is in. */
function content(line: string): string {
  let at = 0;
  for (;;) {
    CONTAINER.lastIndex = at;
    const match = CONTAINER.exec(line);
    if (match === null) return line.slice(at);
    at += match[0].length;
  }
}

/** How much of the text is shown: all but a line or two at the end of which it is not known what they are. */
function keep(src: string, leaf: OpenLeaf): number {
  const start = src.lastIndexOf("\n") + 1;
  const line = src.slice(start);
  if (leaf.kind === "fence") {
    if (!leaf.fence.begun) return start;
    const marker = FENCE_CLOSE.exec(line)?.[1];
    return marker?.[0] === leaf.fence.marker[0] ? start : src.length;
  }
  if (leaf.kind === "math" && leaf.token["text"] === "" && line !== "") return start;
  if (leaf.kind === "other" || leaf.kind === "math") return src.length;
  const inner = content(line);
  if (leaf.kind === "table") return !line.includes("|") && line !== "" && UNDECIDED.test(inner) ? start : src.length;
  if (leaf.kind === "inline" && leaf.block.type !== "heading") {
    // A line that begins with a bar may be the head of a table: the next line tells.
    if (inner.startsWith("|") && !/^[|:\- \t]*$/.test(inner)) return start;
    if (/^[|:\- \t]*$/.test(inner)) {
      const before = src.lastIndexOf("\n", start - 2) + 1;
      if (start > 0 && content(src.slice(before, start - 1)).startsWith("|")) return before;
    }
  }
  return line.trim() !== "" && UNDECIDED.test(inner) ? start : src.length;
}

const REMEND = {
  bold: false,
  boldItalic: false,
  comparisonOperators: false,
  htmlTags: false,
  inlineCode: false,
  italic: false,
  katex: false,
  setextHeadings: false,
  singleTilde: false,
  strikethrough: false,
  images: true,
  links: true,
  linkMode: "text-only",
} as const;

/** Complete the inline text of the open leaf. `known` tells whether a link label is defined. */
export function complete(src: string, known: (label: string) => boolean): string {
  let text = src.trimEnd();
  const span = openSpan(text);
  let tail = "";
  if (span !== null) {
    const inner = text.slice(span.at + span.opener.length).replace(/[`$\\]+$/, "");
    text = text.slice(0, span.at);
    if (inner.trim()) tail = span.opener + inner + span.closer;
  } else {
    text = withoutUndecided(text, known);
  }
  const space = /\s*$/.exec(text)?.[0] ?? "";
  text = text.slice(0, text.length - space.length);
  if (text.includes("[")) text = remend(text, REMEND);
  const closers = closing(text);
  return tail ? text + space + tail + closers : text.trimEnd() + closers;
}

function withoutUndecided(whole: string, known: (label: string) => boolean): string {
  let text = whole.replace(/&#?[a-zA-Z0-9]{0,31}$/, "").replace(/!$/, "");
  text = text.replace(/[*_~]+$/, "").replace(/\\+$/, (run) => run.slice(run.length % 2));
  // `<https://exam` is not an address yet.
  text = text.replace(/<([a-zA-Z][a-zA-Z0-9+.-]{1,31}:[^\s<>]*)$/, "$1").replace(/<$/, "");
  // `[text]` may go on with `(`, and `[text][re` with `]`.
  text = text.replace(/(\[[^[\]]*\])\[[^[\]]*$/, "$1");
  return text.replace(/!?\[([^[\]]*)\]$/, (link: string, label: string) => (known(label) ? link : label)).trimEnd();
}

interface Span {
  at: number;
  opener: string;
  closer: string;
}

/** A code span or a formula that is not closed. */
function openSpan(text: string): Span | null {
  for (let at = 0; at < text.length; at++) {
    const mark = text[at];
    if (mark === "`") {
      const run = runLength(text, at);
      const ticks = text.slice(at, at + run);
      const close = closingTicks(text, at + run, run);
      if (close < 0) return { at, opener: ticks, closer: ticks };
      at = close + run - 1;
    } else if (mark === "$" && text[at + 1] === "$") {
      const close = text.indexOf("$$", at + 2);
      if (close < 0) return { at, opener: "$$", closer: "$$" };
      at = close + 1;
    } else if (mark === "\\") {
      if (text[at + 1] === "(") {
        const close = text.indexOf("\\)", at + 2);
        if (close < 0) return { at, opener: "\\(", closer: "\\)" };
        at = close;
      }
      at += 1;
    }
  }
  return null;
}

function runLength(text: string, at: number): number {
  let end = at + 1;
  while (text[end] === text[at]) end += 1;
  return end - at;
}

function closingTicks(text: string, from: number, length: number): number {
  for (let at = text.indexOf("`", from); at >= 0; at = text.indexOf("`", at)) {
    const run = runLength(text, at);
    if (run === length) return at;
    at += run;
  }
  return -1;
}

/** The marks that close what is emphasised, in the order in which they have to come. */
function closing(text: string): string {
  const open: string[] = [];
  for (let at = 0; at < text.length; at++) {
    const mark = text[at] ?? "";
    if (mark === "\\") at += 1;
    else if (mark === "`") {
      const run = runLength(text, at);
      const close = closingTicks(text, at + run, run);
      at = (close < 0 ? at : close) + run - 1;
    } else if (mark === "]" && text[at + 1] === "(") {
      const close = text.indexOf(")", at);
      if (close > 0) at = close;
    } else if (mark === "*" || mark === "_" || mark === "~") {
      const run = runLength(text, at);
      delimit(open, mark, run, text[at - 1] ?? " ", text[at + run] ?? " ");
      at += run - 1;
    }
  }
  return open.reverse().join("");
}

function delimit(open: string[], mark: string, run: number, before: string, after: string): void {
  let left = run;
  const word = /[\p{L}\p{N}]/u;
  const inWord = word.test(before) && word.test(after);
  const canClose = !/\s/.test(before) && !(mark === "_" && inWord);
  const canOpen = !/\s/.test(after) && !(mark !== "*" && inWord);
  while (canClose && left > 0) {
    const last = open.at(-1);
    if (last === undefined || last[0] !== mark || last.length > left) break;
    left -= last.length;
    open.pop();
  }
  // One mark within a word is rather a multiplication or a name than the beginning of emphasis.
  if (!canOpen || left === 0 || (inWord && left === 1)) return;
  if (mark === "~") {
    if (left <= 2) open.push(mark.repeat(left));
    return;
  }
  if (left % 2 === 1) open.push(mark);
  for (; left >= 2; left -= 2) open.push(mark + mark);
}
